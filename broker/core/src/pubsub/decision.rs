//! Who may do what with a node: XEP-0060 §4.1 and §4.5 as pure functions of what is known about the asker.
//!
//! # Why
//! The `pubsub#type` of a node is shown but not enforced on payloads: deployed formats name there what the node is about (microblogs
//! have Atom payloads in a node of another type), and a refusal would break them.

use torg_wire::stanza::StanzaError;
use torg_wire::xep::pubsub::{AccessModel, Affiliation, Config, PublishModel, Refusal, SubscriptionState};
use torg_wire::xml::Element;

use crate::router::store_error;

/// What is known about an asker and a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) config: &'a Config,
    pub(crate) affiliation: Affiliation,
    pub(crate) subscription: SubscriptionState,
    /// The owner shows presence to the asker.
    pub(crate) sees_presence: bool,
    /// The asker is in a group of the owner's roster that the node allows.
    pub(crate) in_group: bool,
    /// The node belongs to an account.
    pub(crate) personal: bool,
}

impl Facts<'_> {
    /// Whether the asker must not even learn that the node is there.
    ///
    /// # Why
    /// The standard's errors for presence, roster and whitelist tell a stranger that the account exists, which nothing else here does.
    pub(crate) fn is_hidden(&self) -> bool {
        use AccessModel::{Presence, Roster, Whitelist};
        self.personal
            && !self.sees_presence
            && self.affiliation <= Affiliation::None
            && self.subscription == SubscriptionState::None
            && matches!(self.config.access, Presence | Roster | Whitelist)
    }

    fn hide(&self, refusal: Refusal) -> Refusal {
        if self.is_hidden() { Refusal::NotFound } else { refusal }
    }

    /// Reading items, and learning about the node (§6.5.1).
    pub(crate) fn may_read(&self) -> Result<(), Refusal> {
        let open = match (self.affiliation, self.config.access) {
            (Affiliation::Outcast, _) => Err(Refusal::Forbidden),
            (Affiliation::Member | Affiliation::Publisher | Affiliation::Owner, _) => Ok(()),
            (Affiliation::None, AccessModel::Open) => Ok(()),
            (Affiliation::None, AccessModel::Presence) => {
                if self.sees_presence {
                    Ok(())
                } else {
                    Err(Refusal::PresenceSubscriptionRequired)
                }
            }
            (Affiliation::None, AccessModel::Roster) => {
                if self.in_group {
                    Ok(())
                } else {
                    Err(Refusal::NotInRosterGroup)
                }
            }
            (Affiliation::None, AccessModel::Whitelist) => Err(Refusal::ClosedNode),
            (Affiliation::None, AccessModel::Authorize) => match self.subscription {
                SubscriptionState::Subscribed => Ok(()),
                _ => Err(Refusal::NotSubscribedToRead),
            },
        };
        open.map_err(|refusal| self.hide(refusal))
    }

    /// Subscribing; answers the state afterwards (§6.1).
    pub(crate) fn may_subscribe(&self) -> Result<SubscriptionState, Refusal> {
        if self.affiliation == Affiliation::Outcast {
            return Err(self.hide(Refusal::Forbidden));
        }
        match self.subscription {
            SubscriptionState::Subscribed => return Ok(SubscriptionState::Subscribed),
            SubscriptionState::Pending => return Err(Refusal::PendingSubscription),
            SubscriptionState::None => {}
        }
        match self.may_read() {
            Ok(()) if self.config.subscribe => Ok(SubscriptionState::Subscribed),
            Err(Refusal::NotSubscribedToRead) if self.config.subscribe => Ok(SubscriptionState::Pending),
            Ok(()) | Err(Refusal::NotSubscribedToRead) => Err(Refusal::Unsupported("subscribe")),
            Err(refusal) => Err(refusal),
        }
    }

    /// Publishing (§7.1.3.1).
    pub(crate) fn may_publish(&self) -> Result<(), Refusal> {
        let subscribed = self.subscription == SubscriptionState::Subscribed;
        match (self.affiliation, self.config.publish) {
            (Affiliation::Publisher | Affiliation::Owner, _) => Ok(()),
            (Affiliation::Outcast, _) => Err(self.hide(Refusal::Forbidden)),
            (_, PublishModel::Open) => self.may_read(),
            (_, PublishModel::Subscribers) if subscribed => Ok(()),
            _ => Err(self.hide(Refusal::Forbidden)),
        }
    }

    /// Retracting an item, whose publisher may be the asker (§7.2.3.1).
    pub(crate) fn may_retract(&self, own: bool) -> Result<(), Refusal> {
        match self.affiliation {
            Affiliation::Owner => Ok(()),
            _ if own => self.may_publish(),
            _ => Err(self.hide(Refusal::Forbidden)),
        }
    }

    /// Everything else (§8).
    pub(crate) fn may_own(&self) -> Result<(), Refusal> {
        if self.affiliation == Affiliation::Owner { Ok(()) } else { Err(self.hide(Refusal::Forbidden)) }
    }
}

/// What is published: nothing but the fact, or an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Publication {
    Nudge,
    Item { id: Option<String>, payload: Option<Element> },
}

/// Whether what is published suits the node (§7.1.3.4 to §7.1.3.6). `bytes` measures a payload.
pub(crate) fn suits(
    config: &Config,
    item: Option<(Option<String>, Vec<Element>)>,
    bytes: impl Fn(&Element) -> usize,
) -> Result<Publication, Refusal> {
    let transient_nudge = !config.persist && !config.payloads;
    let Some((id, payloads)) = item else {
        return match (transient_nudge, config.persist) {
            (true, _) => Ok(Publication::Nudge),
            (false, true) => Err(Refusal::ItemRequired),
            (false, false) => Err(Refusal::PayloadRequired),
        };
    };
    if transient_nudge {
        return Err(Refusal::ItemForbidden);
    }
    let mut payloads = payloads.into_iter();
    let payload = payloads.next();
    if payloads.next().is_some() {
        return Err(Refusal::InvalidPayload);
    }
    match &payload {
        None if config.payloads => Err(Refusal::PayloadRequired),
        Some(payload) if bytes(payload) > config.payload_bytes => Err(Refusal::PayloadTooBig),
        _ => Ok(Publication::Item { id, payload }),
    }
}

/// Why a request was not done: a refusal, or the store.
#[derive(Debug)]
pub(crate) enum Failure {
    Refused(Refusal),
    Store(torg_store::StoreError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Refused(refusal)
    }
}

impl From<torg_store::StoreError> for Failure {
    fn from(error: torg_store::StoreError) -> Self {
        Failure::Store(error)
    }
}

impl Failure {
    /// Whether the node was changed since it was read: decide anew.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Failure::Store(torg_store::StoreError::Conflict { .. }))
    }

    /// What the asker is told; trouble with the store is for the log.
    pub(crate) fn answer(self) -> StanzaError {
        match self {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Store(error) => {
                tracing::error!(%error, "A publish-subscribe request could not be handled.");
                store_error(&error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::BOUNDS;
    use super::*;
    use Affiliation::{Member, None as Nobody, Outcast, Owner, Publisher};
    use SubscriptionState::{Pending, Subscribed};

    fn facts(config: &Config, affiliation: Affiliation) -> Facts<'_> {
        let subscription = SubscriptionState::None;
        Facts { config, affiliation, subscription, sees_presence: false, in_group: false, personal: false }
    }

    fn model(access: AccessModel) -> Config {
        Config { access, ..Config::shared(&BOUNDS) }
    }

    #[test]
    fn the_access_model_decides_about_those_without_affiliation() {
        for (access, refusal) in [
            (AccessModel::Authorize, Some(Refusal::NotSubscribedToRead)),
            (AccessModel::Open, None),
            (AccessModel::Presence, Some(Refusal::PresenceSubscriptionRequired)),
            (AccessModel::Roster, Some(Refusal::NotInRosterGroup)),
            (AccessModel::Whitelist, Some(Refusal::ClosedNode)),
        ] {
            let config = model(access);
            assert_eq!(facts(&config, Nobody).may_read().err(), refusal, "{access:?}");
            assert_eq!(facts(&config, Outcast).may_read(), Err(Refusal::Forbidden), "{access:?}");
            for affiliation in [Member, Publisher, Owner] {
                assert_eq!(facts(&config, affiliation).may_read(), Ok(()), "{access:?}");
                assert_eq!(facts(&config, affiliation).may_subscribe(), Ok(Subscribed), "{access:?}");
            }
        }
    }

    #[test]
    fn presence_opens_a_presence_node_and_a_group_a_roster_node_only() {
        for (sees_presence, in_group) in [(false, false), (true, false), (true, true)] {
            let (presence, roster, white) =
                (model(AccessModel::Presence), model(AccessModel::Roster), model(AccessModel::Whitelist));
            let may = |config| Facts { sees_presence, in_group, ..facts(config, Nobody) }.may_read().is_ok();
            assert_eq!((may(&presence), may(&roster), may(&white)), (sees_presence, in_group, false));
        }
    }

    #[test]
    fn a_stranger_does_not_learn_that_an_account_has_a_closed_node() {
        for access in [AccessModel::Presence, AccessModel::Roster, AccessModel::Whitelist] {
            let config = model(access);
            let stranger = Facts { personal: true, ..facts(&config, Nobody) };
            assert_eq!(stranger.may_read(), Err(Refusal::NotFound));
            assert_eq!(stranger.may_subscribe(), Err(Refusal::NotFound));
            assert_eq!(stranger.may_publish(), Err(Refusal::NotFound));
            assert_eq!(stranger.may_own(), Err(Refusal::NotFound));
            assert_ne!(Facts { sees_presence: true, ..stranger }.may_own(), Err(Refusal::NotFound));
        }
    }

    #[test]
    fn a_subscription_waits_where_an_owner_has_to_allow_it() {
        let config = model(AccessModel::Authorize);
        let asker = facts(&config, Nobody);
        assert_eq!(asker.may_subscribe(), Ok(Pending));
        let waiting = Facts { subscription: Pending, ..asker };
        assert_eq!(waiting.may_subscribe(), Err(Refusal::PendingSubscription));
        assert_eq!(waiting.may_read(), Err(Refusal::NotSubscribedToRead));
        let allowed = Facts { subscription: Subscribed, ..asker };
        assert_eq!((allowed.may_subscribe(), allowed.may_read()), (Ok(Subscribed), Ok(())));
    }

    #[test]
    fn a_node_without_subscriptions_takes_none() {
        let config = Config { subscribe: false, ..model(AccessModel::Open) };
        assert_eq!(facts(&config, Nobody).may_subscribe(), Err(Refusal::Unsupported("subscribe")));
    }

    #[test]
    fn the_publish_model_decides_who_publishes() {
        for (publish, nobody, subscriber) in [
            (PublishModel::Publishers, false, false),
            (PublishModel::Subscribers, false, true),
            (PublishModel::Open, true, true),
        ] {
            let config = Config { publish, ..model(AccessModel::Open) };
            assert_eq!(facts(&config, Nobody).may_publish().is_ok(), nobody, "{publish:?}");
            let asker = Facts { subscription: Subscribed, ..facts(&config, Member) };
            assert_eq!(asker.may_publish().is_ok(), subscriber, "{publish:?}");
            let outcast = Facts { subscription: Subscribed, ..facts(&config, Outcast) };
            assert_eq!(outcast.may_publish(), Err(Refusal::Forbidden));
            assert_eq!(facts(&config, Publisher).may_publish(), Ok(()));
        }
    }

    #[test]
    fn an_item_is_retracted_by_its_publisher_or_an_owner() {
        let config = model(AccessModel::Open);
        assert_eq!(facts(&config, Publisher).may_retract(true), Ok(()));
        assert_eq!(facts(&config, Publisher).may_retract(false), Err(Refusal::Forbidden));
        assert_eq!(facts(&config, Owner).may_retract(false), Ok(()));
        assert_eq!(facts(&config, Nobody).may_retract(true), Err(Refusal::Forbidden), "no longer a publisher");
    }

    #[test]
    fn only_owners_own() {
        let config = model(AccessModel::Open);
        for affiliation in [Outcast, Nobody, Member, Publisher] {
            assert_eq!(facts(&config, affiliation).may_own(), Err(Refusal::Forbidden));
        }
        assert_eq!(facts(&config, Owner).may_own(), Ok(()));
    }

    fn publish(config: &Config, payloads: Option<usize>) -> Result<Publication, Refusal> {
        let item = payloads.map(|count| (None, vec![Element::new("urn:x", "x"); count]));
        suits(config, item, |_| 10)
    }

    #[test]
    fn what_is_published_must_suit_the_node() {
        let with = |persist, payloads| Config { persist, payloads, ..model(AccessModel::Open) };
        for (persist, payloads, nothing, no_payload) in [
            (true, true, Err(Refusal::ItemRequired), Some(Refusal::PayloadRequired)),
            (true, false, Err(Refusal::ItemRequired), None),
            (false, true, Err(Refusal::PayloadRequired), Some(Refusal::PayloadRequired)),
            (false, false, Ok(Publication::Nudge), Some(Refusal::ItemForbidden)),
        ] {
            let config = with(persist, payloads);
            assert_eq!(publish(&config, None), nothing, "{persist} {payloads}");
            assert_eq!(publish(&config, Some(0)).err(), no_payload, "{persist} {payloads}");
        }
        assert_eq!(publish(&with(true, true), Some(2)), Err(Refusal::InvalidPayload));
        assert!(publish(&with(true, true), Some(1)).is_ok());
        assert_eq!(publish(&with(false, false), Some(1)), Err(Refusal::ItemForbidden));
    }

    #[test]
    fn a_payload_may_be_as_long_as_the_limit_and_no_longer() {
        for (limit, fits) in [(9, false), (10, true), (11, true)] {
            let config = Config { payload_bytes: limit, ..model(AccessModel::Open) };
            assert_eq!(publish(&config, Some(1)).is_ok(), fits, "{limit}");
        }
    }
}
