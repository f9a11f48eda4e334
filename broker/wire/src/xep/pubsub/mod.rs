//! Publish and subscribe: the words of XEP-0060, requests and their answers, the configuration form, events and errors.
//! Collection nodes, subscription ids and subscription options are not handled. Who may do what is decided elsewhere.

mod config;
mod error;
mod event;
mod request;
#[cfg(test)]
mod tests;

pub use config::{Bounds, Config, ConfigFault};
pub use error::Refusal;
pub use event::Event;
pub use request::{Asked, Request};

use crate::ns;
use crate::xml::Element;

/// What an entity is to a node (XEP-0060 §4.1), from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Affiliation {
    /// May do nothing.
    Outcast,
    /// What the access and publish models allow to everybody.
    #[default]
    None,
    /// May subscribe and read.
    Member,
    /// May publish as well.
    Publisher,
    /// May do everything.
    Owner,
}

/// Who may subscribe and read (§4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AccessModel {
    /// Those whom an owner has allowed to subscribe.
    Authorize,
    /// Everybody.
    #[default]
    Open,
    /// Those who see the owner's presence.
    Presence,
    /// Those in certain groups of the owner's roster.
    Roster,
    /// Those with an affiliation.
    Whitelist,
}

/// Who may publish, besides owners and publishers (§16.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PublishModel {
    /// Everybody.
    Open,
    /// Nobody.
    #[default]
    Publishers,
    /// Subscribers.
    Subscribers,
}

/// When the last item is sent by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SendLast {
    /// Never.
    #[default]
    Never,
    /// To a new subscriber.
    OnSubscription,
    /// To a new subscriber, and to one who comes on line.
    OnPresence,
}

/// The state of a subscription (§4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionState {
    /// There is none.
    None,
    /// An owner has to allow it.
    Pending,
    /// Events are sent.
    Subscribed,
}

/// An entry of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Unique in its node.
    pub id: String,
    /// What was published; absent in notifications without payload.
    pub payload: Option<Element>,
}

impl Affiliation {
    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::None => "none",
            Self::Outcast => "outcast",
            Self::Owner => "owner",
            Self::Publisher => "publisher",
        }
    }

    /// The affiliation of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Member, Self::None, Self::Outcast, Self::Owner, Self::Publisher].into_iter().find(|it| it.name() == name)
    }
}

impl AccessModel {
    /// All, in the order of the registrar.
    pub const ALL: [Self; 5] = [Self::Authorize, Self::Open, Self::Presence, Self::Roster, Self::Whitelist];

    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Open => "open",
            Self::Presence => "presence",
            Self::Roster => "roster",
            Self::Whitelist => "whitelist",
        }
    }
}

impl PublishModel {
    /// All, in the order of the registrar.
    pub const ALL: [Self; 3] = [Self::Publishers, Self::Subscribers, Self::Open];

    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Publishers => "publishers",
            Self::Subscribers => "subscribers",
        }
    }
}

impl SendLast {
    /// All, in the order of the registrar.
    pub const ALL: [Self; 3] = [Self::Never, Self::OnSubscription, Self::OnPresence];

    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::OnSubscription => "on_sub",
            Self::OnPresence => "on_sub_and_presence",
        }
    }
}

impl SubscriptionState {
    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Subscribed => "subscribed",
        }
    }

    /// The state of that name; `unconfigured` does not occur here.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::None, Self::Pending, Self::Subscribed].into_iter().find(|it| it.name() == name)
    }
}

impl Item {
    /// As a child of `<items/>` in that namespace.
    pub fn encode(self, namespace: &'static str) -> Element {
        Element::new(namespace, "item").with_attr("id", self.id).with_child_opt(self.payload)
    }
}

/// The answer to a request that has content: `<pubsub/>` with these children.
pub fn answer(children: impl IntoIterator<Item = Element>) -> Element {
    Element::new(ns::PUBSUB, "pubsub").with_children(children)
}

/// As [`answer`], to a request of an owner.
pub fn owner_answer(child: Element) -> Element {
    Element::new(ns::PUBSUB_OWNER, "pubsub").with_child(child)
}

/// One subscription, as answers and events show it. `node` is left out in lists that name it already.
pub fn subscription(namespace: &'static str, node: Option<&str>, jid: &str, state: SubscriptionState) -> Element {
    Element::new(namespace, "subscription")
        .with_attr_opt("node", node)
        .with_attr("jid", jid)
        .with_attr("subscription", state.name())
}
