//! Publishing and retracting (XEP-0060 §7). Device payload goes to memory, everything else to disk; never both.

use torg_wire::jid::Jid;
use torg_wire::ns;
use torg_wire::xep::data_forms::DataForm;
use torg_wire::xep::pubsub::{Config, Event, Item, Refusal, answer};
use torg_wire::xml::{Element, Scope};

use super::audience::Then;
use super::decision::{Failure, Publication, suits};
use super::limits::{ATTEMPTS_MAX, BOUNDS};
use super::node::Node;
use super::table::Publishing;
use super::{Context, Done, random_name};
use crate::offline::is_iot;

impl Context<'_> {
    pub(super) async fn publish(
        &self,
        name: &str,
        item: Option<(Option<String>, Vec<Element>)>,
        options: Option<&DataForm>,
    ) -> Result<Done, Failure> {
        if options.is_some_and(|form| !is_publish_options(form)) {
            return Err(Refusal::BadRequest.into());
        }
        for _ in 0..ATTEMPTS_MAX {
            let Some(node) = self.table().find(self.service, name).await? else {
                self.create_for(name, options).await?;
                continue;
            };
            let about = super::About::find(self.router, &node, &self.account).await?;
            about.facts(&node).may_publish()?;
            if let Some(form) = options {
                let wanted = node.config.required_by(form, &BOUNDS).ok();
                wanted.filter(|wanted| *wanted == node.config).ok_or(Refusal::PreconditionNotMet)?;
            }
            match suits(&node.config, item.clone(), |payload| document(payload).len())? {
                Publication::Nudge => return self.published(name, None, node, Event::Nudged).await,
                Publication::Item { id, payload } => {
                    let item = Item { id: id.map_or_else(random_name, Ok)?, payload };
                    match self.keep(&node, &item).await {
                        Ok(dropped) => {
                            let id = item.id.clone();
                            return self.published(name, Some(id), node, Event::Items(vec![item], dropped)).await;
                        }
                        Err(failure) if failure.is_conflict() => {}
                        Err(failure) => return Err(failure),
                    }
                }
            }
        }
        Err(Refusal::Quota.into())
    }

    /// Makes the node of an account that does not exist yet, as the publisher wants it (§7.1.4, XEP-0163 §3); XEP-0222 and
    /// XEP-0223 rest on it.
    async fn create_for(&self, name: &str, options: Option<&DataForm>) -> Result<(), Failure> {
        if !self.is_own_service() {
            return Err(Refusal::NotFound.into());
        }
        let mut config = Config::personal(&BOUNDS);
        if let Some(form) = options {
            config = config.required_by(form, &BOUNDS).map_err(|_| Refusal::PreconditionNotMet)?;
        }
        match self.table().create(self.service, name, &self.account, &config, self.now()).await {
            // Another session of the account was faster.
            Ok(()) | Err(Failure::Refused(Refusal::Exists)) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Keeps the item where it belongs; answers which others had to go.
    async fn keep(&self, node: &Node, item: &Item) -> Result<Vec<String>, Failure> {
        let payload = item.payload.as_ref().map(document);
        if item.payload.as_ref().is_some_and(is_iot) {
            if node.last > 0 && self.table().item(node.id, &item.id).await?.is_some() {
                self.table().drop_if_any(node, &item.id).await?;
            }
            let size = item.id.len() + payload.as_ref().map_or(0, String::len);
            self.pubsub().memory.keep(node, item.clone(), self.account.clone(), self.now(), size);
            return Ok(Vec::new());
        }
        if !node.config.persist {
            return Ok(Vec::new());
        }
        let entries = self.table().entries(node.id).await?;
        let others: Vec<_> = entries.into_iter().filter(|entry| entry.id != item.id).collect();
        let surplus = (others.len() + 1).saturating_sub(node.config.items);
        if surplus > 0 && node.config.reject_when_full {
            return Err(Refusal::NodeFull.into());
        }
        let dropped = others.get(..surplus).unwrap_or_default();
        let publishing = Publishing {
            id: &item.id,
            payload,
            publisher: &self.account,
            published: self.now(),
            drop_through: dropped.last().map(|entry| entry.number),
        };
        self.table().publish(node, publishing).await?;
        self.pubsub().memory.forget(node.id, Some(&item.id));
        Ok(dropped.iter().map(|entry| entry.id.clone()).collect())
    }

    /// The answer, with the id that the item has got, and the event.
    async fn published(&self, name: &str, id: Option<String>, node: Node, event: Event) -> Result<Done, Failure> {
        let item = id.map(|id| Element::new(ns::PUBSUB, "item").with_attr("id", id));
        let publish = Element::new(ns::PUBSUB, "publish").with_attr("node", name).with_child_opt(item);
        let event = match event {
            Event::Items(items, _) if !node.config.notify_retract => Event::Items(items, Vec::new()),
            event => event,
        };
        let then = if node.config.notify { Then::tell(self.router, node, event).await? } else { Vec::new() };
        Ok(Done { answer: Some(answer([publish])), then })
    }

    pub(super) async fn retract(&self, name: &str, id: &str, notify: bool) -> Result<Done, Failure> {
        let (node, about) = self.known(name).await?;
        let kept = self.pubsub().memory.of(node.id).filter(|kept| kept.item.id == id);
        let stored = if kept.is_some() { None } else { self.table().item(node.id, id).await? };
        let publisher = kept.map(|kept| kept.publisher.clone()).or(stored.map(|stored| stored.publisher));
        about.facts(&node).may_retract(publisher.as_ref() == Some(&self.account))?;
        if publisher.is_none() {
            let transient = !node.config.persist;
            return Err(if transient { Refusal::Unsupported("persistent-items") } else { Refusal::NotFound }.into());
        }
        if !self.pubsub().memory.forget(node.id, Some(id)) {
            self.table().retract(&node, id).await?;
        }
        let told = node.config.notify && (notify || node.config.notify_retract);
        let event = Event::Retracted(vec![id.to_owned()]);
        let then = if told { Then::tell(self.router, node, event).await? } else { Vec::new() };
        Ok(Done { answer: None, then })
    }
}

/// The payload as it is kept and measured.
pub(super) fn document(payload: &Element) -> String {
    let mut text = String::with_capacity(256);
    payload.write_to(&mut text, &Scope::DOCUMENT);
    text
}

fn is_publish_options(form: &DataForm) -> bool {
    form.field("FORM_TYPE").and_then(|field| field.value()) == Some("http://jabber.org/protocol/pubsub#publish-options")
}

/// Whether the address may have nodes at the service: those who live here.
pub(super) fn is_resident(context: &Context<'_>, asker: &Jid) -> bool {
    asker.local().is_some() && asker.domain() == context.router.domain().as_str()
}
