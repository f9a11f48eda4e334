//! One field of a device.

use std::collections::BTreeMap;
use std::sync::Arc;

use torg_thing::{Categories, FieldName, FieldSummary, Qos, Range, Unit};

use super::poll::PollClass;
use super::registers::{BitSlice, Encoding, Order, Table};
use super::value::{Sentinel, Shape};
use super::write::Write;

/// One field of a device: where it lies, what it means, and how it is set if it can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    pub(crate) name: FieldName,
    pub(crate) labels: BTreeMap<Arc<str>, Arc<str>>,
    pub(crate) description: Arc<str>,
    pub(crate) table: Table,
    pub(crate) address: u16,
    pub(crate) encoding: Encoding,
    pub(crate) order: Order,
    pub(crate) slice: Option<BitSlice>,
    pub(crate) shape: Shape,
    pub(crate) missing: Vec<Sentinel>,
    pub(crate) valid: Option<Range>,
    pub(crate) categories: Categories,
    pub(crate) alarm: Qos,
    pub(crate) poll: PollClass,
    pub(crate) monotonic: bool,
    pub(crate) read_with: Option<Arc<str>>,
    pub(crate) force_new_block: bool,
    pub(crate) sources: Vec<Arc<str>>,
    pub(crate) unconfirmed: bool,
    pub(crate) write: Option<Write>,
}

impl Point {
    /// Name of the field, and of the control parameter if there is one.
    #[must_use]
    pub fn name(&self) -> &FieldName {
        &self.name
    }

    /// Name for people in a language; the field name if the profile has no translation.
    #[must_use]
    pub fn label(&self, language: &str) -> &str {
        self.labels.get(language).map_or(self.name.as_str(), |label| label)
    }

    /// Longer text for people; may be empty.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Table it lies in.
    #[must_use]
    pub fn table(&self) -> Table {
        self.table
    }

    /// Zero-based address of its first register or bit.
    #[must_use]
    pub fn address(&self) -> u16 {
        self.address
    }

    /// Number of registers, or of bits in a bit table; at least 1. Address plus count never passes 65536.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.encoding.count()
    }

    /// Layout of the raw value.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The bits of the registers it takes; `None` for all of them.
    #[must_use]
    pub fn slice(&self) -> Option<BitSlice> {
        self.slice
    }

    /// Order of its words and bytes.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// What kind of field it becomes.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Unit; empty if it is no quantity.
    #[must_use]
    pub fn unit(&self) -> Unit {
        match &self.shape {
            Shape::Quantity(scaling) => scaling.unit.clone(),
            _ => Unit::default(),
        }
    }

    /// Field categories.
    #[must_use]
    pub fn categories(&self) -> Categories {
        self.categories
    }

    /// How often it is worth reading.
    #[must_use]
    pub fn poll(&self) -> PollClass {
        self.poll
    }

    /// Whether it only grows, apart from a replaced device: an energy, a counter.
    #[must_use]
    pub fn is_monotonic(&self) -> bool {
        self.monotonic
    }

    /// Points with the same group name are latched by the device together and must be read in one request.
    #[must_use]
    pub fn read_with(&self) -> Option<&str> {
        self.read_with.as_deref()
    }

    /// Whether a request must start at this point.
    #[must_use]
    pub fn forces_new_block(&self) -> bool {
        self.force_new_block
    }

    /// Whether fewer than two independent sources confirm address and type.
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.unconfirmed
    }

    /// Keys of the profile's sources that confirm it.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|key| &**key)
    }

    /// Values it may plausibly have; anything else is an error of the device.
    #[must_use]
    pub fn valid(&self) -> Option<&Range> {
        self.valid.as_ref()
    }

    /// How it is set; `None` if it can only be read.
    #[must_use]
    pub fn write(&self) -> Option<&Write> {
        self.write.as_ref()
    }

    /// What is known of the field before it is read.
    #[must_use]
    pub fn summary(&self) -> FieldSummary {
        FieldSummary {
            name: self.name.clone(),
            categories: self.categories,
            unit: self.unit(),
            writable: self.write.is_some(),
            unconfirmed: self.unconfirmed,
        }
    }
}
