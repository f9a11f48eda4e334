//! What each peer's domain may still send and ask, all its streams together: a reconnect renews nothing, and one server cannot take
//! what belongs to others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bucket::Bucket;
use crate::commons::Commons;
use crate::limits::{ClassLimits, Limits, Rate};

/// Every stanza counts as that many bytes more, so that empty ones are not free: routing costs as much as a short body.
pub(super) const STANZA_COST: usize = 100;
/// Requests at once, as a multiple of those per second: a server has many users, and after a restart each asks for disco.
const REQUESTS_AT_ONCE: u32 = 10;
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
    /// What a domain of another server has, with [`Limits::peer`](crate::limits::Limits).
    fn of_peer(limits: &ClassLimits, now: Instant) -> Self {
        Budget::new(limits, REQUESTS_AT_ONCE, now)
    }

    /// That of a class of accounts, for who speaks for many of them.
    pub(crate) fn of_class(limits: &ClassLimits, now: Instant) -> Self {
        Budget::new(limits, 2, now)
    }

    fn new(limits: &ClassLimits, requests_at_once: u32, now: Instant) -> Self {
        let ClassLimits { rate, requests_per_second, subscriptions_per_minute } = *limits;
        let requests =
            Rate { per_second: requests_per_second, burst: requests_per_second.saturating_mul(requests_at_once) };
        // A minute's subscriptions at once, and as many again within the minute.
        let subscriptions = Rate { per_second: subscriptions_per_minute.div_ceil(60), burst: subscriptions_per_minute };
        Budget(Mutex::new(Left {
            bytes: Bucket::new(rate, now),
            requests: Bucket::new(requests, now),
            subscriptions: Bucket::new(subscriptions, now),
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
    /// The budget of a domain, for one more stream; `None` if it has as many as it may. The stream holds it as long as it lives.
    pub(crate) fn of(&self, domain: &str, limits: &Limits, now: Instant) -> Option<Arc<Budget>> {
        self.0.try_hold(domain, limits.streams_per_peer, || Budget::of_peer(&limits.peer, now))
    }

    /// Forgets the domains that have had no stream since the last call.
    pub(crate) fn sweep(&self) {
        self.0.sweep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let rate = Rate { per_second: 1_000, burst: 1_000 };
        let peer = ClassLimits { rate, requests_per_second: 5, subscriptions_per_minute: 7 };
        Limits { peer, streams_per_peer: 3, ..Limits::default() }
    }

    #[test]
    fn all_streams_of_a_domain_share_one_budget_and_no_other_domain_does() {
        let (all, now) = (Budgets::default(), Instant::now());
        let [one, other] = [(); 2].map(|()| all.of("other.example", &limits(), now).unwrap());
        assert_eq!(one.take(900, 1, now), Duration::ZERO);
        assert!(other.take(1, 0, now) > Duration::ZERO);
        assert_eq!(all.of("third.example", &limits(), now).unwrap().take(1_000, 0, now), Duration::ZERO);
    }

    #[test]
    fn a_domain_has_as_many_streams_as_configured() {
        let (all, now) = (Budgets::default(), Instant::now());
        let mut streams: Vec<_> = (0..3).map(|_| all.of("x", &limits(), now).unwrap()).collect();
        assert!(all.of("x", &limits(), now).is_none());
        streams.pop();
        assert!(all.of("x", &limits(), now).is_some());
    }

    #[test]
    fn requests_and_subscriptions_beyond_what_is_configured_are_refused() {
        let now = Instant::now();
        let budget = Budgets::default().of("x", &limits(), now).unwrap();
        assert_eq!((0..100).filter(|_| budget.may_request(now)).count(), 50);
        assert_eq!((0..100).filter(|_| budget.may_subscribe(now)).count(), 7);
    }
}
