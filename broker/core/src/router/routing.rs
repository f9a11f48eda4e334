//! Where a message goes: RFC 6121 §8.5 as a pure function of the address, the type and a snapshot of the account's sessions.

use torg_wire::stanza::MessageType;

/// A session of the recipient's account, as far as routing cares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) resource: &'a str,
    /// `None` while the resource is not available.
    pub(crate) priority: Option<i8>,
}

/// What happens to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// To these sessions, as positions in the snapshot.
    Sessions(Vec<usize>),
    /// Kept for later if it is worth keeping, else refused.
    Offline,
    /// Answered with `service-unavailable`.
    Refuse,
    /// Dropped.
    Ignore,
}

/// The destination of a message to an account of ours, whether the account exists or not (an account that does not exist has no
/// sessions, and its messages end in [`Destination::Offline`], where nobody keeps them).
pub(crate) fn destination(kind: MessageType, resource: Option<&str>, sessions: &[Candidate<'_>]) -> Destination {
    if let Some(resource) = resource {
        // §8.5.3.1: the very resource, available or not
        if let Some(position) = sessions.iter().position(|session| session.resource == resource) {
            return Destination::Sessions(vec![position]);
        }
        // §8.5.3.2.1: only a conversation goes on with the account as a whole
        match kind {
            MessageType::Chat => {}
            MessageType::Normal | MessageType::Groupchat => return Destination::Refuse,
            MessageType::Headline | MessageType::Error => return Destination::Ignore,
        }
    }
    match kind {
        MessageType::Normal | MessageType::Chat => {
            or(most_available(sessions), Destination::Offline) // §8.5.2.1.1, §8.5.2.2.1
        }
        MessageType::Headline => or(with_priority(sessions, |priority| priority >= 0), Destination::Ignore),
        MessageType::Groupchat => Destination::Refuse,
        MessageType::Error => Destination::Ignore,
    }
}

fn or(positions: Vec<usize>, otherwise: Destination) -> Destination {
    if positions.is_empty() { otherwise } else { Destination::Sessions(positions) }
}

/// The sessions of the highest priority, if that is not negative; all of them when several share it.
fn most_available(sessions: &[Candidate<'_>]) -> Vec<usize> {
    let Some(highest) = sessions.iter().filter_map(|session| session.priority).max() else { return Vec::new() };
    if highest < 0 {
        return Vec::new();
    }
    with_priority(sessions, |priority| priority == highest)
}

fn with_priority(sessions: &[Candidate<'_>], wanted: impl Fn(i8) -> bool) -> Vec<usize> {
    let positions = sessions.iter().enumerate();
    positions.filter(|(_, session)| session.priority.is_some_and(&wanted)).map(|(position, _)| position).collect()
}

#[cfg(test)]
mod tests {
    use MessageType::{Chat, Error, Groupchat, Headline, Normal};

    use super::*;

    const OFF: Option<i8> = None;

    fn route(kind: MessageType, resource: Option<&str>, priorities: &[Option<i8>]) -> Destination {
        let names = ["a", "b", "c"];
        let sessions: Vec<_> = names
            .into_iter()
            .zip(priorities)
            .map(|(resource, priority)| Candidate { resource, priority: *priority })
            .collect();
        destination(kind, resource, &sessions)
    }

    fn to(positions: &[usize]) -> Destination {
        Destination::Sessions(positions.to_vec())
    }

    #[test]
    fn without_an_available_resource_the_type_decides() {
        use Destination::{Ignore, Offline, Refuse};
        for sessions in [&[][..], &[OFF], &[Some(-1)], &[OFF, Some(-128)]] {
            let found = [Normal, Chat, Groupchat, Headline, Error].map(|kind| route(kind, None, sessions));
            assert_eq!(found, [Offline, Offline, Refuse, Ignore, Ignore], "{sessions:?}");
        }
    }

    #[test]
    fn a_bare_address_reaches_the_highest_priority() {
        let sessions = [Some(1), Some(5), OFF];
        let found = [Normal, Chat, Groupchat, Headline, Error].map(|kind| route(kind, None, &sessions));
        assert_eq!(found, [to(&[1]), to(&[1]), Destination::Refuse, to(&[0, 1]), Destination::Ignore]);
    }

    #[test]
    fn resources_that_share_the_highest_priority_all_get_it() {
        assert_eq!(route(Chat, None, &[Some(0), Some(0), Some(-1)]), to(&[0, 1]));
    }

    #[test]
    fn a_full_address_reaches_its_resource_whatever_its_presence() {
        for kind in [Normal, Chat, Groupchat, Headline, Error] {
            assert_eq!(route(kind, Some("b"), &[Some(9), OFF]), to(&[1]));
            assert_eq!(route(kind, Some("b"), &[Some(9), Some(-1)]), to(&[1]));
        }
    }

    #[test]
    fn a_full_address_without_its_resource_follows_the_type() {
        use Destination::{Ignore, Refuse};
        let found = [Normal, Chat, Groupchat, Headline, Error].map(|kind| route(kind, Some("gone"), &[Some(0)]));
        assert_eq!(found, [Refuse, to(&[0]), Refuse, Ignore, Ignore]);
        assert_eq!(route(Chat, Some("gone"), &[]), Destination::Offline);
    }
}
