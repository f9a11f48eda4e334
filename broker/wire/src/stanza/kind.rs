//! The three stanzas and their types (RFC 6120 §8.2, RFC 6121 §4.7.1 and §5.2.2).

use std::fmt;

/// Which stanza it is, and its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StanzaKind {
    /// A request or its answer.
    Iq(IqType),
    /// Something sent one way.
    Message(MessageType),
    /// Availability and subscriptions.
    Presence(PresenceType),
}

/// Type of an iq (RFC 6120 §8.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IqType {
    /// Asks for something.
    Get,
    /// Changes something.
    Set,
    /// The request succeeded.
    Result,
    /// The request failed.
    Error,
}

/// Type of a message (RFC 6121 §5.2.2). Absent and unknown types are [`MessageType::Normal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// Part of a conversation.
    Chat,
    /// An earlier message was not handled.
    Error,
    /// To or from a room.
    Groupchat,
    /// An alert that expects no answer.
    Headline,
    /// Any other message.
    Normal,
}

/// Type of a presence (RFC 6121 §4.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PresenceType {
    /// No `type`: available.
    Available,
    /// An earlier presence was not handled.
    Error,
    /// A server asks for the current presence.
    Probe,
    /// Asks to see the recipient's presence.
    Subscribe,
    /// Lets the recipient see the sender's presence.
    Subscribed,
    /// No longer available.
    Unavailable,
    /// No longer wants to see the recipient's presence.
    Unsubscribe,
    /// No longer lets the recipient see the sender's presence.
    Unsubscribed,
}

impl StanzaKind {
    /// The element name.
    pub const fn name(self) -> &'static str {
        match self {
            StanzaKind::Iq(_) => "iq",
            StanzaKind::Message(_) => "message",
            StanzaKind::Presence(_) => "presence",
        }
    }

    /// The value of the `type` attribute; `None` where absence says it (available presence, normal message).
    pub const fn type_name(self) -> Option<&'static str> {
        match self {
            StanzaKind::Iq(kind) => Some(kind.name()),
            StanzaKind::Message(kind) => kind.name(),
            StanzaKind::Presence(kind) => kind.name(),
        }
    }

    /// The kind for an element name and its `type` attribute.
    ///
    /// The outer `None`: no stanza. The inner one: a stanza with a type it cannot have.
    pub(crate) fn from_names(name: &str, kind: Option<&str>) -> Option<Option<Self>> {
        match name {
            "iq" => Some(kind.and_then(IqType::from_name).map(StanzaKind::Iq)),
            "message" => Some(Some(StanzaKind::Message(MessageType::from_name(kind)))),
            "presence" => Some(PresenceType::from_name(kind).map(StanzaKind::Presence)),
            _ => None,
        }
    }

    /// The same stanza as an error.
    pub(crate) const fn to_error(self) -> Self {
        match self {
            StanzaKind::Iq(_) => StanzaKind::Iq(IqType::Error),
            StanzaKind::Message(_) => StanzaKind::Message(MessageType::Error),
            StanzaKind::Presence(_) => StanzaKind::Presence(PresenceType::Error),
        }
    }

    /// True for the type `error`, which must never be answered by another error (RFC 6120 §8.3.1).
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            StanzaKind::Iq(IqType::Error)
                | StanzaKind::Message(MessageType::Error)
                | StanzaKind::Presence(PresenceType::Error)
        )
    }

    /// True for iq `get` and `set`, which must be answered.
    pub const fn is_request(self) -> bool {
        matches!(self, StanzaKind::Iq(IqType::Get | IqType::Set))
    }
}

impl IqType {
    /// The attribute value.
    pub const fn name(self) -> &'static str {
        match self {
            IqType::Get => "get",
            IqType::Set => "set",
            IqType::Result => "result",
            IqType::Error => "error",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "get" => IqType::Get,
            "set" => IqType::Set,
            "result" => IqType::Result,
            "error" => IqType::Error,
            _ => return None,
        })
    }
}

impl MessageType {
    /// The attribute value; `None` for [`MessageType::Normal`], which needs none.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            MessageType::Chat => Some("chat"),
            MessageType::Error => Some("error"),
            MessageType::Groupchat => Some("groupchat"),
            MessageType::Headline => Some("headline"),
            MessageType::Normal => None,
        }
    }

    fn from_name(name: Option<&str>) -> Self {
        match name {
            Some("chat") => MessageType::Chat,
            Some("error") => MessageType::Error,
            Some("groupchat") => MessageType::Groupchat,
            Some("headline") => MessageType::Headline,
            _ => MessageType::Normal,
        }
    }
}

impl PresenceType {
    /// The attribute value; `None` for [`PresenceType::Available`], which has none.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            PresenceType::Available => None,
            PresenceType::Error => Some("error"),
            PresenceType::Probe => Some("probe"),
            PresenceType::Subscribe => Some("subscribe"),
            PresenceType::Subscribed => Some("subscribed"),
            PresenceType::Unavailable => Some("unavailable"),
            PresenceType::Unsubscribe => Some("unsubscribe"),
            PresenceType::Unsubscribed => Some("unsubscribed"),
        }
    }

    fn from_name(name: Option<&str>) -> Option<Self> {
        Some(match name {
            None => PresenceType::Available,
            Some("error") => PresenceType::Error,
            Some("probe") => PresenceType::Probe,
            Some("subscribe") => PresenceType::Subscribe,
            Some("subscribed") => PresenceType::Subscribed,
            Some("unavailable") => PresenceType::Unavailable,
            Some("unsubscribe") => PresenceType::Unsubscribe,
            Some("unsubscribed") => PresenceType::Unsubscribed,
            Some(_) => return None,
        })
    }
}

impl fmt::Display for StanzaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.type_name() {
            Some(kind) => write!(f, "{} {kind}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}
