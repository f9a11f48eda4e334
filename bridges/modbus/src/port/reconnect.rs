//! When to try again to open a line that could not be opened.
//!
//! Pure: growing pauses, spread over the lines of an appliance.

use std::time::Duration;

use tokio::time::Instant;

/// First pause after a failed connection; each further one is twice as long.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause between attempts to connect: an adapter that is plugged in again is back within this time.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Growing pauses between attempts to open a line.
#[derive(Debug)]
pub(super) struct Reconnect {
    failures: u32,
    retry: Option<(Instant, String)>,
    /// Spreads the attempts of many lines that lost the same switch at the same moment.
    jitter: u32,
}

impl Reconnect {
    /// No failure yet; `name` makes lines differ.
    pub(super) fn new(name: &str) -> Self {
        let jitter = name.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte))) % 25;
        Self { failures: 0, retry: None, jitter }
    }

    /// Why the line is not tried at `now`.
    pub(super) fn refusal(&self, now: Instant) -> Option<String> {
        let (retry, reason) = self.retry.as_ref()?;
        (now < *retry).then(|| reason.clone())
    }

    /// Notes a failure and gives the pause before the next attempt.
    pub(super) fn failed(&mut self, now: Instant, reason: &str) -> Duration {
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(7)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        let percent = 100_u32.saturating_sub((self.jitter.wrapping_add(self.failures.wrapping_mul(7))) % 25);
        let pause = pause * percent / 100;
        self.retry = Some((now + pause, reason.to_owned()));
        pause
    }

    /// The line is open: the next failure starts with a short pause again.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.retry = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_start_anew_after_success() {
        let (mut reconnect, now) = (Reconnect::new("bus"), Instant::now());
        let pauses: Vec<_> = (0..12).map(|_| reconnect.failed(now, "gone")).collect();
        assert!(pauses[0] <= PAUSE_MIN && pauses[0] > PAUSE_MIN / 2);
        assert!(pauses[11] <= PAUSE_MAX && pauses[11] > PAUSE_MAX / 2);
        reconnect.succeeded();
        assert!(reconnect.failed(now, "gone") <= PAUSE_MIN);
    }

    #[test]
    fn nothing_is_tried_before_the_pause_is_over() {
        let (mut reconnect, now) = (Reconnect::new("bus"), Instant::now());
        let pause = reconnect.failed(now, "gone");
        assert_eq!(reconnect.refusal(now + pause - Duration::from_nanos(1)), Some("gone".to_owned()));
        assert_eq!(reconnect.refusal(now + pause), None);
    }
}
