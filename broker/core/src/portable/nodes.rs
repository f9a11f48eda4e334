//! Personal nodes in a file (XEP-0227 "Personal Eventing Protocol"): configuration, who has to do with them, items.

use std::collections::BTreeMap;
use std::sync::Arc;

use torg_store::{Batch, Engine, StoreError};
use torg_thing::Timestamp;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::xep::data_forms::{DataForm, FormKind};
use torg_wire::xep::pubsub::{AccessModel, Affiliation, Config, SubscriptionState};
use torg_wire::xml::{Element, Limits, parse_document};

use super::Imported;
use crate::offline::is_iot;
use crate::pubsub::{AFFILIATIONS_MAX, BOUNDS, BYTES_MAX, NODES_MAX, Placing, SUBSCRIPTIONS_MAX, Table};

pub(super) async fn export(store: &Arc<dyn Engine>, account: &BareJid) -> Result<Vec<Element>, StoreError> {
    let table = Table::new(Arc::clone(store));
    let (mut owner, mut items) = (Vec::new(), Vec::new());
    let mut last = String::new();
    loop {
        let page = table.page(account, &last).await?;
        let Some(newest) = page.last() else { break };
        last.clone_from(&newest.name);
        for node in &page {
            let part = |name| Element::new(ns::PUBSUB_OWNER, name).with_attr("node", &node.name);
            owner.push(part("configure").with_child(node.config.form(FormKind::Form).encode()));
            let affiliations = table.affiliations(node.id).await?;
            if !affiliations.is_empty() {
                let one = |(jid, affiliation): &(BareJid, Affiliation)| {
                    let it = Element::new(ns::PUBSUB_OWNER, "affiliation").with_attr("jid", jid.as_str());
                    it.with_attr("affiliation", affiliation.name())
                };
                owner.push(part("affiliations").with_children(affiliations.iter().map(one)));
            }
            let subscriptions = table.subscriptions(node.id).await?;
            if !subscriptions.is_empty() {
                let one = |(jid, state): &(Jid, SubscriptionState)| {
                    let it = Element::new(ns::PUBSUB_OWNER, "subscription").with_attr("jid", jid.as_str());
                    it.with_attr("subscription", state.name())
                };
                owner.push(part("subscriptions").with_children(subscriptions.iter().map(one)));
            }
            let kept = table.between(node.id, 0, i64::MAX).await?;
            items.push(Element::new(ns::PUBSUB, "items").with_attr("node", &node.name).with_children(kept.iter().map(
                |item| {
                    let payload = item.payload.as_deref().and_then(|text| parse_document(text, &Limits::SERVER).ok());
                    Element::new(ns::PUBSUB, "item")
                        .with_attr("id", &item.id)
                        .with_attr("publisher", item.publisher.as_str())
                        .with_child_opt(payload)
                },
            )));
        }
    }
    if owner.is_empty() {
        return Ok(Vec::new());
    }
    let owner = Element::new(ns::PUBSUB_OWNER, "pubsub").with_children(owner);
    Ok(vec![owner, Element::new(ns::PUBSUB, "pubsub").with_children(items)])
}

/// Removes the personal nodes of an account.
pub(super) fn clear(batch: Batch, account: &BareJid) -> Batch {
    Table::clear(batch, account)
}

/// A node as a file describes it.
#[derive(Default)]
struct Described<'a> {
    configure: Option<&'a Element>,
    affiliations: Vec<(BareJid, Affiliation)>,
    subscriptions: Vec<(Jid, SubscriptionState)>,
    items: Vec<&'a Element>,
}

pub(super) fn import(
    mut batch: Batch,
    account: &BareJid,
    user: &Element,
    now: Timestamp,
    done: &mut Imported,
) -> Batch {
    let mut bytes = 0;
    for (name, node) in described(user) {
        if done.nodes >= limit(NODES_MAX) || name.is_empty() || name.len() > BOUNDS.text {
            done.leave_out(format!("the node {name:?}: one too many, or without a name that can be used"));
            continue;
        }
        let config = configuration(name, node.configure, done);
        let items = items(name, &node.items, &config, account, &mut bytes, done);
        done.nodes = done.nodes.saturating_add(1);
        done.items = done.items.saturating_add(items.len());
        let Described { mut affiliations, mut subscriptions, .. } = node;
        affiliations.retain(|(jid, affiliation)| jid != account && *affiliation != Affiliation::None);
        affiliations.truncate(limit(AFFILIATIONS_MAX));
        subscriptions.retain(|(_, state)| *state != SubscriptionState::None);
        subscriptions.truncate(limit(SUBSCRIPTIONS_MAX));
        let placing = Placing {
            name,
            config: &config,
            items: &items,
            affiliations: &affiliations,
            subscriptions: &subscriptions,
        };
        batch = Table::place(batch, account, &placing, now.micros());
    }
    batch
}

fn limit(number: i64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn described(user: &Element) -> BTreeMap<&str, Described<'_>> {
    let mut nodes = BTreeMap::<&str, Described<'_>>::new();
    let parts = |namespace| user.children_named(namespace, "pubsub").flat_map(Element::children);
    for part in parts(ns::PUBSUB_OWNER) {
        let node = nodes.entry(part.attr("node").unwrap_or_default()).or_default();
        match part.name() {
            "configure" => node.configure = Some(part),
            "affiliations" => node.affiliations.extend(part.children().filter_map(|one| {
                let affiliation = Affiliation::parse(one.attr("affiliation")?)?;
                Some((BareJid::parse(one.attr("jid")?).ok()?, affiliation))
            })),
            "subscriptions" => node.subscriptions.extend(part.children().filter_map(|one| {
                let state = SubscriptionState::parse(one.attr("subscription")?)?;
                Some((Jid::parse(one.attr("jid")?).ok()?, state))
            })),
            _ => {}
        }
    }
    for part in parts(ns::PUBSUB).filter(|part| part.name() == "items") {
        let node = nodes.entry(part.attr("node").unwrap_or_default()).or_default();
        node.items.extend(part.children_named(ns::PUBSUB, "item"));
    }
    nodes
}

/// What the file configures, on top of what a personal node is anyway. One that is not understood is closed to everybody: it may have been
/// private.
fn configuration(name: &str, configure: Option<&Element>, done: &mut Imported) -> Config {
    let mut config = Config::personal(&BOUNDS);
    let Some(form) = configure.and_then(|configure| configure.child(ns::DATA_FORMS, "x")) else { return config };
    let applied = DataForm::decode(form).map(|form| config.apply(&form, &BOUNDS));
    if !matches!(applied, Some(Ok(()))) {
        done.leave_out(format!("the configuration of the node {name:?}, which is now for its owner alone"));
        config = Config { access: AccessModel::Whitelist, ..Config::personal(&BOUNDS) };
    }
    config
}

/// Items that the node may keep, oldest first: id, payload, publisher.
fn items(
    name: &str,
    elements: &[&Element],
    config: &Config,
    account: &BareJid,
    bytes: &mut usize,
    done: &mut Imported,
) -> Vec<(String, Option<String>, BareJid)> {
    let mut items: Vec<(String, Option<String>, BareJid)> = Vec::new();
    let surplus = elements.len().saturating_sub(if config.persist { config.items } else { 0 });
    if surplus > 0 {
        done.leave_out(format!("{surplus} items of the node {name:?}, which keeps no more"));
    }
    for element in elements.iter().skip(surplus) {
        let payload = element.first_child();
        let text = payload.map(ToString::to_string);
        let id = element.attr("id").unwrap_or("current").to_owned();
        let size = text.as_ref().map_or(0, String::len);
        let total = bytes.saturating_add(size).saturating_add(id.len());
        let is_new = !items.iter().any(|(other, ..)| *other == id);
        let fits = size <= config.payload_bytes && total <= limit(BYTES_MAX) && id.len() <= BOUNDS.text;
        if !is_new || !fits || payload.is_some_and(is_iot) {
            done.leave_out(format!("an item of the node {name:?}: given twice, too large, or payload of a device"));
            continue;
        }
        *bytes = total;
        let publisher = element.attr("publisher").and_then(|jid| Jid::parse(jid).ok()).map(|jid| jid.to_bare());
        items.push((id, text, publisher.unwrap_or_else(|| account.clone())));
    }
    items
}
