//! An account's data from elements of a file: judged first, then one batch.

use std::collections::BTreeSet;

use torg_store::Batch;
use torg_thing::Timestamp;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::Stanza;
use torg_wire::xml::{Element, Scope};

use super::nodes;
use crate::blocking::{self, Blocklists};
use crate::offline::{self, Offline, is_iot, is_storable, with_marks_of};
use crate::personal::{self, CARD, Personal};
use crate::roster::state::Subscription;
use crate::roster::{self, Item};
use crate::sm;

/// What was taken over, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Contacts of the roster.
    pub contacts: usize,
    /// Requests that wait for an answer.
    pub requests: usize,
    /// Offline messages.
    pub messages: usize,
    /// Private documents, the card among them.
    pub documents: usize,
    /// Blocked addresses.
    pub blocked: usize,
    /// Personal nodes.
    pub nodes: usize,
    /// Items in them.
    pub items: usize,
    /// What was left out, and why, in words.
    pub left_out: Vec<String>,
}

impl Imported {
    pub(super) fn leave_out(&mut self, what: impl Into<String>) {
        // A hostile file is not to fill the report either.
        if self.left_out.len() < LEFT_OUT_MAX {
            self.left_out.push(what.into());
        }
    }
}

/// Remarks about one account.
const LEFT_OUT_MAX: usize = 100;

/// Removes what the broker keeps for an account that is about to be imported over: its own data, not what others have granted it.
#[must_use]
pub fn clearing(batch: Batch, account: &BareJid) -> Batch {
    let batch = Offline::forget(roster::clear(batch, account), account);
    let batch = Personal::forget(Blocklists::forget(sm::forget(batch, account), account), account);
    nodes::clear(batch, account)
}

/// Adds to `batch` all that the `<user/>` of a file brings for an account without data of its own.
#[must_use]
pub fn import_account(
    batch: Batch,
    domain: &BareJid,
    account: &BareJid,
    user: &Element,
    now: Timestamp,
) -> (Batch, Imported) {
    let mut done = Imported::default();
    let mut batch = contacts(batch, account, user, &mut done);
    let mut messages = Vec::new();
    let mut documents = Documents::default();
    let mut blocked = BTreeSet::new();
    for part in user.children() {
        match (part.namespace().as_str(), part.name()) {
            (ns::PIE, "offline-messages") => {
                for message in part.children() {
                    message_of(domain, account, message, now, &mut messages, &mut done);
                }
            }
            (ns::PRIVATE, "query") => part.children().for_each(|document| documents.private(document, &mut done)),
            (ns::VCARD, "vCard") => documents.keep(CARD.to_owned(), part, &mut done),
            (ns::BLOCKING, "blocklist") => {
                for item in part.children_named(ns::BLOCKING, "item") {
                    match item.attr("jid").map(Jid::parse) {
                        Some(Ok(jid)) if blocked.len() < blocking::ITEMS_MAX => drop(blocked.insert(jid)),
                        _ => done.leave_out("a blocked address that is none, or one too many"),
                    }
                }
            }
            (ns::ROSTER, "query") | (ns::CLIENT, "presence") => {} // above
            (ns::PUBSUB | ns::PUBSUB_OWNER, "pubsub") => {}        // below
            (ns::PIE_SCRAM, _) | (ns::ACCOUNT, _) => {}            // for the accounts
            (namespace, name) => done.leave_out(format!("<{name} xmlns='{namespace}'/>, which is not kept here")),
        }
    }
    done.messages = messages.len();
    if !messages.is_empty() {
        batch = Offline::take_in_all(batch, account, messages);
    }
    done.documents = documents.kept.len();
    for (name, document) in documents.kept {
        batch = Personal::keeping(batch, account, &name, document);
    }
    done.blocked = blocked.len();
    batch = blocked.iter().fold(batch, |batch, jid| Blocklists::adding(batch, account, jid));
    (nodes::import(batch, account, user, now, &mut done), done)
}

/// Roster and requests together: both are rows of a contact.
fn contacts(batch: Batch, account: &BareJid, user: &Element, done: &mut Imported) -> Batch {
    let mut items: Vec<Item> = Vec::new();
    for element in user.children_named(ns::ROSTER, "query").flat_map(|query| query.children_named(ns::ROSTER, "item")) {
        match Item::from_file(element) {
            Some(item) if item.contact == *account || items.iter().any(|other| other.contact == item.contact) => {
                done.leave_out(format!("the contact {}, which is there already", item.contact));
            }
            Some(_) if items.len() >= roster::ITEMS_MAX => done.leave_out("a contact beyond the thousandth"),
            Some(item) => items.push(item),
            None => done.leave_out("a contact whose address, name or groups cannot be used"),
        }
    }
    done.contacts = items.len();
    for presence in user.children_named(ns::CLIENT, "presence").filter(|it| it.attr("type") == Some("subscribe")) {
        let Some(from) = presence.attr("from").and_then(|from| Jid::parse(from).ok()).map(|from| from.to_bare()) else {
            done.leave_out("a request without an address");
            continue;
        };
        if done.requests >= roster::PENDING_MAX || is_iot(presence) {
            done.leave_out(format!("the request of {from}"));
            continue;
        }
        let position = items.iter().position(|item| item.contact == from);
        let position = position.unwrap_or_else(|| {
            items.push(Item::new(from));
            items.len().saturating_sub(1)
        });
        let Some(item) = items.get_mut(position) else { continue };
        let text = presence.to_string();
        item.state = match item.state {
            Subscription::None => Subscription::NoneIn,
            Subscription::NoneOut => Subscription::NoneOutIn,
            Subscription::To => Subscription::ToIn,
            other => other,
        };
        if item.state.is_asked() {
            item.request = (text.len() <= roster::REQUEST_BYTES_MAX).then_some(text);
            done.requests = done.requests.saturating_add(1);
        }
    }
    roster::place(batch, account, &items)
}

fn message_of(
    domain: &BareJid,
    account: &BareJid,
    element: &Element,
    now: Timestamp,
    messages: &mut Vec<String>,
    done: &mut Imported,
) {
    let Ok(stanza) = Stanza::from_element(element.clone()) else {
        return done.leave_out("a message that is none");
    };
    if !is_storable(&stanza) {
        return done.leave_out("a message of a kind that does not wait here");
    }
    let stanza = with_marks_of(domain, stanza.with_to(account.clone()), account, now);
    let mut document = String::with_capacity(512);
    stanza.to_element().write_to(&mut document, &Scope::DOCUMENT);
    let bytes: usize = messages.iter().map(String::len).sum();
    let has_room = messages.len() < limit(offline::MESSAGES_MAX)
        && bytes.saturating_add(document.len()) <= limit(offline::BYTES_MAX);
    if has_room { messages.push(document) } else { done.leave_out("a message beyond what may wait") }
}

fn limit(number: i64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Private data and the card, within what an account may keep.
#[derive(Default)]
struct Documents {
    kept: Vec<(String, String)>,
    bytes: usize,
}

impl Documents {
    fn private(&mut self, document: &Element, done: &mut Imported) {
        match personal::private_name(document) {
            Some(name) => self.keep(name, document, done),
            None => done.leave_out(format!("private data <{}/> without a namespace of its own", document.name())),
        }
    }

    fn keep(&mut self, name: String, document: &Element, done: &mut Imported) {
        let text = document.to_string();
        let bytes = self.bytes.saturating_add(name.len()).saturating_add(text.len());
        let is_new = !self.kept.iter().any(|(other, _)| *other == name);
        let fits = bytes <= limit(personal::BYTES_MAX) && self.kept.len() < limit(personal::DOCUMENTS_MAX);
        if is_new && fits && !is_iot(document) {
            self.bytes = bytes;
            self.kept.push((name, text));
        } else {
            done.leave_out(format!(
                "the document {name:?}: given twice, payload of a device, or more than an account may keep"
            ));
        }
    }
}
