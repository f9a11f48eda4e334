//! Logging in by the first profile of SASL, and binding a resource.

use super::*;

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

// --- bind ------------------------------------------------------------------------------------------------------------

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
fn resource_constraint_is_a_possible_answer_to_bind() {
    let mut world = World::tls();
    world.hears(&[HEADER, LOGIN, HEADER].concat());
    world.silent = true;
    world.hears(BIND);
    world.stream.bound(Err(StanzaError::new(StanzaCondition::ResourceConstraint)), world.now);
    world.pump();
    assert!(world.said.contains("<resource-constraint"), "{}", world.said);
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
