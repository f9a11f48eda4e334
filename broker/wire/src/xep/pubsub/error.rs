//! Why a request about a node is not granted, one variant for each error case of XEP-0060, and the stanza error that says so.

use crate::ns;
use crate::stanza::{ErrorType, StanzaCondition, StanzaError};
use crate::xml::Element;

/// Why a request is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request has not the form the standard gives it.
    BadRequest,
    /// The access model is whitelist and the asker has no affiliation (§6.1.3.4).
    ClosedNode,
    /// The node is there already (§8.1.1).
    Exists,
    /// Not for this asker (§7.1.3.1 and others).
    Forbidden,
    /// A subscription is for the asker's own address only (§6.1.3.1).
    InvalidJid,
    /// More or less than one payload, or of another namespace than the node is for (§7.1.3.5).
    InvalidPayload,
    /// A node without items and payloads takes no item (§7.1.3.6).
    ItemForbidden,
    /// An item, or its id, is missing (§7.1.3.6, §7.2.3.4).
    ItemRequired,
    /// The address is missing (§6.3.4.3).
    JidRequired,
    /// As many nodes as the account may have.
    MaxNodes,
    /// The node is full and refuses instead of dropping its oldest item (§7.1.3.4).
    NodeFull,
    /// The node's name is missing (§8.2.3.3).
    NodeIdRequired,
    /// A form, an affiliation or a state that cannot be (§8.2.5.2, §8.9.2.4).
    NotAcceptable,
    /// The node or item is not there.
    NotFound,
    /// The access model is roster and the asker in none of the groups (§6.1.3.3).
    NotInRosterGroup,
    /// There is no such subscription to end (§6.2.3.2).
    NotSubscribed,
    /// Only subscribers may read (§6.5.9.3).
    NotSubscribedToRead,
    /// A node with payloads takes no item without (§7.1.3.6).
    PayloadRequired,
    /// Longer than a payload may be (§7.1.3.4).
    PayloadTooBig,
    /// An owner has not yet decided (§6.1.3.7).
    PendingSubscription,
    /// The node is configured otherwise than the publisher wants it (§7.1.5).
    PreconditionNotMet,
    /// The access model is presence and the asker does not see the owner's (§6.1.3.2).
    PresenceSubscriptionRequired,
    /// No room left for this account: bytes, or entries of a list.
    Quota,
    /// As many subscriptions as there may be (§6.1.3.9).
    TooManySubscriptions,
    /// The node or service cannot do that; the feature as §10 names it.
    Unsupported(&'static str),
    /// No such access model (§8.1.2).
    UnsupportedAccessModel,
}

impl Refusal {
    const fn parts(self) -> (StanzaCondition, ErrorType, Option<&'static str>) {
        use ErrorType::{Auth, Cancel, Modify, Wait};
        use StanzaCondition as C;
        match self {
            Self::BadRequest => (C::BadRequest, Modify, None),
            Self::ClosedNode => (C::NotAllowed, Cancel, Some("closed-node")),
            Self::Exists => (C::Conflict, Cancel, None),
            Self::Forbidden => (C::Forbidden, Auth, None),
            Self::InvalidJid => (C::BadRequest, Modify, Some("invalid-jid")),
            Self::InvalidPayload => (C::BadRequest, Modify, Some("invalid-payload")),
            Self::ItemForbidden => (C::BadRequest, Modify, Some("item-forbidden")),
            Self::ItemRequired => (C::BadRequest, Modify, Some("item-required")),
            Self::JidRequired => (C::BadRequest, Modify, Some("jid-required")),
            Self::MaxNodes => (C::ResourceConstraint, Wait, Some("max-nodes-exceeded")),
            Self::NodeFull => (C::Conflict, Cancel, Some("node-full")),
            Self::NodeIdRequired => (C::BadRequest, Modify, Some("nodeid-required")),
            Self::NotAcceptable => (C::NotAcceptable, Modify, None),
            Self::NotFound => (C::ItemNotFound, Cancel, None),
            Self::NotInRosterGroup => (C::NotAuthorized, Auth, Some("not-in-roster-group")),
            Self::NotSubscribed => (C::UnexpectedRequest, Cancel, Some("not-subscribed")),
            Self::NotSubscribedToRead => (C::NotAuthorized, Auth, Some("not-subscribed")),
            Self::PayloadRequired => (C::BadRequest, Modify, Some("payload-required")),
            Self::PayloadTooBig => (C::NotAcceptable, Modify, Some("payload-too-big")),
            Self::PendingSubscription => (C::NotAuthorized, Auth, Some("pending-subscription")),
            Self::PreconditionNotMet => (C::Conflict, Cancel, Some("precondition-not-met")),
            Self::PresenceSubscriptionRequired => (C::NotAuthorized, Auth, Some("presence-subscription-required")),
            Self::Quota => (C::ResourceConstraint, Wait, None),
            Self::TooManySubscriptions => (C::PolicyViolation, Wait, Some("too-many-subscriptions")),
            Self::Unsupported(_) => (C::FeatureNotImplemented, Cancel, Some("unsupported")),
            Self::UnsupportedAccessModel => (C::NotAcceptable, Modify, Some("unsupported-access-model")),
        }
    }
}

impl From<Refusal> for StanzaError {
    fn from(refusal: Refusal) -> Self {
        let (condition, kind, detail) = refusal.parts();
        let error = StanzaError::new(condition).with_type(kind);
        let Some(detail) = detail else { return error };
        let feature = if let Refusal::Unsupported(feature) = refusal { Some(feature) } else { None };
        error.with_application(Element::new(ns::PUBSUB_ERRORS, detail).with_attr_opt("feature", feature))
    }
}
