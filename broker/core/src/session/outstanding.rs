//! The requests a session waits for an answer to: an answer that nobody asked for does not reach it.
//!
//! # Why
//! Many clients match answers by id alone, and ids are often plain counters. Whoever knows a full address could guess one and put
//! words into the mouth of another. So an answer passes only from the address that was asked, with the id of the request, and once.
//! A key of eight bytes stands for address and id; the hash is keyed by secret randomness, so nobody can make two of them meet.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use torg_wire::jid::Jid;

/// Requests one session may wait for at a time. When it asks more, the oldest is given up: its answer will be dropped. Clients that
/// work through the nodes of a large concentrator have some dozens under way.
pub(crate) const OUTSTANDING_MAX: usize = 512;

static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Requests under way, oldest first. An idle session keeps no memory for it.
#[derive(Debug, Default)]
pub(crate) struct Outstanding(VecDeque<u64>);

impl Outstanding {
    /// A request with this id goes to `to`.
    pub(crate) fn ask(&mut self, to: &Jid, id: &str) {
        if self.0.len() >= OUTSTANDING_MAX {
            self.0.pop_front();
        }
        self.0.push_back(key(to, id));
    }

    /// An answer with this id comes from `from`. Answers whether it was asked for; a second one is not.
    pub(crate) fn answered(&mut self, from: &Jid, id: &str) -> bool {
        let key = key(from, id);
        let Some(at) = self.0.iter().position(|waiting| *waiting == key) else { return false };
        self.0.remove(at);
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
        true
    }
}

fn key(peer: &Jid, id: &str) -> u64 {
    HASHER.hash_one((peer.as_str(), id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Jid {
        Jid::parse("gateway@site.example/r").unwrap()
    }

    #[test]
    fn an_answer_passes_once_from_who_was_asked_with_the_id_of_the_request() {
        let mut outstanding = Outstanding::default();
        outstanding.ask(&peer(), "1");
        assert!(!outstanding.answered(&Jid::parse("gateway@site.example").unwrap(), "1"));
        assert!(!outstanding.answered(&peer(), "2"));
        assert!(outstanding.answered(&peer(), "1"));
        assert!(!outstanding.answered(&peer(), "1"));
    }

    #[test]
    fn answers_may_come_in_any_order() {
        let mut outstanding = Outstanding::default();
        for id in ["1", "2", "3"] {
            outstanding.ask(&peer(), id);
        }
        assert!(["2", "3", "1"].iter().all(|id| outstanding.answered(&peer(), id)));
    }

    #[test]
    fn with_as_many_as_the_limit_all_are_waited_for_and_with_one_more_the_oldest_is_given_up() {
        let mut outstanding = Outstanding::default();
        for id in 0..OUTSTANDING_MAX {
            outstanding.ask(&peer(), &id.to_string());
        }
        assert!(outstanding.answered(&peer(), "0"));
        outstanding.ask(&peer(), "another");
        outstanding.ask(&peer(), "one more");
        assert!(!outstanding.answered(&peer(), "1"));
        assert!(outstanding.answered(&peer(), "2"));
        assert!(outstanding.answered(&peer(), "one more"));
    }
}
