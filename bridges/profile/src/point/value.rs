//! What the bits of a point mean: type, slice, names, scaling, and the patterns that stand for no value.

use std::collections::BTreeMap;
use std::sync::Arc;

use torg_thing::config::quote_key;
use torg_thing::{Decimal, Unit};

use super::{Builder, unsigned_bits};
use crate::check::decimal;
use crate::checked::{BitSlice, Encoding, Enumeration, Scaling, Sentinel, Shape, Table};
use crate::raw::{RawSentinel, RawSentinelWord, RawType};

impl Builder<'_, '_> {
    pub(super) fn encoding(&mut self, table: Table) -> Option<Encoding> {
        let raw = self.raw;
        if table.holds_bits() {
            if !matches!(raw.kind, None | Some(RawType::Bit)) {
                self.refuse("type", format!("of a point in the table {table} is always `bit`"));
            }
            for (key, given) in [
                ("length", raw.length.is_some()),
                ("bits", raw.bits.is_some()),
                ("order", raw.order.is_some()),
                ("as", raw.show.is_some()),
            ] {
                if given {
                    self.refuse(key, "makes no sense for a single bit");
                }
            }
            return Some(Encoding::Bit);
        }
        let Some(kind) = raw.kind else {
            self.refuse("type", "is missing: registers need a type, for instance `u16` or `f32`");
            return None;
        };
        let sized = matches!(kind, RawType::Raw | RawType::String);
        if sized != raw.length.is_some() {
            let message = if sized { "is needed: how many registers it takes" } else { "follows from the type" };
            self.refuse("length", message);
        }
        let length = raw.length.unwrap_or(1);
        Some(match kind {
            RawType::Bcd16 => Encoding::Bcd16,
            RawType::Bcd32 => Encoding::Bcd32,
            RawType::Bit => {
                self.refuse(
                    "type",
                    "`bit` is for coils and discrete inputs; use `bits = \"3:1\"` for a bit of a register",
                );
                return None;
            }
            RawType::F16 => Encoding::F16,
            RawType::F32 => Encoding::F32,
            RawType::F64 => Encoding::F64,
            RawType::Raw => Encoding::Raw(length),
            RawType::S16 => Encoding::S16,
            RawType::S32 => Encoding::S32,
            RawType::S64 => Encoding::S64,
            RawType::S8hi => Encoding::S8High,
            RawType::S8lo => Encoding::S8Low,
            RawType::String => Encoding::Text(length),
            RawType::U16 => Encoding::U16,
            RawType::U32 => Encoding::U32,
            RawType::U64 => Encoding::U64,
            RawType::U8hi => Encoding::U8High,
            RawType::U8lo => Encoding::U8Low,
        })
    }

    pub(super) fn slice(&mut self, encoding: Encoding) -> Option<BitSlice> {
        let text = self.raw.bits.as_ref()?;
        if encoding == Encoding::Bit {
            return None;
        }
        let Some(total) = unsigned_bits(encoding) else {
            self.refuse("bits", "needs an unsigned type: `u16`, `u32` or `u64`");
            return None;
        };
        let slice = text.split_once(':').and_then(|(shift, width)| Some((shift.parse().ok()?, width.parse().ok()?)));
        match slice {
            Some((shift, width)) if width > 0 && u32::from(shift) + u32::from(width) <= u32::from(total) => {
                Some(BitSlice { shift, width })
            }
            _ => {
                self.refuse("bits", format!("is written `shift:width`, inside the {total} bits of the type"));
                None
            }
        }
    }

    pub(super) fn shape(&mut self, encoding: Encoding, slice: Option<BitSlice>) -> Option<Shape> {
        let raw = self.raw;
        let before = self.errors.len();
        let numeric = [
            ("scale", raw.scale.is_some()),
            ("divide", raw.divide.is_some()),
            ("offset", raw.offset.is_some()),
            ("decimals", raw.decimals.is_some()),
            ("unit", raw.unit.is_some()),
        ];
        let one_bit = slice.is_some_and(|slice| slice.width == 1);
        let what = if !raw.flags.is_empty() {
            Some("flags")
        } else if !raw.names.is_empty() {
            Some("an enumeration")
        } else if encoding == Encoding::Bit || one_bit {
            Some("a single bit")
        } else if matches!(encoding, Encoding::Text(_) | Encoding::Raw(_)) || raw.show.is_some() {
            Some("a text")
        } else {
            None
        };
        if let Some(what) = what {
            for (key, _) in numeric.iter().filter(|(_, given)| *given) {
                self.refuse(key, format!("makes no sense for {what}"));
            }
        }
        if raw.enum_type.is_some() && raw.names.is_empty() {
            self.refuse("enum_type", "needs `enum`");
        }
        let whole = !encoding.is_float() && !matches!(encoding, Encoding::Bit | Encoding::Text(_) | Encoding::Raw(_));
        let shape = match what {
            Some("flags") => Shape::Boolean,
            Some("an enumeration") => {
                if !whole {
                    self.refuse("enum", "needs an integer type");
                }
                Shape::Enumeration(self.enumeration())
            }
            Some("a single bit") => Shape::Boolean,
            Some(_) => {
                if raw.show.is_some() && !whole {
                    self.refuse("as", "`text` needs an integer type");
                }
                Shape::Text
            }
            None if encoding.is_float() || numeric.iter().any(|(_, given)| *given) => {
                Shape::Quantity(self.scaling(encoding)?)
            }
            None => plain_integer(encoding, slice),
        };
        (self.errors.len() == before).then_some(shape)
    }

    fn enumeration(&mut self) -> Enumeration {
        let mut names: BTreeMap<i64, Arc<str>> = BTreeMap::new();
        for (key, name) in &self.raw.names {
            match integer(key) {
                Some(value) if names.contains_key(&value) => {
                    self.refuse(&format!("enum.{}", quote_key(key)), "names a value that has a name already");
                }
                Some(value) => {
                    names.insert(value, name.as_str().into());
                }
                None => self.refuse(&format!("enum.{}", quote_key(key)), "is not a whole number"),
            }
        }
        let id = &self.context.layer.raw.profile.id;
        let kind = self.raw.enum_type.clone().unwrap_or_else(|| format!("{id}.{}", self.name));
        Enumeration { kind: kind.into(), names }
    }

    fn scaling(&mut self, encoding: Encoding) -> Option<Scaling> {
        let raw = self.raw;
        let before = self.errors.len();
        let mut number = |key: &str, given: Option<f64>, default: i32| {
            let read = given.map_or(Some(Decimal::from(default)), decimal);
            if read.is_none() {
                self.refuse(key, "is not a number that can be kept exactly");
            }
            read
        };
        let scale = number("scale", raw.scale, 1)?;
        let divide = number("divide", raw.divide, 1)?;
        let offset = number("offset", raw.offset, 0)?;
        if scale.mantissa() == 0 {
            self.refuse("scale", "may not be 0");
        }
        if divide.mantissa() == 0 {
            self.refuse("divide", "may not be 0");
        }
        let decimals = match (raw.decimals, power_of_ten(divide)) {
            (Some(decimals), _) => decimals,
            (None, _) if encoding.is_float() => {
                self.refuse("decimals", "is missing: a floating-point number does not say how many digits are right");
                0
            }
            (None, Some(digits)) => scale.decimals().saturating_add(digits).max(offset.decimals()),
            (None, None) => {
                self.refuse("decimals", "is missing: needed when `divide` is not 10, 100, 1000 ...");
                0
            }
        };
        if decimals > Decimal::DECIMALS_MAX {
            self.refuse("scale", "has too many digits");
        }
        let unit = Unit::new(raw.unit.as_deref().unwrap_or_default());
        (self.errors.len() == before).then_some(Scaling { scale, divide, offset, decimals, unit })
    }

    pub(super) fn missing(&mut self, encoding: Option<Encoding>) -> Vec<Sentinel> {
        let Some(encoding) = encoding else { return Vec::new() };
        let mut list = Vec::new();
        for (index, raw) in self.raw.missing.iter().enumerate() {
            let key = format!("missing[{index}]");
            match raw {
                _ if matches!(encoding, Encoding::Bit | Encoding::Text(_) | Encoding::Raw(_)) => {
                    self.refuse(&key, "makes no sense for this type");
                }
                RawSentinel::Word(RawSentinelWord::Max) => match greatest(encoding) {
                    Some(bits) => list.push(Sentinel::Bits(bits)),
                    None => self.refuse(&key, "`max` is for integers"),
                },
                RawSentinel::Word(_) if !encoding.is_float() => {
                    self.refuse(
                        &key,
                        "is for floating-point numbers; integers have `max` or a raw pattern such as 0x8000",
                    );
                }
                RawSentinel::Word(RawSentinelWord::Inf) => list.push(Sentinel::Infinite),
                RawSentinel::Word(RawSentinelWord::Nan) => list.push(Sentinel::NotANumber),
                RawSentinel::Bits(bits) => {
                    let width = u32::from(encoding.count()).saturating_mul(16);
                    if bits.checked_shr(width).unwrap_or(0) == 0 {
                        list.push(Sentinel::Bits(*bits));
                    } else {
                        self.refuse(&key, format!("is wider than the {width} bits of the type"));
                    }
                }
            }
        }
        list
    }
}

/// Raw bits of the greatest number of an integer type.
fn greatest(encoding: Encoding) -> Option<u64> {
    match encoding {
        Encoding::S16 => Some(0x7FFF),
        Encoding::S32 => Some(0x7FFF_FFFF),
        Encoding::S64 => Some(0x7FFF_FFFF_FFFF_FFFF),
        _ => unsigned_bits(encoding).map(|bits| u64::MAX >> (64 - bits)),
    }
}

/// An integer without unit or scaling: the smallest field type that holds every value; 64 unsigned bits fit none and
/// become a plain number.
fn plain_integer(encoding: Encoding, slice: Option<BitSlice>) -> Shape {
    let width = slice.map(|slice| slice.width);
    match encoding {
        _ if width.is_some_and(|width| width < 32) => Shape::Int32,
        _ if width.is_some_and(|width| width < 64) => Shape::Int64,
        Encoding::U32 | Encoding::S64 => Shape::Int64,
        Encoding::U64 => Shape::Quantity(Scaling {
            scale: Decimal::from(1_i32),
            divide: Decimal::from(1_i32),
            offset: Decimal::ZERO,
            decimals: 0,
            unit: Unit::default(),
        }),
        _ => Shape::Int32,
    }
}

/// Decimal or `0x` hexadecimal.
fn integer(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// How many zeros 10, 100, 1000 ... has; 0 for 1.
fn power_of_ten(number: Decimal) -> Option<u8> {
    let mut rest = number.to_integer().filter(|n| *n > 0)?;
    let mut zeros = 0;
    while rest % 10 == 0 {
        rest /= 10;
        zeros += 1;
    }
    (rest == 1).then_some(zeros)
}
