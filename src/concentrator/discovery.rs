//! What the concentrator says of itself: features, program, time (XEP-0030, XEP-0092, XEP-0115, XEP-0199, XEP-0202, nfi
//! Synchronization).
//!
//! It answers these to anybody who knows its full address, which only friends are told: they name no node, and a client
//! needs the features before it can ask in the right words.

use torg_wire::iot::synchronization::Response;
use torg_wire::iot::{Generation, Interface, NS_HARMONIZED, NS_INTEROPERABILITY, Synchronization, xep};
use torg_wire::ns;
use torg_wire::stanza::{IqType, PresenceType, Stanza, StanzaCondition, StanzaError, StanzaKind};
use torg_wire::xep::disco::{Identity, Info, Items};
use torg_wire::xep::{ping, time, version};
use torg_wire::xml::Element;

use super::refusal;
use super::shared::Shared;

/// Names the program in presence (XEP-0115 §4).
const SOFTWARE: &str = "urn:torg:concentrator";

/// Other features.
const FEATURES: [&str; 10] = [
    ns::CAPS,
    ns::DATA_DYNAMIC,
    ns::DATA_FORMS,
    ns::DATA_VALIDATE,
    ns::DISCO_INFO,
    ns::DISCO_ITEMS,
    ns::PING,
    ns::TIME,
    ns::VERSION,
    NS_INTEROPERABILITY,
];

/// What the concentrator is and can do.
fn info() -> Info {
    let interfaces = Interface::ALL
        .into_iter()
        .flat_map(|interface| Generation::ALL.map(|generation| generation.namespace(interface)));
    let oldest = [xep::NS_CONCENTRATOR, xep::NS_CONTROL, xep::NS_EVENTS, xep::NS_SENSOR_DATA];
    Info { identities: vec![Identity::new("client", "bot", "Torg concentrator")], ..Info::default() }
        .with_features(interfaces)
        .with_features(FEATURES)
        .with_features([NS_HARMONIZED])
        .with_features(oldest)
}

/// Available presence with the hash of [`info`].
pub(super) fn presence() -> Stanza {
    Stanza::presence(PresenceType::Available).with_child(info().capabilities(SOFTWARE))
}

/// Answers what has nothing to do with nodes.
pub(super) async fn handle(shared: &Shared, iq: &Stanza, payload: &Element) {
    let is_get = iq.kind() == StanzaKind::Iq(IqType::Get);
    match answer(shared, payload) {
        Some(Ok(answer)) if is_get => shared.reply(iq, answer).await,
        Some(Err(error)) if is_get => shared.refuse(iq, error).await,
        Some(_) => shared.refuse(iq, refusal::bad_request("This is an iq of type get.")).await,
        None => shared.refuse(iq, refusal::unsupported()).await,
    }
}

/// `None` for what is not known here.
fn answer(shared: &Shared, payload: &Element) -> Option<Result<Option<Element>, StanzaError>> {
    if payload.is(ns::DISCO_INFO, "query") {
        return Some(disco_info(payload.attr("node")).map(|info| Some(info.encode())));
    }
    if payload.is(ns::DISCO_ITEMS, "query") {
        return Some(match payload.attr("node") {
            None => Ok(Some(Items::default().encode())),
            Some(_) => Err(refusal::not_found("There is no such node.")),
        });
    }
    if ping::is_request(payload) {
        return Some(Ok(None));
    }
    if time::is_request(payload) {
        return Some(Ok(Some(time::answer(shared.clock.now()))));
    }
    version::is_request(payload).then(|| {
        let version =
            version::Version { name: "Torg".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), system: None };
        Ok(Some(version.encode()))
    })
}

/// Information on the concentrator itself, also under the name its presence gives it.
fn disco_info(node: Option<&str>) -> Result<Info, StanzaError> {
    let info = info();
    match node {
        None => Ok(info),
        Some(node) if node == format!("{SOFTWARE}#{}", info.verification()) => {
            Ok(Info { node: Some(node.to_owned()), ..info })
        }
        Some(_) => Err(refusal::not_found("There is no such node.")),
    }
}

/// Answers a request of the synchronization interface. The clock is the machine's own; whom that follows is not known.
pub(super) async fn synchronization(shared: &Shared, iq: &Stanza, payload: &Element) {
    match Synchronization::decode(payload) {
        Ok((Synchronization::Request, generation)) => {
            let now = Response { at: shared.clock.now(), counter: None };
            shared.reply(iq, Some(Synchronization::Response(now).encode(generation))).await;
        }
        Ok((Synchronization::SourceRequest, _)) => {
            shared.refuse(iq, StanzaCondition::ItemNotFound).await;
        }
        Ok(_) => shared.refuse(iq, refusal::not_implemented()).await,
        Err(problem) => shared.refuse(iq, refusal::unreadable(&problem)).await,
    }
}
