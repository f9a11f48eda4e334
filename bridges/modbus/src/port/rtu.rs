//! One exchange on a serial line: which of the bytes that come are the answer.
//!
//! Source: Modbus over Serial Line V1.02, 2.5.1. Pure: bytes and the time go in, one outcome comes out. It does not wait
//! for silence before sending; the owner of the line does.
//!
//! # Why
//!
//! RTU replies carry no number. What makes an answer certain is: it bears the unit and function asked, its length or echo is
//! the one this request must have, its checksum is right, it came after our request, the line was silent after it, and no
//! other reply of that unit is outstanding. The last point is kept by [`Overdue`]: a unit that did not answer in time is
//! not asked again before its reply came after all or its time to be late is over. Replies of other units are told
//! apart by their address, so one slow unit costs the others nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::pdu::EXCEPTION;
use super::timing::Timing;
use super::{Answer, LineError, Outcome, Request, Then, crc};

/// Bytes before a reply that may be noise or the echo of the request; a frame must begin within them.
///
/// The echo of the longest write, 123 registers in 255 bytes, is shorter.
const SKIP_MAX: usize = 256;
/// Bytes kept of an answer: an echo and a reply of the greatest length of a frame, 256 each, and some noise.
const INPUT_MAX: usize = 1024;

/// Bytes that a two-wire driver makes of nothing when it switches off: all zeros or all ones, which is no unit id.
const SPIKE_MAX: usize = 2;
/// How long noise behind an answer may keep it from being taken: a frame of 256 bytes at 9600 baud.
const OVERRUN: Duration = Duration::from_millis(300);

/// How long a frame will be, judged by its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    NotYetKnown,
    Unknowable,
}

fn frame_length(head: &[u8]) -> Length {
    match head {
        [] | [_] | [_, 1..=4 | 23] => Length::NotYetKnown,
        [_, function, ..] if function & EXCEPTION != 0 => Length::Bytes(5),
        [_, 1..=4 | 23, count, ..] => Length::Bytes(usize::from(*count).saturating_add(5)),
        [_, 5 | 6 | 15 | 16, ..] => Length::Bytes(8),
        [_, 22, ..] => Length::Bytes(10),
        _ => Length::Unknowable,
    }
}

/// A whole frame with a right checksum at the beginning of `input`.
fn intact_frame(input: &[u8]) -> Option<&[u8]> {
    match frame_length(input) {
        Length::Bytes(length) => input.get(..length).filter(|frame| crc::intact(frame)),
        _ => None,
    }
}

/// Units that owe a reply, and until when one must be expected.
#[derive(Debug, Default)]
pub(super) struct Overdue(BTreeMap<u8, Instant>);

impl Overdue {
    /// From now to `until` a reply of `unit` may come that answers nothing any more.
    pub(super) fn hold(&mut self, unit: u8, until: Instant) {
        self.0.insert(unit, until);
    }

    /// Until when `unit` may not be asked.
    pub(super) fn until(&self, unit: u8, now: Instant) -> Option<Instant> {
        self.0.get(&unit).copied().filter(|until| *until > now)
    }

    /// Whether a reply of `unit` is owed.
    fn owes(&self, unit: u8) -> bool {
        self.0.contains_key(&unit)
    }

    /// A reply of `unit` has come. True if one was owed.
    pub(super) fn arrived(&mut self, unit: u8) -> bool {
        self.0.remove(&unit).is_some()
    }

    /// Nothing is owed any more.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Takes whole frames that came while nothing was asked out of `input`. Returns the units that owed one.
    pub(super) fn stray(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
        let mut owed = Vec::new();
        while let Some(frame) = intact_frame(input) {
            let (unit, length) = (frame.first().copied().unwrap_or_default(), frame.len());
            if self.arrived(unit) {
                owed.push(unit);
            }
            input.drain(..length);
        }
        if input.len() > INPUT_MAX {
            input.clear();
        }
        owed
    }
}

/// What was wrong with what came, the least telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    WrongUnit(u8),
    Unfit,
    Cut { received: usize, expected: usize },
    Damaged,
}

/// One request under way on a serial line.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    unit: u8,
    request: &'a Request,
    sent: &'a [u8],
    timing: &'a Timing,
    overdue: &'a Overdue,
    deadline: Instant,
    asked: Instant,
    last_byte: Instant,
    input: Vec<u8>,
    echo_due: bool,
    echo_seen: bool,
    late: Vec<u8>,
    candidate: Option<Answer>,
    ambiguous: bool,
    damaged_answer: bool,
    unfit_before: bool,
    late_behind: bool,
    trouble: Option<Trouble>,
}

impl<'a> Exchange<'a> {
    /// The frame `sent` has just been written; its last bit leaves at `asked`.
    pub(super) fn new(
        (unit, request, sent): (u8, &'a Request, &'a [u8]),
        timing: &'a Timing,
        overdue: &'a Overdue,
        asked: Instant,
        deadline: Instant,
    ) -> Self {
        Self {
            unit,
            request,
            sent,
            timing,
            overdue,
            deadline,
            asked,
            last_byte: asked,
            input: Vec::new(),
            echo_due: timing.echo,
            echo_seen: false,
            late: Vec::new(),
            candidate: None,
            ambiguous: false,
            damaged_answer: false,
            unfit_before: false,
            late_behind: false,
            trouble: None,
        }
    }

    /// Takes bytes that came at `now`.
    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        self.last_byte = now;
        if self.input.len().saturating_add(bytes.len()) > INPUT_MAX {
            self.input.clear();
            self.trouble(Trouble::Damaged);
        }
        self.input.extend_from_slice(bytes);
        if self.echo_due {
            if self.sent.len() > self.input.len() && self.sent.starts_with(&self.input) {
                return;
            }
            if self.input.starts_with(self.sent) {
                self.input.drain(..self.sent.len());
                self.echo_seen = true;
            }
            self.echo_due = false;
        }
        while self.frame() {}
    }

    /// When [`wake`](Self::wake) is due.
    pub(super) fn deadline(&self) -> Instant {
        if self.candidate.is_some() || self.damaged_answer {
            return (self.last_byte + self.timing.gap()).min(self.deadline + OVERRUN);
        }
        self.deadline
    }

    /// The outcome, once the line has been silent or the time is over.
    pub(super) fn wake(&mut self, now: Instant) -> Option<Outcome> {
        if now < self.deadline() {
            return None;
        }
        let (late, echo) = (std::mem::take(&mut self.late), self.echo_seen);
        let outcome = |result, then| Some(Outcome { result, then, late, echo });
        if self.ambiguous || (self.candidate.is_some() && !self.ends_clean()) {
            return outcome(Err(LineError::DeviceAmbiguous), Then::Hold);
        }
        if self.late_behind && self.candidate.is_some() && !self.request.is_write() {
            // Most likely the late answer that was owed, so the unit owes nothing and a read can simply be done again.
            return outcome(Err(LineError::DeviceAmbiguous), Then::Again);
        }
        if let Some(answer) = self.candidate.take() {
            return outcome(Ok(answer), Then::Continue);
        }
        if self.damaged_answer {
            return outcome(Err(LineError::DeviceDamaged), Then::Continue);
        }
        let error = match self.leftover().max(self.trouble) {
            Some(Trouble::Cut { received, expected }) => LineError::DeviceCut { received, expected },
            Some(Trouble::Damaged) => LineError::DeviceDamaged,
            Some(Trouble::Unfit) => LineError::DeviceUnfit,
            Some(Trouble::WrongUnit(found)) => LineError::DeviceWrongUnit { asked: self.unit, found },
            None => LineError::DeviceSilent { waited: now.duration_since(self.asked) },
        };
        outcome(Err(error), Then::Hold)
    }

    /// Takes one frame off the input. False when there is none.
    fn frame(&mut self) -> bool {
        if let Some(frame) = intact_frame(&self.input) {
            let frame = frame.to_vec();
            self.input.drain(..frame.len());
            self.whole(&frame);
            return true;
        }
        // Noise or an echo may stand before the reply; only a frame that fits this request is looked for behind it.
        let behind = (1..self.input.len().min(SKIP_MAX)).find_map(|skip| {
            let frame = intact_frame(self.input.get(skip..)?)?;
            let [unit, pdu @ .., _, _] = frame else { return None };
            (*unit == self.unit && self.request.decode(pdu).is_ok()).then(|| (skip, frame.to_vec()))
        });
        if let Some((skip, frame)) = behind {
            self.echo_seen |= self.input.get(..skip) == Some(self.sent);
            self.input.drain(..skip.saturating_add(frame.len()));
            self.damaged_answer = false;
            self.whole(&frame);
            return true;
        }
        // A frame of our unit and function that is as long as it says, with a wrong checksum: this was the answer.
        let ours = matches!(self.input.as_slice(), [unit, function, ..]
            if *unit == self.unit && function & !EXCEPTION == self.request.function());
        let whole = matches!(frame_length(&self.input), Length::Bytes(length) if self.input.len() >= length);
        self.damaged_answer = ours && whole && self.candidate.is_none() && !self.is_own_echo();
        false
    }

    fn is_own_echo(&self) -> bool {
        self.sent.starts_with(&self.input) || self.input.starts_with(self.sent)
    }

    fn whole(&mut self, frame: &[u8]) {
        let [unit, pdu @ .., _, _] = frame else { return };
        if *unit != self.unit {
            // What comes last is the newest: an answer with anything behind it may be that of an older request.
            let behind = self.candidate.is_some();
            if self.overdue.owes(*unit) {
                self.late_behind |= behind;
                self.late.push(*unit);
            } else {
                self.ambiguous |= behind;
                self.trouble(Trouble::WrongUnit(*unit));
            }
            return;
        }
        match self.request.decode(pdu) {
            Ok(answer) => {
                let other = self.candidate.as_ref().is_some_and(|candidate| *candidate != answer);
                self.ambiguous |= other || self.unfit_before;
                self.candidate = Some(answer);
            }
            // Two replies of one unit: either may be the late one of an older request.
            Err(_) => {
                self.ambiguous |= self.candidate.is_some();
                self.unfit_before = true;
                self.trouble(Trouble::Unfit);
            }
        }
    }

    /// Whether nothing but the spike of a driver switching off came behind the last frame. Anything else may be the rest of the real
    /// answer, and the frame before it that of an older request.
    fn ends_clean(&self) -> bool {
        self.input.len() <= SPIKE_MAX && self.input.iter().all(|byte| matches!(byte, 0x00 | 0xFF))
    }

    fn leftover(&self) -> Option<Trouble> {
        let received = self.input.len();
        match frame_length(&self.input) {
            _ if received == 0 => None,
            Length::Bytes(expected) if received < expected => Some(Trouble::Cut { received, expected }),
            Length::NotYetKnown => {
                Some(Trouble::Cut { received, expected: self.request.reply_length().saturating_add(3) })
            }
            _ => Some(Trouble::Damaged),
        }
    }

    fn trouble(&mut self, trouble: Trouble) {
        self.trouble = self.trouble.max(Some(trouble));
    }
}

#[cfg(test)]
#[path = "rtu_tests.rs"]
mod tests;
