//! How long to wait before a part that failed is started again: doubling, with a ceiling, and forgiven by a good run.

use std::time::Duration;

/// Waiting time after the first failure.
pub const FIRST: Duration = Duration::from_secs(1);
/// Longest waiting time: a device that was off for a night is back within a minute of being switched on.
pub const LONGEST: Duration = Duration::from_secs(60);
/// A part that ran this long before it failed starts again from [`FIRST`].
pub const FORGIVEN_AFTER: Duration = Duration::from_secs(300);

/// Counts failures in a row.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait before the next start, given how long the part ran before it failed.
    pub fn after(&mut self, ran: Duration) -> Duration {
        if ran >= FORGIVEN_AFTER {
            self.failures = 0;
        }
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1).min(u32::BITS);
        FIRST.saturating_mul(factor).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_ceiling() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..8).map(|_| backoff.after(Duration::ZERO).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn many_failures_in_a_row_keep_the_ceiling() {
        let mut backoff = Backoff::default();
        let last = (0..1000).map(|_| backoff.after(Duration::ZERO)).last();
        assert_eq!(last, Some(LONGEST));
    }

    #[test]
    fn a_good_run_is_forgiven() {
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            backoff.after(Duration::ZERO);
        }
        assert_eq!(backoff.after(FORGIVEN_AFTER), FIRST);
    }

    #[test]
    fn a_run_just_below_the_limit_is_not() {
        let mut backoff = Backoff::default();
        backoff.after(Duration::ZERO);
        assert_eq!(backoff.after(FORGIVEN_AFTER - Duration::from_millis(1)), FIRST * 2);
    }
}
