//! Which servers have a stream with us now, and in which direction stanzas go on it: what the server tells of those who agree
//! (XEP-0485), if its operator wants that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use torg_wire::stream::peer::Pair;
use torg_wire::xep::federation_info::Direction;

/// All streams.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    inner: Mutex<Inner>,
    /// Told of every change.
    pub(crate) changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// By a number of their own; as many as there are streams.
    streams: BTreeMap<u64, Vec<Linked>>,
}

/// A pair that a stream is good for; bounded by [`torg_wire::stream::peer::PAIRS_MAX`].
#[derive(Debug)]
struct Linked {
    pair: Pair,
    incoming: bool,
    outgoing: bool,
}

/// One stream's place on the roll; given back by dropping it.
#[derive(Debug)]
pub(super) struct Entry {
    roll: Arc<Roll>,
    number: u64,
}

impl Roll {
    /// The servers that talk to this domain of ours, each with its streams.
    pub(crate) fn peers_of(&self, local: &str) -> BTreeMap<String, Vec<Direction>> {
        let mut peers: BTreeMap<String, Vec<Direction>> = BTreeMap::new();
        for linked in self.lock().streams.values().flatten().filter(|linked| linked.pair.local.as_str() == local) {
            let direction = match (linked.incoming, linked.outgoing) {
                (true, true) => Direction::Bidi,
                (true, false) => Direction::Incoming,
                (false, _) => Direction::Outgoing,
            };
            peers.entry(linked.pair.remote.as_str().to_owned()).or_default().push(direction);
        }
        peers.values_mut().for_each(|directions| directions.sort_unstable());
        peers
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    pub(super) fn new(roll: &Arc<Roll>) -> Self {
        let mut inner = roll.lock();
        let number = inner.next;
        inner.next = number.wrapping_add(1);
        Entry { roll: Arc::clone(roll), number }
    }

    /// Stanzas come in for the pair.
    pub(super) fn incoming(&self, pair: &Pair) {
        self.note(pair, |linked| linked.incoming = true);
    }

    /// Stanzas go out for the pair.
    pub(super) fn outgoing(&self, pair: &Pair) {
        self.note(pair, |linked| linked.outgoing = true);
    }

    fn note(&self, pair: &Pair, set: impl FnOnce(&mut Linked)) {
        let mut inner = self.roll.lock();
        let linked = inner.streams.entry(self.number).or_default();
        match linked.iter_mut().find(|linked| linked.pair == *pair) {
            Some(known) => set(known),
            None => {
                let mut new = Linked { pair: pair.clone(), incoming: false, outgoing: false };
                set(&mut new);
                linked.push(new);
            }
        }
        drop(inner);
        self.roll.changed.notify_one();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.roll.lock().streams.remove(&self.number).is_some() {
            self.roll.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(local: &str, remote: &str) -> Pair {
        Pair::new(local, remote).unwrap()
    }

    #[test]
    fn a_stream_is_on_the_roll_as_long_as_it_lives() {
        let roll = Arc::new(Roll::default());
        let (one, two) = (Entry::new(&roll), Entry::new(&roll));
        assert!(roll.peers_of("here").is_empty());
        one.incoming(&pair("here", "there"));
        two.outgoing(&pair("here", "there"));
        assert_eq!(roll.peers_of("here")["there"], [Direction::Incoming, Direction::Outgoing]);
        drop(one);
        assert_eq!(roll.peers_of("here")["there"], [Direction::Outgoing]);
        drop(two);
        assert!(roll.peers_of("here").is_empty());
        assert!(roll.lock().streams.is_empty());
    }

    #[test]
    fn a_stream_for_both_directions_is_one() {
        let roll = Arc::new(Roll::default());
        let entry = Entry::new(&roll);
        entry.outgoing(&pair("here", "there"));
        entry.incoming(&pair("here", "there"));
        entry.incoming(&pair("here", "elsewhere"));
        assert_eq!(roll.peers_of("here")["there"], [Direction::Bidi]);
        assert_eq!(roll.peers_of("here")["elsewhere"], [Direction::Incoming]);
    }

    #[test]
    fn streams_of_other_domains_of_ours_are_not_those_of_this_one() {
        let roll = Arc::new(Roll::default());
        let entry = Entry::new(&roll);
        entry.incoming(&pair("rooms.here", "there"));
        assert!(roll.peers_of("here").is_empty());
    }
}
