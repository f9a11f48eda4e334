//! What the bits of a point mean: a quantity, a name, a flag, or that there is no value.

use std::collections::BTreeMap;
use std::sync::Arc;

use torg_thing::{Decimal, Unit};

/// Names for the values of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enumeration {
    /// Type name on the wire: a harmonised URI, or `<profile id>.<point name>`.
    pub kind: Arc<str>,
    /// Name of each raw value.
    pub names: BTreeMap<i64, Arc<str>>,
}

/// From raw number to quantity: `(raw * scale) / divide + offset`, rounded half to even to `decimals`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// Factor.
    pub scale: Decimal,
    /// Divisor, never zero.
    pub divide: Decimal,
    /// Added last.
    pub offset: Decimal,
    /// Digits after the point of every value.
    pub decimals: u8,
    /// Unit of the result; empty for a plain number.
    pub unit: Unit,
}

/// What kind of field a point becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Yes or no.
    Boolean,
    /// One of a list of names.
    Enumeration(Enumeration),
    /// A whole number that fits 32 bits.
    Int32,
    /// A whole number that fits 64 bits.
    Int64,
    /// A number with unit and decimals.
    Quantity(Scaling),
    /// Text.
    Text,
}

/// A raw pattern that means "not available".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sentinel {
    /// These raw bits, in the order of the point.
    Bits(u64),
    /// Either infinity.
    Infinite,
    /// Any NaN; the usual NaN patterns are also recognised in the other word order.
    NotANumber,
}
