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
/// Streams of one domain of another server: one for each of its services, and what is left of lost ones.
pub const STREAMS_PER_PEER: usize = 16;
/// Streams that other servers have opened, of all of them: some 100 kB each, so that strangers with good certificates and any number of
/// names cannot fill the memory; more than a city's concentrators have peers at a time.
pub const PEER_STREAMS: usize = 2_000;
/// The same from one address: a hosting site with as many domains.
pub const PEER_STREAMS_PER_ADDRESS: usize = 128;
/// Stanzas waiting to be written to one session.
pub const QUEUE_STANZAS: usize = 256;
/// Bytes waiting to be written to one session.
pub const QUEUE_BYTES: usize = 1024 * 1024;
/// Stanzas kept for a managed session until it acknowledges them (XEP-0198): some seconds of a busy one; the bytes are those of any queue.
pub const MANAGED_STANZAS: usize = 1024;
/// Stanzas waiting for a session that has lost its connection.
pub const DETACHED_STANZAS: usize = 256;
/// Bytes waiting for a session that has lost its connection: many may wait at once, so it is less than for one that is there.
pub const DETACHED_BYTES: usize = 256 * 1024;
/// How long a session waits for its client: a lift, a tunnel, a gateway that starts anew. Who is away longer logs in again.
pub const RESUME_TIME: Duration = Duration::from_secs(600);
/// Sessions of one account that wait for their clients: one for each device a person owns, and one lost by each of its networks. The
/// oldest goes first.
pub const DETACHED_PER_ACCOUNT: usize = 5;
/// Sessions of all accounts that wait for their clients: more than a gateway has, fewer than its memory holds.
pub const DETACHED_MAX: usize = 32_768;
/// Time for a connection to let go of a session that another one resumes: what it has in hand ends with a write to the disk at most.
pub const TAKEOVER_TIME: Duration = Duration::from_secs(10);
/// Stanzas written before the client is asked to acknowledge.
pub const ASK_AFTER: usize = 16;
/// Time between two questions for fewer. The question goes with the stanza: neither of us wakes up for it alone.
pub const ASK_PAUSE: Duration = Duration::from_secs(2);
/// Time after which it is asked for what was written in the pause, if nothing else was.
pub const ASK_DELAY: Duration = Duration::from_secs(5);
/// Time for the client's answer; then its connection is dead (XEP-0198 §4).
pub const ANSWER_TIME: Duration = Duration::from_secs(60);
/// Silence after which a client is asked whether it is still there (XEP-0478). The kernel's keep-alive finds dead hosts long before, so
/// this is for programs that hang, and a battery device need not send anything more often.
pub const IDLE_TIME: Duration = Duration::from_secs(1800);
/// A session that takes nothing for this long while stanzas wait is closed.
pub const STUCK: Duration = Duration::from_secs(30);
/// Addresses one session may send its presence to directly; each is told when the session ends (RFC 6121 §4.6.3).
pub const DIRECTED_MAX: usize = 256;
/// Subscription requests of one account per minute, all its sessions together.
pub const SUBSCRIPTIONS_PER_MINUTE: u32 = 20;
/// Requests of one account to the broker itself (disco, roster, ...) per second, all its sessions together.
pub const REQUESTS_PER_SECOND: u32 = 20;
/// Connections that wait for a place among those who have not logged in. Each holds a socket and a few hundred bytes, nothing is
/// read from it; one more is closed at once.
pub const WAITING_MAX: usize = 1_000;
/// Connections of one address that wait: a site behind one NAT gets all its devices in, one stranger does not fill the room.
pub const WAITING_PER_ADDRESS: usize = 100;
/// How long a connection waits before it is closed; whoever floods us has its sockets held that long.
pub const WAITING_TIME: Duration = Duration::from_secs(10);
/// Failed logins of one address, whatever the accounts, before each further one is made to wait: a room of people who mistype.
pub const FAILURES_PER_ADDRESS: u32 = 30;
/// Failed logins of one account, from addresses that it has not logged in from, before each further one is made to wait.
pub const FAILURES_PER_ACCOUNT: u32 = 10;
/// After this time one failed login is forgotten.
pub const FAILURE_FORGOTTEN: Duration = Duration::from_secs(10);
/// The longest wait of an address; with the handshake it stays within [`LOGIN_TIME`], so the right password still works.
pub const ADDRESS_DELAY_MAX: Duration = Duration::from_secs(20);
/// The longest wait for an account: its owner, at an address that is new to us, is slowed down but never locked out.
pub const ACCOUNT_DELAY_MAX: Duration = Duration::from_secs(5);
/// Stanzas waiting in one lane of a service.
pub const LANE_STANZAS: usize = 64;
/// Lanes of a service; a sender always has the same one, so that its stanzas stay in order.
pub const LANES: usize = 16;
/// Time for sessions to take what is waiting for them when the broker stops.
pub const DRAIN_TIME: Duration = Duration::from_secs(20);

/// Items of one pubsub node: a history long enough for bookmarks, device lists and posts; the oldest makes room for a new one.
pub const PUBSUB_ITEMS: usize = 256;
/// Bytes of one pubsub payload: half a client's stanza, so that it fits a server's with all its wrapping. Above: `payload-too-big`.
pub const PUBSUB_PAYLOAD_BYTES: usize = 128 * 1024;
/// Pubsub nodes one account may have, personal ones and those it has made at the service: a client uses some twenty, end-to-end
/// encryption one for each device. Above: `resource-constraint`.
pub const PUBSUB_NODES: i64 = 256;
/// Bytes of pubsub items on disk of one account, as for offline messages. Above: `resource-constraint`.
pub const PUBSUB_BYTES: i64 = 5 * 1024 * 1024;

/// Bytes an account may send, all its sessions together. A reconnect does not renew it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes per second in the long run.
    pub per_second: u32,
    /// Bytes at once.
    pub burst: u32,
}

/// What one account may send and ask, all its sessions together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassLimits {
    /// Bytes it may send.
    pub rate: Rate,
    /// Requests to the broker itself, per second; twice as many at once.
    pub requests_per_second: u32,
    /// Subscription requests, per minute.
    pub subscriptions_per_minute: u32,
}

impl ClassLimits {
    const fn usual(per_second: u32, burst: u32) -> Self {
        ClassLimits {
            rate: Rate { per_second, burst },
            requests_per_second: REQUESTS_PER_SECOND,
            subscriptions_per_minute: SUBSCRIPTIONS_PER_MINUTE,
        }
    }
}

/// What the operator may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Devices: one that sends more than 10 kB/s is broken or hostile.
    pub thing: ClassLimits,
    /// People: pictures and long rosters, but no more subscriptions than a person can mean.
    pub person: ClassLimits,
    /// Administrators.
    pub admin: ClassLimits,
    /// Parts of this process and components: they speak for many.
    pub service: ClassLimits,
    /// Each domain of another server: more than a site of some hundred devices needs, and what a core handles in a few percent.
    pub peer: ClassLimits,
    /// Connections of one address that have not logged in.
    pub unauthenticated_per_address: usize,
    /// Connections of all addresses that have not logged in.
    pub unauthenticated: usize,
    /// Sessions of one account at the same time.
    pub sessions_per_account: usize,
    /// Streams of one domain of another server at the same time, whoever opened them.
    pub streams_per_peer: usize,
    /// Streams that other servers have opened.
    pub peer_streams: usize,
    /// The same from one address.
    pub peer_streams_per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            thing: ClassLimits::usual(10_000, 100_000),
            person: ClassLimits::usual(20_000, 200_000),
            admin: ClassLimits { requests_per_second: 100, ..ClassLimits::usual(100_000, 1_000_000) },
            service: ClassLimits {
                rate: Rate { per_second: 1_000_000, burst: 10_000_000 },
                requests_per_second: 1_000,
                subscriptions_per_minute: 1_000,
            },
            peer: ClassLimits {
                rate: Rate { per_second: 500_000, burst: 5_000_000 },
                requests_per_second: 100,
                subscriptions_per_minute: 600,
            },
            unauthenticated_per_address: UNAUTHENTICATED_PER_ADDRESS,
            unauthenticated: UNAUTHENTICATED_MAX,
            sessions_per_account: SESSIONS_PER_ACCOUNT,
            streams_per_peer: STREAMS_PER_PEER,
            peer_streams: PEER_STREAMS,
            peer_streams_per_address: PEER_STREAMS_PER_ADDRESS,
        }
    }
}
