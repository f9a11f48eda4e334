//! Control parameters: what can be set on a node.
//!
//! Source: nfi "Control Parameters". Range and type are checked here, before any bus sees the value.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Date, Decimal, EnumValue, FieldName, Span, TimeOfDay, Timestamp, Unit};

/// A colour, red, green, blue and opacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Color {
    /// Red.
    pub red: u8,
    /// Green.
    pub green: u8,
    /// Blue.
    pub blue: u8,
    /// Opacity; 255 is opaque and is not written.
    pub alpha: u8,
}

/// The text is not six or eight hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a colour is RRGGBB or RRGGBBAA in hexadecimal digits")]
pub struct ColorError;

impl FromStr for Color {
    type Err = ColorError;

    fn from_str(text: &str) -> Result<Self, ColorError> {
        if !matches!(text.len(), 6 | 8) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ColorError);
        }
        let pair =
            |at: usize| text.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or(ColorError);
        let alpha = if text.len() == 8 { pair(6)? } else { u8::MAX };
        Ok(Self { red: pair(0)?, green: pair(2)?, blue: pair(4)?, alpha })
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}{:02X}{:02X}", self.red, self.green, self.blue)?;
        if self.alpha == u8::MAX { Ok(()) } else { write!(f, "{:02X}", self.alpha) }
    }
}

/// Type of a control parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParameterKind {
    /// Yes or no.
    Boolean,
    /// A colour.
    Color,
    /// A day.
    Date,
    /// A point in time.
    DateTime,
    /// A number.
    Double {
        /// Unit the number is given in; empty if none.
        unit: Unit,
    },
    /// A span of time.
    Duration,
    /// One of a list of names.
    Enumeration {
        /// Name of the enumeration.
        kind: Arc<str>,
        /// The names that may be set.
        values: Vec<Arc<str>>,
    },
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// Text.
    Text,
    /// A time of day.
    Time,
}

/// Limits of a numeric parameter, both ends allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Range {
    /// Least value allowed.
    pub min: Option<Decimal>,
    /// Greatest value allowed.
    pub max: Option<Decimal>,
    /// If not empty, only these values are allowed.
    pub values: Vec<Decimal>,
}

impl Range {
    /// Whether `value` may be set.
    #[must_use]
    pub fn allows(&self, value: Decimal) -> bool {
        let above = self.min.is_none_or(|min| value.numeric_cmp(min) != Ordering::Less);
        let below = self.max.is_none_or(|max| value.numeric_cmp(max) != Ordering::Greater);
        let listed = self.values.is_empty() || self.values.iter().any(|v| v.numeric_cmp(value) == Ordering::Equal);
        above && below && listed
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (Some(min), Some(max)) => write!(f, "{min} to {max}")?,
            (Some(min), None) => write!(f, "at least {min}")?,
            (None, Some(max)) => write!(f, "at most {max}")?,
            (None, None) => {}
        }
        if self.values.is_empty() {
            return Ok(());
        }
        let values: Vec<String> = self.values.iter().map(Decimal::to_string).collect();
        let lead = if self.min.is_some() || self.max.is_some() { ", " } else { "" };
        write!(f, "{lead}one of {}", values.join(", "))
    }
}

/// Something that can be set on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlParameter {
    /// Name; equal to the field that shows the present value, if there is one.
    pub name: FieldName,
    /// Type.
    pub kind: ParameterKind,
    /// Limits, for numeric types.
    pub range: Option<Range>,
    /// Short text for people.
    pub label: Arc<str>,
    /// Longer text for people; may be empty.
    pub description: Arc<str>,
}

/// A value to set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlValue {
    /// Yes or no.
    Boolean(bool),
    /// A colour.
    Color(Color),
    /// A day.
    Date(Date),
    /// A point in time.
    DateTime(Timestamp),
    /// A number.
    Double(Decimal),
    /// A span of time.
    Duration(Span),
    /// One of a list of names.
    Enumeration(EnumValue),
    /// A whole number of 32 bits.
    Int32(i32),
    /// A whole number of 64 bits.
    Int64(i64),
    /// Text.
    Text(Arc<str>),
    /// A time of day.
    Time(TimeOfDay),
}

/// One parameter and the value it shall get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The parameter.
    pub parameter: FieldName,
    /// The value.
    pub value: ControlValue,
}

/// Why a value may not be set; the asker is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The value is not among those allowed.
    #[error("allowed is {allowed}, asked was {asked}")]
    OutOfRange {
        /// What is allowed, for people.
        allowed: String,
        /// What was asked.
        asked: String,
    },
    /// The value has another type than the parameter.
    #[error("the parameter has another type")]
    WrongType,
}

impl ControlParameter {
    /// Checks type and range of a value before anything is sent to a device.
    ///
    /// # Errors
    /// [`ControlError`] says what is allowed.
    pub fn check(&self, value: &ControlValue) -> Result<(), ControlError> {
        let number = match (&self.kind, value) {
            (ParameterKind::Boolean, ControlValue::Boolean(_))
            | (ParameterKind::Color, ControlValue::Color(_))
            | (ParameterKind::Date, ControlValue::Date(_))
            | (ParameterKind::DateTime, ControlValue::DateTime(_))
            | (ParameterKind::Duration, ControlValue::Duration(_))
            | (ParameterKind::Text, ControlValue::Text(_))
            | (ParameterKind::Time, ControlValue::Time(_)) => return Ok(()),
            (ParameterKind::Double { .. }, ControlValue::Double(number)) => *number,
            (ParameterKind::Int32, ControlValue::Int32(number)) => Decimal::from(*number),
            (ParameterKind::Int64, ControlValue::Int64(number)) => Decimal::from(*number),
            (ParameterKind::Enumeration { values, .. }, ControlValue::Enumeration(asked)) => {
                if values.contains(&asked.value) {
                    return Ok(());
                }
                return Err(ControlError::OutOfRange {
                    allowed: format!("one of {}", values.join(", ")),
                    asked: asked.value.to_string(),
                });
            }
            _ => return Err(ControlError::WrongType),
        };
        match &self.range {
            Some(range) if !range.allows(number) => {
                Err(ControlError::OutOfRange { allowed: range.to_string(), asked: number.to_string() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand_period() -> ControlParameter {
        ControlParameter {
            name: FieldName::parse("Demand Period").unwrap(),
            kind: ParameterKind::Double { unit: Unit::new("min") },
            range: Some(Range { min: Some(Decimal::ZERO), max: Some(Decimal::from(60)), values: Vec::new() }),
            label: "Demand period".into(),
            description: "".into(),
        }
    }

    fn double(text: &str) -> ControlValue {
        ControlValue::Double(text.parse().unwrap())
    }

    #[test]
    fn the_ends_of_a_range_are_allowed() {
        assert_eq!(demand_period().check(&double("0")), Ok(()));
        assert_eq!(demand_period().check(&double("60.00")), Ok(()));
    }

    #[test]
    fn a_value_just_outside_a_range_is_refused() {
        for text in ["-0.01", "60.01"] {
            assert!(matches!(demand_period().check(&double(text)), Err(ControlError::OutOfRange { .. })), "{text}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_allowed() {
        let refusal = demand_period().check(&double("61")).unwrap_err();
        assert_eq!(refusal.to_string(), "allowed is 0 to 60, asked was 61");
    }

    #[test]
    fn a_value_outside_the_list_is_refused() {
        let range = Range { values: vec![Decimal::from(5), Decimal::from(10)], ..Range::default() };
        assert!(range.allows("5.0".parse().unwrap()));
        assert!(!range.allows(Decimal::from(7)));
    }

    #[test]
    fn another_type_is_refused() {
        assert_eq!(demand_period().check(&ControlValue::Boolean(true)), Err(ControlError::WrongType));
    }

    #[test]
    fn an_opaque_colour_is_written_with_six_digits() {
        assert_eq!("ff8000FF".parse::<Color>().unwrap().to_string(), "FF8000");
        assert_eq!("FF800010".parse::<Color>().unwrap().to_string(), "FF800010");
    }

    #[test]
    fn a_text_that_is_no_colour_is_refused() {
        for text in ["", "F80", "GG0000", "#FF8000", "FF80001", "ÄÄÄ"] {
            assert_eq!(text.parse::<Color>(), Err(ColorError), "{text}");
        }
    }
}
