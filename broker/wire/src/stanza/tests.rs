use super::*;
use crate::xml::{Limits, parse_document};

fn element(xml: &str) -> Element {
    parse_document(xml, &Limits::CLIENT).unwrap()
}

fn read(xml: &str) -> Result<Stanza, StanzaFault> {
    Stanza::from_element(element(xml))
}

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

fn refused(xml: &str) -> (StanzaCondition, Option<Stanza>) {
    match read(xml).unwrap_err() {
        fault @ StanzaFault::Refused { .. } => {
            let reply = fault.reply();
            let StanzaFault::Refused { error, .. } = fault else { unreachable!() };
            (error.condition(), reply)
        }
        fault => panic!("{fault} for {xml}"),
    }
}

fn fatal(xml: &str) -> StreamCondition {
    match read(xml).unwrap_err() {
        StanzaFault::Fatal(error) => error.condition(),
        fault => panic!("{fault} for {xml}"),
    }
}

#[test]
fn reads_and_writes_a_message_unchanged() {
    let xml = "<message xmlns='jabber:client' type='chat' id='1' from='a@b/c' to='d@e' xml:lang='en'>\
               <body>Hi</body><x xmlns='urn:unknown' y='1'/></message>";
    assert_eq!(read(xml).unwrap().to_string(), xml);
}

#[test]
fn reads_the_parts_of_a_stanza() {
    let stanza = read(
        "<iq xmlns='jabber:client' type='get' id='1' from='a@b/c' to='d@e' xml:lang='de'>\
         <query xmlns='urn:q'/></iq>",
    )
    .unwrap();
    assert_eq!(stanza.kind(), StanzaKind::Iq(IqType::Get));
    assert_eq!((stanza.id(), stanza.lang()), (Some("1"), Some("de")));
    assert_eq!((stanza.from(), stanza.to()), (Some(&jid("a@b/c")), Some(&jid("d@e"))));
    assert!(stanza.payload().unwrap().is("urn:q", "query"));
}

#[test]
fn unknown_children_and_attributes_stay() {
    let xml = "<presence xmlns='jabber:client' new='1' xmlns:n0='urn:x' n0:y='2'><show>away</show>\
               <z xmlns='urn:z'> text <deep><er/></deep></z></presence>";
    let stanza = read(xml).unwrap();
    assert_eq!(stanza.to_element(), element(xml));
    assert_eq!(element(&stanza.to_string()), element(xml));
}

#[test]
fn white_space_between_children_is_dropped() {
    let stanza = read("<message xmlns='jabber:client'>\n  <body>Hi</body>\n</message>").unwrap();
    assert_eq!(stanza.to_string(), "<message xmlns='jabber:client'><body>Hi</body></message>");
}

#[test]
fn what_is_no_stanza_ends_the_stream() {
    assert_eq!(fatal("<foo xmlns='jabber:client'/>"), StreamCondition::UnsupportedStanzaType);
    assert_eq!(fatal("<message xmlns='urn:other'/>"), StreamCondition::UnsupportedStanzaType);
    assert_eq!(fatal("<message/>"), StreamCondition::UnsupportedStanzaType);
}

#[test]
fn a_sender_that_is_no_address_ends_the_stream() {
    assert_eq!(fatal("<message xmlns='jabber:client' from='@'/>"), StreamCondition::InvalidFrom);
}

#[test]
fn a_recipient_that_is_no_address_is_answered() {
    let (condition, reply) = refused("<message xmlns='jabber:client' id='1' from='a@b' to='@'/>");
    assert_eq!(condition, StanzaCondition::JidMalformed);
    let reply = reply.unwrap();
    assert_eq!((reply.kind(), reply.id()), (StanzaKind::Message(MessageType::Error), Some("1")));
    assert_eq!((reply.from(), reply.to()), (None, Some(&jid("a@b"))));
}

#[test]
fn an_iq_that_breaks_the_rules_is_answered() {
    for xml in [
        "<iq xmlns='jabber:client' id='1'><q xmlns='u'/></iq>",
        "<iq xmlns='jabber:client' id='1' type='ask'><q xmlns='u'/></iq>",
        "<iq xmlns='jabber:client' type='get'><q xmlns='u'/></iq>",
        "<iq xmlns='jabber:client' id='1' type='get'/>",
        "<iq xmlns='jabber:client' id='1' type='set'><q xmlns='u'/><r xmlns='u'/></iq>",
    ] {
        let (condition, reply) = refused(xml);
        assert_eq!(condition, StanzaCondition::BadRequest, "{xml}");
        assert_eq!(reply.unwrap().kind(), StanzaKind::Iq(IqType::Error), "{xml}");
    }
}

#[test]
fn results_and_errors_that_break_the_rules_are_not_answered() {
    for xml in [
        "<iq xmlns='jabber:client' id='1' type='result'><a xmlns='u'/><b xmlns='u'/></iq>",
        "<iq xmlns='jabber:client' type='result'/>",
        "<iq xmlns='jabber:client' type='error'/>",
        "<message xmlns='jabber:client' type='error' to='@'/>",
        "<presence xmlns='jabber:client' type='error' to='@'/>",
    ] {
        assert_eq!(refused(xml).1, None, "{xml}");
    }
}

#[test]
fn a_presence_of_unknown_type_is_refused() {
    let (condition, reply) = refused("<presence xmlns='jabber:client' type='online'/>");
    assert_eq!(condition, StanzaCondition::BadRequest);
    assert_eq!(reply.unwrap().kind(), StanzaKind::Presence(PresenceType::Error));
}

#[test]
fn a_message_of_unknown_type_is_normal() {
    let stanza = read("<message xmlns='jabber:client' type='new'/>").unwrap();
    assert_eq!(stanza.kind(), StanzaKind::Message(MessageType::Normal));
    assert_eq!(stanza.to_string(), "<message xmlns='jabber:client'/>");
}

#[test]
fn every_type_reads_back_as_itself() {
    let iqs = [IqType::Get, IqType::Set, IqType::Result, IqType::Error].map(StanzaKind::Iq);
    let messages =
        [MessageType::Chat, MessageType::Error, MessageType::Groupchat, MessageType::Headline, MessageType::Normal]
            .map(StanzaKind::Message);
    let presences = [
        PresenceType::Available,
        PresenceType::Error,
        PresenceType::Probe,
        PresenceType::Subscribe,
        PresenceType::Subscribed,
        PresenceType::Unavailable,
        PresenceType::Unsubscribe,
        PresenceType::Unsubscribed,
    ]
    .map(StanzaKind::Presence);
    for kind in iqs.into_iter().chain(messages).chain(presences) {
        let stanza = Stanza::new(kind).with_id("1").with_child(Element::new("urn:x", "x"));
        assert_eq!(Stanza::from_element(stanza.to_element()), Ok(stanza), "{kind}");
    }
}

#[test]
fn a_result_goes_back_where_the_request_came_from() {
    let request = Stanza::iq_get("7", Element::new("urn:q", "query")).with_from(jid("a@b/c")).with_to(jid("d@e"));
    let result = Stanza::result_for(&request).with_child(Element::new("urn:q", "query"));
    assert_eq!(
        result.to_string(),
        "<iq xmlns='jabber:client' type='result' id='7' from='d@e' to='a@b/c'><query xmlns='urn:q'/></iq>"
    );
}

#[test]
fn an_error_goes_back_without_the_payload() {
    let request = Stanza::iq_set("7", Element::new("urn:q", "query")).with_from(jid("a@b/c"));
    let error = Stanza::error_for(&request, StanzaCondition::Forbidden);
    assert_eq!(
        error.to_string(),
        "<iq xmlns='jabber:client' type='error' id='7' to='a@b/c'><error type='auth'>\
         <forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    );
}

#[test]
fn a_stanza_error_reads_back_as_itself() {
    let error = StanzaError::new(StanzaCondition::Gone)
        .with_type(ErrorType::Modify)
        .with_by("d@e")
        .with_text("Moved & done.")
        .with_target("xmpp:new@e")
        .with_application(Element::new("urn:app", "moved"));
    assert_eq!(StanzaError::from_element(&element(&error.to_element().to_string())), Some(error));
}

#[test]
fn every_condition_reads_back_with_its_usual_type() {
    for condition in StanzaCondition::ALL {
        let error = StanzaError::new(condition);
        assert_eq!(StanzaError::from_element(&error.to_element()), Some(error), "{condition}");
        assert_eq!(StanzaCondition::from_name(condition.name()), Some(condition));
    }
}

#[test]
fn an_unknown_condition_is_undefined() {
    let error = StanzaError::from_element(&element(
        "<error xmlns='jabber:client' type='mystery'><new xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    ));
    assert_eq!(error, Some(StanzaError::new(StanzaCondition::UndefinedCondition)));
}

#[test]
fn an_error_stanza_without_an_error_has_an_undefined_one() {
    let stanza = read("<message xmlns='jabber:client' type='error'><body>Hi</body></message>").unwrap();
    assert_eq!(stanza.error(), Some(StanzaError::new(StanzaCondition::UndefinedCondition)));
    assert_eq!(read("<message xmlns='jabber:client'/>").unwrap().error(), None);
}

#[test]
fn a_stanza_from_a_server_is_the_same_in_memory() {
    let inner =
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:server'><body>x</body></message></forwarded>";
    let stanza = read(&format!("<message xmlns='jabber:server'><body>Hi</body>{inner}</message>")).unwrap();
    assert_eq!(stanza.body().as_deref(), Some("Hi"));
    let kept = stanza.child(ns::FORWARD, "forwarded").and_then(|f| f.child(ns::SERVER, "message"));
    assert!(kept.is_some(), "what is inside another namespace keeps its own");
}

#[test]
fn a_stanza_to_a_server_is_in_the_namespace_of_its_stream() {
    let stanza = Stanza::message(MessageType::Normal)
        .with_body("Hi")
        .with_child(Element::new(ns::FORWARD, "forwarded").with_child(Element::new(ns::CLIENT, "message")));
    let text = |scope: &Scope<'_>| String::from_utf8(stanza.to_bytes(scope)).unwrap();
    let tail =
        "<body>Hi</body><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></forwarded></message>";
    assert_eq!(text(&Scope::SERVER), format!("<message>{tail}"));
    assert_eq!(text(&Scope::CLIENT), format!("<message>{tail}"));
    assert_eq!(text(&Scope::COMPONENT), format!("<message>{tail}"));
    assert_eq!(text(&Scope::DOCUMENT), format!("<message xmlns='jabber:client'>{tail}"));
}

#[test]
fn a_stanza_writes_as_its_element_does() {
    let xml = "<message xmlns='jabber:client' type='chat' id=\"'&amp;\" from='a@b/&lt;' to='d@e' xml:lang='en' \
               xmlns:p='urn:p' p:q='1'><body>Hi</body></message>";
    let stanza = read(xml).unwrap();
    for scope in [Scope::DOCUMENT, Scope::CLIENT, Scope::SERVER, Scope::COMPONENT, Scope::with_default("urn:p")] {
        assert_eq!(stanza.to_bytes(&scope), stanza.to_element().to_bytes(&scope));
    }
}

#[test]
fn what_xml_cannot_carry_does_not_leave_us() {
    let stanza = Stanza::message(MessageType::Chat).with_id("\u{0}\u{FFFE}").with_body("\u{1}");
    assert_eq!(stanza.id(), Some("\u{FFFD}\u{FFFD}"));
    assert_eq!(read(&stanza.to_string()), Ok(stanza));
}

/// broker.tsv CORE-20: clients take white space between elements for text.
#[test]
fn nothing_is_written_between_elements() {
    let form = element("<x xmlns='jabber:x:data'>\n  <field var='a'>\n <value>1 2</value> </field>\n</x>");
    let mut compact = form;
    fn strip(element: &mut Element) {
        if element.children().next().is_some() {
            let children: Vec<Element> = element.clone().into_children().collect();
            *element = Element::try_new(element.namespace(), element.name()).unwrap().with_children(children);
        }
        element.children_mut().for_each(strip);
    }
    strip(&mut compact);
    let stanza = Stanza::result_for(&Stanza::iq_get("q", Element::new(ns::PING, "ping"))).with_child(compact);
    let text = String::from_utf8(stanza.to_bytes(&Scope::CLIENT)).unwrap();
    assert!(!text.contains("> ") && !text.contains("\n") && !text.contains(" <"), "{text}");
    assert!(text.contains("<value>1 2</value>"));
}
