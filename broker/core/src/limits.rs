//! How much a peer may ask of us. The numbers are promises of the product; each has a test at, below and above.

use std::time::Duration;

/// Time from the first byte to a bound session; whoever needs longer is a scanner or a dead radio.
pub const LOGIN_TIME: Duration = Duration::from_secs(30);
/// Connections of one address that have not logged in; a site behind one NAT still gets all its devices back in seconds.
pub const UNAUTHENTICATED_PER_ADDRESS: usize = 20;
/// Connections of all addresses that have not logged in; bounds what strangers can make us hold to some 64 MB.
pub const UNAUTHENTICATED_MAX: usize = 1_000;
/// Sessions of one account at the same time.
pub const SESSIONS_PER_ACCOUNT: usize = 10;
/// Stanzas waiting to be written to one session.
pub const QUEUE_STANZAS: usize = 256;
/// Bytes waiting to be written to one session.
pub const QUEUE_BYTES: usize = 1024 * 1024;
/// A session that takes nothing for this long while stanzas wait is closed.
pub const STUCK: Duration = Duration::from_secs(30);
/// Addresses one session may send its presence to directly; each is told when the session ends (RFC 6121 §4.6.3).
pub const DIRECTED_MAX: usize = 256;
/// Subscription requests of one account per minute, all its sessions together.
pub const SUBSCRIPTIONS_PER_MINUTE: u32 = 20;
/// Requests of one account to the broker itself (disco, roster, ...) per second, all its sessions together.
pub const REQUESTS_PER_SECOND: u32 = 20;
/// Stanzas waiting in one lane of a service.
pub const LANE_STANZAS: usize = 64;
/// Lanes of a service; a sender always has the same one, so that its stanzas stay in order.
pub const LANES: usize = 16;
/// Time for sessions to take what is waiting for them when the broker stops.
pub const DRAIN_TIME: Duration = Duration::from_secs(20);

/// Bytes an account may send, all its sessions together. A reconnect does not renew it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes per second in the long run.
    pub per_second: u32,
    /// Bytes at once.
    pub burst: u32,
}

/// What the operator may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Ordinary accounts: a thing that sends more than 10 kB/s is broken or hostile.
    pub rate: Rate,
    /// Administrators and people.
    pub rate_of_admins: Rate,
    /// Each domain of another server: more than a site of some hundred devices needs, and what a core handles in a few percent.
    pub rate_of_peers: Rate,
    /// Connections of one address that have not logged in.
    pub unauthenticated_per_address: usize,
    /// Connections of all addresses that have not logged in.
    pub unauthenticated: usize,
    /// Sessions of one account at the same time.
    pub sessions_per_account: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            rate: Rate { per_second: 10_000, burst: 100_000 },
            rate_of_admins: Rate { per_second: 100_000, burst: 1_000_000 },
            rate_of_peers: Rate { per_second: 500_000, burst: 5_000_000 },
            unauthenticated_per_address: UNAUTHENTICATED_PER_ADDRESS,
            unauthenticated: UNAUTHENTICATED_MAX,
            sessions_per_account: SESSIONS_PER_ACCOUNT,
        }
    }
}
