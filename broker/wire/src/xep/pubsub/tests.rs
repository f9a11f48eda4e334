use super::*;
use crate::jid::{BareJid, Jid};
use crate::stanza::{StanzaCondition, StanzaError};
use crate::xep::data_forms::{DataForm, FormKind};
use crate::xep::rsm::{PageRequest, Window};
use crate::xml::{Limits, parse_document};

const BOUNDS: Bounds = Bounds { items: 256, payload_bytes: 65_536, text: 100, groups: 4 };

fn decode(asked: Asked, xml: &str) -> Result<Request, Refusal> {
    Request::decode(asked, &parse_document(xml, &Limits::CLIENT).unwrap())
}

fn get(content: &str) -> Result<Request, Refusal> {
    decode(Asked::Get, &format!("<pubsub xmlns='{}'>{content}</pubsub>", ns::PUBSUB))
}

fn set(content: &str) -> Result<Request, Refusal> {
    decode(Asked::Set, &format!("<pubsub xmlns='{}'>{content}</pubsub>", ns::PUBSUB))
}

fn owner_set(content: &str) -> Result<Request, Refusal> {
    decode(Asked::Set, &format!("<pubsub xmlns='{}'>{content}</pubsub>", ns::PUBSUB_OWNER))
}

fn node() -> String {
    "princely_musings".to_owned()
}

#[test]
fn questions_are_read() {
    assert_eq!(get("<subscriptions/>"), Ok(Request::Subscriptions(None)));
    assert_eq!(get("<affiliations node='princely_musings'/>"), Ok(Request::Affiliations(Some(node()))));
    let items = |ids: &[&str], most_recent, page| {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        Ok(Request::Items { node: node(), ids, most_recent, page })
    };
    assert_eq!(get("<items node='princely_musings'/>"), items(&[], None, None));
    assert_eq!(get("<items node='princely_musings' max_items='2'/>"), items(&[], Some(2), None));
    let two = "<items node='princely_musings'><item id='a'/><item id='b'/></items>";
    assert_eq!(get(two), items(&["a", "b"], None, None));
    let page =
        "<items node='princely_musings'/><set xmlns='http://jabber.org/protocol/rsm'><max>5</max><before/></set>";
    assert_eq!(get(page), items(&[], None, Some(PageRequest { max: Some(5), window: Window::Last })));
}

#[test]
fn changes_are_read() {
    assert_eq!(set("<create/>"), Ok(Request::Create(None, None)));
    let form = DataForm { kind: FormKind::Submit, ..DataForm::submit() }.with_value("pubsub#title", "x");
    let configured = format!("<create node='princely_musings'/><configure>{}</configure>", form.encode());
    assert_eq!(set(&configured), Ok(Request::Create(Some(node()), Some(form.clone()))));
    let publish = |item, options| Ok(Request::Publish { node: node(), item, options });
    assert_eq!(set("<publish node='princely_musings'/>"), publish(None, None));
    let payload = Element::new("urn:x", "x");
    let item = "<publish node='princely_musings'><item id='a'><x xmlns='urn:x'/></item></publish>";
    let read = || Some((Some("a".to_owned()), vec![payload.clone()]));
    assert_eq!(set(item), publish(read(), None));
    let options = format!("{item}<publish-options>{}</publish-options>", form.encode());
    assert_eq!(set(&options), publish(read(), Some(form.clone())));
    let retract = "<retract node='princely_musings' notify='true'><item id='a'/></retract>";
    assert_eq!(set(retract), Ok(Request::Retract { node: node(), id: "a".to_owned(), notify: true }));
    let jid = Jid::parse("a@b/c").unwrap();
    assert_eq!(set("<subscribe node='princely_musings' jid='a@b/c'/>"), Ok(Request::Subscribe(node(), jid)));
}

#[test]
fn what_owners_ask_is_read() {
    assert_eq!(owner_set("<purge node='princely_musings'/>"), Ok(Request::Purge(node())));
    assert_eq!(owner_set("<delete node='princely_musings'/>"), Ok(Request::Delete(node())));
    let cancel = "<configure node='princely_musings'><x xmlns='jabber:x:data' type='cancel'/></configure>";
    assert_eq!(owner_set(cancel), Ok(Request::Configure(node(), None)));
    let entries = "<affiliations node='princely_musings'><affiliation jid='a@b' affiliation='member'/>\
        <affiliation jid='c@d'/></affiliations>";
    let changes = vec![(BareJid::parse("a@b").unwrap(), Affiliation::Member)];
    assert_eq!(owner_set(entries), Ok(Request::SetAffiliations(node(), changes)));
}

#[test]
fn what_is_missing_or_wrong_has_its_own_error() {
    let long = "x".repeat(1_024);
    for (found, expected) in [
        (get(""), Refusal::BadRequest),
        (get("<nothing/>"), Refusal::BadRequest),
        (get("<items/>"), Refusal::NodeIdRequired),
        (get("<items node=''/>"), Refusal::NodeIdRequired),
        (get("<items node='n' max_items='none'/>"), Refusal::BadRequest),
        (get(&format!("<items node='{long}'/>")), Refusal::NotAcceptable),
        (get("<options node='n' jid='a@b'/>"), Refusal::Unsupported("subscription-options")),
        (set("<items node='n'/>"), Refusal::BadRequest),
        (set("<subscribe node='n'/>"), Refusal::JidRequired),
        (set("<subscribe node='n' jid='@'/>"), Refusal::InvalidJid),
        (set("<create node='n'/><configure node='n'/>"), Refusal::BadRequest),
        (set("<publish node='n'><item/><item/></publish>"), Refusal::BadRequest),
        (set("<retract node='n'/>"), Refusal::ItemRequired),
        (set("<retract node='n'><item/></retract>"), Refusal::ItemRequired),
        (set("<retract><item id='a'/></retract>"), Refusal::NodeIdRequired),
        (owner_set("<configure node='n'/>"), Refusal::BadRequest),
        (owner_set("<affiliations node='n'/>"), Refusal::BadRequest),
        (
            owner_set("<affiliations node='n'><affiliation jid='a@b' affiliation='publish-only'/></affiliations>"),
            Refusal::Unsupported("publish-only-affiliation"),
        ),
    ] {
        assert_eq!(found, Err(expected));
    }
}

#[test]
fn an_error_carries_the_condition_of_the_standard_and_its_own() {
    let text = |refusal: Refusal| StanzaError::from(refusal).to_element().to_string();
    assert_eq!(
        text(Refusal::ClosedNode),
        "<error xmlns='jabber:client' type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <closed-node xmlns='http://jabber.org/protocol/pubsub#errors'/></error>"
    );
    assert!(text(Refusal::Unsupported("purge-nodes")).contains("feature='purge-nodes'"));
    assert_eq!(StanzaError::from(Refusal::NotFound).condition(), StanzaCondition::ItemNotFound);
}

#[test]
fn a_form_shows_the_configuration_and_reads_back() {
    for config in [Config::personal(&BOUNDS), Config::shared(&BOUNDS)] {
        let form = DataForm::decode(&config.form(FormKind::Form).encode()).unwrap();
        let mut read = Config { title: "other".into(), ..Config::default() };
        read.apply(&form, &BOUNDS).unwrap();
        assert_eq!(read, config);
        assert_eq!(config.required_by(&form, &BOUNDS), Ok(config));
    }
}

#[test]
fn numbers_stay_within_the_bounds() {
    let mut config = Config::personal(&BOUNDS);
    for (value, expected) in [("max", 256), ("255", 255), ("256", 256), ("257", 256), ("0", 1)] {
        config.apply(&DataForm::submit().with_value("pubsub#max_items", value), &BOUNDS).unwrap();
        assert_eq!(config.items, expected, "{value}");
    }
    for value in ["-1", "many"] {
        let form = DataForm::submit().with_value("pubsub#max_items", value);
        assert_eq!(config.apply(&form, &BOUNDS), Err(ConfigFault::Value), "{value}");
    }
    let form = DataForm::submit().with_value("pubsub#title", "x".repeat(101));
    assert_eq!(config.apply(&form, &BOUNDS), Err(ConfigFault::Value));
}

#[test]
fn a_wrong_field_leaves_the_configuration_as_it_was() {
    let mut config = Config::personal(&BOUNDS);
    let form = DataForm::submit().with_value("pubsub#title", "new").with_value("pubsub#access_model", "secret");
    assert_eq!(config.apply(&form, &BOUNDS), Err(ConfigFault::AccessModel));
    assert_eq!(config, Config::personal(&BOUNDS));
}

#[test]
fn an_unknown_field_is_ignored_unless_it_is_a_precondition() {
    let form = DataForm::submit().with_value("pubsub#body_xslt", "x").with_value("pubsub#title", "new");
    let mut config = Config::personal(&BOUNDS);
    assert_eq!(config.required_by(&form, &BOUNDS), Err(ConfigFault::Unknown));
    config.apply(&form, &BOUNDS).unwrap();
    assert_eq!(config.title, "new");
    let form = DataForm::submit().with_value("pubsub#node_type", "leaf");
    assert_eq!(config.required_by(&form, &BOUNDS), Ok(config.clone()));
    let form = DataForm::submit().with_value("pubsub#node_type", "collection");
    assert_eq!(config.apply(&form, &BOUNDS), Err(ConfigFault::Unknown));
}

#[test]
fn events_are_written_as_the_standard_shows_them() {
    let event = |event: Event| event.encode("n").first_child().unwrap().to_string();
    let item = Item { id: "a".into(), payload: Some(Element::new("urn:x", "x")) };
    let begin = "xmlns='http://jabber.org/protocol/pubsub#event' node='n'";
    assert_eq!(
        event(Event::Items(vec![item], vec!["old".into()])),
        format!("<items {begin}><item id='a'><x xmlns='urn:x'/></item><retract id='old'/></items>")
    );
    assert_eq!(event(Event::Retracted(vec!["a".into()])), format!("<items {begin}><retract id='a'/></items>"));
    assert_eq!(event(Event::Purged), format!("<purge {begin}/>"));
    assert_eq!(
        event(Event::Subscription("a@b".into(), SubscriptionState::Pending)),
        format!("<subscription {begin} jid='a@b' subscription='pending'/>")
    );
}
