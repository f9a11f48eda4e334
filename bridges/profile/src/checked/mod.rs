//! A profile after all checks: what a bridge plans requests from and decodes with.
//!
//! Only [`check`](fn@crate::check) builds these values, so whoever holds one may rely on every rule of the format: each point
//! lies inside its table, is no longer than one request may be, and has an encoding that fits its table.

mod point;
mod poll;
mod registers;
mod value;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use torg_thing::{ControlParameter, FieldName};

pub use point::Point;
pub use poll::{PollClass, PollIntervals};
pub use registers::{BitSlice, Encoding, Endian, Order, Table};
pub use value::{Enumeration, Scaling, Sentinel, Shape};
pub use write::{Privilege, Unlock, Write, WriteFunction};

use crate::identify::Identify;
use crate::link::Link;
use crate::vectors::Vector;

/// Version of a profile: patch = texts, minor = points added, major = points renamed or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Raised when a point is renamed or removed.
    pub major: u16,
    /// Raised when points are added.
    pub minor: u16,
    /// Raised when only texts change.
    pub patch: u16,
}

impl Version {
    /// Reads `1.2.3`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let version = Self { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? };
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Protocol a profile is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// Modbus, on any line.
    Modbus,
}

impl Protocol {
    /// Name in profiles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Modbus => "modbus",
        }
    }
}

/// Where a fact comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceNote {
    /// Short key that points refer to.
    pub key: Arc<str>,
    /// Title, edition, page; enough to find it.
    pub title: Arc<str>,
}

/// What a kind of device is and what its registers mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub(crate) id: Arc<str>,
    pub(crate) version: Version,
    pub(crate) protocol: Protocol,
    pub(crate) vendor: Arc<str>,
    pub(crate) models: Vec<Arc<str>>,
    pub(crate) titles: BTreeMap<Arc<str>, Arc<str>>,
    pub(crate) license: Arc<str>,
    pub(crate) sources: Vec<SourceNote>,
    pub(crate) interfaces: Vec<Arc<str>>,
    pub(crate) ancestors: Vec<Arc<str>>,
    pub(crate) link: Link,
    pub(crate) poll: PollIntervals,
    pub(crate) identify: Identify,
    pub(crate) points: Vec<Point>,
    pub(crate) vectors: Vec<Vector>,
}

impl Profile {
    /// Stable identity, `maker.model`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Protocol it is for.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Maker.
    #[must_use]
    pub fn vendor(&self) -> &str {
        &self.vendor
    }

    /// Models it fits.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(|model| &**model)
    }

    /// What kind of device it is, in a language; English if there is no translation, the id if there is no English.
    #[must_use]
    pub fn title(&self, language: &str) -> &str {
        self.titles.get(language).or_else(|| self.titles.get("en")).map_or(&self.id, |title| title)
    }

    /// Licence of the profile text, an SPDX identifier.
    #[must_use]
    pub fn license(&self) -> &str {
        &self.license
    }

    /// Where its facts come from.
    #[must_use]
    pub fn sources(&self) -> &[SourceNote] {
        &self.sources
    }

    /// Harmonised interfaces its nodes fulfil, as URIs. Checked: every field and parameter they require exists.
    #[must_use]
    pub fn interfaces(&self) -> &[Arc<str>] {
        &self.interfaces
    }

    /// Profiles it extends, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.ancestors.iter().map(|id| &**id)
    }

    /// How to talk to the device.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// How often to read.
    #[must_use]
    pub fn poll(&self) -> &PollIntervals {
        &self.poll
    }

    /// How to recognise the device.
    #[must_use]
    pub fn identify(&self) -> &Identify {
        &self.identify
    }

    /// All points, ordered by table and address.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The point of that name.
    #[must_use]
    pub fn point(&self, name: &FieldName) -> Option<&Point> {
        self.points.iter().find(|point| point.name == *name)
    }

    /// What can be set.
    pub fn parameters(&self) -> impl Iterator<Item = &ControlParameter> {
        self.points.iter().filter_map(|point| point.write.as_ref()).map(|write| &write.parameter)
    }

    /// Executable vectors, its own and those inherited for unchanged points.
    #[must_use]
    pub fn vectors(&self) -> &[Vector] {
        &self.vectors
    }
}
