//! A session: its stanzas, its limits and its ends.

use super::*;

// --- broken XML and limits -------------------------------------------------------------------------------------------

#[test]
fn broken_xml_ends_the_stream_at_any_stage() {
    let cases = [
        ("<a></b>", "not-well-formed"),
        ("<message><!-- x --></message>", "restricted-xml"),
        ("<!DOCTYPE x>", "restricted-xml"),
        ("<message><?x y?></message>", "restricted-xml"),
        ("<message>&x;</message>", "restricted-xml"),
        ("<p:message/>", "bad-namespace-prefix"),
    ];
    for (text, condition) in cases {
        for mut world in [World::plain(), World::tls(), World::ready()] {
            if world.stream.jid().is_none() {
                world.hears(HEADER);
            }
            world.hears(text);
            ended(&world, condition);
        }
    }
}

#[test]
fn broken_xml_instead_of_a_header_is_answered_inside_a_stream() {
    let mut world = World::plain();
    world.hears("GET / HTTP/1.1\r\n\r\n");
    ended(&world, "not-well-formed");
    assert!(world.said.starts_with("<?xml version='1.0'?><stream:stream "));
}

#[test]
fn limits_are_small_before_login_and_larger_after_it() {
    let message = |bytes: usize| {
        let frame = "<message><body></body></message>".len();
        format!("<message><body>{}</body></message>", "x".repeat(bytes - frame))
    };
    let before = Limits::BEFORE_LOGIN.bytes;
    let mut world = World::tls();
    world.hears(HEADER);
    world.hears(&message(before + 1));
    ended(&world, "policy-violation");

    let mut world = World::ready();
    world.hears(&message(before + 1));
    world.hears(&message(Limits::CLIENT.bytes));
    assert_eq!(world.stanzas.len(), 2);
    world.hears(&message(Limits::CLIENT.bytes + 1));
    ended(&world, "policy-violation");
}

#[test]
fn deep_elements_end_the_stream() {
    let deep = |depth: usize| format!("<a xmlns='u'>{}{}", "<a>".repeat(depth - 1), "</a>".repeat(depth));
    let mut world = World::tls();
    world.hears(HEADER);
    world.hears(&deep(Limits::BEFORE_LOGIN.depth + 1));
    ended(&world, "policy-violation");

    let mut world = World::ready();
    let message = |depth| format!("<message>{}</message>", deep(depth - 1));
    world.hears(&message(Limits::CLIENT.depth));
    assert_eq!(world.stanzas.len(), 1);
    world.hears(&message(Limits::CLIENT.depth + 1));
    ended(&world, "policy-violation");
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        for mut world in [World::plain(), World::tls()] {
            world.stream.receive(HEADER.as_bytes());
            world.stream.receive(&bytes);
            while let Some(output) = world.stream.output(world.now) {
                drop(output);
            }
        }
    }
}

// --- the session -----------------------------------------------------------------------------------------------------

#[test]
fn stanzas_come_out_with_their_senders_proven() {
    for from in ["", " from='anna@site.example'", " from='anna@site.example/phone'"] {
        let mut world = World::ready();
        world.hears(&format!("<message to='bob@site.example'{from}><body>Hi</body></message>"));
        assert_eq!(world.stanzas.len(), 1, "{from}");
    }
}

#[test]
fn another_s_sender_ends_the_stream() {
    for from in [
        "bob@site.example",
        "anna@site.example/laptop",
        "anna@other.example",
        "site.example",
        "anna@site.example/phone/x",
        "a@b@c",
    ] {
        let mut world = World::ready();
        world.hears(&format!("<message to='bob@site.example' from='{from}'/>"));
        ended(&world, "invalid-from");
        assert!(world.stanzas.is_empty(), "{from}");
    }
}

#[test]
fn another_s_sender_ends_the_stream_even_in_a_broken_stanza() {
    let mut world = World::ready();
    world.hears("<iq type='get' from='bob@site.example'/>");
    ended(&world, "invalid-from");
}

#[test]
fn what_is_no_stanza_of_this_stream_ends_it() {
    let cases = [
        ("<stanza/>", "unsupported-stanza-type"),
        ("<message xmlns='urn:other'/>", "unsupported-stanza-type"),
        ("<message xmlns='jabber:server'/>", "invalid-namespace"),
        ("<stream:features/>", "unsupported-stanza-type"),
        (
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFubmEAcGVuY2ls</auth>",
            "unsupported-stanza-type",
        ),
    ];
    for (text, condition) in cases {
        let mut world = World::ready();
        world.hears(text);
        ended(&world, condition);
    }
}

#[test]
fn a_broken_request_is_answered_and_the_stream_goes_on() {
    let mut world = World::ready();
    let said = world.hears("<iq type='get' id='1' to='a b@site.example'><x xmlns='u'/></iq>");
    assert!(said.contains("<jid-malformed") && said.contains("to='anna@site.example/phone'"), "{said}");
    let said = world.hears("<iq type='get' id='2'/>");
    assert!(said.contains("<bad-request"), "{said}");
    assert!(world.closed.is_none() && world.stanzas.is_empty());
}

#[test]
fn the_stream_s_language_goes_with_stanzas_that_name_none() {
    let mut world = World::tls();
    let german = HEADER.replace("xml:lang='en'", "xml:lang='de'");
    world.hears(&[HEADER, LOGIN, &german, BIND].concat());
    world.hears("<message/><message xml:lang='fr'/>");
    let langs: Vec<_> = world.stanzas.iter().map(Stanza::lang).collect();
    assert_eq!(langs, [Some("de"), Some("fr")]);
}

#[test]
fn stanzas_are_sent_only_in_a_session() {
    let stanza = Stanza::message(crate::stanza::MessageType::Chat).with_body("Hi");
    let mut world = World::ready();
    world.stream.send(&stanza);
    world.stream.send_written(b"<presence/>");
    world.pump();
    assert_eq!(world.said, "<message type='chat'><body>Hi</body></message><presence/>");

    let mut world = World::tls();
    world.stream.send(&stanza);
    world.stream.send_written(b"<presence/>");
    world.pump();
    assert_eq!(world.said, "");
}

#[test]
fn white_space_keeps_a_session_alive_and_means_nothing() {
    let mut world = World::ready();
    assert_eq!(world.hears(" \n\t "), "");
    assert!(world.closed.is_none() && world.stanzas.is_empty());
}

#[test]
fn an_idle_session_is_small() {
    // The machine itself; its heap is the address of the session, for the negotiation and all buffers are gone.
    let size = std::mem::size_of::<ServerStream>();
    assert!(size <= 512, "{size}");
    let world = World::ready();
    assert!(matches!(world.stream.stage, Stage::Ready(_)));
}

// --- ends ------------------------------------------------------------------------------------------------------------

#[test]
fn a_closing_tag_is_answered_with_ours() {
    for mut world in [World::plain(), World::tls(), World::ready()] {
        if world.stream.jid().is_none() {
            world.hears(HEADER);
        }
        assert_eq!(world.hears("</stream:stream>"), "</stream:stream>");
        assert_eq!(world.closed, Some(Why::ByPeer));
    }
}

#[test]
fn a_lost_connection_is_no_closing() {
    let mut world = World::ready();
    world.stream.end_of_input();
    world.pump();
    assert_eq!(world.closed, Some(Why::Lost));
}

#[test]
fn we_close_and_wait_for_the_peer() {
    let mut world = World::ready();
    world.stream.close(world.now);
    world.pump();
    assert_eq!(world.said, "</stream:stream>");
    assert!(world.closed.is_none());
    world.hears("<message/></stream:stream>");
    assert_eq!(world.closed, Some(Why::ByUs));
    assert!(world.stanzas.is_empty());
}

#[test]
fn we_do_not_wait_for_ever_for_the_peer_to_close() {
    let mut world = World::ready();
    world.stream.close(world.now);
    world.pump();
    world.waits(CLOSE_TIME);
    assert_eq!(world.closed, Some(Why::Slow));
}

#[test]
fn closing_before_anything_was_said_says_nothing() {
    let mut world = World::plain();
    world.stream.close(world.now);
    world.pump();
    assert_eq!((world.said.as_str(), world.closed), ("", Some(Why::ByUs)));
}

#[test]
fn closing_with_an_error_says_it() {
    let mut world = World::ready();
    world.stream.close_with_error(StreamError::new(StreamCondition::SystemShutdown));
    world.pump();
    ended(&world, "system-shutdown");
}

#[test]
fn the_peer_s_stream_error_is_reported_and_answered_with_the_end() {
    let error = "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
    for mut world in [World::tls(), World::ready()] {
        if world.stream.jid().is_none() {
            world.hears(HEADER);
        }
        assert_eq!(world.hears(error), "</stream:stream>");
        let Some(Why::PeerFault(error)) = world.closed else { panic!("{:?}", world.closed) };
        assert_eq!(error.condition(), StreamCondition::SystemShutdown);
    }
}

#[test]
fn nothing_follows_the_end() {
    let mut world = World::ready();
    world.hears("<a></b><message/>");
    world.stream.close(world.now);
    world.stream.close_with_error(StreamError::new(StreamCondition::Conflict));
    world.stream.end_of_input();
    world.stream.wake(world.now + Duration::from_secs(1_000));
    assert_eq!(world.hears("<message/>"), "");
}
