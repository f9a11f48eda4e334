//! Units that do not answer: after some silence they are only probed, so that the others keep the line.
//!
//! Pure circuit breaker for all units of one line. All probes together take at most [`SHARE`] of the line's time.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Attempts in a row without an answer that suspend a unit. One or two are lost to noise on many lines.
pub(crate) const FAILURES_MAX: u32 = 3;
/// Probes take one part in so many of the line's time: 5 %.
pub(crate) const SHARE: u32 = 20;

/// Whether a unit may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// It may.
    Open,
    /// It has been silent; try it with one short read first.
    Probe,
    /// It has been silent and its next probe is not due.
    Shut {
        /// Attempts without an answer.
        failures: u32,
        /// Time until the next probe.
        next: Duration,
    },
}

#[derive(Debug, Clone, Copy)]
struct Silence {
    failures: u32,
    began: Instant,
    cost: Duration,
}

/// The silent units of one line.
#[derive(Debug, Default)]
pub(crate) struct Breakers {
    silent: BTreeMap<u8, Silence>,
}

impl Breakers {
    /// May `unit` be asked at `now`?
    pub(crate) fn gate(&self, unit: u8, now: Instant) -> Gate {
        let Some(silence) = self.silent.get(&unit).filter(|silence| silence.failures >= FAILURES_MAX) else {
            return Gate::Open;
        };
        let suspended = self.silent.values().filter(|silence| silence.failures >= FAILURES_MAX).count();
        let probes = u32::try_from(suspended).unwrap_or(u32::MAX).saturating_mul(SHARE);
        let due = silence.began + silence.cost.saturating_mul(probes);
        if now >= due {
            return Gate::Probe;
        }
        Gate::Shut { failures: silence.failures, next: due.duration_since(now) }
    }

    /// The unit gave an answer, an exception or a late one included. True if it had been suspended.
    ///
    /// A unit that is late each time is slow, not silent: it costs the line its timeout, once for each answer it gives.
    pub(crate) fn answered(&mut self, unit: u8) -> bool {
        self.silent.remove(&unit).is_some_and(|silence| silence.failures >= FAILURES_MAX)
    }

    /// The unit gave no answer to an attempt that began at `began` and took `cost` of the line's time. True if this
    /// suspends it.
    pub(crate) fn silent(&mut self, unit: u8, began: Instant, cost: Duration) -> bool {
        let failures = self.silent.get(&unit).map_or(0, |silence| silence.failures).saturating_add(1);
        self.silent.insert(unit, Silence { failures, began, cost });
        failures == FAILURES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Duration = Duration::from_millis(500);

    fn silent(unit: u8, failures: u32, at: Instant) -> Breakers {
        let mut breakers = Breakers::default();
        for _ in 0..failures {
            breakers.silent(unit, at, COST);
        }
        breakers
    }

    #[test]
    fn one_failure_less_than_the_limit_changes_nothing() {
        let now = Instant::now();
        assert_eq!(silent(7, FAILURES_MAX - 1, now).gate(7, now), Gate::Open);
    }

    #[test]
    fn the_last_failure_suspends_only_that_unit() {
        let now = Instant::now();
        let breakers = silent(7, FAILURES_MAX, now);
        assert_eq!(breakers.gate(7, now + COST), Gate::Shut { failures: FAILURES_MAX, next: COST * 19 });
        assert_eq!(breakers.gate(8, now), Gate::Open);
    }

    #[test]
    fn a_probe_is_due_when_the_last_one_has_become_five_percent() {
        let now = Instant::now();
        let breakers = silent(7, FAILURES_MAX, now);
        let due = now + COST * SHARE;
        assert!(matches!(breakers.gate(7, due - Duration::from_millis(1)), Gate::Shut { .. }));
        assert_eq!(breakers.gate(7, due), Gate::Probe);
    }

    #[test]
    fn two_silent_units_share_the_five_percent() {
        let now = Instant::now();
        let mut breakers = silent(7, FAILURES_MAX, now);
        for _ in 0..FAILURES_MAX {
            breakers.silent(8, now, COST);
        }
        assert!(matches!(breakers.gate(7, now + COST * SHARE), Gate::Shut { .. }));
        assert_eq!(breakers.gate(7, now + COST * SHARE * 2), Gate::Probe);
    }

    #[test]
    fn an_answer_ends_the_suspension() {
        let now = Instant::now();
        let mut breakers = silent(7, FAILURES_MAX, now);
        assert!(breakers.answered(7));
        assert_eq!(breakers.gate(7, now), Gate::Open);
    }

    #[test]
    fn an_answer_forgets_earlier_failures() {
        let now = Instant::now();
        let mut breakers = silent(7, FAILURES_MAX - 1, now);
        assert!(!breakers.answered(7));
        assert!(!breakers.silent(7, now, COST));
        assert_eq!(breakers.gate(7, now), Gate::Open);
    }
}
