//! Finding services, nodes and items (XEP-0060 §5.1 to §5.5). Nodes that the asker may not read are not listed; nodes of an account
//! that a stranger may not read are not there at all.

use torg_store::StoreError;
use torg_thing::Timestamp;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::StanzaError;
use torg_wire::xep::data_forms::{DataForm, FieldKind, FormField, FormKind};
use torg_wire::xep::disco::{Identity, Info, Item, Items};
use torg_wire::xep::pubsub::{Affiliation, Refusal};
use torg_wire::xep::rsm::{self, PageRequest, Window};
use torg_wire::xml::Element;

use super::decision::Failure;
use super::limits::LIST_MAX;
use super::{About, Node};
use crate::router::Router;
use crate::service::DiscoIdentity;
use crate::services::Place;

const META_DATA: &str = "http://jabber.org/protocol/pubsub#meta-data";

/// What an account is besides an account (XEP-0163 §6.1).
pub(crate) const PERSONAL: DiscoIdentity = DiscoIdentity { category: "pubsub", kind: "pep", name: "" };

/// What the service of the domain can do (§10).
pub(super) const SERVICE_FEATURES: &[&str] = &[
    "http://jabber.org/protocol/pubsub#access-authorize",
    "http://jabber.org/protocol/pubsub#access-open",
    "http://jabber.org/protocol/pubsub#access-presence",
    "http://jabber.org/protocol/pubsub#access-roster",
    "http://jabber.org/protocol/pubsub#access-whitelist",
    "http://jabber.org/protocol/pubsub#config-node",
    "http://jabber.org/protocol/pubsub#config-node-max",
    "http://jabber.org/protocol/pubsub#create-and-configure",
    "http://jabber.org/protocol/pubsub#create-nodes",
    "http://jabber.org/protocol/pubsub#delete-items",
    "http://jabber.org/protocol/pubsub#delete-nodes",
    "http://jabber.org/protocol/pubsub#instant-nodes",
    "http://jabber.org/protocol/pubsub#item-ids",
    "http://jabber.org/protocol/pubsub#last-published",
    "http://jabber.org/protocol/pubsub#manage-subscriptions",
    "http://jabber.org/protocol/pubsub#member-affiliation",
    "http://jabber.org/protocol/pubsub#meta-data",
    "http://jabber.org/protocol/pubsub#modify-affiliations",
    "http://jabber.org/protocol/pubsub#multi-items",
    "http://jabber.org/protocol/pubsub#outcast-affiliation",
    "http://jabber.org/protocol/pubsub#persistent-items",
    "http://jabber.org/protocol/pubsub#publish",
    "http://jabber.org/protocol/pubsub#publish-options",
    "http://jabber.org/protocol/pubsub#publisher-affiliation",
    "http://jabber.org/protocol/pubsub#purge-nodes",
    "http://jabber.org/protocol/pubsub#retract-items",
    "http://jabber.org/protocol/pubsub#retrieve-affiliations",
    "http://jabber.org/protocol/pubsub#retrieve-default",
    "http://jabber.org/protocol/pubsub#retrieve-items",
    "http://jabber.org/protocol/pubsub#retrieve-subscriptions",
    "http://jabber.org/protocol/pubsub#rsm",
    "http://jabber.org/protocol/pubsub#subscribe",
    "http://jabber.org/protocol/pubsub#subscription-notifications",
    ns::RSM,
];

/// What an account can do on top (XEP-0163 §5).
const PERSONAL_FEATURES: &[&str] = &[
    "http://jabber.org/protocol/pubsub#auto-create",
    "http://jabber.org/protocol/pubsub#auto-subscribe",
    "http://jabber.org/protocol/pubsub#filtered-notifications",
    "http://jabber.org/protocol/pubsub#presence-notifications",
];

/// Adds what accounts are and can do, at accounts and at the server.
pub(crate) fn describe(place: Place, identities: &mut Vec<DiscoIdentity>, features: &mut Vec<&'static str>) {
    match place {
        Place::Account | Place::OwnAccount => identities.push(PERSONAL),
        // Clients look at the server for what its accounts can do. The protocol itself is not said to be served there, or they
        // would take the server for the service.
        Place::Server => {}
        Place::Service => return,
    }
    features.extend_from_slice(SERVICE_FEATURES);
    features.extend_from_slice(PERSONAL_FEATURES);
}

/// Answers a question that concerns nodes: about one of them, or for a list of them. `None` if it does not; the asker may be told of
/// `service` by then.
pub(crate) async fn discover(
    router: &Router,
    place: Place,
    asker: &BareJid,
    service: &BareJid,
    query: &Element,
) -> Result<Option<Result<Element, StanzaError>>, StoreError> {
    let is_pubsub = service.as_str() == router.pubsub_address() || matches!(place, Place::Account | Place::OwnAccount);
    let is_info = query.is(ns::DISCO_INFO, "query");
    let found = match query.attr("node") {
        _ if !is_pubsub => return Ok(None),
        None if is_info || place != Place::Service => return Ok(None),
        None => list(router, asker, service, query).await,
        Some(name) if is_info => info(router, asker, service, name).await,
        Some(name) => items(router, asker, service, name).await,
    };
    match found {
        Ok(answer) => Ok(Some(Ok(answer))),
        Err(Failure::Refused(refusal)) => Ok(Some(Err(refusal.into()))),
        Err(Failure::Store(error)) => Err(error),
    }
}

/// The nodes of an account that the asker may read, as items of the account.
pub(crate) async fn personal_nodes(router: &Router, asker: &BareJid, owner: &BareJid) -> Result<Vec<Item>, StoreError> {
    let nodes = router.shared().pubsub.table.page(owner, "").await?;
    let mut items = Vec::with_capacity(nodes.len());
    for node in nodes {
        if About::find(router, &node, asker).await?.facts(&node).may_read().is_ok() {
            items.push(item(&node));
        }
    }
    Ok(items)
}

fn item(node: &Node) -> Item {
    let name = Some(&node.config.title).filter(|title| !title.is_empty()).cloned();
    Item { jid: node.service.clone().into(), node: Some(node.name.clone()), name }
}

async fn find(router: &Router, asker: &BareJid, service: &BareJid, name: &str) -> Result<(Node, About), Failure> {
    let node = router.shared().pubsub.table.find(service, name).await?.ok_or(Refusal::NotFound)?;
    let about = About::find(router, &node, asker).await?;
    if about.facts(&node).is_hidden() { Err(Refusal::NotFound.into()) } else { Ok((node, about)) }
}

/// The service's nodes that the asker may read, a page at a time (§5.2).
async fn list(router: &Router, asker: &BareJid, service: &BareJid, query: &Element) -> Result<Element, Failure> {
    let page = query.child(ns::RSM, "set").map(PageRequest::decode).transpose().map_err(|_| Refusal::BadRequest)?;
    let after = match page.as_ref().map(|page| &page.window) {
        None | Some(Window::First) => "",
        Some(Window::After(name)) => name,
        Some(_) => return Err(Refusal::Unsupported("rsm").into()),
    };
    let mut nodes = router.shared().pubsub.table.page(service, after).await?;
    let most = page.as_ref().and_then(|page| page.max).unwrap_or(LIST_MAX).min(LIST_MAX);
    let more = nodes.len() > most;
    nodes.truncate(most);
    let mut shown = Vec::with_capacity(nodes.len());
    for node in &nodes {
        // Those that an owner may open are listed too, so that one can ask.
        let about = About::find(router, node, asker).await?;
        if matches!(about.facts(node).may_read(), Ok(()) | Err(Refusal::NotSubscribedToRead)) {
            shown.push(item(node));
        }
    }
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let set = (more || page.is_some()).then(|| {
        let mut set = rsm::result(&names, &(0..names.len()));
        // How many there are besides those that the asker may read is not for the asker.
        set.retain_children(|child| !child.is(ns::RSM, "count"));
        set
    });
    Ok(Items { node: None, items: shown }.encode().with_child_opt(set))
}

/// What a node is (§5.3, §5.4).
async fn info(router: &Router, asker: &BareJid, service: &BareJid, name: &str) -> Result<Element, Failure> {
    let (node, _) = find(router, asker, service, name).await?;
    let table = &router.shared().pubsub.table;
    let field = |kind, name: &str, values: Vec<String>| FormField {
        values,
        ..FormField::new(kind, if name == "FORM_TYPE" { name.to_owned() } else { format!("pubsub#{name}") })
    };
    let mut owners = vec![];
    let mut publishers = vec![];
    if node.is_personal() {
        owners.push(node.service.to_string());
    }
    for (account, affiliation) in table.affiliations(node.id).await? {
        match affiliation {
            Affiliation::Owner => owners.push(account.to_string()),
            Affiliation::Publisher => publishers.push(account.to_string()),
            _ => {}
        }
    }
    let config = &node.config;
    let text = |name, value: &str| field(FieldKind::TextSingle, name, vec![value.to_owned()]);
    let fields = vec![
        field(FieldKind::Hidden, "FORM_TYPE", vec![META_DATA.to_owned()]),
        text("type", &config.payload),
        field(FieldKind::JidSingle, "creator", vec![node.payer.to_string()]),
        text("creation_date", &Timestamp::from_micros(node.created).to_string()),
        text("title", &config.title),
        text("description", &config.description),
        field(FieldKind::ListSingle, "access_model", vec![config.access.name().to_owned()]),
        field(FieldKind::ListSingle, "publish_model", vec![config.publish.name().to_owned()]),
        text("max_items", &config.items.to_string()),
        field(FieldKind::JidMulti, "owner", owners),
        field(FieldKind::JidMulti, "publisher", publishers),
        text("num_subscribers", &table.subscribers(node.id).await?.to_string()),
    ];
    let form = DataForm { kind: FormKind::Result, fields, ..DataForm::default() };
    let leaf = Identity { category: "pubsub".into(), kind: "leaf".into(), lang: None, name: None };
    let info = Info { node: Some(name.to_owned()), identities: vec![leaf], forms: vec![form], ..Info::default() };
    Ok(info.with_features([ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PUBSUB]).encode())
}

/// The items of a node by their ids (§5.5).
async fn items(router: &Router, asker: &BareJid, service: &BareJid, name: &str) -> Result<Element, Failure> {
    let (node, about) = find(router, asker, service, name).await?;
    about.facts(&node).may_read()?;
    let pubsub = &router.shared().pubsub;
    let mut ids: Vec<String> = pubsub.table.entries(node.id).await?.into_iter().map(|entry| entry.id).collect();
    ids.extend(pubsub.memory.of(node.id).map(|kept| kept.item.id.clone()));
    let jid = Jid::from(service.clone());
    let items = ids.into_iter().map(|id| Item { jid: jid.clone(), node: None, name: Some(id) }).collect();
    Ok(Items { node: Some(name.to_owned()), items }.encode())
}
