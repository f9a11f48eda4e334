//! From what was sent to what a node is told: types and ranges, for simple values and for forms.

use std::collections::BTreeSet;

use torg_thing::{
    About, Assignment, ControlError, ControlParameter, ControlValue, EnumValue, FieldName, ParameterKind,
};
use torg_wire::iot::control::Values;
use torg_wire::iot::{Generation, parse_boolean};
use torg_wire::stanza::StanzaError;
use torg_wire::xep::data_forms::{FieldKind, FormField, SESSION_VARIABLE};

use crate::concentrator::refusal;

/// Why a value cannot be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Wrong type, wrong syntax or out of range.
    Bad {
        /// The parameter.
        parameter: String,
        /// Why.
        reason: String,
    },
    /// The node has no such parameter.
    Unknown(String),
}

impl Problem {
    pub(super) fn refusal(self, generation: Generation) -> StanzaError {
        match self {
            Self::Bad { parameter, reason } => {
                refusal::bad_parameter(generation, &parameter, refusal::sentence(&reason))
            }
            Self::Unknown(parameter) => {
                refusal::unknown_parameter(generation, &parameter, "There is no such parameter.".to_owned())
            }
        }
    }

    fn bad(parameter: &str, reason: impl ToString) -> Self {
        Self::Bad { parameter: parameter.to_owned(), reason: reason.to_string() }
    }
}

/// What the node is to be told, checked.
pub(super) fn assignments(about: &About, values: &Values) -> Result<Vec<Assignment>, Problem> {
    let assignments: Vec<Assignment> = match values {
        Values::Simple(values) => values.iter().map(|value| simple(about, value)).collect::<Result<_, _>>()?,
        Values::Form(form) => {
            form.fields.iter().filter_map(|field| from_form(about, field).transpose()).collect::<Result<_, _>>()?
        }
    };
    let mut named = BTreeSet::new();
    match assignments.iter().find(|assignment| !named.insert(&assignment.parameter)) {
        Some(again) => Err(Problem::bad(again.parameter.as_str(), "a parameter can be set only once in a request")),
        None => Ok(assignments),
    }
}

fn simple(about: &About, asked: &Assignment) -> Result<Assignment, Problem> {
    let name = asked.parameter.as_str();
    let parameter = about.control(&asked.parameter).ok_or_else(|| Problem::Unknown(name.to_owned()))?;
    let value = match (&parameter.kind, &asked.value) {
        // Deployed clients send enumerations to text parameters.
        (ParameterKind::Text, ControlValue::Enumeration(value)) => ControlValue::Text(value.value.clone()),
        // The first generation has no enumerations; their values come as text.
        (ParameterKind::Enumeration { kind, .. }, ControlValue::Text(value)) => {
            ControlValue::Enumeration(EnumValue { value: value.clone(), kind: kind.clone() })
        }
        // The type name is the node's own; clients often do not know it.
        (ParameterKind::Enumeration { kind, .. }, ControlValue::Enumeration(value)) => {
            ControlValue::Enumeration(EnumValue { value: value.value.clone(), kind: kind.clone() })
        }
        (_, value) => value.clone(),
    };
    parameter.check(&value).map_err(|error| Problem::bad(name, error))?;
    Ok(Assignment { parameter: asked.parameter.clone(), value })
}

/// `None` for what a form brings along without meaning a parameter, and for fields without a value: a form may be
/// partial.
fn from_form(about: &About, field: &FormField) -> Result<Option<Assignment>, Problem> {
    if field.var == SESSION_VARIABLE || matches!(field.kind, Some(FieldKind::Hidden | FieldKind::Fixed)) {
        return Ok(None);
    }
    let unknown = || Problem::Unknown(field.var.clone());
    let name = FieldName::parse(&field.var).map_err(|_| unknown())?;
    let parameter = about.control(&name).ok_or_else(unknown)?;
    if field.values.is_empty() {
        return Ok(None);
    }
    let value = value(parameter, &field.values.join("\n")).map_err(|error| Problem::bad(&field.var, error))?;
    Ok(Some(Assignment { parameter: name, value }))
}

/// A form's text as a value that the parameter may have.
pub(in crate::concentrator) fn value(parameter: &ControlParameter, text: &str) -> Result<ControlValue, ControlError> {
    let value = parse(parameter, text)?;
    parameter.check(&value)?;
    Ok(value)
}

/// A form's text as a value of the parameter's type.
fn parse(parameter: &ControlParameter, text: &str) -> Result<ControlValue, ControlError> {
    let trimmed = text.trim();
    let wrong = ControlError::WrongType;
    Ok(match &parameter.kind {
        ParameterKind::Boolean => ControlValue::Boolean(parse_boolean(trimmed).ok_or(wrong)?),
        ParameterKind::Color => ControlValue::Color(trimmed.parse().map_err(|_| wrong)?),
        ParameterKind::Date => ControlValue::Date(trimmed.parse().map_err(|_| wrong)?),
        ParameterKind::DateTime => ControlValue::DateTime(trimmed.parse().map_err(|_| wrong)?),
        ParameterKind::Double { .. } => ControlValue::Double(trimmed.parse().map_err(|_| wrong)?),
        ParameterKind::Duration => ControlValue::Duration(trimmed.parse().map_err(|_| wrong)?),
        ParameterKind::Enumeration { kind, .. } => {
            ControlValue::Enumeration(EnumValue { value: trimmed.into(), kind: kind.clone() })
        }
        ParameterKind::Int32 => ControlValue::Int32(trimmed.parse().map_err(|_| wrong)?),
        ParameterKind::Int64 => ControlValue::Int64(trimmed.parse().map_err(|_| wrong)?),
        ParameterKind::Text => ControlValue::Text(text.into()),
        ParameterKind::Time => ControlValue::Time(trimmed.parse().map_err(|_| wrong)?),
        // A kind of parameter invented later.
        _ => return Err(wrong),
    })
}
