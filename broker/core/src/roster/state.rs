//! The nine states of a presence subscription and what each of the four presence types does to them (RFC 6121 Appendix A).
//! Pure tables; who asks, what is stored and who is told is decided elsewhere.

/// What a user and one contact know of each other (RFC 6121 §A.1). `In` and `Out` are requests waiting for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subscription {
    /// Neither sees the other.
    None,
    /// The user has asked the contact.
    NoneOut,
    /// The contact has asked the user.
    NoneIn,
    /// Both have asked.
    NoneOutIn,
    /// The user sees the contact.
    To,
    /// The user sees the contact, who has asked to see the user.
    ToIn,
    /// The contact sees the user.
    From,
    /// The contact sees the user, who has asked to see the contact.
    FromOut,
    /// Both see each other.
    Both,
}

/// The four presence types that manage subscriptions (RFC 6121 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    /// A wish to see the other's presence.
    Subscribe,
    /// The wish is granted.
    Subscribed,
    /// The wish is given up.
    Unsubscribe,
    /// The wish is denied, or the grant taken back.
    Unsubscribed,
}

/// What a presence of one of the four types leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transition {
    /// Outbound: route it to the contact. Inbound: show it to the user.
    pub(crate) pass: bool,
    /// The state after it.
    pub(crate) next: Subscription,
}

use Subscription::{Both, From, FromOut, None, NoneIn, NoneOut, NoneOutIn, To, ToIn};

impl Subscription {
    /// All states in the order of the tables.
    pub(crate) const ALL: [Subscription; 9] = [None, NoneOut, NoneIn, NoneOutIn, To, ToIn, From, FromOut, Both];

    /// The `subscription` attribute of a roster item (RFC 6121 §2.1.2.5).
    pub(crate) fn name(self) -> &'static str {
        match self {
            None | NoneOut | NoneIn | NoneOutIn => "none",
            To | ToIn => "to",
            From | FromOut => "from",
            Both => "both",
        }
    }

    /// The contact receives the user's presence.
    pub(crate) fn contact_sees_user(self) -> bool {
        matches!(self, From | FromOut | Both)
    }

    /// The user receives the contact's presence.
    pub(crate) fn user_sees_contact(self) -> bool {
        matches!(self, To | ToIn | Both)
    }

    /// The user's own request waits for an answer: the `ask='subscribe'` of a roster item.
    pub(crate) fn asked(self) -> bool {
        matches!(self, NoneOut | NoneOutIn | FromOut)
    }

    /// The contact's request waits for the user's answer.
    pub(crate) fn is_asked(self) -> bool {
        matches!(self, NoneIn | NoneOutIn | ToIn)
    }

    /// Number for the database. The order is part of the schema.
    pub(crate) fn code(self) -> i64 {
        match self {
            None => 0,
            NoneOut => 1,
            NoneIn => 2,
            NoneOutIn => 3,
            To => 4,
            ToIn => 5,
            From => 6,
            FromOut => 7,
            Both => 8,
        }
    }

    pub(crate) fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// The user's server handles a presence from the user to the contact (RFC 6121 §A.2).
    pub(crate) fn outbound(self, request: Request) -> Transition {
        let (pass, next) = match (request, self) {
            // A.2.1
            (Request::Subscribe, None | NoneOut) => (true, NoneOut),
            (Request::Subscribe, NoneIn | NoneOutIn) => (true, NoneOutIn),
            (Request::Subscribe, From | FromOut) => (true, FromOut),
            (Request::Subscribe, To | ToIn | Both) => (true, self),
            // A.2.2
            (Request::Unsubscribe, None | NoneOut | To) => (true, None),
            (Request::Unsubscribe, NoneIn | NoneOutIn | ToIn) => (true, NoneIn),
            (Request::Unsubscribe, From | FromOut | Both) => (true, From),
            // A.2.3; None, NoneOut and To may be pre-approved instead, see §3.4
            (Request::Subscribed, NoneIn) => (true, From),
            (Request::Subscribed, NoneOutIn) => (true, FromOut),
            (Request::Subscribed, ToIn) => (true, Both),
            (Request::Subscribed, None | NoneOut | To | From | FromOut | Both) => (false, self),
            // A.2.4
            (Request::Unsubscribed, NoneIn | From) => (true, None),
            (Request::Unsubscribed, NoneOutIn | FromOut) => (true, NoneOut),
            (Request::Unsubscribed, ToIn | Both) => (true, To),
            (Request::Unsubscribed, None | NoneOut | To) => (false, self),
        };
        Transition { pass, next }
    }

    /// The user's server handles a presence from the contact to the user (RFC 6121 §A.3).
    pub(crate) fn inbound(self, request: Request) -> Transition {
        let (pass, next) = match (request, self) {
            // A.3.1; in the From states the server answers "subscribed" itself, §3.1.3
            (Request::Subscribe, None) => (true, NoneIn),
            (Request::Subscribe, NoneOut) => (true, NoneOutIn),
            (Request::Subscribe, To) => (true, ToIn),
            (Request::Subscribe, NoneIn | NoneOutIn | ToIn | From | FromOut | Both) => (false, self),
            // A.3.2
            (Request::Unsubscribe, NoneIn | From) => (true, None),
            (Request::Unsubscribe, NoneOutIn | FromOut) => (true, NoneOut),
            (Request::Unsubscribe, ToIn | Both) => (true, To),
            (Request::Unsubscribe, None | NoneOut | To) => (false, self),
            // A.3.3
            (Request::Subscribed, NoneOut) => (true, To),
            (Request::Subscribed, NoneOutIn) => (true, ToIn),
            (Request::Subscribed, FromOut) => (true, Both),
            (Request::Subscribed, None | NoneIn | To | ToIn | From | Both) => (false, self),
            // A.3.4
            (Request::Unsubscribed, NoneOut | To) => (true, None),
            (Request::Unsubscribed, NoneOutIn | ToIn) => (true, NoneIn),
            (Request::Unsubscribed, FromOut | Both) => (true, From),
            (Request::Unsubscribed, None | NoneIn | From) => (false, self),
        };
        Transition { pass, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables as the appendix prints them, one row per state: passed on or not, and the state after.
    type Table = [(bool, Subscription); 9];

    const OUTBOUND: [(Request, Table); 4] = [
        (
            Request::Subscribe,
            [
                (true, NoneOut),
                (true, NoneOut),
                (true, NoneOutIn),
                (true, NoneOutIn),
                (true, To),
                (true, ToIn),
                (true, FromOut),
                (true, FromOut),
                (true, Both),
            ],
        ),
        (
            Request::Unsubscribe,
            [
                (true, None),
                (true, None),
                (true, NoneIn),
                (true, NoneIn),
                (true, None),
                (true, NoneIn),
                (true, From),
                (true, From),
                (true, From),
            ],
        ),
        (
            Request::Subscribed,
            [
                (false, None),
                (false, NoneOut),
                (true, From),
                (true, FromOut),
                (false, To),
                (true, Both),
                (false, From),
                (false, FromOut),
                (false, Both),
            ],
        ),
        (
            Request::Unsubscribed,
            [
                (false, None),
                (false, NoneOut),
                (true, None),
                (true, NoneOut),
                (false, To),
                (true, To),
                (true, None),
                (true, NoneOut),
                (true, To),
            ],
        ),
    ];

    const INBOUND: [(Request, Table); 4] = [
        (
            Request::Subscribe,
            [
                (true, NoneIn),
                (true, NoneOutIn),
                (false, NoneIn),
                (false, NoneOutIn),
                (true, ToIn),
                (false, ToIn),
                (false, From),
                (false, FromOut),
                (false, Both),
            ],
        ),
        (
            Request::Unsubscribe,
            [
                (false, None),
                (false, NoneOut),
                (true, None),
                (true, NoneOut),
                (false, To),
                (true, To),
                (true, None),
                (true, NoneOut),
                (true, To),
            ],
        ),
        (
            Request::Subscribed,
            [
                (false, None),
                (true, To),
                (false, NoneIn),
                (true, ToIn),
                (false, To),
                (false, ToIn),
                (false, From),
                (true, Both),
                (false, Both),
            ],
        ),
        (
            Request::Unsubscribed,
            [
                (false, None),
                (true, None),
                (false, NoneIn),
                (true, NoneIn),
                (true, None),
                (true, NoneIn),
                (false, From),
                (true, From),
                (true, From),
            ],
        ),
    ];

    const REQUESTS: [Request; 4] =
        [Request::Subscribe, Request::Subscribed, Request::Unsubscribe, Request::Unsubscribed];

    #[test]
    fn every_cell_of_the_outbound_tables_holds() {
        for (request, table) in OUTBOUND {
            for (state, (pass, next)) in Subscription::ALL.into_iter().zip(table) {
                assert_eq!(state.outbound(request), Transition { pass, next }, "{state:?} {request:?}");
            }
        }
    }

    #[test]
    fn every_cell_of_the_inbound_tables_holds() {
        for (request, table) in INBOUND {
            for (state, (pass, next)) in Subscription::ALL.into_iter().zip(table) {
                assert_eq!(state.inbound(request), Transition { pass, next }, "{state:?} {request:?}");
            }
        }
    }

    #[test]
    fn two_sides_that_see_each_others_presences_never_disagree() {
        // Both sides start without a subscription, any sequence of requests of either side keeps "to" and "from" mirrored.
        let mut seen = vec![(None, None)];
        let mut next = 0;
        while let Some((user, contact)) = seen.get(next).copied() {
            next += 1;
            for request in REQUESTS {
                let out = user.outbound(request);
                let there = if out.pass { contact.inbound(request).next } else { contact };
                assert_eq!(out.next.contact_sees_user(), there.user_sees_contact(), "{user:?} {contact:?} {request:?}");
                assert_eq!(out.next.user_sees_contact(), there.contact_sees_user(), "{user:?} {contact:?} {request:?}");
                for pair in [(out.next, there), (there, out.next)] {
                    if !seen.contains(&pair) {
                        seen.push(pair);
                    }
                }
            }
        }
    }

    #[test]
    fn the_code_in_the_database_comes_back_as_the_same_state() {
        for state in Subscription::ALL {
            assert_eq!(Subscription::from_code(state.code()), Some(state));
        }
        assert_eq!(Subscription::from_code(9), Option::None);
    }
}
