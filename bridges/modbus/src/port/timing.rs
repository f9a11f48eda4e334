//! How long things take on a line.
//!
//! Source: Modbus over Serial Line V1.02, 2.5.1.1.

use std::time::Duration;

/// Times of one request: those of the line, narrowed by those of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Bits per second on the wire; 0 where bytes take no time worth counting (TCP).
    pub baud: u32,
    /// Bits of one character with start, parity and stop bits: 10 to 12.
    pub character_bits: u32,
    /// From the end of a request to the end of patience, not counting the time the reply itself takes on the wire.
    pub timeout: Duration,
    /// How much later than the timeout a reply may still come.
    pub late: Duration,
    /// Least silence before a request, beyond the 3.5 characters of the standard.
    pub pause: Duration,
    /// Whether every byte sent comes back, as from a two-wire adapter that hears itself.
    pub echo: bool,
}

impl Timing {
    /// A TCP connection.
    pub fn tcp(timeout: Duration) -> Self {
        Self { baud: 0, character_bits: 11, timeout, late: late(timeout), pause: Duration::ZERO, echo: false }
    }

    /// A serial line of 11-bit characters, the standard's form.
    pub fn serial(baud: u32, timeout: Duration) -> Self {
        Self { baud, ..Self::tcp(timeout) }
    }

    /// The same for a device that has its own timeout.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, late: self.late.max(late(timeout)), ..self }
    }

    /// Time of so many characters on the wire.
    pub fn characters(&self, count: usize) -> Duration {
        let bits = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(u64::from(self.character_bits));
        Duration::from_micros(bits.saturating_mul(1_000_000).checked_div(u64::from(self.baud)).unwrap_or(0))
    }

    /// Silence between frames: 3.5 characters, never below 1.75 ms; above 19200 baud the fixed value applies.
    pub fn gap(&self) -> Duration {
        match self.baud {
            1..=19_200 => self.characters(7) / 2,
            _ => GAP_MIN,
        }
    }

    /// Silence before a request.
    pub fn silence(&self) -> Duration {
        self.gap().max(self.pause)
    }
}

fn late(timeout: Duration) -> Duration {
    timeout * LATE + timeout / 2
}

/// A reply may come this many timeouts (and a half, for the wire and the device's clock) after its timeout. Beyond that the device
/// is taken to have forgotten the request.
const LATE: u32 = 3;
/// Serial Line V1.02, 2.5.1.1: fixed value above 19200 baud.
const GAP_MIN: Duration = Duration::from_micros(1750);

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(baud: u32) -> Duration {
        Timing::serial(baud, Duration::ZERO).gap()
    }

    #[test]
    fn the_gap_is_three_and_a_half_characters_up_to_19200_baud() {
        assert_eq!(gap(9600), Duration::from_micros(4010));
        assert_eq!(gap(19_200), Duration::from_micros(2005));
    }

    #[test]
    fn a_device_with_a_longer_timeout_may_be_late_for_longer() {
        let line = Timing::tcp(Duration::from_millis(100));
        assert_eq!(line.late, Duration::from_millis(350));
        assert_eq!(line.with_timeout(Duration::from_millis(200)).late, Duration::from_millis(700));
        assert_eq!(line.with_timeout(Duration::from_millis(50)).late, Duration::from_millis(350));
    }

    #[test]
    fn the_gap_is_fixed_above_19200_baud() {
        assert_eq!(gap(19_201), Duration::from_micros(1750));
        assert_eq!(gap(115_200), Duration::from_micros(1750));
    }
}
