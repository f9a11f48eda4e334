//! Scripts of the server's machine: the order of negotiation, and the answer to everything that breaks it.

use std::time::Duration;

use super::*;
use crate::sasl::{AccountClass, Mechanism};
use crate::stanza::StanzaCondition;
use crate::stream::TRIES_MAX;
use crate::stream::testing::{BIND, HEADER, LOGIN, World, bare, secured};

const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const SASL: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";

fn auth(mechanism: &str, message: &str) -> String {
    format!("<auth {SASL} mechanism='{mechanism}'>{message}</auth>")
}

fn plain(text: &str) -> String {
    auth("PLAIN", &crate::sasl::base64_encode(text.as_bytes()))
}

/// Asserts that the stream ended with this stream error, said to the peer in a whole stream.
#[track_caller]
fn ended(world: &World, condition: &str) {
    assert_eq!(world.fault(), condition);
    let said = &world.said;
    assert!(
        said.contains(&format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'")),
        "{said}"
    );
    assert!(said.ends_with("</stream:stream>"), "{said}");
}

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
fn bind_gives_the_resource_that_was_asked_for() {
    let mut world = World::tls();
    world.hears(&[HEADER, LOGIN, HEADER].concat());
    let said = world.hears(BIND);
    let answer = "<iq type='result' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>anna@site.example/phone</jid></bind></iq>";
    assert_eq!(said, answer);
}

#[test]
fn bind_without_a_resource_gives_a_random_one() {
    let resource = |seed| {
        let mut world =
            World::with(|settings, _, now| ServerStream::direct_tls(settings, Seed::new([seed; 32]), secured(), now));
        world.hears(&[HEADER, LOGIN, HEADER].concat());
        world.hears("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
        world.stream.jid().expect("bound").resource().to_owned()
    };
    assert_ne!(resource(1), resource(2));
    assert!(resource(1).len() >= 16);
}

#[test]
fn a_resource_that_is_taken_can_be_tried_again() {
    let mut world = World::tls();
    world.hears(&[HEADER, LOGIN, HEADER].concat());
    world.conflict = true;
    let said = world.hears(BIND);
    assert!(said.contains("<conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"), "{said}");
    world.hears(BIND);
    assert!(world.stream.jid().is_some());
}

#[test]
fn a_resource_that_is_no_resource_is_a_bad_request() {
    let mut world = World::tls();
    world.hears(&[HEADER, LOGIN, HEADER].concat());
    let long = BIND.replace("phone", &"a".repeat(1_024));
    for bad in [long.as_str(), &BIND.replace("phone", "pho&#xE000;ne")] {
        let said = world.hears(bad);
        assert!(said.contains("<bad-request"), "{said}");
    }
}

#[test]
fn binding_cannot_be_tried_for_ever() {
    let mut world = World::tls();
    world.hears(&[HEADER, LOGIN, HEADER].concat());
    for _ in 0..TRIES_MAX {
        world.conflict = true;
        world.hears(BIND);
    }
    ended(&world, "policy-violation");
}

#[test]
fn the_core_may_give_another_resource() {
    let mut world = World::tls();
    world.silent = true;
    world.hears(HEADER);
    world.silent = false;
    world.hears(LOGIN);
    world.hears(HEADER);
    world.silent = true;
    world.hears(BIND);
    assert!(matches!(world.asked.last(), Some(Output::Bind { mechanism: Mechanism::Plain, .. })));
    world.stream.bound(Ok(FullJid::parse("anna@site.example/other").expect("an address")), world.now);
    world.pump();
    assert!(world.said.contains("<jid>anna@site.example/other</jid>"));
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

// --- login -----------------------------------------------------------------------------------------------------------

#[test]
fn three_failed_logins_end_the_stream() {
    let mut world = World::tls();
    world.hears(HEADER);
    for _ in 1..TRIES_MAX {
        assert_eq!(world.hears(&plain("\0anna\0crayon")), format!("<failure {SASL}><not-authorized/></failure>"));
        assert!(world.closed.is_none());
    }
    world.hears(&plain("\0anna\0crayon"));
    ended(&world, "policy-violation");
}

#[test]
fn the_last_try_may_be_the_right_one() {
    let mut world = World::tls();
    world.hears(HEADER);
    for _ in 1..TRIES_MAX {
        world.hears(&plain("\0anna\0crayon"));
    }
    assert!(world.hears(LOGIN).contains("<success"));
}

#[test]
fn sasl_failures_have_their_conditions() {
    let cases = [
        (auth("SCRAM-SHA-512", "AAAA"), "invalid-mechanism"),
        (format!("<auth {SASL}>AAAA</auth>"), "invalid-mechanism"),
        (auth("EXTERNAL", "="), "invalid-mechanism"),
        (auth("PLAIN", "AGFubmEAcGVuY2l"), "incorrect-encoding"),
        (auth("PLAIN", " AGFubmEAcGVuY2ls "), "incorrect-encoding"),
        (auth("PLAIN", "="), "malformed-request"),
        (plain("anna"), "malformed-request"),
        (plain("bob\0anna\0pencil"), "invalid-authzid"),
        (plain("bob@site.example\0anna\0pencil"), "invalid-authzid"),
        (plain("\0bob\0pencil"), "not-authorized"),
        (format!("<abort {SASL}/>"), "aborted"),
    ];
    for (text, condition) in cases {
        let mut world = World::tls();
        world.hears(HEADER);
        assert_eq!(world.hears(&text), format!("<failure {SASL}><{condition}/></failure>"), "{text}");
        assert!(world.closed.is_none());
    }
}

#[test]
fn an_exchange_can_be_aborted_and_begun_anew() {
    let mut world = World::tls();
    world.hears(HEADER);
    assert!(
        world.hears(&auth("SCRAM-SHA-256", &crate::sasl::base64_encode(b"n,,n=anna,r=abc"))).starts_with("<challenge")
    );
    assert!(world.hears(&format!("<abort {SASL}/>")).contains("<aborted/>"));
    assert!(world.hears(LOGIN).contains("<success"));
}

#[test]
fn a_second_auth_in_the_middle_of_an_exchange_fails() {
    let mut world = World::tls();
    world.hears(HEADER);
    world.hears(&auth("SCRAM-SHA-256", &crate::sasl::base64_encode(b"n,,n=anna,r=abc")));
    assert!(world.hears(LOGIN).contains("<malformed-request/>"));
}

#[test]
fn stanzas_in_the_middle_of_an_exchange_are_not_authorized() {
    let mut world = World::tls();
    world.hears(HEADER);
    world.hears(&auth("PLAIN", ""));
    world.hears("<message/>");
    ended(&world, "not-authorized");
}

#[test]
fn what_follows_a_login_waits_until_the_store_has_answered() {
    let mut world = World::tls();
    world.hears(HEADER);
    world.silent = true;
    world.hears(&[LOGIN, "<message/>"].concat());
    assert!(matches!(world.asked.as_slice(), [Output::Lookup { .. }]));
    assert!(world.closed.is_none() && world.said.is_empty());
    world.stream.store_failed(world.now);
    world.pump();
    assert!(world.said.contains("<temporary-auth-failure/>"));
    ended(&world, "not-authorized");
}

#[test]
fn answers_nobody_asked_for_change_nothing() {
    let mut world = World::tls();
    world.hears(HEADER);
    world.stream.credentials(None, world.now);
    world.stream.store_failed(world.now);
    world.stream.authorised(Some(AccountClass::Person), world.now);
    world.stream.bound(Ok(FullJid::parse("anna@site.example/x").expect("an address")), world.now);
    world.stream.secured(secured(), world.now);
    world.said.clear();
    world.pump();
    assert!(world.said.is_empty() && world.closed.is_none() && world.stream.jid().is_none());
    assert!(world.hears(LOGIN).contains("<success"));
}

#[test]
fn a_proven_address_logs_in_by_external() {
    let proven = Secured { proven: vec![bare("anna@site.example")], ..secured() };
    let mut world = World::with(|settings, seed, now| ServerStream::direct_tls(settings, seed, proven, now));
    assert!(world.hears(HEADER).contains("<mechanism>EXTERNAL</mechanism>"));
    assert!(world.hears(&auth("EXTERNAL", "=")).contains("<success"));
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

// --- memory ----------------------------------------------------------------------------------------------------------

#[test]
fn an_idle_session_is_small() {
    // The machine itself; its heap is the address of the session, for the negotiation and all buffers are gone.
    let size = std::mem::size_of::<ServerStream>();
    assert!(size <= 512, "{size}");
    let world = World::ready();
    assert!(matches!(world.stream.stage, Stage::Ready(_)));
}

#[test]
fn resource_constraint_is_a_possible_answer_to_bind() {
    let mut world = World::tls();
    world.hears(&[HEADER, LOGIN, HEADER].concat());
    world.silent = true;
    world.hears(BIND);
    world.stream.bound(Err(StanzaError::new(StanzaCondition::ResourceConstraint)), world.now);
    world.pump();
    assert!(world.said.contains("<resource-constraint"), "{}", world.said);
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

#[test]
fn the_resource_of_a_thing_always_has_a_part_that_cannot_be_guessed() {
    let bind = |wish: &str| {
        let mut world = World::tls();
        world.class = AccountClass::Thing;
        world.hears(&[HEADER, LOGIN, HEADER].concat());
        world.hears(&format!(
            "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{wish}</bind></iq>"
        ));
        world.stream.jid().map(|jid| jid.resource().to_owned())
    };
    let named = bind("<resource>phone</resource>").expect("bound");
    assert_eq!(named.strip_prefix("phone/").map(str::len), Some(24), "{named}");
    assert_eq!(bind("").expect("bound").len(), 24);
    // The longest that fits with its random part, and one byte more (RFC 7622 §3.4: 1,023 bytes).
    assert!(bind(&format!("<resource>{}</resource>", "a".repeat(1_023 - 25))).is_some());
    assert!(bind(&format!("<resource>{}</resource>", "a".repeat(1_023 - 24))).is_none());
}
