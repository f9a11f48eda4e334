//! What each peer's domain may still send and ask, all its streams together: a reconnect renews nothing, and one server cannot take
//! what belongs to others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bucket::Bucket;
use crate::commons::Commons;
use crate::limits::{ClassLimits, Rate};

/// Requests of one domain to the broker itself per second: a server has many users, and each asks for disco once.
pub(super) const REQUESTS_PER_SECOND: u32 = 100;
/// Subscription requests of one domain per second; accounts of ours have their own limit of what waits for them.
pub(super) const SUBSCRIPTIONS_PER_SECOND: u32 = 10;
/// Every stanza counts as that many bytes more, so that empty ones are not free: routing costs as much as a short body.
pub(super) const STANZA_COST: usize = 100;
/// Streams of one domain at the same time: one for each of its services, and what is left of lost ones.
pub(super) const STREAMS_PER_DOMAIN: usize = 16;
/// Domains kept in mind; beyond that those without a stream are forgotten at once, and no other gets one.
const KEPT_MAX: usize = 4_096;

/// What is left to one domain.
#[derive(Debug)]
pub(crate) struct Budget(Mutex<Left>);

#[derive(Debug)]
struct Left {
    bytes: Bucket,
    requests: Bucket,
    subscriptions: Bucket,
}

impl Budget {
    fn new(rate: Rate, now: Instant) -> Self {
        let per_second = |count| Bucket::new(Rate { per_second: count, burst: 10 * count }, now);
        Budget(Mutex::new(Left {
            bytes: Bucket::new(rate, now),
            requests: per_second(REQUESTS_PER_SECOND),
            subscriptions: per_second(SUBSCRIPTIONS_PER_SECOND),
        }))
    }

    /// That of a class of accounts, for who speaks for many of them.
    pub(crate) fn of_class(limits: &ClassLimits, now: Instant) -> Self {
        let each = |per_second: u32| Rate { per_second, burst: per_second.saturating_mul(2) };
        Budget(Mutex::new(Left {
            bytes: Bucket::new(limits.rate, now),
            requests: Bucket::new(each(limits.requests_per_second), now),
            // A minute's subscriptions at once, and as many again within the minute.
            subscriptions: Bucket::new(
                Rate {
                    per_second: limits.subscriptions_per_minute.div_ceil(60),
                    burst: limits.subscriptions_per_minute,
                },
                now,
            ),
        }))
    }

    /// Counts bytes and stanzas that were read; answers how long to wait before reading more.
    pub(crate) fn take(&self, bytes: usize, stanzas: usize, now: Instant) -> Duration {
        self.lock().bytes.take(bytes.saturating_add(stanzas.saturating_mul(STANZA_COST)), now)
    }

    /// Whether one more request to the broker itself is within the rate.
    pub(crate) fn may_request(&self, now: Instant) -> bool {
        self.lock().requests.try_one(now)
    }

    /// Whether one more subscription request is within the rate.
    pub(crate) fn may_subscribe(&self, now: Instant) -> bool {
        self.lock().subscriptions.try_one(now)
    }

    fn lock(&self) -> MutexGuard<'_, Left> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The budgets of all domains that have a stream, or had one a moment ago.
#[derive(Debug)]
pub(crate) struct Budgets(Commons<String, Budget>);

impl Default for Budgets {
    fn default() -> Self {
        Budgets(Commons::new(KEPT_MAX))
    }
}

impl Budgets {
    /// The budget of a domain, for one more stream; `None` if it has too many. The stream holds it as long as it lives.
    pub(crate) fn of(&self, domain: &str, rate: Rate, now: Instant) -> Option<Arc<Budget>> {
        self.0.try_hold(domain, STREAMS_PER_DOMAIN, || Budget::new(rate, now))
    }

    /// Forgets the domains that have had no stream since the last call.
    pub(crate) fn sweep(&self) {
        self.0.sweep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 1_000, burst: 1_000 };

    #[test]
    fn all_streams_of_a_domain_share_one_budget_and_no_other_domain_does() {
        let (all, now) = (Budgets::default(), Instant::now());
        let [one, other] = [(); 2].map(|()| all.of("other.example", RATE, now).unwrap());
        assert_eq!(one.take(900, 1, now), Duration::ZERO);
        assert!(other.take(1, 0, now) > Duration::ZERO);
        assert_eq!(all.of("third.example", RATE, now).unwrap().take(1_000, 0, now), Duration::ZERO);
    }

    #[test]
    fn streams_of_one_domain_have_a_limit() {
        let (all, now) = (Budgets::default(), Instant::now());
        let mut streams: Vec<_> = (0..STREAMS_PER_DOMAIN).map(|_| all.of("x", RATE, now).unwrap()).collect();
        assert!(all.of("x", RATE, now).is_none());
        streams.pop();
        assert!(all.of("x", RATE, now).is_some());
    }

    #[test]
    fn requests_beyond_the_burst_are_refused() {
        let (all, now) = (Budgets::default(), Instant::now());
        let budget = all.of("x", RATE, now).unwrap();
        let count = (0..20_000).filter(|_| budget.may_request(now)).count();
        assert_eq!(count, usize::try_from(10 * REQUESTS_PER_SECOND).unwrap());
    }
}
