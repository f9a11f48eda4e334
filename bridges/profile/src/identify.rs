//! How a scanner recognises a device: facts only; asking the line is the bridge's business.

use std::sync::Arc;

use torg_thing::{FieldName, Range};

use crate::checked::Table;

/// One thing that speaks for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A point decodes and lies in a range.
    Point {
        /// Name of the point.
        point: FieldName,
        /// Where its value lies.
        range: Range,
    },
    /// A register holds one of these values.
    Register {
        /// Register table.
        table: Table,
        /// Address.
        address: u16,
        /// Values that fit.
        values: Vec<u16>,
    },
    /// The vendor name of Read Device Identification (function 43/14) is this, or starts with this.
    Vendor {
        /// Name, or its beginning.
        name: Arc<str>,
        /// Whether more may follow.
        prefix: bool,
    },
}

/// Addresses that must not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Table.
    pub table: Table,
    /// First address.
    pub address: u16,
    /// How many registers or bits.
    pub count: u16,
}

/// How to recognise the device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identify {
    /// One of these must hold, if there are any.
    pub any: Vec<Evidence>,
    /// All of these must hold.
    pub all: Vec<Evidence>,
    /// These must not answer.
    pub refuse: Vec<Refusal>,
    /// Point whose value tells two devices of this kind apart.
    pub unique: Option<FieldName>,
}
