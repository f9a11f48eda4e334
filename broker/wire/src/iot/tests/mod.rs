//! Our own examples of every payload, in every generation, and random ones.

mod long_answers;
mod orders;
mod random;
mod readouts;
mod small;
mod wishes;

use proptest::prelude::*;
use torg_thing::{
    Assignment, Categories, Color, ControlValue, Date, Decimal, EnumValue, Field, FieldName, FieldValue, NodeId,
    NodeRef, Partition, Qos, Quantity, SourceId, Span, TimeOfDay, Timestamp, Unit,
};

use super::concentrator::{Answer, Notice, Question};
use super::control::{self, Control, ParameterError, Values};
use super::events::{Events, FieldRule, Subscribe};
use super::interfaces::{self, Dialect};
use super::sensor_data::{Accepted, Request, Response, SensorData};
use super::*;
use crate::xep::data_forms::DataForm;
use crate::xml::{Element, Limits, parse_document};

fn xml(text: &str) -> Element {
    parse_document(text, &Limits::CLIENT).unwrap()
}

fn node(id: &str, source: &str, partition: &str) -> NodeRef {
    NodeRef {
        id: NodeId::parse(id).unwrap(),
        source: SourceId::parse(source).unwrap(),
        partition: Partition::parse(partition).unwrap(),
    }
}

fn name(text: &str) -> FieldName {
    FieldName::parse(text).unwrap()
}

fn field(name: &str, value: FieldValue) -> Field {
    Field {
        name: FieldName::parse(name).unwrap(),
        at: "2026-03-01T10:15:00Z".parse().unwrap(),
        value: Some(value),
        categories: Categories::MOMENTARY,
        qos: Qos::AUTOMATIC_READOUT,
        writable: false,
    }
}

fn quantity(value: &str, unit: &str) -> FieldValue {
    FieldValue::Quantity(Quantity { value: value.parse().unwrap(), unit: Unit::new(unit) })
}

fn response(text: &str) -> Response {
    match SensorData::decode(&xml(text)).unwrap().0 {
        SensorData::Response(response) => response,
        other => panic!("{other:?}"),
    }
}
