//! Who is a friend: the concentrator's roster as the broker tells it (RFC 6121 §2, §3).
//!
//! A friend is an account that may see the concentrator's presence. The broker keeps the roster; this is a copy, filled by
//! the first answer and kept by roster pushes. Until the answer is there, nobody is a friend.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::xml::Element;

/// Accounts that asked for a subscription and wait for the owner. Beyond that they are not remembered here, though the
/// broker still holds their request.
const PENDING_MAX: usize = 1000;

/// The roster as far as friendship goes.
#[derive(Debug)]
pub(super) struct Friends {
    own: BareJid,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Subscription of each contact.
    contacts: HashMap<BareJid, Subscription>,
    /// Accounts accepted at once.
    welcome: BTreeSet<BareJid>,
    /// Accounts that asked and were not welcome.
    pending: BTreeSet<BareJid>,
}

/// Directions of a presence subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Subscription {
    /// The contact sees us.
    pub(super) from: bool,
    /// We see the contact.
    pub(super) to: bool,
}

/// What to do with a request for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Welcome {
    /// Accept it; if `back`, ask for the contact's presence as well.
    Accept {
        /// We do not see the contact yet.
        back: bool,
    },
    /// Leave it to the owner.
    Wait,
}

/// What a new list of welcome accounts changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// They asked before and are welcome now.
    pub(super) accepted: Vec<BareJid>,
    /// They were welcome and are not any more.
    pub(super) dropped: Vec<BareJid>,
}

impl Friends {
    pub(super) fn new(own: BareJid, welcome: BTreeSet<BareJid>) -> Self {
        Self { own, state: Mutex::new(State { welcome, ..State::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while holding this lock leaves valid maps, so poisoning carries no meaning.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the account may see us. Our own account always may.
    pub(super) fn is_friend(&self, jid: &BareJid) -> bool {
        *jid == self.own || self.state().contacts.get(jid).is_some_and(|subscription| subscription.from)
    }

    /// Whether a roster push from this sender is to be believed: only our own account sends them (RFC 6121 §2.1.6).
    pub(super) fn may_push(&self, sender: Option<&Jid>) -> bool {
        sender.is_none_or(|sender| *sender == *self.own.as_jid())
    }

    /// Takes over a roster, whole or pushed. Returns the accounts that are no friends any more.
    pub(super) fn learn(&self, query: &Element) -> Vec<BareJid> {
        let mut lost = Vec::new();
        let mut state = self.state();
        for item in query.children_named(ns::ROSTER, "item") {
            let Some(jid) = item.attr("jid").and_then(|jid| BareJid::parse(jid).ok()) else { continue };
            let subscription = match item.attr("subscription") {
                Some("both") => Subscription { from: true, to: true },
                Some("from") => Subscription { from: true, to: false },
                Some("to") => Subscription { from: false, to: true },
                _ => Subscription::default(),
            };
            let before = if item.attr("subscription") == Some("remove") {
                state.contacts.remove(&jid)
            } else {
                state.contacts.insert(jid.clone(), subscription)
            };
            if before.is_some_and(|before| before.from) && !subscription.from {
                lost.push(jid);
            }
        }
        lost
    }

    /// Friends of the roster who are on no list: taken off it while the concentrator did not run. Only the list makes friends
    /// for now, so what it does not name was revoked.
    pub(super) fn unlisted(&self) -> Vec<BareJid> {
        let state = self.state();
        let friends = state.contacts.iter().filter(|(_, subscription)| subscription.from).map(|(jid, _)| jid);
        friends.filter(|jid| !state.welcome.contains(*jid)).cloned().collect()
    }

    /// Somebody asks for a subscription.
    pub(super) fn asked(&self, jid: &BareJid) -> Welcome {
        let mut state = self.state();
        if state.welcome.contains(jid) {
            let back = !state.contacts.get(jid).is_some_and(|subscription| subscription.to);
            return Welcome::Accept { back };
        }
        if state.pending.len() < PENDING_MAX {
            state.pending.insert(jid.clone());
        }
        Welcome::Wait
    }

    /// Changes who is accepted at once.
    pub(super) fn welcome(&self, welcome: BTreeSet<BareJid>) -> Change {
        let mut state = self.state();
        let accepted: Vec<_> = state.pending.intersection(&welcome).cloned().collect();
        for jid in &accepted {
            state.pending.remove(jid);
        }
        let dropped = state.welcome.difference(&welcome).cloned().collect();
        state.welcome = welcome;
        Change { accepted, dropped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> BareJid {
        BareJid::parse(text).unwrap()
    }

    fn roster(items: &[(&str, &str)]) -> Element {
        Element::new(ns::ROSTER, "query").with_children(items.iter().map(|(jid, subscription)| {
            Element::new(ns::ROSTER, "item").with_attr("jid", jid).with_attr("subscription", subscription)
        }))
    }

    fn friends() -> Friends {
        Friends::new(jid("gw@a.example"), BTreeSet::from([jid("anna@a.example")]))
    }

    #[test]
    fn only_those_who_may_see_us_are_friends() {
        let friends = friends();
        friends.learn(&roster(&[("b@x", "both"), ("f@x", "from"), ("t@x", "to"), ("n@x", "none")]));
        let found: Vec<_> = ["b@x", "f@x", "t@x", "n@x", "unknown@x"].map(|text| friends.is_friend(&jid(text))).into();
        assert_eq!(found, [true, true, false, false, false]);
    }

    #[test]
    fn nobody_but_ourselves_is_a_friend_before_the_roster_is_known() {
        assert!(!friends().is_friend(&jid("anna@a.example")));
        assert!(friends().is_friend(&jid("gw@a.example")));
    }

    #[test]
    fn a_lost_friendship_is_told_once() {
        for end in ["to", "none", "remove"] {
            let friends = friends();
            friends.learn(&roster(&[("b@x", "both"), ("c@x", "to")]));
            assert_eq!(friends.learn(&roster(&[("b@x", end), ("c@x", "remove")])), [jid("b@x")]);
            assert!(friends.learn(&roster(&[("b@x", end)])).is_empty());
        }
    }

    #[test]
    fn only_our_own_account_pushes_the_roster() {
        let friends = friends();
        for (sender, believed) in [("gw@a.example", true), ("gw@a.example/x", false), ("a.example", false)] {
            assert_eq!(friends.may_push(Some(&Jid::parse(sender).unwrap())), believed, "{sender}");
        }
        assert!(friends.may_push(None));
    }

    #[test]
    fn who_is_welcome_is_accepted_and_asked_back_once() {
        let friends = friends();
        assert_eq!(friends.asked(&jid("anna@a.example")), Welcome::Accept { back: true });
        friends.learn(&roster(&[("anna@a.example", "both")]));
        assert_eq!(friends.asked(&jid("anna@a.example")), Welcome::Accept { back: false });
    }

    #[test]
    fn who_waits_is_accepted_when_made_welcome() {
        let friends = friends();
        assert_eq!(friends.asked(&jid("eve@x")), Welcome::Wait);
        let welcome = BTreeSet::from([jid("anna@a.example"), jid("eve@x"), jid("bob@x")]);
        assert_eq!(friends.welcome(welcome.clone()), Change { accepted: vec![jid("eve@x")], dropped: Vec::new() });
        assert_eq!(friends.welcome(welcome), Change { accepted: Vec::new(), dropped: Vec::new() });
    }

    #[test]
    fn a_friend_taken_off_the_list_while_nobody_ran_is_found_in_the_roster() {
        let friends = friends();
        let roster = roster(&[("anna@a.example", "both"), ("eve@x", "from"), ("bob@x", "to")]);
        assert_eq!(friends.learn(&roster), []);
        assert_eq!(friends.unlisted(), [jid("eve@x")]);
    }

    #[test]
    fn who_is_taken_off_the_list_is_dropped_once() {
        let friends = friends();
        let change = Change { accepted: Vec::new(), dropped: vec![jid("anna@a.example")] };
        assert_eq!(friends.welcome(BTreeSet::new()), change);
        assert_eq!(friends.welcome(BTreeSet::new()), Change { accepted: Vec::new(), dropped: Vec::new() });
    }
}
