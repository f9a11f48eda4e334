//! One line with its devices: bytes in, bytes out, at the speed of the wire and with the faults of the script.
//!
//! Reads requests from any byte stream until it ends. Keeps no more than one frame of input; replies wait in order of their time.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::trace;

use crate::framing::{Asked, Cut};
use crate::{Fault, Framing, Rack, Script};

/// How long bytes take on the wire.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// Bits per second; 0 is an infinitely fast line.
    pub baud: u32,
    /// What the device needs between the end of a request and the start of its reply.
    pub turnaround: Duration,
}

impl Timing {
    /// A serial line of 11-bit characters.
    pub fn serial(baud: u32, turnaround: Duration) -> Self {
        Self { baud, turnaround }
    }

    /// Time of `characters` on the wire, 11 bits each (Serial Line V1.02, 2.5.1).
    pub fn characters(&self, characters: usize) -> Duration {
        let bits = u64::try_from(characters).unwrap_or(u64::MAX).saturating_mul(11).saturating_mul(1_000_000);
        Duration::from_micros(bits.checked_div(u64::from(self.baud)).unwrap_or(0))
    }

    /// Silence before a frame: 3.5 characters, 1.75 ms above 19200 baud (Serial Line V1.02, 2.5.1.1).
    fn gap(&self) -> Duration {
        match self.baud {
            0 => Duration::ZERO,
            1..=19_200 => self.characters(7).checked_div(2).unwrap_or_default(),
            _ => Duration::from_micros(1750),
        }
    }
}

/// Everything about one simulated line.
#[derive(Debug)]
pub struct Simulation {
    /// The devices.
    pub rack: Rack,
    /// How PDUs travel.
    pub framing: Framing,
    /// How fast.
    pub timing: Timing,
    /// What goes wrong.
    pub script: Script,
}

impl Simulation {
    /// A fast line on which nothing goes wrong.
    pub fn new(rack: Rack, framing: Framing) -> Self {
        Self { rack, framing, timing: Timing::default(), script: Script::none() }
    }

    /// The same at the speed of a wire.
    #[must_use]
    pub fn timed(self, timing: Timing) -> Self {
        Self { timing, ..self }
    }

    /// The same with faults.
    #[must_use]
    pub fn scripted(self, script: Script) -> Self {
        Self { script, ..self }
    }
}

/// Most bytes kept while a request is incomplete; the longest frame of any framing has 260.
const INPUT_MAX: usize = 1024;
/// Most replies that wait for their time; a master that never waits for a reply loses the rest.
const REPLIES_MAX: usize = 256;
/// Silence after which a half request is dropped on a line without a baud rate.
const SILENCE: Duration = Duration::from_millis(20);

/// Serves the line until the other side closes it.
///
/// # Errors
///
/// Those of the byte stream.
pub async fn serve<S>(stream: S, simulation: &Simulation) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Line { stream, started: Instant::now(), input: Vec::new(), outbox: Outbox::default(), held_back: None }
        .run(simulation)
        .await
}

struct Line<S> {
    stream: S,
    started: Instant,
    input: Vec<u8>,
    outbox: Outbox,
    held_back: Option<Vec<u8>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    async fn run(&mut self, simulation: &Simulation) -> io::Result<()> {
        let mut chunk = [0_u8; 512];
        let mut last_byte = Instant::now();
        loop {
            // Both branches are cancellation safe: a read that did not complete has taken no byte, a sleep has no state.
            tokio::select! {
                biased;
                () = sleep_until(self.outbox.next().unwrap_or(last_byte)), if self.outbox.next().is_some() => {
                    if let Some(frame) = self.outbox.pop() {
                        trace!(?frame, "Device sends.");
                        self.stream.write_all(&frame).await?;
                        self.stream.flush().await?;
                    }
                }
                read = self.stream.read(&mut chunk) => {
                    let count = read?;
                    if count == 0 {
                        return Ok(());
                    }
                    let now = Instant::now();
                    if simulation.framing.is_rtu() && now.duration_since(last_byte) > SILENCE.max(simulation.timing.gap()) {
                        self.input.clear();
                    }
                    last_byte = now;
                    self.input.extend_from_slice(chunk.get(..count).unwrap_or_default());
                    self.requests(simulation).await?;
                }
            }
        }
    }

    async fn requests(&mut self, simulation: &Simulation) -> io::Result<()> {
        loop {
            match simulation.framing.cut(&self.input) {
                Cut::Complete(asked) => {
                    let rest = self.input.split_off(asked.length.min(self.input.len()));
                    let request = std::mem::replace(&mut self.input, rest);
                    self.request(&asked, &request, simulation);
                }
                Cut::Incomplete if self.input.len() < INPUT_MAX => return Ok(()),
                Cut::Incomplete | Cut::Garbage => {
                    self.input.clear();
                    return self.drain().await;
                }
            }
        }
    }

    /// After garbage a device listens again only when the line has been silent.
    async fn drain(&mut self) -> io::Result<()> {
        let mut chunk = [0_u8; 512];
        while let Ok(read) = timeout_at(Instant::now() + SILENCE, self.stream.read(&mut chunk)).await {
            if read? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn request(&mut self, asked: &Asked, request: &[u8], simulation: &Simulation) {
        let Simulation { rack, framing, timing, script } = simulation;
        let now = Instant::now();
        trace!(unit = asked.unit, pdu = ?asked.pdu, "Device was asked.");
        let Some(answer) = rack.answer(asked.unit, &asked.pdu, now.duration_since(self.started), framing.is_rtu())
        else {
            return;
        };
        let mut unit = asked.unit;
        let mut pdu = answer;
        let mut earliest = now + timing.characters(request.len()) + timing.gap().max(timing.turnaround);
        let fault = script.next(asked.unit);
        match &fault {
            Some(Fault::Silence) => return,
            Some(Fault::Exception(code)) => pdu = vec![asked.pdu.first().copied().unwrap_or_default() | 0x80, *code],
            Some(Fault::WrongUnit(other)) => unit = *other,
            Some(Fault::Late(by)) => earliest += *by,
            Some(Fault::Stall(by)) => {
                earliest += *by;
                self.outbox.stall(earliest);
            }
            _ => {}
        }
        let mut frame = framing.wrap(unit, asked.transaction, &pdu);
        match fault {
            Some(Fault::BitFlip(bit)) => flip(&mut frame, bit),
            Some(Fault::Cut(length)) => frame.truncate(length.min(frame.len().saturating_sub(1))),
            Some(Fault::Duplicate) => frame.extend_from_within(..),
            Some(Fault::Echo) => frame.splice(0..0, request.iter().copied()).for_each(drop),
            Some(Fault::Noise(noise)) => frame.splice(0..0, noise).for_each(drop),
            Some(Fault::Merged) => {
                self.held_back.get_or_insert_default().extend_from_slice(&frame);
                return;
            }
            _ => {}
        }
        if let Some(held_back) = self.held_back.take() {
            frame.splice(0..0, held_back).for_each(drop);
        }
        self.outbox.push(earliest, timing.characters(frame.len()), frame);
    }
}

fn flip(frame: &mut [u8], bit: usize) {
    let bits = frame.len().saturating_mul(8);
    let bit = bit.checked_rem(bits).unwrap_or(0);
    if let Some(byte) = frame.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
}

/// Replies by the moment their last byte is on the wire. Two frames never overlap; a late one does not hold up those that fit before it.
#[derive(Default)]
struct Outbox {
    /// (end, order of arrival) -> (begin, bytes)
    frames: BTreeMap<(Instant, u64), (Instant, Vec<u8>)>,
    count: u64,
    stalled_until: Option<Instant>,
}

impl Outbox {
    fn push(&mut self, earliest: Instant, duration: Duration, frame: Vec<u8>) {
        if self.frames.len() >= REPLIES_MAX {
            return;
        }
        let mut begin = self.stalled_until.map_or(earliest, |until| until.max(earliest));
        for ((end, _), (start, _)) in &self.frames {
            if begin < *end && begin + duration > *start {
                begin = *end;
            }
        }
        self.count = self.count.wrapping_add(1);
        self.frames.insert((begin + duration, self.count), (begin, frame));
    }

    fn stall(&mut self, until: Instant) {
        self.stalled_until = Some(self.stalled_until.map_or(until, |now| now.max(until)));
    }

    fn next(&self) -> Option<Instant> {
        self.frames.keys().next().map(|(at, _)| *at)
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        self.frames.pop_first().map(|(_, (_, frame))| frame)
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
