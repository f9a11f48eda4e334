//! Fields with their categories and quality flags: the elements `q b d dt dr e i l s t` (nfi SensorData).

use torg_thing::{Categories, EnumValue, Field, FieldValue, Qos, Quantity, Timestamp, Unit};

use super::codec::{self, DecodeError};
use crate::xml::Element;

/// What stands where a number would, if the device has none at present: a valid `xs:double` that nobody can take for a
/// reading. The flag `ms` goes with it.
const NOT_A_NUMBER: &str = "NaN";

/// Categories of a request: `all`, or those set. None at all means all, for the standard leaves it open and an empty
/// answer helps nobody.
pub(super) fn wanted_categories(element: &Element) -> Result<Categories, DecodeError> {
    let wanted = categories(element)?;
    Ok(if codec::flag(element, "all")? || wanted.is_empty() { Categories::ALL } else { wanted })
}

/// `all` exists on requests only.
pub(super) fn set_wanted_categories(element: &mut Element, categories: Categories) {
    if categories == Categories::ALL {
        element.set_attr("all", "true");
    } else {
        set_categories(element, categories);
    }
}

fn categories(element: &Element) -> Result<Categories, DecodeError> {
    let mut found = Categories::NONE;
    for (category, name) in Categories::FLAGS {
        if codec::flag(element, name)? {
            found = found.union(category);
        }
    }
    Ok(found)
}

fn set_categories(element: &mut Element, categories: Categories) {
    for (category, name) in Categories::FLAGS {
        codec::set_flag(element, name, categories.contains(category));
    }
}

fn qos(element: &Element) -> Result<Qos, DecodeError> {
    let mut found = Qos::NONE;
    for (flag, name) in Qos::FLAGS {
        if codec::flag(element, name)? {
            found = found.union(flag);
        }
    }
    Ok(found)
}

/// Reads a field. `None` if the element is none that we know.
pub(super) fn decode(element: &Element, at: Timestamp) -> Result<Option<Field>, DecodeError> {
    let Some(value) = value(element)? else { return Ok(None) };
    let mut qos = qos(element)?;
    if value.is_none() {
        qos = qos.union(Qos::MISSING);
    }
    Ok(Some(Field {
        name: codec::field_name(element)?,
        at,
        value,
        categories: categories(element)?,
        qos,
        writable: codec::flag(element, "ctr")?,
    }))
}

/// The value of a field; `None` inside if the device has none at present.
fn value(element: &Element) -> Result<Option<Option<FieldValue>>, DecodeError> {
    let text = || codec::required(element, "v");
    Ok(Some(Some(match element.name() {
        "b" => {
            FieldValue::Boolean(codec::parse_boolean(text()?).ok_or_else(|| codec::invalid(element, "v", "boolean"))?)
        }
        "d" => FieldValue::Date(codec::parsed(element, "v", "date")?),
        "dr" => FieldValue::Duration(codec::parsed(element, "v", "duration")?),
        "dt" => FieldValue::DateTime(codec::parsed(element, "v", "dateTime")?),
        "e" => {
            FieldValue::Enumeration(EnumValue { value: text()?.into(), kind: codec::required(element, "t")?.into() })
        }
        "i" => FieldValue::Int32(codec::parsed(element, "v", "32-bit integer")?),
        "l" => FieldValue::Int64(codec::parsed(element, "v", "64-bit integer")?),
        "q" if text()?.trim() == NOT_A_NUMBER => return Ok(Some(None)),
        "q" => FieldValue::Quantity(Quantity {
            value: codec::parsed(element, "v", "number")?,
            unit: Unit::new(element.attr("u").unwrap_or_default()),
        }),
        "s" => FieldValue::Text(text()?.into()),
        "t" => FieldValue::Time(codec::parsed(element, "v", "time")?),
        _ => return Ok(None),
    })))
}

/// Writes a field; its time is that of the enclosing `ts`.
pub(super) fn encode(field: &Field, ns: &'static str) -> Element {
    let named = |tag: &'static str, value: &str| {
        Element::new(ns, tag).with_attr("n", field.name.as_str()).with_attr("v", value)
    };
    let mut element = match &field.value {
        None => named("q", NOT_A_NUMBER),
        Some(FieldValue::Boolean(value)) => named("b", if *value { "true" } else { "false" }),
        Some(FieldValue::Date(value)) => named("d", &value.to_string()),
        Some(FieldValue::DateTime(value)) => named("dt", &value.to_string()),
        Some(FieldValue::Duration(value)) => named("dr", &value.to_string()),
        Some(FieldValue::Enumeration(value)) => named("e", &value.value).with_attr("t", &value.kind),
        Some(FieldValue::Int32(value)) => named("i", &value.to_string()),
        Some(FieldValue::Int64(value)) => named("l", &value.to_string()),
        Some(FieldValue::Quantity(quantity)) => {
            named("q", &quantity.value.to_string()).with_attr("u", quantity.unit.as_str())
        }
        Some(FieldValue::Time(value)) => named("t", &value.to_string()),
        // Text, and whatever kind of value is invented later.
        Some(value) => named("s", &value.to_string()),
    };
    set_categories(&mut element, field.categories);
    let qos = if field.value.is_none() { field.qos.union(Qos::MISSING) } else { field.qos };
    for (flag, name) in Qos::FLAGS {
        codec::set_flag(&mut element, name, qos.contains(flag));
    }
    codec::set_flag(&mut element, "ctr", field.writable);
    element
}
