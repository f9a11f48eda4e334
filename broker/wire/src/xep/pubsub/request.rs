//! Reading of requests: every `<pubsub/>` that XEP-0060 defines, as one value, or the error that its form deserves.

use super::{Affiliation, Refusal, SubscriptionState};
use crate::jid::{BareJid, Jid};
use crate::ns;
use crate::xep::data_forms::{DataForm, FormKind};
use crate::xep::rsm::{PageFault, PageRequest};
use crate::xml::Element;

/// Entries of one list in a request; no person edits more at once.
const ENTRIES_MAX: usize = 256;
/// Bytes of a node's name or an item's id, as for the parts of an address (RFC 7622 §3.1).
const NAME_MAX: usize = 1_023;

/// What is asked of a service. Nodes are always named, except where it says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// The asker's affiliations, at one node or all (§5.7).
    Affiliations(Option<String>),
    /// The configuration form (§8.2.1).
    Configuration(String),
    /// Another configuration; `None` if the owner thinks better of it (§8.2.4).
    Configure(String, Option<DataForm>),
    /// A new node, whose name the service makes up if there is none (§8.1).
    Create(Option<String>, Option<DataForm>),
    /// The configuration that a new node would have (§8.3).
    DefaultConfiguration,
    /// No more node (§8.4).
    Delete(String),
    /// Items of a node (§6.5).
    Items {
        /// The node.
        node: String,
        /// These and no others, if any are named.
        ids: Vec<String>,
        /// The most recent ones only.
        most_recent: Option<usize>,
        /// One page of them (§6.5.4).
        page: Option<PageRequest>,
    },
    /// Everybody's affiliations to a node (§8.9.1).
    ListAffiliations(String),
    /// Everybody's subscriptions to a node (§8.8.1).
    ListSubscriptions(String),
    /// An item, or for some nodes none (§7.1).
    Publish {
        /// The node.
        node: String,
        /// Id, if the publisher gives one, and payloads; all there are, for the service to judge.
        item: Option<(Option<String>, Vec<Element>)>,
        /// Preconditions (§7.1.5).
        options: Option<DataForm>,
    },
    /// No more items (§8.5).
    Purge(String),
    /// One item less (§7.2).
    Retract {
        /// The node.
        node: String,
        /// The item.
        id: String,
        /// Whether subscribers are told, whatever the node's configuration says.
        notify: bool,
    },
    /// Other affiliations (§8.9.2).
    SetAffiliations(String, Vec<(BareJid, Affiliation)>),
    /// Other subscriptions (§8.8.2).
    SetSubscriptions(String, Vec<(Jid, SubscriptionState)>),
    /// Events of a node to this address (§6.1).
    Subscribe(String, Jid),
    /// The asker's subscriptions, at one node or all (§5.6).
    Subscriptions(Option<String>),
    /// No more events of a node to this address (§6.2).
    Unsubscribe(String, Jid),
}

/// Whether the iq is of type get or set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `get`
    Get,
    /// `set`
    Set,
}

impl Request {
    /// Reads the payload of an iq.
    ///
    /// # Errors
    /// What to answer.
    pub fn decode(asked: Asked, pubsub: &Element) -> Result<Self, Refusal> {
        let owner = pubsub.is(ns::PUBSUB_OWNER, "pubsub");
        let mut children = pubsub.children().filter(|child| child.namespace() == pubsub.namespace());
        let main = children.next().ok_or(Refusal::BadRequest)?;
        match (owner, asked, main.name()) {
            (false, Asked::Get, "affiliations") => Ok(Self::Affiliations(optional_node(main)?)),
            (false, Asked::Get, "subscriptions") => Ok(Self::Subscriptions(optional_node(main)?)),
            (false, Asked::Get, "items") => items(main, pubsub),
            (false, Asked::Set, "create") => create(main, children.next()),
            (false, Asked::Set, "publish") => publish(main, children.next()),
            (false, Asked::Set, "retract") => retract(main),
            (false, Asked::Set, "subscribe") => Ok(Self::Subscribe(node(main)?, jid(main)?)),
            (false, Asked::Set, "unsubscribe") => Ok(Self::Unsubscribe(node(main)?, jid(main)?)),
            (false, _, "options") => Err(Refusal::Unsupported("subscription-options")),
            (false, Asked::Get, "default") => Err(Refusal::Unsupported("retrieve-default-sub")),
            (true, Asked::Get, "default") => Ok(Self::DefaultConfiguration),
            (true, Asked::Get, "configure") => Ok(Self::Configuration(node(main)?)),
            (true, Asked::Set, "configure") => configure(main),
            (true, Asked::Set, "delete") => Ok(Self::Delete(node(main)?)),
            (true, Asked::Set, "purge") => Ok(Self::Purge(node(main)?)),
            (true, Asked::Get, "affiliations") => Ok(Self::ListAffiliations(node(main)?)),
            (true, Asked::Get, "subscriptions") => Ok(Self::ListSubscriptions(node(main)?)),
            (true, Asked::Set, "affiliations") => set_affiliations(main),
            (true, Asked::Set, "subscriptions") => set_subscriptions(main),
            _ => Err(Refusal::BadRequest),
        }
    }
}

fn optional_node(element: &Element) -> Result<Option<String>, Refusal> {
    element.attr("node").map(|_| node(element)).transpose()
}

fn node(element: &Element) -> Result<String, Refusal> {
    name(element.attr("node"))?.ok_or(Refusal::NodeIdRequired)
}

/// A name of a node or item: not empty, and not too long.
fn name(text: Option<&str>) -> Result<Option<String>, Refusal> {
    match text {
        None | Some("") => Ok(None),
        Some(text) if text.len() > NAME_MAX => Err(Refusal::NotAcceptable),
        Some(text) => Ok(Some(text.to_owned())),
    }
}

fn jid(element: &Element) -> Result<Jid, Refusal> {
    let text = element.attr("jid").ok_or(Refusal::JidRequired)?;
    Jid::parse(text).map_err(|_| Refusal::InvalidJid)
}

fn form(element: &Element) -> Option<DataForm> {
    element.children().find_map(DataForm::decode)
}

fn items(main: &Element, pubsub: &Element) -> Result<Request, Refusal> {
    let children = main.children_named(ns::PUBSUB, "item").take(ENTRIES_MAX);
    let ids = children.map(|item| name(item.attr("id"))?.ok_or(Refusal::BadRequest)).collect::<Result<_, _>>()?;
    let number = |text: &str| text.trim().parse().ok().filter(|number| *number > 0).ok_or(Refusal::BadRequest);
    let page = pubsub.child(ns::RSM, "set").map(PageRequest::decode).transpose();
    Ok(Request::Items {
        node: node(main)?,
        ids,
        most_recent: main.attr("max_items").map(number).transpose()?,
        page: page.map_err(|fault| match fault {
            PageFault::Malformed => Refusal::BadRequest,
            PageFault::NotFound => Refusal::NotFound,
        })?,
    })
}

fn create(main: &Element, configure: Option<&Element>) -> Result<Request, Refusal> {
    let configure = configure.filter(|element| element.is(ns::PUBSUB, "configure"));
    // §8.1.3: the name is given once, at <create/>
    if configure.is_some_and(|configure| configure.attr("node").is_some()) {
        return Err(Refusal::BadRequest);
    }
    if main.attr("type").is_some_and(|kind| kind != "leaf") {
        return Err(Refusal::Unsupported("collections"));
    }
    let form = configure.and_then(form).filter(|form| form.kind != FormKind::Cancel);
    Ok(Request::Create(name(main.attr("node"))?, form))
}

fn publish(main: &Element, options: Option<&Element>) -> Result<Request, Refusal> {
    let node = node(main)?;
    let mut items = main.children_named(ns::PUBSUB, "item");
    let item = items.next();
    if items.next().is_some() {
        return Err(Refusal::BadRequest); // batches were removed from the standard
    }
    let item = item.map(|item| Ok((name(item.attr("id"))?, item.children().cloned().collect()))).transpose()?;
    let options = options.filter(|element| element.is(ns::PUBSUB, "publish-options"));
    Ok(Request::Publish { node, item, options: options.and_then(form) })
}

fn retract(main: &Element) -> Result<Request, Refusal> {
    let node = node(main)?;
    let mut items = main.children_named(ns::PUBSUB, "item");
    let (Some(item), None) = (items.next(), items.next()) else { return Err(Refusal::ItemRequired) };
    let id = name(item.attr("id"))?.ok_or(Refusal::ItemRequired)?;
    let notify = match main.attr("notify") {
        None | Some("0" | "false") => false,
        Some("1" | "true") => true,
        Some(_) => return Err(Refusal::BadRequest),
    };
    Ok(Request::Retract { node, id, notify })
}

fn configure(main: &Element) -> Result<Request, Refusal> {
    let form = form(main).ok_or(Refusal::BadRequest)?;
    match form.kind {
        FormKind::Cancel => Ok(Request::Configure(node(main)?, None)),
        FormKind::Form | FormKind::Submit => Ok(Request::Configure(node(main)?, Some(form))),
        FormKind::Result => Err(Refusal::BadRequest),
    }
}

fn set_affiliations(main: &Element) -> Result<Request, Refusal> {
    let mut changes = Vec::new();
    for entry in main.children_named(ns::PUBSUB_OWNER, "affiliation") {
        // §8.9.2: without a value nothing changes
        let Some(word) = entry.attr("affiliation") else { continue };
        if word == "publish-only" {
            return Err(Refusal::Unsupported("publish-only-affiliation"));
        }
        changes.push((jid(entry)?.to_bare(), Affiliation::parse(word).ok_or(Refusal::BadRequest)?));
    }
    bounded(changes).and_then(|changes| Ok(Request::SetAffiliations(node(main)?, changes)))
}

fn set_subscriptions(main: &Element) -> Result<Request, Refusal> {
    let mut changes = Vec::new();
    for entry in main.children_named(ns::PUBSUB_OWNER, "subscription") {
        let Some(word) = entry.attr("subscription") else { continue };
        changes.push((jid(entry)?, SubscriptionState::parse(word).ok_or(Refusal::NotAcceptable)?));
    }
    bounded(changes).and_then(|changes| Ok(Request::SetSubscriptions(node(main)?, changes)))
}

fn bounded<T>(entries: Vec<T>) -> Result<Vec<T>, Refusal> {
    match entries.len() {
        0 => Err(Refusal::BadRequest),
        1..=ENTRIES_MAX => Ok(entries),
        _ => Err(Refusal::NotAcceptable),
    }
}
