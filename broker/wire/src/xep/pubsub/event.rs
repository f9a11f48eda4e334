//! What subscribers are told: the `<event/>` of a notification (XEP-0060 §4.3 and the notifications of each use case).

use super::{Item, SubscriptionState, subscription};
use crate::ns;
use crate::xml::Element;

/// Something that happened at a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its configuration changed; with the form if the node delivers payloads (§8.2.5.3).
    Configured(Option<Element>),
    /// It is gone (§8.4.2).
    Deleted,
    /// Items were published, and older ones dropped for them (§7.1.2).
    Items(Vec<Item>, Vec<String>),
    /// A transient node without payloads was published to: there is nothing to tell but that (§7.1.1).
    Nudged,
    /// It was emptied (§8.5.2).
    Purged,
    /// Items were retracted (§7.2.2).
    Retracted(Vec<String>),
    /// A subscription, the receiver's own or for an owner one of others, changed (§8.8.4).
    Subscription(String, SubscriptionState),
}

impl Event {
    /// As the child of a message, about that node.
    pub fn encode(&self, node: &str) -> Element {
        let child = |name| Element::new(ns::PUBSUB_EVENT, name).with_attr("node", node);
        let retract = |id: &String| Element::new(ns::PUBSUB_EVENT, "retract").with_attr("id", id);
        let content = match self {
            Self::Configured(form) => child("configuration").with_child_opt(form.clone()),
            Self::Deleted => child("delete"),
            Self::Items(items, dropped) => {
                let items = items.iter().map(|item| item.clone().encode(ns::PUBSUB_EVENT));
                child("items").with_children(items).with_children(dropped.iter().map(retract))
            }
            Self::Nudged => child("items"),
            Self::Purged => child("purge"),
            Self::Retracted(ids) => child("items").with_children(ids.iter().map(retract)),
            Self::Subscription(jid, state) => subscription(ns::PUBSUB_EVENT, Some(node), jid, *state),
        };
        Element::new(ns::PUBSUB_EVENT, "event").with_child(content)
    }
}
