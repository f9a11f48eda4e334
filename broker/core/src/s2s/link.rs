//! One link: what waits to be sent from a domain of ours to one of another server, and who carries it. Pure but for the notification;
//! connections are opened elsewhere.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;
use torg_wire::stanza::{Stanza, StanzaCondition};
use torg_wire::stream::peer::Pair;

use super::report::{LinkReport, LinkState};
use crate::transit::Passage;

/// Stanzas that wait while no stream leads to the peer; more would hide from senders that it is away.
pub const UNRESOLVED_STANZAS: usize = 200;
/// Bytes that wait for one peer: what a slow link may cost us.
pub const WAITING_BYTES: usize = 1024 * 1024;
/// Bytes that wait for all peers together.
pub const WAITING_BYTES_OF_ALL: usize = 32 * 1024 * 1024;
/// Stanzas that wait while a stream is there and cannot take them all at once.
pub const LINKED_STANZAS: usize = 1_024;

/// Characters of a reason that are kept: parts of it are the peer's own words.
const WHY_CHARS: usize = 200;

/// First pause after a failure, and the longest. Within it senders get the failure at once, and the peer and DNS are left alone.
pub const PAUSE_MIN: Duration = Duration::from_secs(2);
/// See [`PAUSE_MIN`].
pub const PAUSE_MAX: Duration = Duration::from_secs(120);

/// From a domain of ours to one of a peer.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) pair: Pair,
    /// Bytes that wait in all links.
    all: Arc<AtomicUsize>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Parcel>,
    bytes: usize,
    carrier: Carrier,
    /// Failures since it last worked.
    failures: u32,
    /// Why the peer is believed, or why it was not reached; for operators.
    why: Box<str>,
}

/// A stanza on its way out: as bytes for the stream, and what is needed to answer it if it does not get there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parcel {
    pub(super) header: Stanza,
    pub(super) text: Bytes,
    /// Its sender, or a former process, counts on it until it is written.
    pub(super) passage: Option<Passage>,
}

/// Who takes the stanzas.
#[derive(Debug, Default)]
enum Carrier {
    #[default]
    Nobody,
    /// A task is looking for the peer.
    Connecting,
    /// A stream; told of new stanzas.
    Stream(Arc<Notify>),
    /// Nothing is tried before that time, and this is what senders get.
    Failed { until: Instant, condition: StanzaCondition },
}

/// What became of a stanza.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Taken,
    /// Taken, and somebody must look for the peer now.
    TakenFirst,
    Refused(Box<Parcel>, StanzaCondition),
}

impl Link {
    pub(super) fn new(pair: Pair, all: Arc<AtomicUsize>) -> Self {
        Link { pair, all, inner: Mutex::default() }
    }

    pub(super) fn push(&self, parcel: Parcel, now: Instant) -> Pushed {
        let size = parcel.text.len();
        let mut inner = self.lock();
        if let Carrier::Failed { until, condition } = inner.carrier {
            if now < until {
                return Pushed::Refused(Box::new(parcel), condition);
            }
            inner.carrier = Carrier::Nobody;
        }
        let most = if matches!(inner.carrier, Carrier::Stream(_)) { LINKED_STANZAS } else { UNRESOLVED_STANZAS };
        // A sum that is a moment old may let some stanzas more in, which does no harm.
        let all = self.all.load(Ordering::Relaxed);
        if inner.waiting.len() >= most || inner.bytes + size > WAITING_BYTES || all + size > WAITING_BYTES_OF_ALL {
            return Pushed::Refused(Box::new(parcel), StanzaCondition::ResourceConstraint);
        }
        inner.bytes += size;
        self.all.fetch_add(size, Ordering::Relaxed);
        inner.waiting.push_back(parcel);
        match &inner.carrier {
            Carrier::Stream(carrier) => {
                carrier.notify_one();
                Pushed::Taken
            }
            Carrier::Nobody => {
                inner.carrier = Carrier::Connecting;
                Pushed::TakenFirst
            }
            Carrier::Connecting | Carrier::Failed { .. } => Pushed::Taken,
        }
    }

    /// A stream leads to the peer and takes what waits; `false` if another one does already.
    pub(super) fn carry(&self, carrier: &Arc<Notify>) -> bool {
        let mut inner = self.lock();
        if matches!(inner.carrier, Carrier::Stream(_)) {
            return false;
        }
        inner.carrier = Carrier::Stream(Arc::clone(carrier));
        inner.failures = 0;
        carrier.notify_one();
        true
    }

    /// The oldest stanzas, about `bytes` bytes of them.
    pub(super) fn take(&self, out: &mut Vec<Parcel>, bytes: usize) {
        let mut inner = self.lock();
        let mut taken = 0;
        while taken < bytes
            && let Some(parcel) = inner.waiting.pop_front()
        {
            taken += parcel.text.len();
            out.push(parcel);
        }
        inner.bytes = inner.bytes.saturating_sub(taken);
        self.all.fetch_sub(taken, Ordering::Relaxed);
        if inner.waiting.is_empty() {
            inner.waiting = VecDeque::new(); // an idle link keeps no memory for it
        }
    }

    /// Gives back what a stream took and did not write; it is first in line again.
    pub(super) fn give_back(&self, parcels: Vec<Parcel>) {
        let mut inner = self.lock();
        for parcel in parcels.into_iter().rev() {
            inner.bytes += parcel.text.len();
            self.all.fetch_add(parcel.text.len(), Ordering::Relaxed);
            inner.waiting.push_front(parcel);
        }
    }

    /// The stream is over; `true` if stanzas wait, and somebody must look for the peer now.
    pub(super) fn release(&self, carrier: &Arc<Notify>) -> bool {
        let mut inner = self.lock();
        match &inner.carrier {
            Carrier::Stream(other) if Arc::ptr_eq(other, carrier) => {}
            _ => return false,
        }
        let waits = !inner.waiting.is_empty();
        inner.carrier = if waits { Carrier::Connecting } else { Carrier::Nobody };
        waits
    }

    /// Looking for the peer was in vain: gives what waited, to be answered. `chance` is from 0 to 1: peers that failed together must not
    /// come back together.
    pub(super) fn fail(&self, condition: StanzaCondition, chance: f64, now: Instant) -> Vec<Parcel> {
        let mut inner = self.lock();
        if matches!(inner.carrier, Carrier::Stream(_)) {
            return Vec::new(); // meanwhile the peer has come to us
        }
        let pause = pause(inner.failures, chance);
        inner.failures = inner.failures.saturating_add(1);
        inner.carrier = Carrier::Failed { until: now + pause, condition };
        self.all.fetch_sub(std::mem::take(&mut inner.bytes), Ordering::Relaxed);
        std::mem::take(&mut inner.waiting).into()
    }

    /// Whether the task that looks for the peer is still wanted.
    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.lock().carrier, Carrier::Connecting)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// How it stands, for operators.
    pub(super) fn report(&self, now: Instant) -> LinkReport {
        let inner = self.lock();
        let state = match &inner.carrier {
            Carrier::Nobody => LinkState::Idle,
            Carrier::Connecting => LinkState::Connecting,
            Carrier::Stream(_) => LinkState::Connected,
            Carrier::Failed { until, .. } if *until <= now => LinkState::Idle,
            Carrier::Failed { .. } => LinkState::Failed,
        };
        let (peer, why) = (self.pair.remote.as_str().into(), inner.why.clone());
        LinkReport { peer, state, waiting: inner.waiting.len(), bytes: inner.bytes, why }
    }

    /// Notes why the peer is believed, or why it was not reached.
    pub(super) fn explain(&self, why: &str) {
        self.lock().why = why.chars().take(WHY_CHARS).collect::<String>().into();
    }

    /// Whether nothing would be lost if it were forgotten.
    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        let inner = self.lock();
        match inner.carrier {
            Carrier::Nobody => inner.waiting.is_empty(),
            // The pause grows with the failures, so they are remembered for a while.
            Carrier::Failed { until, .. } => until + PAUSE_MAX <= now,
            Carrier::Connecting | Carrier::Stream(_) => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Doubles with every failure, then a random part of up to half is taken off.
fn pause(failures: u32, chance: f64) -> Duration {
    let whole = PAUSE_MIN.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(PAUSE_MAX);
    whole.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link::new(Pair::new("site.example", "other.example").unwrap(), Arc::default())
    }

    fn parcel(size: usize) -> Parcel {
        Parcel {
            header: Stanza::message(torg_wire::stanza::MessageType::Chat),
            text: vec![b' '; size].into(),
            passage: None,
        }
    }

    fn named(id: &str) -> Parcel {
        Parcel { header: parcel(0).header.with_id(id), text: Bytes::from_static(b" "), passage: None }
    }

    fn fill(link: &Link, count: usize, now: Instant) {
        for n in 0..count {
            assert!(!matches!(link.push(parcel(1), now), Pushed::Refused(..)), "{n}");
        }
    }

    fn refusal(pushed: Pushed) -> Option<StanzaCondition> {
        match pushed {
            Pushed::Refused(_, condition) => Some(condition),
            Pushed::Taken | Pushed::TakenFirst => None,
        }
    }

    #[test]
    fn two_hundred_wait_for_an_unresolved_peer_and_no_more() {
        let (link, now) = (link(), Instant::now());
        assert_eq!(link.push(parcel(1), now), Pushed::TakenFirst);
        fill(&link, UNRESOLVED_STANZAS - 1, now);
        assert_eq!(refusal(link.push(parcel(1), now)), Some(StanzaCondition::ResourceConstraint));
    }

    #[test]
    fn bytes_that_wait_are_bounded() {
        let (link, now) = (link(), Instant::now());
        assert_eq!(refusal(link.push(parcel(WAITING_BYTES - 1), now)), None);
        assert_eq!(refusal(link.push(parcel(1), now)), None);
        assert_eq!(refusal(link.push(parcel(1), now)), Some(StanzaCondition::ResourceConstraint));
        let mut taken = Vec::new();
        link.take(&mut taken, 1);
        assert_eq!(taken.len(), 1);
        assert_eq!(refusal(link.push(parcel(1), now)), None);
    }

    #[test]
    fn bytes_that_wait_for_all_peers_are_bounded() {
        let (all, now) = (Arc::new(AtomicUsize::new(WAITING_BYTES_OF_ALL - 10)), Instant::now());
        let link = Link::new(Pair::new("site.example", "other.example").unwrap(), Arc::clone(&all));
        assert_eq!(refusal(link.push(parcel(10), now)), None);
        assert_eq!(refusal(link.push(parcel(1), now)), Some(StanzaCondition::ResourceConstraint));
        link.fail(StanzaCondition::RemoteServerTimeout, 0.0, now);
        assert_eq!(all.load(Ordering::Relaxed), WAITING_BYTES_OF_ALL - 10);
    }

    #[test]
    fn a_stream_that_is_there_may_lag_further_behind() {
        let (link, now, carrier) = (link(), Instant::now(), Arc::new(Notify::new()));
        assert!(link.carry(&carrier));
        fill(&link, LINKED_STANZAS, now);
        assert_eq!(refusal(link.push(parcel(1), now)), Some(StanzaCondition::ResourceConstraint));
    }

    #[test]
    fn a_failure_is_remembered_and_the_next_try_comes_after_the_pause() {
        let (link, now) = (link(), Instant::now());
        fill(&link, 2, now);
        assert_eq!(link.fail(StanzaCondition::RemoteServerTimeout, 0.0, now).len(), 2);
        let within = now + PAUSE_MIN - Duration::from_millis(1);
        assert_eq!(refusal(link.push(parcel(1), within)), Some(StanzaCondition::RemoteServerTimeout));
        assert_eq!(link.push(parcel(1), now + PAUSE_MIN), Pushed::TakenFirst);
    }

    #[test]
    fn pauses_double_up_to_their_limit_and_never_lose_more_than_half_to_chance() {
        let pauses: Vec<u64> = (0..8).map(|failures| pause(failures, 0.0).as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 120, 120]);
        assert_eq!(pause(u32::MAX, 0.0), PAUSE_MAX);
        assert_eq!(pause(0, 1.0), PAUSE_MIN / 2);
    }

    #[test]
    fn a_stream_that_ends_leaves_what_it_did_not_write_first_in_line() {
        let (link, now, carrier) = (link(), Instant::now(), Arc::new(Notify::new()));
        assert!(link.carry(&carrier));
        assert!(!link.carry(&Arc::new(Notify::new())), "one at a time");
        link.push(named("1"), now);
        link.push(named("2"), now);
        let mut taken = Vec::new();
        link.take(&mut taken, 1);
        link.give_back(taken);
        assert!(link.release(&carrier), "somebody must go on");
        assert!(link.is_connecting());
        let mut taken = Vec::new();
        link.take(&mut taken, 100);
        let ids: Vec<_> = taken.iter().map(|parcel| parcel.header.id().unwrap_or_default()).collect();
        assert_eq!(ids, ["1", "2"]);
    }

    #[test]
    fn the_report_of_a_link_follows_what_becomes_of_it() {
        let (link, now, carrier) = (link(), Instant::now(), Arc::new(Notify::new()));
        link.explain("because");
        let is = |now, state, waiting, bytes| {
            let expected = LinkReport { peer: "other.example".into(), state, waiting, bytes, why: "because".into() };
            assert_eq!(link.report(now), expected);
        };
        is(now, LinkState::Idle, 0, 0);
        fill(&link, 2, now);
        is(now, LinkState::Connecting, 2, 2);
        link.fail(StanzaCondition::RemoteServerTimeout, 0.0, now);
        is(now, LinkState::Failed, 0, 0);
        is(now + PAUSE_MIN, LinkState::Idle, 0, 0);
        assert!(link.carry(&carrier));
        is(now, LinkState::Connected, 0, 0);
    }

    #[test]
    fn only_what_holds_nothing_is_forgotten() {
        let (link, now) = (link(), Instant::now());
        assert!(link.is_forgettable(now));
        link.push(parcel(1), now);
        assert!(!link.is_forgettable(now));
        link.fail(StanzaCondition::RemoteServerNotFound, 0.0, now);
        assert!(!link.is_forgettable(now + PAUSE_MIN), "the next failure pauses longer");
        assert!(link.is_forgettable(now + PAUSE_MIN + PAUSE_MAX));
    }
}
