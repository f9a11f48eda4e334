//! A token bucket: so much at once, so much per second in the long run. Pure; time goes in as an argument.

use std::time::{Duration, Instant};

use crate::limits::Rate;

/// What is left of a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    per_second: u32,
    burst: u32,
    /// Tokens left, in thousandths; below zero a debt.
    milli: i64,
    filled: Instant,
}

impl Bucket {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Bucket { per_second: rate.per_second, burst: rate.burst, milli: i64::from(rate.burst) * 1000, filled: now }
    }

    /// So many per minute, all at once if they like.
    pub(crate) fn per_minute(count: u32, now: Instant) -> Minute {
        Minute { left: count, count, since: now }
    }

    /// Takes tokens even if there are not enough; answers how long to wait until the debt is paid.
    pub(crate) fn take(&mut self, tokens: usize, now: Instant) -> Duration {
        self.fill(now);
        let tokens = i64::try_from(tokens).unwrap_or(i64::MAX / 1000).saturating_mul(1000);
        self.milli = self.milli.saturating_sub(tokens);
        match u64::try_from(self.milli.saturating_neg()) {
            Ok(debt) if debt > 0 => Duration::from_millis(debt / u64::from(self.per_second.max(1)) + 1),
            _ => Duration::ZERO,
        }
    }

    /// Takes one token if there is one.
    pub(crate) fn try_one(&mut self, now: Instant) -> bool {
        self.fill(now);
        if self.milli < 1000 {
            return false;
        }
        self.milli -= 1000;
        true
    }

    fn fill(&mut self, now: Instant) {
        let millis = i64::try_from(now.saturating_duration_since(self.filled).as_millis()).unwrap_or(i64::MAX);
        if millis == 0 {
            return; // keep the rest of a millisecond for the next time
        }
        let gained = millis.saturating_mul(i64::from(self.per_second));
        self.milli = self.milli.saturating_add(gained).min(i64::from(self.burst) * 1000);
        self.filled = now;
    }
}

/// A count that starts anew every minute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Minute {
    left: u32,
    count: u32,
    since: Instant,
}

impl Minute {
    pub(crate) fn try_one(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(60) {
            self.left = self.count;
            self.since = now;
        }
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10_000, burst: 100_000 };

    #[test]
    fn the_burst_is_free_and_one_byte_more_waits() {
        let now = Instant::now();
        let mut bucket = Bucket::new(RATE, now);
        assert_eq!(bucket.take(99_999, now), Duration::ZERO);
        assert_eq!(bucket.take(1, now), Duration::ZERO);
        assert_eq!(bucket.take(1, now), Duration::from_millis(1));
    }

    #[test]
    fn a_debt_is_paid_at_the_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::new(RATE, now);
        assert_eq!(bucket.take(110_000, now), Duration::from_millis(1001));
        assert_eq!(bucket.take(0, now + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn silence_never_saves_more_than_the_burst() {
        let now = Instant::now();
        let mut bucket = Bucket::new(RATE, now);
        let later = now + Duration::from_secs(3600);
        assert_eq!(bucket.take(100_000, later), Duration::ZERO);
        assert!(bucket.take(1, later) > Duration::ZERO);
    }

    #[test]
    fn a_count_per_minute_starts_anew_after_the_minute() {
        let now = Instant::now();
        let mut minute = Bucket::per_minute(2, now);
        let within = now + Duration::from_millis(59_999);
        assert_eq!([minute.try_one(now), minute.try_one(within), minute.try_one(within)], [true, true, false]);
        assert!(minute.try_one(now + Duration::from_secs(60)));
    }
}
