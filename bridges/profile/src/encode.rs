//! From a value to set to what is written. Pure; type, range and representability are checked here, before any bus sees
//! the value.

#![deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use torg_thing::{ControlError, ControlValue, Decimal};

use crate::checked::{Encoding, Endian, Order, Point, Scaling, Shape, Write, WriteFunction};
use crate::decode::mask;

/// What to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// One coil, with function 5 or 15.
    Coil(bool),
    /// Some bits of one holding register: new = (old AND `and`) OR (`or` AND NOT `and`), with function 22
    /// (Modbus Application Protocol V1.1b3 §6.16), or by reading, changing and writing without anybody in between.
    Masked {
        /// Bits to keep.
        and: u16,
        /// New value of the other bits.
        or: u16,
    },
    /// Whole holding registers, with function 6 (exactly one) or 16.
    Registers(Vec<u16>),
}

/// A write, ready for the planner: address, function and bytes are right for the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteRequest {
    /// First address in the point's table.
    pub address: u16,
    /// Function code to use.
    pub function: WriteFunction,
    /// What to write.
    pub payload: Payload,
}

/// Why a value cannot be set; the asker is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Type or range do not fit the parameter.
    #[error(transparent)]
    AskerControl(#[from] ControlError),
    /// The device counts in steps and this value lies between two of them.
    #[error("{asked} cannot be represented by the device, the step is {step}")]
    AskerStep {
        /// What was asked.
        asked: Decimal,
        /// Step of the device.
        step: Decimal,
    },
    /// The point can only be read.
    #[error("the point cannot be set")]
    AskerReadOnly,
    /// The value does not fit the registers.
    #[error("{asked} does not fit the registers of the device")]
    AskerTooLarge {
        /// What was asked.
        asked: Decimal,
    },
}

impl From<EncodeError> for ControlError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::AskerControl(error) => error,
            EncodeError::AskerStep { asked, step } => {
                Self::OutOfRange { allowed: format!("a multiple of {step}"), asked: asked.to_string() }
            }
            EncodeError::AskerReadOnly => Self::WrongType,
            EncodeError::AskerTooLarge { asked } => Self::OutOfRange {
                allowed: "what the registers of the device hold".to_owned(),
                asked: asked.to_string(),
            },
        }
    }
}

impl Point {
    /// Checks a value and lays it out as the device wants it.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub fn encode(&self, value: &ControlValue) -> Result<WriteRequest, EncodeError> {
        let write = self.write.as_ref().ok_or(EncodeError::AskerReadOnly)?;
        write.parameter.check(value)?;
        let payload = match (value, self.encoding) {
            (ControlValue::Boolean(on), Encoding::Bit) => Payload::Coil(*on),
            (ControlValue::Boolean(on), _) => self.lay_whole(write, i128::from(*on), Decimal::from(i32::from(*on)))?,
            (ControlValue::Double(number), _) => self.lay_number(write, *number)?,
            (ControlValue::Int32(number), _) => self.lay_number(write, Decimal::from(*number))?,
            (ControlValue::Int64(number), _) => self.lay_number(write, Decimal::from(*number))?,
            (ControlValue::Enumeration(asked), _) => {
                let Shape::Enumeration(names) = &self.shape else { return Err(ControlError::WrongType.into()) };
                let raw = names.names.iter().find(|(_, name)| **name == asked.value).map(|(raw, _)| *raw);
                let raw = raw.ok_or(ControlError::WrongType)?;
                self.lay_whole(write, i128::from(raw), Decimal::from(raw))?
            }
            _ => return Err(ControlError::WrongType.into()),
        };
        Ok(WriteRequest { address: write.address, function: write.function, payload })
    }

    fn lay_number(&self, write: &Write, asked: Decimal) -> Result<Payload, EncodeError> {
        let too_large = EncodeError::AskerTooLarge { asked };
        let Shape::Quantity(scaling) = &self.shape else {
            let step = Decimal::from(1_i32);
            let raw = asked.to_integer().ok_or(EncodeError::AskerStep { asked, step })?;
            return self.lay_whole(write, raw, asked);
        };
        if self.encoding.is_float() {
            let raw = scaling.invert(asked, FLOAT_DIGITS).ok_or(too_large.clone())?;
            let bits = float_bits(raw, self.encoding).ok_or(too_large)?;
            return Ok(Payload::Registers(split(bits, self.count(), self.order)));
        }
        let raw = scaling.invert(asked, 0).ok_or(too_large.clone())?;
        let shown = scaling.apply(raw).map_err(|_| too_large.clone())?;
        if shown.numeric_cmp(asked).is_ne() {
            let step = scaling.scale.checked_div(scaling.divide, scaling.decimals).unwrap_or(scaling.scale);
            return Err(EncodeError::AskerStep { asked, step });
        }
        self.lay_whole(write, raw.to_integer().ok_or(too_large)?, asked)
    }

    /// Lays a whole number out in the registers of the point, or in its slice of bits.
    fn lay_whole(&self, write: &Write, raw: i128, asked: Decimal) -> Result<Payload, EncodeError> {
        let too_large = || EncodeError::AskerTooLarge { asked };
        if let Some(slice) = self.slice {
            let bits = u64::try_from(raw).ok().filter(|bits| *bits <= mask(slice.width)).ok_or_else(too_large)?;
            let place = u32::from(slice.shift);
            let or = bits.checked_shl(place).and_then(|bits| u16::try_from(bits).ok()).ok_or_else(too_large)?;
            let field = mask(slice.width).checked_shl(place).and_then(|bits| u16::try_from(bits).ok());
            return Ok(Payload::Masked { and: !field.ok_or_else(too_large)?, or });
        }
        let bits = match self.encoding {
            Encoding::Bcd16 => bcd(raw, 4),
            Encoding::Bcd32 => bcd(raw, 8),
            Encoding::S16 => i16::try_from(raw).ok().map(|n| u64::from(u16::from_ne_bytes(n.to_ne_bytes()))),
            Encoding::S32 => i32::try_from(raw).ok().map(|n| u64::from(u32::from_ne_bytes(n.to_ne_bytes()))),
            Encoding::S64 => i64::try_from(raw).ok().map(|n| u64::from_ne_bytes(n.to_ne_bytes())),
            Encoding::U16 => u16::try_from(raw).ok().map(u64::from),
            Encoding::U32 => u32::try_from(raw).ok().map(u64::from),
            Encoding::U64 => u64::try_from(raw).ok(),
            // Other encodings cannot carry `write`; the check refuses such profiles.
            _ => None,
        };
        let bits = bits.ok_or_else(too_large)?;
        if write.function == WriteFunction::MaskRegister {
            return Ok(Payload::Masked { and: 0, or: u16::try_from(bits).map_err(|_| too_large())? });
        }
        Ok(Payload::Registers(split(bits, self.count(), self.order)))
    }
}

/// Digits kept when a set point is turned into a floating-point number: more than binary64 can show.
const FLOAT_DIGITS: u8 = 17;

impl Scaling {
    /// From quantity to raw number with `digits` after the point; `None` if it has too many digits.
    fn invert(&self, asked: Decimal, digits: u8) -> Option<Decimal> {
        let without_offset = asked.checked_add(self.offset.negated()).ok()?;
        without_offset.checked_mul(self.divide).ok()?.checked_div(self.scale, digits).ok()
    }
}

fn float_bits(raw: Decimal, encoding: Encoding) -> Option<u64> {
    // The decimal text gives the correctly rounded binary number.
    let text = raw.to_string();
    match encoding {
        Encoding::F32 => text.parse::<f32>().ok().filter(|n| n.is_finite()).map(|n| u64::from(n.to_bits())),
        Encoding::F64 => text.parse::<f64>().ok().filter(|n| n.is_finite()).map(f64::to_bits),
        _ => None,
    }
}

fn bcd(raw: i128, digits: u32) -> Option<u64> {
    let mut rest = u64::try_from(raw).ok()?;
    let mut bits = 0_u64;
    for place in 0..digits {
        let digit = rest.checked_rem(10)?;
        rest = rest.checked_div(10)?;
        bits |= digit.checked_shl(place.checked_mul(4)?)?;
    }
    (rest == 0).then_some(bits)
}

/// The inverse of `join`: a number as `count` registers.
fn split(bits: u64, count: u16, order: Order) -> Vec<u16> {
    let mut words: Vec<u16> = (0..u32::from(count))
        .map(|place| {
            let word = bits.checked_shr(place.saturating_mul(16)).unwrap_or(0) & 0xFFFF;
            let word = u16::try_from(word).unwrap_or(0);
            if order.byte == Endian::Little { word.swap_bytes() } else { word }
        })
        .collect();
    if order.word == Endian::Big {
        words.reverse();
    }
    words
}
