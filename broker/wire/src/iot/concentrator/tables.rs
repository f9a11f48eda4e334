//! Tables of a query's report: columns, records and their cells (nfi Concentrator, `newTable` and `newRecords`).

use std::fmt;

use torg_thing::{Alignment, Cell, Color, Column, Partition, SourceId, Table, Unit};

use super::progress::{content, content_element};
use super::{optional_text, required_text};
use crate::iot::codec::{self, DecodeError};
use crate::xml::Element;

const ALIGNMENTS: [(Alignment, &str); 3] =
    [(Alignment::Left, "Left"), (Alignment::Center, "Center"), (Alignment::Right, "Right")];

pub(super) fn table(element: &Element) -> Result<Table, DecodeError> {
    let ns = element.namespace().as_str();
    Ok(Table {
        id: required_text(element, "tableId")?,
        name: required_text(element, "tableName")?,
        columns: element.children_named(ns, "column").map(column).collect::<Result<_, _>>()?,
    })
}

pub(super) fn table_element(table: &Table, ns: &'static str) -> Element {
    Element::new(ns, "newTable")
        .with_attr("tableId", &table.id)
        .with_attr("tableName", &table.name)
        .with_children(table.columns.iter().map(|column| column_element(column, ns)))
}

fn column(element: &Element) -> Result<Column, DecodeError> {
    let source = element.attr("src").map(SourceId::parse).transpose();
    let partition = element.attr("pt").map(Partition::parse).transpose();
    Ok(Column {
        id: required_text(element, "columnId")?,
        header: optional_text(element, "header"),
        source: source.map_err(|_| codec::invalid(element, "src", "source identity"))?,
        partition: partition.map_err(|_| codec::invalid(element, "pt", "partition"))?,
        foreground: codec::optional(element, "fgColor", "colour")?,
        background: codec::optional(element, "bgColor", "colour")?,
        alignment: choice(element, "alignment", "alignment", &ALIGNMENTS)?,
        decimals: codec::optional(element, "nrDecimals", "number of digits")?,
    })
}

fn column_element(column: &Column, ns: &'static str) -> Element {
    Element::new(ns, "column")
        .with_attr("columnId", &column.id)
        .with_attr_opt("header", column.header.as_deref())
        .with_attr_opt("src", column.source.as_ref().map(SourceId::as_str))
        .with_attr_opt("pt", column.partition.as_ref().map(Partition::as_str))
        .with_attr_opt("fgColor", column.foreground.map(opaque))
        .with_attr_opt("bgColor", column.background.map(opaque))
        .with_attr_opt("alignment", column.alignment.and_then(|alignment| chosen(alignment, &ALIGNMENTS)))
        .with_attr_opt("nrDecimals", column.decimals.map(|digits| digits.to_string()))
}

/// Six digits only: the concentrator's colour has no opacity.
fn opaque(color: Color) -> String {
    Color { alpha: u8::MAX, ..color }.to_string()
}

pub(super) fn records(element: &Element) -> Result<Vec<Vec<Cell>>, DecodeError> {
    let records = element.children_named(element.namespace().as_str(), "record");
    records.map(|record| record.children().map(cell).collect()).collect()
}

pub(super) fn record_element(cells: &[Cell], ns: &'static str) -> Element {
    Element::new(ns, "record").with_children(cells.iter().map(|cell| cell_element(cell, ns)))
}

/// A cell of a kind that is not known is an error: leaving it out would move its neighbours into other columns.
fn cell(element: &Element) -> Result<Cell, DecodeError> {
    let text = element.text();
    let value = text.trim();
    let wrong = |expected: &'static str| codec::invalid(element, "text", expected);
    let unit = || codec::required(element, "u").map(Unit::new);
    Ok(match element.name() {
        "base64" => Cell::Binary(content(element)?),
        "boolean" => Cell::Boolean(codec::parse_boolean(value).ok_or_else(|| wrong("boolean"))?),
        "color" => Cell::Color(value.parse().map_err(|_| wrong("colour"))?),
        "date" => Cell::Date(value.parse().map_err(|_| wrong("date"))?),
        "dateTime" => Cell::DateTime(value.parse().map_err(|_| wrong("dateTime"))?),
        "double" => Cell::Double(value.parse().map_err(|_| wrong("number"))?),
        "duration" => Cell::Duration(value.parse().map_err(|_| wrong("duration"))?),
        "int" => Cell::Int32(value.parse().map_err(|_| wrong("32-bit integer"))?),
        "long" => Cell::Int64(value.parse().map_err(|_| wrong("64-bit integer"))?),
        "measurement" => Cell::Measurement {
            value: codec::parsed(element, "m", "number")?,
            unit: unit()?,
            error: codec::parsed(element, "e", "number")?,
        },
        "quantity" => Cell::Quantity { value: codec::parsed(element, "m", "number")?, unit: unit()? },
        "string" => Cell::Text(text.into_owned()),
        "time" => Cell::Time(value.parse().map_err(|_| wrong("time"))?),
        "void" => Cell::Void,
        _ => return Err(codec::unknown(element)),
    })
}

fn cell_element(cell: &Cell, ns: &'static str) -> Element {
    let text = |name: &'static str, value: &dyn fmt::Display| Element::new(ns, name).with_text(value.to_string());
    match cell {
        Cell::Binary(content) => content_element(content, "base64", ns),
        Cell::Boolean(value) => text("boolean", value),
        Cell::Color(value) => text("color", &opaque(*value)),
        Cell::Date(value) => text("date", value),
        Cell::DateTime(value) => text("dateTime", value),
        Cell::Double(value) => text("double", value),
        Cell::Duration(value) => text("duration", value),
        Cell::Int32(value) => text("int", value),
        Cell::Int64(value) => text("long", value),
        Cell::Measurement { value, unit, error } => Element::new(ns, "measurement")
            .with_attr("m", value.to_string())
            .with_attr("u", unit.as_str())
            .with_attr("e", error.to_string()),
        Cell::Quantity { value, unit } => {
            Element::new(ns, "quantity").with_attr("m", value.to_string()).with_attr("u", unit.as_str())
        }
        Cell::Text(value) => text("string", value),
        Cell::Time(value) => text("time", value),
        // A kind of cell invented later has no element; its place in the record stays.
        _ => Element::new(ns, "void"),
    }
}

/// An optional attribute that holds one of a few names.
pub(super) fn choice<T: Copy>(
    element: &Element,
    name: &'static str,
    expected: &'static str,
    names: &[(T, &str)],
) -> Result<Option<T>, DecodeError> {
    let Some(text) = element.attr(name) else { return Ok(None) };
    let found = names.iter().find_map(|(value, known)| (*known == text).then_some(*value));
    found.map(Some).ok_or_else(|| codec::invalid(element, name, expected))
}

pub(super) fn chosen<T: Copy + PartialEq>(value: T, names: &[(T, &'static str)]) -> Option<&'static str> {
    names.iter().find_map(|(known, name)| (*known == value).then_some(*name))
}
