//! What each account may still send and ask: one allowance for all its sessions, which a new session finds as the last one left it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use torg_wire::jid::BareJid;

use crate::bucket::{Bucket, Minute};
use crate::commons::Commons;
use crate::limits::{ClassLimits, Rate};

/// Allowances kept, with those of accounts whose last session has just ended; more than accounts of any site. Beyond that those
/// without a session are forgotten at once.
const KEPT_MAX: usize = 10_000;

/// What is left to one account.
#[derive(Debug)]
pub(crate) struct Allowance(Mutex<Left>);

#[derive(Debug)]
struct Left {
    bytes: Bucket,
    requests: Bucket,
    subscriptions: Minute,
}

impl Allowance {
    fn new(limits: &ClassLimits, now: Instant) -> Self {
        let per_second = limits.requests_per_second;
        let requests = Rate { per_second, burst: per_second.saturating_mul(2) };
        Allowance(Mutex::new(Left {
            bytes: Bucket::new(limits.rate, now),
            requests: Bucket::new(requests, now),
            subscriptions: Bucket::per_minute(limits.subscriptions_per_minute, now),
        }))
    }

    /// Counts bytes that were read; answers how long to wait before reading more.
    pub(crate) fn take_bytes(&self, count: usize, now: Instant) -> Duration {
        self.lock().bytes.take(count, now)
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

/// The allowances of all accounts that have a session, or had one a moment ago.
#[derive(Debug)]
pub(crate) struct Allowances(Commons<BareJid, Allowance>);

impl Default for Allowances {
    fn default() -> Self {
        Allowances(Commons::new(KEPT_MAX))
    }
}

impl Allowances {
    /// The allowance of an account, with these limits if it is new.
    pub(crate) fn of(&self, account: &BareJid, limits: &ClassLimits, now: Instant) -> Arc<Allowance> {
        self.0.hold(account, || Allowance::new(limits, now))
    }

    /// Forgets the accounts that have had no session since the last call: a minute ago, when the counts of a minute were other ones.
    pub(crate) fn sweep(&self) {
        self.0.sweep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ClassLimits = ClassLimits {
        rate: Rate { per_second: 1_000, burst: 1_000 },
        requests_per_second: 20,
        subscriptions_per_minute: 20,
    };

    fn jid(text: &str) -> BareJid {
        BareJid::parse(text).unwrap()
    }

    #[test]
    fn all_sessions_of_an_account_share_one_allowance_and_no_other_account_does() {
        let (all, now) = (Allowances::default(), Instant::now());
        let [one, other] = [(); 2].map(|()| all.of(&jid("anna@x"), &LIMITS, now));
        assert_eq!(one.take_bytes(1_000, now), Duration::ZERO);
        assert!(other.take_bytes(1, now) > Duration::ZERO);
        assert_eq!(all.of(&jid("bob@x"), &LIMITS, now).take_bytes(1_000, now), Duration::ZERO);
    }
}
