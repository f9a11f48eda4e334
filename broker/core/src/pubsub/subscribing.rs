//! Subscribing and what follows from it: the last item, owners who hear of it or have to allow it (XEP-0060 §5.6, §6.1, §6.2, §8.6).

use torg_wire::jid::Jid;
use torg_wire::ns;
use torg_wire::stanza::Stanza;
use torg_wire::xep::data_forms::{DataForm, FieldKind, FormField, FormKind};
use torg_wire::xep::pubsub::{Affiliation, Event, Refusal, SendLast, SubscriptionState, answer, subscription};
use torg_wire::xml::Element;

use super::audience::Then;
use super::decision::Failure;
use super::limits::ATTEMPTS_MAX;
use super::{Context, Done, Node, is_subscribed};
use crate::identity::Envelope;
use crate::router::Router;
use crate::service::Reply;

/// The form by which an owner allows a subscription (§8.6).
const AUTHORIZATION: &str = "http://jabber.org/protocol/pubsub#subscribe_authorization";

impl Context<'_> {
    pub(super) async fn subscribe(&self, name: &str, jid: Jid) -> Result<Done, Failure> {
        if jid.to_bare() != self.account {
            return Err(Refusal::InvalidJid.into());
        }
        for _ in 0..ATTEMPTS_MAX {
            let (node, mut about) = self.known(name).await?;
            about.standing.subscription = self.table().subscription(node.id, &jid).await?;
            let before = about.standing.subscription;
            let state = about.facts(&node).may_subscribe()?;
            if state != before {
                match self.table().set_subscriptions(&node, &[(jid.clone(), state)]).await {
                    Ok(()) => {}
                    Err(failure) if failure.is_conflict() => continue,
                    Err(failure) => return Err(failure),
                }
            }
            let shown = subscription(ns::PUBSUB, Some(name), jid.as_str(), state);
            let mut then = Vec::new();
            if state != before {
                then.extend(self.owners_told(&node, &jid, state).await?);
                if is_subscribed(state) && node.config.send_last != SendLast::Never && node.config.notify {
                    then.push(Then::Last { node, to: jid });
                }
            }
            return Ok(Done { answer: Some(answer([shown])), then });
        }
        Err(Refusal::Quota.into())
    }

    pub(super) async fn unsubscribe(&self, name: &str, jid: Jid) -> Result<Done, Failure> {
        for _ in 0..ATTEMPTS_MAX {
            let (node, about) = self.known(name).await?;
            if about.facts(&node).is_hidden() {
                return Err(Refusal::NotFound.into());
            }
            if jid.to_bare() != self.account {
                return Err(Refusal::Forbidden.into());
            }
            if self.table().subscription(node.id, &jid).await? == SubscriptionState::None {
                return Err(Refusal::NotSubscribed.into());
            }
            match self.table().set_subscriptions(&node, &[(jid.clone(), SubscriptionState::None)]).await {
                Ok(()) => {}
                Err(failure) if failure.is_conflict() => continue,
                Err(failure) => return Err(failure),
            }
            let shown = subscription(ns::PUBSUB, Some(name), jid.as_str(), SubscriptionState::None);
            let then = self.owners_told(&node, &jid, SubscriptionState::None).await?;
            return Ok(Done { answer: Some(answer([shown])), then });
        }
        Err(Refusal::Quota.into())
    }

    pub(super) async fn own_subscriptions(&self, node: Option<&str>) -> Result<Done, Failure> {
        let mut found = self.table().subscriptions_of(self.service, &self.account).await?;
        if let Some(node) = node {
            found.retain(|(name, ..)| name == node);
        }
        let found = found.iter().map(|(name, jid, state)| subscription(ns::PUBSUB, Some(name), jid.as_str(), *state));
        let list = Element::new(ns::PUBSUB, "subscriptions").with_attr_opt("node", node).with_children(found);
        Ok(Done { answer: Some(answer([list])), then: Vec::new() })
    }

    pub(super) async fn own_affiliations(&self, node: Option<&str>) -> Result<Done, Failure> {
        let mut found = self.table().affiliations_of(self.service, &self.account).await?;
        if let Some(node) = node {
            found.retain(|(name, _)| name == node);
        }
        let found = found.iter().map(|(name, affiliation)| {
            let entry = Element::new(ns::PUBSUB, "affiliation").with_attr("node", name);
            entry.with_attr("affiliation", affiliation.name())
        });
        let list = Element::new(ns::PUBSUB, "affiliations").with_attr_opt("node", node).with_children(found);
        Ok(Done { answer: Some(answer([list])), then: Vec::new() })
    }

    /// What owners hear of a subscription: that it waits for them, or that it is there or gone, if they want to know.
    async fn owners_told(&self, node: &Node, jid: &Jid, state: SubscriptionState) -> Result<Vec<Then>, Failure> {
        let event = match state {
            SubscriptionState::Pending => None,
            _ if node.config.notify_subscriptions => Some(Event::Subscription(jid.to_string(), state)),
            _ => return Ok(Vec::new()),
        };
        let mut owners: Vec<Jid> = self
            .table()
            .affiliations(node.id)
            .await?
            .into_iter()
            .filter(|(_, affiliation)| *affiliation == Affiliation::Owner)
            .map(|(owner, _)| owner.into())
            .collect();
        if node.is_personal() {
            owners.push(node.service.clone().into());
        }
        Ok(owners
            .into_iter()
            .map(|to| match &event {
                Some(event) => Then::One { node: node.clone(), to, event: event.clone() },
                None => Then::Form { node: node.clone(), to, form: petition(node, jid) },
            })
            .collect())
    }
}

/// The form that asks an owner.
fn petition(node: &Node, subscriber: &Jid) -> Element {
    let field = |kind, name: &str, value: &str, label: &str| FormField {
        values: vec![value.to_owned()],
        label: (!label.is_empty()).then(|| label.to_owned()),
        ..FormField::new(kind, name)
    };
    let fields = vec![
        field(FieldKind::Hidden, "FORM_TYPE", AUTHORIZATION, ""),
        field(FieldKind::TextSingle, "pubsub#node", &node.name, "Node"),
        field(FieldKind::JidSingle, "pubsub#subscriber_jid", subscriber.as_str(), "Subscriber"),
        field(FieldKind::Boolean, "pubsub#allow", "false", "Allow the subscription"),
    ];
    DataForm { kind: FormKind::Form, fields, ..DataForm::default() }.encode()
}

/// An owner of a node of the service answers a [`petition`].
pub(super) async fn decided(router: &Router, envelope: Envelope, reply: Reply) {
    match decide(router, &envelope).await {
        Ok(then) => {
            reply.none();
            for work in then {
                if let Err(error) = work.run(router).await {
                    tracing::error!(%error, "A subscriber could not be told.");
                }
            }
        }
        Err(failure) => reply.error(failure.answer()),
    }
}

async fn decide(router: &Router, envelope: &Envelope) -> Result<Vec<Then>, Failure> {
    let stanza: &Stanza = envelope.stanza();
    let form = stanza.children().iter().find_map(DataForm::decode).ok_or(Refusal::BadRequest)?;
    let text = |var: &str| form.field(var).and_then(FormField::value);
    if text("FORM_TYPE") != Some(AUTHORIZATION) {
        return Err(Refusal::BadRequest.into());
    }
    if form.kind == FormKind::Cancel {
        return Ok(Vec::new()); // §8.6: it stays pending
    }
    let allow = match text("pubsub#allow") {
        Some("1" | "true") => true,
        Some("0" | "false") => false,
        _ => return Err(Refusal::BadRequest.into()),
    };
    let name = text("pubsub#node").ok_or(Refusal::NodeIdRequired)?;
    let subscriber = text("pubsub#subscriber_jid").and_then(|jid| Jid::parse(jid).ok()).ok_or(Refusal::InvalidJid)?;
    let service = stanza.to().map(Jid::to_bare).ok_or(Refusal::BadRequest)?;
    let asker = envelope.identity().jid();
    let context = Context { router, service: &service, asker, account: asker.to_bare() };
    for _ in 0..ATTEMPTS_MAX {
        let node = context.owned(name).await?;
        // Only what waits is decided; a subscription that an owner has already allowed or ended is not touched again.
        if context.table().subscription(node.id, &subscriber).await? != SubscriptionState::Pending {
            return Ok(Vec::new());
        }
        let state = if allow { SubscriptionState::Subscribed } else { SubscriptionState::None };
        match context.table().set_subscriptions(&node, &[(subscriber.clone(), state)]).await {
            Ok(()) => return Ok(told(node, subscriber, state)),
            Err(failure) if failure.is_conflict() => {}
            Err(failure) => return Err(failure),
        }
    }
    Err(Refusal::Quota.into())
}

/// What a subscriber hears when an owner has changed its subscription (§8.8.4).
pub(super) fn told(node: Node, subscriber: Jid, state: SubscriptionState) -> Vec<Then> {
    let event = Event::Subscription(subscriber.to_string(), state);
    let mut then = vec![Then::One { node: node.clone(), to: subscriber.clone(), event }];
    if is_subscribed(state) && node.config.send_last != SendLast::Never && node.config.notify {
        then.push(Then::Last { node, to: subscriber });
    }
    then
}
