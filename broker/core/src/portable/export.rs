//! An account's data as elements of a file.

use std::sync::Arc;

use torg_store::{Engine, StoreError, Value};
use torg_wire::jid::BareJid;
use torg_wire::ns;
use torg_wire::stanza::{PresenceType, Stanza};
use torg_wire::xml::{Element, Limits, parse_document};

use super::nodes;
use crate::offline::Offline;
use crate::personal::CARD;
use crate::roster::{Item, Rosters};

const DOCUMENTS: &str = "SELECT name, document FROM personal_document WHERE owner = ?1 ORDER BY name";
const BLOCKED: &str = "SELECT jid FROM blocking_item WHERE owner = ?1 ORDER BY jid";

/// The children of the account's `<user/>`. A broker may run meanwhile; each part is of one moment, and they are of a few.
///
/// # Errors
/// If the store fails.
pub async fn export_account(store: &Arc<dyn Engine>, account: &BareJid) -> Result<Vec<Element>, StoreError> {
    let mut parts = Vec::new();
    let (_, items) = Rosters::new(Arc::clone(store)).load(account).await?;
    let listed = items.iter().filter(|item| item.listed || item.approved).map(Item::to_element);
    parts.push(Element::new(ns::ROSTER, "query").with_children(listed));
    parts.extend(items.iter().filter(|item| item.state.is_asked()).map(request));

    let messages = messages(store, account).await?;
    if !messages.is_empty() {
        parts.push(Element::new(ns::PIE, "offline-messages").with_children(messages));
    }
    let (mut private, mut card) = (Vec::new(), None);
    for row in &store.query(DOCUMENTS, vec![Value::from(account.as_str())]).await? {
        let document = parse_document(row.text(1)?, &Limits::SERVER).ok();
        match row.text(0)? {
            CARD => card = document,
            _ => private.extend(document),
        }
    }
    if !private.is_empty() {
        parts.push(Element::new(ns::PRIVATE, "query").with_children(private));
    }
    parts.extend(card);
    let mut blocked = Vec::new();
    for row in &store.query(BLOCKED, vec![Value::from(account.as_str())]).await? {
        blocked.push(Element::new(ns::BLOCKING, "item").with_attr("jid", row.text(0)?));
    }
    if !blocked.is_empty() {
        parts.push(Element::new(ns::BLOCKING, "blocklist").with_children(blocked));
    }
    parts.extend(nodes::export(store, account).await?);
    Ok(parts)
}

/// A contact's request, as it came or as little as is known of it.
fn request(item: &Item) -> Element {
    let came = item.request.as_deref().and_then(|text| parse_document(text, &Limits::SERVER).ok());
    let came = came.filter(|request| request.is(ns::CLIENT, "presence"));
    let plain = || Stanza::presence(PresenceType::Subscribe).with_from(item.contact.clone()).into_element();
    came.unwrap_or_else(plain)
}

async fn messages(store: &Arc<dyn Engine>, account: &BareJid) -> Result<Vec<Element>, StoreError> {
    let offline = Offline::new(Arc::clone(store));
    let (mut messages, mut last) = (Vec::new(), 0);
    loop {
        let page = offline.after(account, last).await?;
        let Some(newest) = page.last() else { return Ok(messages) };
        last = newest.number;
        messages.extend(page.iter().filter_map(|stored| parse_document(&stored.stanza, &Limits::SERVER).ok()));
    }
}
