//! Service Discovery (XEP-0030) of the server, of its services and of accounts.
//!
//! An account is shown to its owner and to whom it shows its presence, and to nobody else: they get the same
//! `service-unavailable` whether the account exists or not (XEP-0030 §8).

use torg_store::StoreError;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::{Stanza, StanzaCondition, StanzaError};
use torg_wire::xep::disco::{Identity, Info, Item, Items};
use torg_wire::xml::Element;

use crate::administration;
use crate::identity::Envelope;
use crate::pubsub;
use crate::router::{Router, store_error};
use crate::service::{DiscoIdentity, Reply, Route};
use crate::services::Place;

pub(crate) const ROUTES: &[Route] = &[Route::get(ns::DISCO_INFO, "query"), Route::get(ns::DISCO_ITEMS, "query")];

const SERVER: DiscoIdentity = DiscoIdentity { category: "server", kind: "im", name: "Torg" };
const ACCOUNT: DiscoIdentity = DiscoIdentity { category: "account", kind: "registered", name: "" };

pub(super) async fn handle(router: &Router, envelope: Envelope, reply: Reply) {
    match answer(router, envelope.identity().jid(), envelope.stanza()).await {
        Ok(Ok(payload)) => reply.result(Some(payload)),
        Ok(Err(error)) => reply.error(error),
        Err(error) => {
            tracing::error!(%error, "Service discovery could not read the rosters.");
            reply.error(store_error(&error));
        }
    }
}

async fn answer(router: &Router, asker: &Jid, stanza: &Stanza) -> Result<Result<Element, StanzaError>, StoreError> {
    let Some(query) = stanza.payload() else { return Ok(Err(StanzaCondition::BadRequest.into())) };
    let asker = asker.to_bare();
    // Without an address clients mean the host when they look for its services, but their own account when they name a node.
    let target = match stanza.to() {
        Some(to) => to.to_bare(),
        None if query.attr("node").is_some() => asker.clone(),
        None => router.domain().clone(),
    };
    let place = place_of(router, &target, &asker);
    if place == Place::Account && !may_see(router, &target, &asker).await? {
        return Ok(Err(StanzaCondition::ServiceUnavailable.into()));
    }
    if let Some(found) = pubsub::discover(router, place, &asker, &target, query).await? {
        return Ok(found);
    }
    if let Some(node) = query.attr("node") {
        return Ok(of_node(router, &asker, place, query, node).ok_or(StanzaCondition::ItemNotFound.into()));
    }
    if query.is(ns::DISCO_INFO, "query") {
        return Ok(Ok(info(router, place, &target).encode()));
    }
    let mut items = items(router, place, &target);
    if matches!(place, Place::Account | Place::OwnAccount) {
        items.items.extend(pubsub::personal_nodes(router, &asker, &target).await?);
    }
    Ok(Ok(items.encode()))
}

/// The nodes of the server are its commands.
fn of_node(router: &Router, asker: &BareJid, place: Place, query: &Element, node: &str) -> Option<Element> {
    if place != Place::Server {
        return None;
    }
    if query.is(ns::DISCO_INFO, "query") {
        return administration::info(router, asker, node).map(|info| info.encode());
    }
    administration::items(router, asker, node).map(|items| items.encode())
}

fn place_of(router: &Router, target: &BareJid, asker: &BareJid) -> Place {
    if target == router.domain() {
        Place::Server
    } else if target.local().is_none() || router.shared().services.serves(target.as_str()) {
        Place::Service
    } else if target == asker {
        Place::OwnAccount
    } else {
        Place::Account
    }
}

/// The account shows its presence to the asker.
async fn may_see(router: &Router, account: &BareJid, asker: &BareJid) -> Result<bool, StoreError> {
    Ok(router.shared().rosters.state(account, asker).await?.contact_sees_user())
}

/// What an address of ours is and can do.
pub(crate) fn info(router: &Router, place: Place, target: &BareJid) -> Info {
    let (added, features) = router.shared().services.describe(place, target.as_str());
    let own = match place {
        Place::Server => Some(SERVER),
        Place::Account | Place::OwnAccount => Some(ACCOUNT),
        Place::Service => None,
    };
    let identities = own.into_iter().chain(added).map(DiscoIdentity::to_identity).collect();
    let forms = if place == Place::Server { router.shared().about.clone() } else { Vec::new() };
    let telling = (place == Place::Server && router.shared().telling.is_some()).then_some(ns::FEDERATION_INFO);
    Info { identities, forms, ..Info::default() }.with_features(features.into_iter().chain(telling))
}

impl DiscoIdentity {
    fn to_identity(self) -> Identity {
        let name = Some(self.name).filter(|name| !name.is_empty()).map(str::to_owned);
        Identity { category: self.category.into(), kind: self.kind.into(), lang: None, name }
    }
}

/// Of the server: its services, its components whether they are here or not, and published entities. Of an account: its available resources.
fn items(router: &Router, place: Place, target: &BareJid) -> Items {
    let shared = router.shared();
    let item = |jid: &Jid, name: Option<&str>| Item { jid: jid.clone(), node: None, name: name.map(str::to_owned) };
    let items = match place {
        Place::Server => {
            let services = shared.services.addresses().into_iter().filter(|address| address != router.domain());
            let components = shared.components.all().into_iter().map(|(address, _)| address);
            let published = shared.services.published();
            let published = published.iter().map(|(jid, name)| item(jid, Some(name)));
            services.chain(components).map(|address| item(address.as_jid(), None)).chain(published).collect()
        }
        Place::Account | Place::OwnAccount => {
            let sessions = shared.sessions.of(target.as_str());
            let available = sessions.iter().filter(|session| session.priority().is_some());
            available.map(|session| item(session.jid.as_jid(), None)).collect()
        }
        Place::Service => Vec::new(),
    };
    Items { node: None, items }
}
