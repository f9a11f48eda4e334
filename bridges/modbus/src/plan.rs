//! Which requests read the wanted points in the least time.
//!
//! Pure. A request costs its frames and the device's turnaround, a register that nobody wants costs its two bytes; points are
//! merged while that is cheaper. The best partition of the points, sorted by address, is found by dynamic programming.
//!
//! # Why
//!
//! A fixed gap is right for one baud rate and one device only: at 9600 baud and 20 ms turnaround a request costs as
//! much as 20 registers, on a LAN as much as thousands. Time is what the line has too little of, so time is what is counted.

use std::time::Duration;

use torg_profile::{Gap, Link, Table};

use crate::port::{Timing, read_max};

/// Something to read in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// Table.
    pub table: Table,
    /// First address.
    pub address: u16,
    /// Registers or bits, at least 1.
    pub count: u16,
    /// A request must start here.
    pub alone_before: bool,
}

impl Span {
    fn end(&self) -> u32 {
        u32::from(self.address).saturating_add(u32::from(self.count))
    }
}

/// One request of a plan, with the indexes of the spans it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Table.
    pub table: Table,
    /// First address.
    pub address: u16,
    /// Registers or bits.
    pub count: u16,
    /// Which of the spans given to [`plan`] lie in it, in order of address.
    pub spans: Vec<usize>,
}

/// What requests cost on a line with a device, and what the device takes.
#[derive(Debug, Clone)]
pub struct Cost {
    /// Time of a request and its reply without any data.
    pub request: Duration,
    /// Time of one register more.
    pub register: Duration,
    registers_max: u16,
    bits_max: u16,
    gap_max: Option<u16>,
}

/// Characters of a read without data: eight of the request; unit, function, byte count and checksum of the reply.
const FRAME_CHARACTERS: usize = 13;
/// What a register costs where bytes take no time: copying and decoding, far below a request's round trip.
const REGISTER_MIN: Duration = Duration::from_micros(1);

impl Cost {
    /// The cost on a line with `timing`, for a device with `link`.
    pub fn new(timing: &Timing, link: &Link) -> Self {
        Self {
            request: timing.characters(FRAME_CHARACTERS)
                + timing.gap()
                + timing.silence().max(link.timing.pause)
                + link.timing.turnaround,
            register: timing.characters(2).max(REGISTER_MIN),
            registers_max: link.limits.read,
            bits_max: link.limits.read_bits,
            gap_max: match link.limits.gap {
                Gap::Auto => None,
                Gap::Fixed(registers) => Some(registers),
            },
        }
    }

    fn count_max(&self, table: Table) -> u32 {
        let device = if table.holds_bits() { self.bits_max } else { self.registers_max };
        u32::from(device.min(read_max(table)))
    }

    /// Time of one block.
    pub fn of(&self, table: Table, count: u32) -> Duration {
        let registers = if table.holds_bits() { count.div_ceil(16) } else { count };
        self.request + self.register.saturating_mul(registers)
    }
}

/// Addresses that no request may touch: those of the profile, and those the device has refused.
pub trait Forbidden {
    /// Whether a read of these addresses touches one.
    fn touches(&self, table: Table, address: u16, count: u16) -> bool;
}

/// The requests that read all `spans` in the least time. Spans that are longer than the device takes get a request of their own.
pub fn plan(spans: &[Span], cost: &Cost, forbidden: &dyn Forbidden) -> Vec<Block> {
    let mut order: Vec<(usize, Span)> = spans.iter().copied().enumerate().collect();
    order.sort_by_key(|(index, span)| (span.table, span.address, span.end(), *index));
    // best[n]: least time for the first n spans, and where the last block of that plan begins.
    let mut best: Vec<(Duration, usize)> = vec![(Duration::ZERO, 0)];
    for upto in 1..=order.len() {
        let mut choice: Option<(Duration, usize)> = None;
        let mut block: Option<Extent> = None;
        for from in (0..upto).rev() {
            let Some((_, span)) = order.get(from) else { break };
            block = match block {
                None => Some(Extent::of(span)),
                Some(block) => block.before(span, cost, forbidden),
            };
            let Some(extent) = block else { break };
            let before = best.get(from).map_or(Duration::ZERO, |(time, _)| *time);
            let time = before + cost.of(extent.table, extent.count());
            if choice.is_none_or(|(least, _)| time < least) {
                choice = Some((time, from));
            }
            if span.alone_before {
                break;
            }
        }
        best.push(choice.unwrap_or_default());
    }
    let mut blocks = Vec::new();
    let mut upto = order.len();
    while upto > 0 {
        let from = best.get(upto).map_or(0, |(_, from)| *from).min(upto.saturating_sub(1));
        let members = order.get(from..upto).unwrap_or_default();
        blocks.extend(block(members));
        upto = from;
    }
    blocks.reverse();
    blocks
}

fn block(members: &[(usize, Span)]) -> Option<Block> {
    let (_, first) = members.first()?;
    let end = members.iter().map(|(_, span)| span.end()).max()?;
    let count = u16::try_from(end.saturating_sub(u32::from(first.address))).ok()?;
    let spans = members.iter().map(|(index, _)| *index).collect();
    Some(Block { table: first.table, address: first.address, count, spans })
}

/// A block while it grows towards lower addresses.
#[derive(Debug, Clone, Copy)]
struct Extent {
    table: Table,
    begin: u32,
    end: u32,
}

impl Extent {
    fn of(span: &Span) -> Self {
        Self { table: span.table, begin: u32::from(span.address), end: span.end() }
    }

    fn count(&self) -> u32 {
        self.end.saturating_sub(self.begin)
    }

    /// The block with `span` added in front, if one request may read both.
    fn before(&self, span: &Span, cost: &Cost, forbidden: &dyn Forbidden) -> Option<Self> {
        let merged = Self { table: self.table, begin: u32::from(span.address), end: self.end.max(span.end()) };
        let gap = self.begin.saturating_sub(span.end());
        let wide = cost.gap_max.is_some_and(|max| gap > u32::from(max));
        if span.table != self.table || merged.count() > cost.count_max(self.table) || wide {
            return None;
        }
        let hole = u16::try_from(span.end()).ok().zip(u16::try_from(gap).ok());
        let refused = hole.is_some_and(|(address, count)| count > 0 && forbidden.touches(self.table, address, count));
        (!refused).then_some(merged)
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
