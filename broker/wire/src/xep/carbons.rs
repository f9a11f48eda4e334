//! Message Carbons (XEP-0280): copies of a conversation for the other sessions of an account, and which messages are copied.

use crate::jid::{BareJid, FullJid};
use crate::ns;
use crate::stanza::{MessageType, Stanza, StanzaKind};
use crate::xml::Element;

/// What begins every version of the namespace; whatever of them comes from outside is forged.
const ANY_VERSION: &str = "urn:xmpp:carbons:";

/// Which side of the conversation a copy shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Another session of the account got the message.
    Received,
    /// Another session of the account wrote the message.
    Sent,
}

/// Whether an element asks for copies (`true`) or for no more of them (`false`).
pub fn decode(element: &Element) -> Option<bool> {
    match element.name() {
        "enable" if *element.namespace() == *ns::CARBONS => Some(true),
        "disable" if *element.namespace() == *ns::CARBONS => Some(false),
        _ => None,
    }
}

/// The request for copies, or for no more of them.
pub fn request(enable: bool) -> Element {
    Element::new(ns::CARBONS, if enable { "enable" } else { "disable" })
}

/// A copy of `message` for the session `to` of the account (§7, §8).
pub fn copy(message: &Stanza, direction: Direction, account: &BareJid, to: &FullJid) -> Stanza {
    let name = match direction {
        Direction::Received => "received",
        Direction::Sent => "sent",
    };
    let forwarded = Element::new(ns::FORWARD, "forwarded").with_child(message.to_element());
    let kind = match message.kind() {
        StanzaKind::Message(kind) => kind,
        _ => MessageType::Normal,
    };
    Stanza::message(kind)
        .with_from(account)
        .with_to(to)
        .with_child(Element::new(ns::CARBONS, name).with_child(forwarded))
}

/// Whether an element is the mark of a copy, which only the own server of an account may make.
pub fn is_copy_mark(element: &Element) -> bool {
    element.namespace().as_str().starts_with(ANY_VERSION) && matches!(element.name(), "received" | "sent")
}

/// Whether a message is one for copies (§6.1, as `urn:xmpp:carbons:rules:0` makes them binding), but for the rules about rooms that
/// ask who is in them: here every message with the mark of a room is one of a room.
///
/// An error is copied if it stands for a message that would be, which only what it repeats can tell.
pub fn is_eligible(message: &Stanza, direction: Direction) -> bool {
    let StanzaKind::Message(kind) = message.kind() else { return false };
    let has = |namespace: &str, name: &str| message.child(namespace, name).is_some();
    if has(ns::CARBONS, "private") || has(ns::HINTS, "no-copy") || message.children().iter().any(is_copy_mark) {
        return false;
    }
    let of_a_room = message.child(ns::MUC_USER, "x");
    let invites = of_a_room.is_some_and(|x| x.child(ns::MUC_USER, "invite").is_some());
    let instant = || {
        message.children().iter().any(|child| {
            [ns::CHAT_STATES, ns::RECEIPTS, ns::CHAT_MARKERS].contains(&child.namespace().as_str())
                || child.is(ns::MUC_INVITE, "x")
        })
    };
    match kind {
        MessageType::Groupchat | MessageType::Headline => false,
        _ if invites => true,
        // A word in private from somebody in a room reaches all sessions that are in it without us; one to somebody does not.
        _ if of_a_room.is_some() && direction == Direction::Received => false,
        MessageType::Chat => true,
        MessageType::Normal | MessageType::Error => has(ns::CLIENT, "body") || instant(),
    }
}

#[cfg(test)]
mod tests {
    use super::Direction::{Received, Sent};
    use super::*;
    use crate::jid::Jid;

    fn is_eligible(message: &Stanza) -> bool {
        super::is_eligible(message, Received)
    }

    fn message(kind: MessageType) -> Stanza {
        Stanza::message(kind).with_from(Jid::parse("juliet@capulet.example/balcony").unwrap())
    }

    #[test]
    fn asking_for_copies_reads_back_as_written() {
        for enable in [true, false] {
            assert_eq!(decode(&request(enable)), Some(enable));
        }
        assert_eq!(decode(&Element::new(ns::CARBONS, "private")), None);
        assert_eq!(decode(&Element::new("urn:xmpp:carbons:1", "enable")), None);
    }

    #[test]
    fn a_copy_is_the_message_inside_one_from_the_account_itself() {
        let account = BareJid::parse("romeo@montague.example").unwrap();
        let to = FullJid::parse("romeo@montague.example/home").unwrap();
        let original = message(MessageType::Chat).with_body("What man art thou?");
        let made = copy(&original, Direction::Received, &account, &to);
        assert_eq!(made.from().map(Jid::as_str), Some("romeo@montague.example"));
        assert_eq!(made.to().map(Jid::as_str), Some("romeo@montague.example/home"));
        assert_eq!(made.kind(), original.kind());
        let inside = made.children()[0].child(ns::FORWARD, "forwarded").and_then(Element::first_child).unwrap();
        assert_eq!(Stanza::from_element(inside.clone()).unwrap(), original);
        assert!(is_copy_mark(&made.children()[0]));
    }

    #[test]
    fn conversations_are_copied() {
        assert!(is_eligible(&message(MessageType::Chat)));
        assert!(is_eligible(&message(MessageType::Normal).with_body("a")));
        let receipt = Element::new(ns::RECEIPTS, "received").with_attr("id", "a");
        assert!(is_eligible(&message(MessageType::Normal).with_child(receipt)));
        let state = Element::new(ns::CHAT_STATES, "active");
        assert!(is_eligible(&message(MessageType::Normal).with_child(state)));
        let invitation = Element::new(ns::MUC_INVITE, "x");
        assert!(is_eligible(&message(MessageType::Normal).with_child(invitation)));
        let invitation = Element::new(ns::MUC_USER, "x").with_child(Element::new(ns::MUC_USER, "invite"));
        assert!(is_eligible(&message(MessageType::Normal).with_child(invitation)));
    }

    #[test]
    fn everything_else_is_not() {
        assert!(!is_eligible(&message(MessageType::Normal)));
        assert!(!is_eligible(&message(MessageType::Normal).with_child(Element::new("urn:example", "x"))));
        for kind in [MessageType::Groupchat, MessageType::Headline] {
            assert!(!is_eligible(&message(kind).with_body("a")), "{kind:?}");
        }
        let in_private = message(MessageType::Chat).with_body("a").with_child(Element::new(ns::MUC_USER, "x"));
        assert!(!is_eligible(&in_private));
        assert!(super::is_eligible(&in_private, Sent), "what was said to somebody in a room is");
    }

    #[test]
    fn who_asks_for_no_copies_gets_none() {
        let chat = || message(MessageType::Chat).with_body("a");
        assert!(!is_eligible(&chat().with_child(Element::new(ns::CARBONS, "private"))));
        assert!(!is_eligible(&chat().with_child(Element::new(ns::HINTS, "no-copy"))));
    }

    #[test]
    fn a_copy_is_not_copied() {
        assert!(!is_eligible(&message(MessageType::Chat).with_child(Element::new(ns::CARBONS, "sent"))));
    }
}
