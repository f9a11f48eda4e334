//! The order of negotiation before login: stream headers, TLS, the time it may take.

use super::*;

// --- the order of things ---------------------------------------------------------------------------------------------

#[test]
fn before_tls_only_starttls_is_offered() {
    let said = World::plain().hears(HEADER);
    let features = said.split_once("<stream:features>").expect("features").1;
    assert_eq!(features, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>");
}

#[test]
fn the_server_s_header_names_domain_stream_version_and_language() {
    let said = World::tls().hears(HEADER);
    assert!(said.starts_with("<?xml version='1.0'?><stream:stream xmlns='jabber:client'"), "{said}");
    for part in [" from='site.example'", " version='1.0'", " xml:lang='en'", " id='"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn each_stream_has_an_id_of_its_own() {
    let mut world = World::plain();
    let id = |said: &str| said.split_once(" id='").expect("id").1.split_once('\'').expect("end").0.to_owned();
    let first = id(&world.hears(HEADER));
    world.hears(STARTTLS);
    let second = id(&world.hears(HEADER));
    assert_ne!(first, second);
    assert!(first.len() >= 16);
}

#[test]
fn starttls_is_followed_by_a_new_stream_with_mechanisms() {
    let mut world = World::plain();
    world.hears(HEADER);
    assert_eq!(world.hears(STARTTLS), "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    let said = world.hears(HEADER);
    assert!(said.contains("<mechanism>SCRAM-SHA-256-PLUS</mechanism>"), "{said}");
    assert!(!said.contains("starttls"), "{said}");
}

#[test]
fn direct_tls_begins_with_mechanisms_and_the_kinds_of_channel_binding() {
    let said = World::tls().hears(HEADER);
    assert!(said.contains("<mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>"), "{said}");
    let kinds = "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/><channel-binding \
                 type='tls-server-end-point'/></sasl-channel-binding>";
    assert!(said.contains(kinds), "{said}");
}

#[test]
fn after_login_a_new_stream_offers_bind_an_optional_session_and_what_the_core_wants() {
    let mut world = World::tls();
    world.hears(HEADER);
    assert_eq!(world.hears(LOGIN), format!("<success {SASL}/>"));
    let said = world.hears(HEADER);
    let features = said.split_once("<stream:features>").expect("features").1;
    assert_eq!(
        features,
        "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/>\
         </session><ver xmlns='urn:xmpp:features:rosterver'/></stream:features>"
    );
}

#[test]
fn an_old_client_s_session_request_succeeds() {
    let mut world = World::ready();
    let said = world
        .hears("<iq type='set' id='s1' to='site.example'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>");
    assert_eq!(said, "<iq type='result' id='s1' from='site.example'/>");
    assert!(world.stanzas.is_empty());
}

#[test]
fn the_whole_negotiation_gives_the_same_for_any_split_of_the_bytes() {
    let script =
        [HEADER, LOGIN, HEADER, BIND, "<message to='bob@site.example'><body>Hi</body></message></stream:stream>"]
            .concat();
    let run = |size: usize| {
        let mut world = World::tls();
        let mut said = String::new();
        for part in script.as_bytes().chunks(size) {
            said.push_str(&world.hears(std::str::from_utf8(part).expect("ASCII")));
        }
        (said, world.stanzas, world.closed)
    };
    let whole = run(script.len());
    assert_eq!(whole.2, Some(Why::ByPeer));
    assert_eq!(whole.1.len(), 1);
    for size in [1, 2, 3, 7, 64, 200] {
        assert_eq!(run(size), whole, "{size}");
    }
}

// --- stream headers --------------------------------------------------------------------------------------------------

fn header(from: &str, to: &str) -> String {
    HEADER.replace(from, to)
}

#[test]
fn headers_that_break_the_rules_get_their_condition_inside_a_stream() {
    let cases = [
        (header("jabber:client", "jabber:server"), "invalid-namespace"),
        (header("http://etherx.jabber.org/streams", "urn:other"), "invalid-namespace"),
        (header("jabber:client", "urn:other"), "invalid-namespace"),
        (header("example' version='1.0'", "example'"), "unsupported-version"),
        (header("example' version='1.0'", "example' version='0.9'"), "unsupported-version"),
        (header("example' version='1.0'", "example' version='x'"), "unsupported-version"),
        (header(" to='site.example'", ""), "improper-addressing"),
        (header("to='site.example'", "to='@@'"), "improper-addressing"),
        (header("to='site.example'", "to='other.example'"), "host-unknown"),
        (header("to='site.example'", "to='anna@site.example'"), "host-unknown"),
        (header("stream:stream", "stream:features"), "bad-format"),
    ];
    for (text, condition) in cases {
        let mut world = World::plain();
        world.hears(&text);
        ended(&world, condition);
        assert!(world.said.starts_with("<?xml version='1.0'?><stream:stream "), "{text}");
    }
}

#[test]
fn a_higher_version_is_answered_with_ours() {
    let mut world = World::plain();
    let said = world.hears(&header("example' version='1.0'", "example' version='2.7'"));
    assert!(said.contains("version='1.0'>") || said.contains("version='1.0' "), "{said}");
    assert!(world.closed.is_none());
}

#[test]
fn the_domain_stays_the_same_after_tls_and_after_login() {
    let other = header("site.example", "other.example");
    let mut world = World::plain();
    world.hears(HEADER);
    world.hears(STARTTLS);
    world.hears(&other);
    ended(&world, "host-unknown");

    let mut world = World::tls();
    world.hears(HEADER);
    world.hears(LOGIN);
    world.hears(&other);
    ended(&world, "host-unknown");
}

#[test]
fn a_header_after_login_must_be_from_who_logged_in() {
    for (from, fine) in
        [("anna@site.example", true), ("anna@site.example/x", true), ("bob@site.example", false), ("@", false)]
    {
        let mut world = World::tls();
        world.hears(&[HEADER, LOGIN].concat());
        world.hears(&header(" to=", &format!(" from='{from}' to=")));
        if fine {
            assert!(world.closed.is_none(), "{from}");
        } else {
            ended(&world, "invalid-from");
        }
    }
}

#[test]
fn a_second_header_inside_a_stream_ends_it() {
    for mut world in [World::plain(), World::tls(), World::ready()] {
        if world.stream.jid().is_none() {
            world.hears(HEADER);
        }
        world.hears(&HEADER.replace("<?xml version='1.0'?>", ""));
        ended(&world, "bad-format");
    }
}

#[test]
fn a_second_xml_declaration_ends_the_stream() {
    let mut world = World::ready();
    world.hears(HEADER);
    ended(&world, "restricted-xml");
}

// --- before TLS ------------------------------------------------------------------------------------------------------

#[test]
fn bytes_behind_starttls_end_the_stream_without_tls() {
    for behind in ["<presence/>", "<", "<?xml version='1.0'?>"] {
        let mut world = World::plain();
        world.hears(HEADER);
        let said = world.hears(&format!("{STARTTLS}{behind}"));
        assert_eq!(said, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
        assert_eq!(world.closed, Some(Why::Injected));
    }
}

#[test]
fn line_breaks_behind_each_message_do_not_disturb_the_negotiation() {
    let mut world = World::plain();
    for text in [HEADER, STARTTLS, HEADER, LOGIN, HEADER, BIND] {
        world.hears(&format!("{text}\r\n"));
    }
    assert!(world.stream.jid().is_some(), "{:?}", world.closed);
}

#[test]
fn a_login_before_tls_is_refused_and_cannot_be_tried_for_ever() {
    let mut world = World::plain();
    world.hears(HEADER);
    assert_eq!(world.hears(LOGIN), format!("<failure {SASL}><encryption-required/></failure>"));
    world.hears(LOGIN);
    world.hears(LOGIN);
    ended(&world, "policy-violation");
}

#[test]
fn starttls_still_works_after_a_refused_login() {
    let mut world = World::plain();
    world.hears(HEADER);
    world.hears(LOGIN);
    assert!(world.hears(STARTTLS).contains("<proceed"));
}

#[test]
fn stanzas_before_tls_before_login_and_before_bind_are_not_authorized() {
    for stanza in [
        "<message to='bob@site.example'/>",
        "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
        "<x xmlns='urn:other'/>",
    ] {
        let mut world = World::plain();
        world.hears(HEADER);
        world.hears(stanza);
        ended(&world, "not-authorized");

        let mut world = World::tls();
        world.hears(HEADER);
        world.hears(stanza);
        ended(&world, "not-authorized");

        let mut world = World::tls();
        world.hears(&[HEADER, LOGIN, HEADER].concat());
        world.hears(stanza);
        ended(&world, "not-authorized");
    }
}

#[test]
fn bind_before_login_is_not_authorized() {
    let mut world = World::tls();
    world.hears(HEADER);
    world.hears(BIND);
    ended(&world, "not-authorized");
}

#[test]
fn a_second_starttls_is_not_authorized() {
    let mut world = World::plain();
    world.hears(HEADER);
    world.hears(STARTTLS);
    world.hears(HEADER);
    world.hears(STARTTLS);
    ended(&world, "not-authorized");
}

// --- time ------------------------------------------------------------------------------------------------------------

#[test]
fn login_must_be_done_in_time() {
    for prepare in [&[][..], &[HEADER], &[HEADER, "<auth "]] {
        let mut world = World::tls();
        for text in prepare {
            world.hears(text);
        }
        assert_eq!(world.stream.deadline(), Some(world.now + LOGIN_TIME));
        world.waits(LOGIN_TIME - Duration::from_millis(1));
        assert!(world.closed.is_none());
        world.waits(Duration::from_millis(1));
        ended(&world, "connection-timeout");
    }
}

#[test]
fn tls_does_not_prolong_the_time_for_login() {
    let mut world = World::plain();
    world.hears(HEADER);
    world.now += Duration::from_secs(20);
    world.hears(STARTTLS);
    world.hears(HEADER);
    world.waits(Duration::from_secs(10));
    ended(&world, "connection-timeout");
}

#[test]
fn a_stuck_handshake_is_cut_without_a_word() {
    let mut world = World::plain();
    world.hears(HEADER);
    world.silent = true;
    world.hears(STARTTLS);
    assert_eq!(world.waits(LOGIN_TIME), "");
    assert_eq!(world.closed, Some(Why::Slow));
}

#[test]
fn bind_has_its_own_time_and_a_session_has_none() {
    let mut world = World::tls();
    world.hears(HEADER);
    world.now += Duration::from_secs(29);
    world.hears(&[LOGIN, HEADER].concat());
    assert_eq!(world.stream.deadline(), Some(world.now + BIND_TIME));
    world.hears(BIND);
    assert_eq!(world.stream.deadline(), None);
    world.waits(Duration::from_secs(86_400));
    assert!(world.closed.is_none());
}
