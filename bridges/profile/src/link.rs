//! How to talk to a device: serial settings, times, limits, holes. The configuration of a node may override all of it.

use std::time::Duration;

use crate::checked::Table;

/// Most registers one read request may ask for. Modbus Application Protocol V1.1b3 §6.3, §6.4.
pub const READ_REGISTERS_MAX: u16 = 125;
/// Most coils or discrete inputs one read request may ask for. Modbus Application Protocol V1.1b3 §6.1, §6.2.
pub const READ_BITS_MAX: u16 = 2000;
/// Most registers one write request may carry. Modbus Application Protocol V1.1b3 §6.12.
pub const WRITE_REGISTERS_MAX: u16 = 123;

/// Parity of a serial line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Parity {
    /// Even.
    Even,
    /// None.
    #[default]
    None,
    /// Odd.
    Odd,
}

/// Serial settings as the device leaves the factory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialDefaults {
    /// Rates the device knows, in bit/s; the first is set at the factory.
    pub baud: Vec<u32>,
    /// Parity.
    pub parity: Parity,
    /// Stop bits, 1 or 2.
    pub stop_bits: u8,
    /// Unit address, 1 to 247.
    pub unit: u8,
}

/// Times that a device needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a reply may take.
    pub timeout: Duration,
    /// What the device usually needs to answer; the planner weighs requests with it.
    pub turnaround: Duration,
    /// Silence it needs between a reply and the next request.
    pub pause: Duration,
    /// Time between connecting and the first request.
    pub connect_delay: Duration,
}

/// How far a read may reach over registers that nobody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// As far as it costs less time than a request of its own.
    Auto,
    /// At most so many registers.
    Fixed(u16),
}

/// What a device can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Registers in one read, 1 to [`READ_REGISTERS_MAX`].
    pub read: u16,
    /// Bits in one read, 1 to [`READ_BITS_MAX`].
    pub read_bits: u16,
    /// Registers in one write, 1 to [`WRITE_REGISTERS_MAX`].
    pub write: u16,
    /// Reading over holes.
    pub gap: Gap,
    /// TCP connections at the same time.
    pub connections: u8,
    /// Requests in flight on one connection.
    pub pipeline: u8,
}

/// What to do when the device answers exception 2 to a read that spans a hole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HoleRefused {
    /// Report the exception.
    Fail,
    /// Halve the read until the hole is found, and remember it.
    #[default]
    Split,
}

/// Addresses that must not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRead {
    /// Table.
    pub table: Table,
    /// First address.
    pub from: u16,
    /// Last address.
    pub to: u16,
}

/// How to talk to the device. The configuration of a node may override every one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Serial settings.
    pub serial: SerialDefaults,
    /// Times.
    pub timing: Timing,
    /// Limits.
    pub limits: Limits,
    /// Addresses that must not be read, in order.
    pub no_read: Vec<NoRead>,
    /// What to do about refused holes.
    pub on_hole_refused: HoleRefused,
}

impl Link {
    /// Whether a read of these addresses touches one that must not be read.
    #[must_use]
    pub fn forbids(&self, table: Table, address: u16, count: u16) -> bool {
        let last = u32::from(address).saturating_add(u32::from(count)).saturating_sub(1);
        self.no_read.iter().any(|hole| hole.table == table && u32::from(hole.from) <= last && hole.to >= address)
    }
}
