//! From raw registers or bits to a field value. Pure; any input gives a value, "missing" or a typed error, never a panic
//! and never a number that the device did not send.
//!
//! Layouts: Modbus Application Protocol V1.1b3 §4.2 (big-endian registers); everything wider than a register is the
//! maker's choice and therefore in the profile.

#![deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use std::sync::Arc;

use torg_thing::{Decimal, DecimalError, EnumValue, Field, FieldValue, Qos, Quantity, Timestamp};

use crate::checked::{Encoding, Endian, Order, Point, Scaling, Sentinel, Shape};

/// What came from the device for one point, exactly as long as [`Point::count`] says.
#[derive(Clone, Copy, Debug)]
pub enum Raw<'a> {
    /// From a bit table.
    Bits(&'a [bool]),
    /// From a register table.
    Words(&'a [u16]),
}

/// A decoded point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The value; `None` if the device marks it as not available.
    pub value: Option<FieldValue>,
    /// Automatic readout, or missing; and what an active flag of the device says about quality.
    pub qos: Qos,
}

/// Why raw data is no value of a point. The device (or a profile that does not fit it) is to blame, except for
/// [`CallerLength`](Self::CallerLength) and [`CallerTable`](Self::CallerTable).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not as many registers or bits as the point takes.
    #[error("{expected} registers or bits are needed, {found} came")]
    CallerLength {
        /// Count of the point.
        expected: u16,
        /// What was given.
        found: usize,
    },
    /// Bits for a register point, or registers for a bit point.
    #[error("registers and bits were mixed up")]
    CallerTable,
    /// A digit of a binary coded decimal is above nine.
    #[error("0x{0:X} is no binary coded decimal")]
    DeviceDigits(u64),
    /// NaN or infinite, and the profile does not say that this means missing.
    #[error("the device sent a floating-point number that is not finite")]
    DeviceNotFinite,
    /// Outside what the profile calls plausible.
    #[error("{found} is outside the valid range, {valid}")]
    DeviceOutsideValid {
        /// The value.
        found: Decimal,
        /// The range, for people.
        valid: String,
    },
    /// Control characters inside a text.
    #[error("the device sent a text with control characters")]
    DeviceText,
    /// More digits than can be kept exactly.
    #[error("the device sent a number with too many digits")]
    DeviceTooLarge,
    /// A number that the profile's enumeration does not name.
    #[error("{0} is not among the named values")]
    DeviceUnknownValue(i128),
}

impl From<DecimalError> for DecodeError {
    fn from(error: DecimalError) -> Self {
        match error {
            DecimalError::NotFinite => Self::DeviceNotFinite,
            _ => Self::DeviceTooLarge,
        }
    }
}

impl Point {
    /// Decodes the point from what the device sent for it.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(&self, raw: Raw<'_>) -> Result<Reading, DecodeError> {
        let value = match raw {
            Raw::Bits(bits) => Some(FieldValue::Boolean(self.bit(bits)?)),
            Raw::Words(words) => self.words(words)?,
        };
        let qos = match &value {
            None => Qos::MISSING,
            Some(FieldValue::Boolean(true)) => Qos::AUTOMATIC_READOUT.union(self.alarm),
            Some(_) => Qos::AUTOMATIC_READOUT,
        };
        Ok(Reading { value, qos })
    }

    /// Decodes the point as the field that goes to readers.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn field(&self, raw: Raw<'_>, at: Timestamp) -> Result<Field, DecodeError> {
        let Reading { value, qos } = self.decode(raw)?;
        let writable = self.write().is_some();
        Ok(Field { name: self.name().clone(), at, value, categories: self.categories(), qos, writable })
    }

    fn bit(&self, bits: &[bool]) -> Result<bool, DecodeError> {
        match (self.encoding, bits) {
            (Encoding::Bit, [bit]) => Ok(*bit),
            (Encoding::Bit, other) => Err(DecodeError::CallerLength { expected: 1, found: other.len() }),
            _ => Err(DecodeError::CallerTable),
        }
    }

    fn words(&self, words: &[u16]) -> Result<Option<FieldValue>, DecodeError> {
        if self.encoding == Encoding::Bit {
            return Err(DecodeError::CallerTable);
        }
        if words.len() != usize::from(self.count()) {
            return Err(DecodeError::CallerLength { expected: self.count(), found: words.len() });
        }
        match self.encoding {
            Encoding::Text(_) => return text(words, self.order).map(|text| Some(FieldValue::Text(text))),
            Encoding::Raw(_) => {
                let hex: String = words.iter().map(|word| format!("{word:04X}")).collect();
                return Ok(Some(FieldValue::Text(hex.into())));
            }
            _ => {}
        }
        let raw = join(words, self.order);
        if self.is_missing(raw, words) {
            return Ok(None);
        }
        let value = match &self.shape {
            Shape::Boolean => FieldValue::Boolean(self.number(raw)? != 0),
            Shape::Enumeration(names) => {
                let number = self.number(raw)?;
                let name = i64::try_from(number).ok().and_then(|number| names.names.get(&number));
                let name = name.ok_or(DecodeError::DeviceUnknownValue(number))?;
                FieldValue::Enumeration(EnumValue { value: name.clone(), kind: names.kind.clone() })
            }
            Shape::Int32 => {
                let number = self.number(raw)?;
                self.check_valid(Decimal::try_new(number, 0)?)?;
                FieldValue::Int32(i32::try_from(number).map_err(|_| DecodeError::DeviceTooLarge)?)
            }
            Shape::Int64 => {
                let number = self.number(raw)?;
                self.check_valid(Decimal::try_new(number, 0)?)?;
                FieldValue::Int64(i64::try_from(number).map_err(|_| DecodeError::DeviceTooLarge)?)
            }
            Shape::Quantity(scaling) => {
                let value = self.quantity(raw, scaling)?;
                self.check_valid(value)?;
                FieldValue::Quantity(Quantity { value, unit: scaling.unit.clone() })
            }
            // A number that is a name; characters and raw registers are done above.
            Shape::Text => FieldValue::Text(self.number(raw)?.to_string().into()),
        };
        Ok(Some(value))
    }

    fn quantity(&self, raw: u64, scaling: &Scaling) -> Result<Decimal, DecodeError> {
        if self.encoding.is_float() {
            let float = float(raw, self.encoding);
            if !float.is_finite() {
                return Err(DecodeError::DeviceNotFinite);
            }
            // A float has no decimals of its own: as many digits as the result and its factors need.
            let digits = [scaling.decimals, scaling.scale.decimals(), scaling.divide.decimals()];
            let digits = digits.into_iter().fold(0, u8::saturating_add).min(Decimal::DECIMALS_MAX);
            return scaling.apply(Decimal::from_f64(float, digits)?);
        }
        scaling.apply(Decimal::try_new(self.number(raw)?, 0)?)
    }

    /// The whole number in the raw bits: sign, digits and bit slice taken care of.
    fn number(&self, raw: u64) -> Result<i128, DecodeError> {
        let high = raw.checked_shr(8).unwrap_or(0) & 0xFF;
        let number = match self.encoding {
            Encoding::Bcd16 | Encoding::Bcd32 => digits(raw).ok_or(DecodeError::DeviceDigits(raw))?,
            Encoding::S8High => signed(high, 8),
            Encoding::S8Low => signed(raw & 0xFF, 8),
            Encoding::S16 => signed(raw, 16),
            Encoding::S32 => signed(raw, 32),
            Encoding::S64 => signed(raw, 64),
            Encoding::U8High => i128::from(high),
            Encoding::U8Low => i128::from(raw & 0xFF),
            _ => match self.slice {
                Some(slice) => i128::from(raw.checked_shr(u32::from(slice.shift)).unwrap_or(0) & mask(slice.width)),
                None => i128::from(raw),
            },
        };
        Ok(number)
    }

    fn is_missing(&self, raw: u64, words: &[u16]) -> bool {
        self.missing.iter().any(|sentinel| match sentinel {
            Sentinel::Bits(pattern) => raw == *pattern,
            Sentinel::Infinite => self.encoding.is_float() && float(raw, self.encoding).is_infinite(),
            Sentinel::NotANumber => {
                // Some devices send their NaN in the other word order than their numbers.
                let swapped = Order { word: other(self.order.word), ..self.order };
                self.encoding.is_float()
                    && (float(raw, self.encoding).is_nan() || usual_nan(join(words, swapped), self.encoding))
            }
        })
    }

    fn check_valid(&self, found: Decimal) -> Result<(), DecodeError> {
        match &self.valid {
            Some(valid) if !valid.allows(found) => {
                Err(DecodeError::DeviceOutsideValid { found, valid: valid.to_string() })
            }
            _ => Ok(()),
        }
    }
}

impl Scaling {
    /// From raw number to quantity, with one rounding.
    pub(crate) fn apply(&self, raw: Decimal) -> Result<Decimal, DecodeError> {
        let product = raw.checked_mul(self.scale)?;
        if self.divide == Decimal::from(1_i32) {
            return Ok(product.checked_add(self.offset)?.rescaled(self.decimals)?);
        }
        let sum = product.checked_add(self.offset.checked_mul(self.divide)?)?;
        Ok(sum.checked_div(self.divide, self.decimals)?)
    }
}

/// The registers as one number, in the order of the point.
pub(crate) fn join(words: &[u16], order: Order) -> u64 {
    let add = |sum: u64, word: &u16| {
        let word = if order.byte == Endian::Little { word.swap_bytes() } else { *word };
        sum.checked_shl(16).unwrap_or(0) | u64::from(word)
    };
    match order.word {
        Endian::Big => words.iter().fold(0, add),
        Endian::Little => words.iter().rev().fold(0, add),
    }
}

fn other(endian: Endian) -> Endian {
    match endian {
        Endian::Big => Endian::Little,
        Endian::Little => Endian::Big,
    }
}

/// The lowest `width` bits, 0 to 64.
pub(crate) fn mask(width: u8) -> u64 {
    u64::MAX.checked_shr(64_u32.saturating_sub(u32::from(width))).unwrap_or(0)
}

fn signed(raw: u64, bits: u32) -> i128 {
    let span = 1_i128.checked_shl(bits).unwrap_or(0);
    let value = i128::from(raw);
    if value >= span.checked_div(2).unwrap_or(0) { value.saturating_sub(span) } else { value }
}

fn digits(raw: u64) -> Option<i128> {
    raw.to_be_bytes()
        .iter()
        .flat_map(|byte| [byte.checked_shr(4).unwrap_or(0), byte & 0x0F])
        .try_fold(0_i128, |sum, digit| (digit <= 9).then(|| sum.saturating_mul(10).saturating_add(i128::from(digit))))
}

/// The number an IEEE 754 pattern stands for. Anything but a float encoding gives NaN.
fn float(raw: u64, encoding: Encoding) -> f64 {
    match encoding {
        Encoding::F16 => u16::try_from(raw).map_or(f64::NAN, half),
        Encoding::F32 => u32::try_from(raw).map_or(f64::NAN, |bits| f64::from(f32::from_bits(bits))),
        Encoding::F64 => f64::from_bits(raw),
        _ => f64::NAN,
    }
}

/// IEEE 754 binary16: one sign bit, five exponent bits, ten fraction bits.
fn half(bits: u16) -> f64 {
    let exponent = i32::from(bits.checked_shr(10).unwrap_or(0) & 0x1F);
    let fraction = f64::from(bits & 0x03FF);
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent.saturating_sub(25)),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

/// The patterns that firmware really uses for NaN. Only these are looked for in the other word order: any other pattern
/// may be an ordinary number there.
fn usual_nan(raw: u64, encoding: Encoding) -> bool {
    match encoding {
        Encoding::F32 => matches!(raw, 0x7FC0_0000 | 0xFFC0_0000 | 0x7FFF_FFFF | 0xFFFF_FFFF),
        Encoding::F64 => matches!(raw, 0x7FF8_0000_0000_0000 | 0xFFF8_0000_0000_0000 | u64::MAX),
        _ => false,
    }
}

/// Characters of ISO 8859-1 up to the first NUL, without blanks at the end.
fn text(words: &[u16], order: Order) -> Result<Arc<str>, DecodeError> {
    let bytes = words.iter().flat_map(|word| match order.byte {
        Endian::Big => word.to_be_bytes(),
        Endian::Little => word.to_le_bytes(),
    });
    let text: String = bytes.take_while(|byte| *byte != 0).map(char::from).collect();
    let text = text.trim_end();
    if text.chars().any(char::is_control) { Err(DecodeError::DeviceText) } else { Ok(text.into()) }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
