//! Fields: what is read from a node.
//!
//! Source: nfi "Sensor Data", fields, field categories and quality of service flags.

use std::fmt;
use std::sync::Arc;

use crate::{Date, Decimal, FieldName, Span, TimeOfDay, Timestamp};

/// Unit of a quantity as written on the wire, for instance `kWh`; empty when the quantity is a plain number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(Arc<str>);

impl Unit {
    /// A unit by its symbol. The standard leaves the text free; profiles are expected to use the symbols of its unit table.
    #[must_use]
    pub fn new(symbol: &str) -> Self {
        Self(Arc::from(symbol))
    }

    /// The symbol.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the quantity is a plain number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for Unit {
    fn default() -> Self {
        Self::new("")
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// A number with its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    /// The number; its digits after the point are its precision.
    pub value: Decimal,
    /// The unit.
    pub unit: Unit,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unit.is_empty() { write!(f, "{}", self.value) } else { write!(f, "{} {}", self.value, self.unit) }
    }
}

/// One value of a named list of values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnumValue {
    /// The value's name.
    pub value: Arc<str>,
    /// Name of the enumeration: a harmonised URI or a maker's own type name.
    pub kind: Arc<str>,
}

/// What a field may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldValue {
    /// Yes or no.
    Boolean(bool),
    /// A day.
    Date(Date),
    /// A point in time.
    DateTime(Timestamp),
    /// A span of time.
    Duration(Span),
    /// One of a list of names.
    Enumeration(EnumValue),
    /// A whole number of 32 bits.
    Int32(i32),
    /// A whole number of 64 bits.
    Int64(i64),
    /// A number with unit.
    Quantity(Quantity),
    /// Text.
    Text(Arc<str>),
    /// A time of day.
    Time(TimeOfDay),
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Date(value) => value.fmt(f),
            Self::DateTime(value) => value.fmt(f),
            Self::Duration(value) => value.fmt(f),
            Self::Enumeration(value) => f.write_str(&value.value),
            Self::Int32(value) => value.fmt(f),
            Self::Int64(value) => value.fmt(f),
            Self::Quantity(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
            Self::Time(value) => value.fmt(f),
        }
    }
}

/// A set of field categories.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Categories(u8);

impl Categories {
    /// No category.
    pub const NONE: Self = Self(0);
    /// The value at the time of readout.
    pub const MOMENTARY: Self = Self(1);
    /// Identity: name, serial number, owner.
    pub const IDENTITY: Self = Self(2);
    /// Status: battery, signal, errors, configuration.
    pub const STATUS: Self = Self(4);
    /// Computed from other values.
    pub const COMPUTED: Self = Self(8);
    /// Greatest and least values.
    pub const PEAK: Self = Self(16);
    /// Values of the past.
    pub const HISTORICAL: Self = Self(32);
    /// Every category.
    pub const ALL: Self = Self(63);

    /// Each single category with its attribute on the wire, in the order they are written.
    pub const FLAGS: [(Self, &'static str); 6] = [
        (Self::MOMENTARY, "m"),
        (Self::PEAK, "p"),
        (Self::STATUS, "s"),
        (Self::COMPUTED, "c"),
        (Self::IDENTITY, "i"),
        (Self::HISTORICAL, "h"),
    ];

    /// Categories in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every category of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The wire attributes of the categories in this set.
    pub fn flags(self) -> impl Iterator<Item = &'static str> {
        Self::FLAGS.into_iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| name)
    }
}

impl fmt::Debug for Categories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.flags()).finish()
    }
}

/// A set of quality of service flags: how much a value can be trusted, and by whom it was made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Qos(u16);

impl Qos {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// The value is missing.
    pub const MISSING: Self = Self(1);
    /// The value is being made.
    pub const IN_PROGRESS: Self = Self(1 << 1);
    /// Estimated by a machine.
    pub const AUTOMATIC_ESTIMATE: Self = Self(1 << 2);
    /// Estimated by a person.
    pub const MANUAL_ESTIMATE: Self = Self(1 << 3);
    /// Read by a person.
    pub const MANUAL_READOUT: Self = Self(1 << 4);
    /// Read by a machine.
    pub const AUTOMATIC_READOUT: Self = Self(1 << 5);
    /// The device's clock was too far off.
    pub const TIME_OFFSET: Self = Self(1 << 6);
    /// A warning was logged with the value.
    pub const WARNING: Self = Self(1 << 7);
    /// An error was logged with the value.
    pub const ERROR: Self = Self(1 << 8);
    /// Signed by an operator.
    pub const SIGNED: Self = Self(1 << 9);
    /// Used on an invoice.
    pub const INVOICED: Self = Self(1 << 10);
    /// Last value of a series.
    pub const END_OF_SERIES: Self = Self(1 << 11);
    /// Power failed in the period.
    pub const POWER_FAILURE: Self = Self(1 << 12);
    /// The invoice was confirmed.
    pub const INVOICE_CONFIRMED: Self = Self(1 << 13);

    /// Each single flag with its attribute on the wire, in the order they are written.
    pub const FLAGS: [(Self, &'static str); 14] = [
        (Self::MISSING, "ms"),
        (Self::IN_PROGRESS, "pr"),
        (Self::AUTOMATIC_ESTIMATE, "ae"),
        (Self::MANUAL_ESTIMATE, "me"),
        (Self::MANUAL_READOUT, "mr"),
        (Self::AUTOMATIC_READOUT, "ar"),
        (Self::TIME_OFFSET, "of"),
        (Self::WARNING, "w"),
        (Self::ERROR, "er"),
        (Self::SIGNED, "so"),
        (Self::INVOICED, "iv"),
        (Self::END_OF_SERIES, "eos"),
        (Self::POWER_FAILURE, "pf"),
        (Self::INVOICE_CONFIRMED, "ic"),
    ];

    /// Flags in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every flag of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no flag is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The wire attributes of the flags in this set.
    pub fn flags(self) -> impl Iterator<Item = &'static str> {
        Self::FLAGS.into_iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| name)
    }
}

impl fmt::Debug for Qos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.flags()).finish()
    }
}

/// One value of a node at one time, with what it is and how far to trust it.
///
/// A quantity that the device marks as not available is a field without a number: [`Field::value`] is `None` and the quality
/// says [`Qos::MISSING`]. It never becomes zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Unlocalised name.
    pub name: FieldName,
    /// When the value was true, by the appliance's clock or the device's.
    pub at: Timestamp,
    /// The value; `None` if the device has none at present.
    pub value: Option<FieldValue>,
    /// What kind of value it is.
    pub categories: Categories,
    /// How far to trust it.
    pub qos: Qos,
    /// Whether a control parameter of the same name exists.
    pub writable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_shows_its_unit() {
        let quantity = Quantity { value: "230.10".parse().unwrap(), unit: Unit::new("V") };
        assert_eq!(quantity.to_string(), "230.10 V");
    }

    #[test]
    fn categories_are_written_in_the_order_of_the_standard() {
        let set = Categories::HISTORICAL.union(Categories::MOMENTARY);
        assert_eq!(set.flags().collect::<Vec<_>>(), ["m", "h"]);
    }

    #[test]
    fn a_set_contains_only_what_was_put_in() {
        assert!(Categories::ALL.contains(Categories::PEAK));
        assert!(!Categories::MOMENTARY.contains(Categories::MOMENTARY.union(Categories::STATUS)));
    }

    #[test]
    fn every_quality_flag_has_its_own_bit() {
        let all = Qos::FLAGS.iter().fold(Qos::NONE, |set, (flag, _)| set.union(*flag));
        assert_eq!(all.flags().count(), Qos::FLAGS.len());
    }
}
