//! Source events: who wants to know of changes in a data source, and what is told of them (nfi Concentrator, "Data source
//! events").

use std::time::Duration;

use torg_thing::{NodeRef, NodeState, SourceId, Timestamp};

use super::{Detail, optional_text};
use crate::iot::codec::{self, DecodeError};
use crate::iot::node_info::{self, Message, NodeInfo, Parent};
use crate::xml::Element;

/// The operations on subscriptions to source events.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceEvents {
    /// Begins a subscription, or renews one and adds to it.
    Subscribe(Subscribe),
    /// Takes kinds of events out of a subscription.
    Unsubscribe {
        /// The source.
        source: SourceId,
        /// No more of these.
        kinds: EventKinds,
    },
}

/// `subscribe`: begins a subscription, or renews one and adds to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// The source.
    pub source: SourceId,
    /// Seconds the subscription lives unless it is renewed; at least one.
    pub ttl: Duration,
    /// Events from this time on are told again.
    pub since: Option<Timestamp>,
    /// What to tell with the events.
    pub detail: Detail,
    /// Which events.
    pub kinds: EventKinds,
}

/// A kind of source event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// A node was added.
    Added,
    /// A node moved towards the end of its siblings.
    MovedDown,
    /// A node moved towards the beginning of its siblings.
    MovedUp,
    /// A node was removed.
    Removed,
    /// The worst message of a node changed.
    StatusChanged,
    /// A node changed otherwise.
    Updated,
}

/// A set of kinds of source events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct EventKinds(u8);

/// A change in a source.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceEvent {
    /// A node was added.
    Added {
        /// The node.
        node: Box<NodeInfo>,
        /// The sibling before it; none if it is the first.
        after: Option<Parent>,
        /// When.
        at: Timestamp,
    },
    /// A node moved one step towards the end of its siblings.
    MovedDown(NodeEvent),
    /// A node moved one step towards the beginning of its siblings.
    MovedUp(NodeEvent),
    /// A node was removed.
    Removed(NodeEvent),
    /// The worst message of a node changed.
    StatusChanged {
        /// The node.
        event: NodeEvent,
        /// Its state now.
        state: NodeState,
        /// Its messages now, if they were asked for.
        messages: Vec<Message>,
    },
    /// A node changed otherwise.
    Updated {
        /// The node as it is now.
        node: Box<NodeInfo>,
        /// Its identity before, if that changed.
        old_id: Option<String>,
        /// When.
        at: Timestamp,
    },
}

/// To which node something happened, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEvent {
    /// The node.
    pub node: NodeRef,
    /// Identity among its siblings.
    pub local_id: Option<String>,
    /// Identity in logs, if another than the node's.
    pub log_id: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl EventKind {
    /// Every kind, in the order in which they are written.
    pub const ALL: [Self; 6] =
        [Self::Added, Self::Updated, Self::StatusChanged, Self::Removed, Self::MovedUp, Self::MovedDown];

    /// The name of the event's element, and of the attribute that chooses it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "nodeAdded",
            Self::MovedDown => "nodeMovedDown",
            Self::MovedUp => "nodeMovedUp",
            Self::Removed => "nodeRemoved",
            Self::StatusChanged => "nodeStatusChanged",
            Self::Updated => "nodeUpdated",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Added => 1,
            Self::MovedDown => 1 << 1,
            Self::MovedUp => 1 << 2,
            Self::Removed => 1 << 3,
            Self::StatusChanged => 1 << 4,
            Self::Updated => 1 << 5,
        }
    }
}

impl EventKinds {
    /// Every kind.
    pub const ALL: Self = Self(63);
    /// No kind.
    pub const NONE: Self = Self(0);

    /// Whether this kind is in the set.
    pub const fn contains(self, kind: EventKind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kinds in this set and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Each kind is wanted unless its attribute says no.
    fn decode(element: &Element) -> Result<Self, DecodeError> {
        EventKind::ALL.into_iter().try_fold(Self::NONE, |set, kind| {
            let wanted = element.attr(kind.name()).is_none() || codec::flag(element, kind.name())?;
            Ok(if wanted { set.union(kind.into()) } else { set })
        })
    }

    fn encode(self, element: &mut Element) {
        for kind in EventKind::ALL.into_iter().filter(|kind| !self.contains(*kind)) {
            element.set_attr(kind.name(), "false");
        }
    }
}

impl From<EventKind> for EventKinds {
    fn from(kind: EventKind) -> Self {
        Self(kind.bit())
    }
}

impl SourceEvents {
    /// Names of all operations, in alphabetical order.
    pub const NAMES: [&'static str; 2] = ["subscribe", "unsubscribe"];

    /// The name of the element.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Subscribe(_) => "subscribe",
            Self::Unsubscribe { .. } => "unsubscribe",
        }
    }

    /// `None` if the element is no such operation.
    pub(super) fn decode(element: &Element) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match element.name() {
            "subscribe" => Self::Subscribe(Subscribe {
                source: codec::source(element)?,
                ttl: time_to_live(element)?,
                since: codec::optional(element, "getEventsSince", "dateTime")?,
                detail: Detail::decode(element)?,
                kinds: EventKinds::decode(element)?,
            }),
            "unsubscribe" => Self::Unsubscribe { source: codec::source(element)?, kinds: EventKinds::decode(element)? },
            _ => return Ok(None),
        }))
    }

    pub(super) fn encode(&self, ns: &'static str) -> Element {
        let mut element = Element::new(ns, self.name());
        match self {
            Self::Subscribe(subscribe) => {
                // Required by the schema, so also written when empty.
                element.set_attr("src", subscribe.source.as_str());
                element.set_attr("ttl", subscribe.ttl.as_secs().max(1).to_string());
                if let Some(since) = subscribe.since {
                    element.set_attr("getEventsSince", since.to_string());
                }
                subscribe.detail.encode(&mut element);
                subscribe.kinds.encode(&mut element);
            }
            Self::Unsubscribe { source, kinds } => {
                element.set_attr("src", source.as_str());
                kinds.encode(&mut element);
            }
        }
        element
    }
}

fn time_to_live(element: &Element) -> Result<Duration, DecodeError> {
    let expected = "positive number of seconds";
    match codec::parsed::<u64>(element, "ttl", expected)? {
        0 => Err(codec::invalid(element, "ttl", expected)),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

impl SourceEvent {
    /// What kind of event it is.
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Added { .. } => EventKind::Added,
            Self::MovedDown(_) => EventKind::MovedDown,
            Self::MovedUp(_) => EventKind::MovedUp,
            Self::Removed(_) => EventKind::Removed,
            Self::StatusChanged { .. } => EventKind::StatusChanged,
            Self::Updated { .. } => EventKind::Updated,
        }
    }

    /// The node it happened to.
    pub const fn node(&self) -> &NodeRef {
        match self {
            Self::Added { node, .. } | Self::Updated { node, .. } => &node.node,
            Self::MovedDown(event)
            | Self::MovedUp(event)
            | Self::Removed(event)
            | Self::StatusChanged { event, .. } => &event.node,
        }
    }

    /// When it happened.
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Added { at, .. } | Self::Updated { at, .. } => *at,
            Self::MovedDown(event)
            | Self::MovedUp(event)
            | Self::Removed(event)
            | Self::StatusChanged { event, .. } => event.at,
        }
    }

    pub(super) fn decode(element: &Element) -> Result<Self, DecodeError> {
        let at = || codec::parsed(element, "ts", "dateTime");
        let node = || NodeInfo::decode(element).map(Box::new);
        let event = || NodeEvent::decode(element);
        Ok(match element.name() {
            "nodeAdded" => {
                Self::Added { node: node()?, after: node_info::reference(element, "aid", "apt")?, at: at()? }
            }
            "nodeMovedDown" => Self::MovedDown(event()?),
            "nodeMovedUp" => Self::MovedUp(event()?),
            "nodeRemoved" => Self::Removed(event()?),
            "nodeStatusChanged" => Self::StatusChanged {
                event: event()?,
                state: node_info::state(element)?,
                messages: node_info::messages(element)?,
            },
            "nodeUpdated" => Self::Updated { node: node()?, old_id: optional_text(element, "oid"), at: at()? },
            _ => return Err(codec::unknown(element)),
        })
    }

    pub(super) fn encode(&self, ns: &'static str) -> Element {
        let name = self.kind().name();
        match self {
            Self::Added { node, after, at } => {
                let mut element = node.encode_as(ns, name);
                if let Some(after) = after {
                    node_info::set_reference(&mut element, "aid", "apt", after);
                }
                element.with_attr("ts", at.to_string())
            }
            Self::MovedDown(event) | Self::MovedUp(event) | Self::Removed(event) => event.encode(ns, name),
            Self::StatusChanged { event, state, messages } => event
                .encode(ns, name)
                .with_attr("state", node_info::state_name(*state))
                .with_children(messages.iter().map(|message| message.encode(ns))),
            Self::Updated { node, old_id, at } => {
                node.encode_as(ns, name).with_attr_opt("oid", old_id.as_deref()).with_attr("ts", at.to_string())
            }
        }
    }
}

impl NodeEvent {
    fn decode(element: &Element) -> Result<Self, DecodeError> {
        Ok(Self {
            node: codec::node(element)?,
            local_id: optional_text(element, "localId"),
            log_id: optional_text(element, "logId"),
            at: codec::parsed(element, "ts", "dateTime")?,
        })
    }

    fn encode(&self, ns: &'static str, name: &'static str) -> Element {
        let mut element = Element::new(ns, name);
        codec::set_node(&mut element, &self.node);
        element
            .with_attr_opt("localId", self.local_id.as_deref())
            .with_attr_opt("logId", self.log_id.as_deref())
            .with_attr("ts", self.at.to_string())
    }
}
