//! What a hostile client or a man in the middle may try.

use super::*;

// --- unknown users ---------------------------------------------------------------------------------------------------

#[test]
fn an_unknown_user_gets_the_same_salt_each_time_and_another_than_others() {
    let world = World::new();
    let ask = |name: &str| challenge(world.start(Mechanism::ScramSha256, &format!("n,,n={name},r=abc")).1);
    assert_eq!(ask("nobody"), ask("nobody"));
    assert_ne!(ask("nobody"), ask("noone"));
    let mut other = World::new();
    other.policy.secret = ServerSecret::new([2; 32]);
    assert_ne!(ask("nobody"), challenge(other.start(Mechanism::ScramSha256, "n,,n=nobody,r=abc").1));
}

#[test]
fn the_challenge_for_an_unknown_user_looks_like_a_real_one() {
    let world = World::new();
    for name in ["nobody", "not a name@all"] {
        let unknown = challenge(world.start(Mechanism::ScramSha256, &format!("n,,n={name},r=abc")).1);
        let real = challenge(world.start(Mechanism::ScramSha256, "n,,n=anna,r=abc").1);
        assert_eq!(unknown.len(), real.len());
        assert!(unknown.contains(",i=10000,h="));
    }
}

#[test]
fn an_unknown_user_is_refused_like_a_wrong_password() {
    let world = World::new();
    for mechanism in [Mechanism::ScramSha256, Mechanism::Plain] {
        for name in ["nobody", "not a name@all"] {
            let (_, step) =
                world.run(&login(name, "pencil"), &[mechanism], &ChannelBindings::default()).expect("agreed");
            assert_eq!(failure(&step), Failure::NotAuthorized, "{mechanism:?} {name}");
        }
    }
}

// --- men in the middle -----------------------------------------------------------------------------------------------

#[test]
fn a_client_that_was_shown_no_plus_while_we_offered_it_is_refused() {
    let world = World::new();
    let (_, step) = world.run(&login("anna", "pencil"), &[Mechanism::ScramSha256], &bindings()).expect("agreed");
    assert_eq!(failure(&step), Failure::NotAuthorized);
}

#[test]
fn a_client_with_bindings_may_say_y_where_we_have_none() {
    let world = World { bindings: ChannelBindings::default(), ..World::new() };
    let (_, step) = world.run(&login("anna", "pencil"), &[Mechanism::ScramSha256], &bindings()).expect("agreed");
    assert!(is_anna(&step), "{step:?}");
}

#[test]
fn binding_data_of_another_channel_is_refused() {
    let world = World::new();
    for theirs in [
        ChannelBindings { tls_exporter: Some([7; 32]), tls_server_end_point: None },
        ChannelBindings { tls_exporter: None, tls_server_end_point: Some(vec![7; 32]) },
    ] {
        let (_, step) = world.run(&login("anna", "pencil"), &[Mechanism::ScramSha256Plus], &theirs).expect("agreed");
        assert_eq!(failure(&step), Failure::NotAuthorized);
    }
}

#[test]
fn kinds_of_binding_we_do_not_have_are_refused() {
    let world = World { bindings: ChannelBindings { tls_exporter: None, ..bindings() }, ..World::new() };
    for kind in ["tls-unique", "tls-exporter", "nonsense"] {
        let (_, step) = world.start(Mechanism::ScramSha256Plus, &format!("p={kind},,n=anna,r=abc"));
        assert_eq!(failure(&step), Failure::NotAuthorized, "{kind}");
    }
}

#[test]
fn the_gs2_header_must_fit_the_mechanism() {
    let world = World::new();
    for (mechanism, header) in [
        (Mechanism::ScramSha256Plus, "n"),
        (Mechanism::ScramSha256Plus, "y"),
        (Mechanism::ScramSha256, "p=tls-exporter"),
    ] {
        let (_, step) = world.start(mechanism, &format!("{header},,n=anna,r=abc"));
        assert_eq!(failure(&step), Failure::MalformedRequest, "{mechanism:?} {header}");
    }
}

/// Logs anna in by hand, with a last chance to spoil the final message.
fn spoiled(spoil: impl Fn(&str) -> String) -> ServerStep {
    let world = World::new();
    let login = login("anna", "pencil");
    let (mut client, first) =
        Client::start(&login, &[Mechanism::ScramSha256], &ChannelBindings::default(), None, "clientnonce")
            .expect("agreed");
    let (mut server, step) = world.start(Mechanism::ScramSha256, std::str::from_utf8(&first).expect("text"));
    let Ok(ClientStep::Derive(derivation)) = client.challenge(challenge(step).as_bytes()) else {
        panic!("no derivation")
    };
    let Ok(ClientStep::Respond(last)) = client.derived(&derivation.run()) else { panic!("no proof") };
    let last = spoil(std::str::from_utf8(&last).expect("text"));
    server.response(last.as_bytes(), String::new(), world.context())
}

#[test]
fn the_final_message_must_be_right_in_every_part() {
    assert!(is_anna(&spoiled(|last| last.to_owned())));
    type Spoil = fn(&str) -> String;
    let refused: [(&str, Spoil); 5] = [
        ("another GS2 header", |last| last.replace("c=biws", "c=eSws")),
        ("another nonce", |last| last.replace("servernonce", "servernoncf")),
        ("only the client's nonce", |last| last.replace("servernonce", "")),
        ("a short proof", |last| format!("{},p=AAAA", last.rsplit_once(",p=").expect("proof").0)),
        ("an empty proof", |last| format!("{},p=", last.rsplit_once(",p=").expect("proof").0)),
    ];
    for (what, spoil) in refused {
        assert_eq!(failure(&spoiled(spoil)), Failure::NotAuthorized, "{what}");
    }
    assert_eq!(failure(&spoiled(|last| format!("{last}A"))), Failure::MalformedRequest);
    assert_eq!(failure(&spoiled(|_| "*".into())), Failure::MalformedRequest);
}

#[test]
fn a_proof_does_not_work_twice() {
    let world = World::new();
    let (mut server, step) = world.start(Mechanism::ScramSha256, "n,,n=anna,r=abc");
    challenge(step);
    let first = failure(&server.response(b"c=biws,r=abcservernonce,p=AAAA", String::new(), world.context()));
    let second = failure(&server.response(b"c=biws,r=abcservernonce,p=AAAA", String::new(), world.context()));
    assert_eq!((first, second), (Failure::NotAuthorized, Failure::MalformedRequest));
}

// --- limits and garbage ----------------------------------------------------------------------------------------------

#[test]
fn messages_are_limited_in_size() {
    let world = World::new();
    let message = |extra: usize| format!("n,,n=anna,r=abc,x={}", "a".repeat(extra));
    let fits = MESSAGE_BYTES_MAX - message(0).len();
    assert!(matches!(world.start(Mechanism::ScramSha256, &message(fits - 1)).1, ServerStep::Challenge(_)));
    assert!(matches!(world.start(Mechanism::ScramSha256, &message(fits)).1, ServerStep::Challenge(_)));
    assert_eq!(failure(&world.start(Mechanism::ScramSha256, &message(fits + 1)).1), Failure::MalformedRequest);
    let plain = format!("\0anna\0{}", "a".repeat(CREDENTIAL_BYTES_MAX + 1));
    assert_eq!(failure(&world.start(Mechanism::Plain, &plain).1), Failure::MalformedRequest);
}

#[test]
fn broken_messages_of_each_mechanism_are_malformed() {
    let world = World::new();
    for message in ["", "anna", "anna\0pencil", "\0\0pencil", "\0anna\0", "\0anna\0pencil\0more"] {
        assert_eq!(failure(&world.start(Mechanism::Plain, message).1), Failure::MalformedRequest, "{message:?}");
    }
    for message in ["", "n,,n=anna", "n,,n=an\0na,r=abc"] {
        assert_eq!(failure(&world.start(Mechanism::ScramSha256, message).1), Failure::MalformedRequest, "{message:?}");
    }
    let (_, step) = Server::start(Mechanism::ScramSha256, Some(b"n,,n=\xff,r=abc"), String::new(), world.context());
    assert_eq!(failure(&step), Failure::MalformedRequest);
}

proptest::proptest! {
    #[test]
    fn no_first_message_panics(bytes: Vec<u8>) {
        let world = World::new();
        for mechanism in Mechanism::ALL {
            let _ = Server::start(mechanism, Some(&bytes), "x".into(), world.context());
        }
    }

    #[test]
    fn no_text_after_the_challenge_panics_or_logs_in(text in "[a-zA-Z0-9=,+/]{0,200}") {
        let world = World::new();
        let (mut server, _) = world.start(Mechanism::ScramSha256, "n,,n=nobody,r=abc");
        let step = server.response(text.as_bytes(), String::new(), world.context());
        proptest::prop_assert!(matches!(step, ServerStep::Failure(_)));
    }
}
