//! Logging in: what is offered, who gets in, and as whom.

use super::*;

// --- logging in ------------------------------------------------------------------------------------------------------

#[test]
fn each_mechanism_lets_the_right_password_in() {
    let world = World::new();
    for mechanism in [
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha1Plus,
        Mechanism::ScramSha256,
        Mechanism::ScramSha1,
        Mechanism::Plain,
    ] {
        // Without -PLUS in sight a client with bindings says `y`; this one has none.
        let theirs = if mechanism.is_plus() { bindings() } else { ChannelBindings::default() };
        let (used, step) = world.run(&login("anna", "pencil"), &[mechanism], &theirs).expect("agreed");
        assert_eq!(used, mechanism);
        assert!(is_anna(&step), "{mechanism:?}: {step:?}");
    }
}

#[test]
fn each_mechanism_keeps_a_wrong_password_out() {
    let world = World::new();
    for mechanism in [
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha1Plus,
        Mechanism::ScramSha256,
        Mechanism::ScramSha1,
        Mechanism::Plain,
    ] {
        let theirs = if mechanism.is_plus() { bindings() } else { ChannelBindings::default() };
        let (_, step) = world.run(&login("anna", "crayon"), &[mechanism], &theirs).expect("agreed");
        assert_eq!(failure(&step), Failure::NotAuthorized, "{mechanism:?}");
    }
}

#[test]
fn both_kinds_of_channel_binding_work() {
    let world = World::new();
    let exporter = ChannelBindings { tls_server_end_point: None, ..bindings() };
    let end_point = ChannelBindings { tls_exporter: None, ..bindings() };
    for theirs in [exporter, end_point] {
        let (_, step) = world.run(&login("anna", "pencil"), &[Mechanism::ScramSha256Plus], &theirs).expect("agreed");
        assert!(is_anna(&step), "{step:?}");
    }
}

#[test]
fn user_name_and_password_are_prepared_before_use() {
    let world = World::new();
    let (_, step) = world
        .run(&login("an\u{ad}na", "pen\u{ad}cil"), &[Mechanism::ScramSha256], &ChannelBindings::default())
        .expect("agreed");
    assert!(is_anna(&step), "{step:?}");
}

#[test]
fn a_name_in_capitals_is_the_same_account() {
    let world = World::new();
    let (_, step) =
        world.run(&login("Anna", "pencil"), &[Mechanism::ScramSha256], &ChannelBindings::default()).expect("agreed");
    assert!(is_anna(&step), "{step:?}");
}

#[test]
fn a_missing_initial_response_is_asked_for_with_an_empty_challenge() {
    let world = World::new();
    let (mut server, step) = Server::start(Mechanism::Plain, None, String::new(), world.context());
    assert_eq!(challenge(step), "");
    let step = server.response(b"\0anna\0pencil", String::new(), world.context());
    assert!(is_anna(&world.store(&mut server, step)));
}

#[test]
fn a_disabled_account_is_told_only_after_a_right_password() {
    let world = World { disabled: true, ..World::new() };
    for mechanism in [Mechanism::ScramSha256, Mechanism::Plain] {
        let (_, step) = world.run(&login("anna", "pencil"), &[mechanism], &ChannelBindings::default()).expect("agreed");
        assert_eq!(failure(&step), Failure::AccountDisabled);
        let (_, step) = world.run(&login("anna", "crayon"), &[mechanism], &ChannelBindings::default()).expect("agreed");
        assert_eq!(failure(&step), Failure::NotAuthorized);
    }
}

#[test]
fn a_store_that_does_not_answer_is_a_temporary_failure() {
    let world = World::new();
    let (mut server, _) = Server::start(Mechanism::ScramSha256, Some(b"n,,n=anna,r=abc"), "x".into(), world.context());
    assert_eq!(failure(&server.unavailable()), Failure::TemporaryAuthFailure);
}

// --- what is offered -------------------------------------------------------------------------------------------------

#[test]
fn only_scram_sha_256_is_offered_by_default() {
    let policy = Policy::new(ServerSecret::new([0; 32]));
    assert_eq!(offer(&policy, &bindings(), true), [Mechanism::ScramSha256Plus, Mechanism::ScramSha256]);
    assert_eq!(offer(&policy, &ChannelBindings::default(), true), [Mechanism::ScramSha256]);
}

#[test]
fn external_is_offered_only_with_a_proven_address() {
    assert!(!offer(&policy(), &bindings(), false).contains(&Mechanism::External));
    assert!(offer(&policy(), &bindings(), true).contains(&Mechanism::External));
}

#[test]
fn a_mechanism_that_is_not_offered_is_refused() {
    let mut world = World::new();
    world.policy.plain = false;
    world.policy.scram_sha1 = false;
    for (mechanism, message) in
        [(Mechanism::Plain, "\0anna\0pencil"), (Mechanism::ScramSha1, "n,,n=anna,r=abc"), (Mechanism::External, "")]
    {
        assert_eq!(failure(&world.start(mechanism, message).1), Failure::InvalidMechanism, "{mechanism:?}");
    }
}

// --- the identity rule -----------------------------------------------------------------------------------------------

#[test]
fn an_authzid_that_names_the_same_account_is_accepted_by_each_mechanism() {
    let mut world = World::new();
    world.proven = vec![bare("anna@site.example")];
    for own in ["anna", "anna@site.example", "ANNA@Site.Example"] {
        for mechanism in EACH_SCRAM {
            let message = format!("{}n=anna,r=abc", header(mechanism, &format!("a={own}")));
            assert!(matches!(world.start(mechanism, &message).1, ServerStep::Challenge(_)), "{mechanism:?} {own}");
        }
        assert!(is_anna(&world.start(Mechanism::Plain, &format!("{own}\0anna\0pencil")).1), "{own}");
        assert!(is_anna(&world.start(Mechanism::External, own).1), "{own}");
    }
    assert!(is_anna(&world.start(Mechanism::External, "").1));
}

#[test]
fn an_authzid_of_another_is_refused_by_each_mechanism() {
    let mut world = World::new();
    world.proven = vec![bare("anna@site.example")];
    for other in [
        "bob",
        "bob@site.example",
        "anna@other.example",
        "anna@site.example/x",
        "site.example",
        "@site.example",
        "anna@",
        "anna@site.example@site.example",
    ] {
        for mechanism in EACH_SCRAM {
            let message = format!("{}n=anna,r=abc", header(mechanism, &format!("a={other}")));
            assert_eq!(failure(&world.start(mechanism, &message).1), Failure::InvalidAuthzid, "{mechanism:?} {other}");
        }
        assert_eq!(
            failure(&world.start(Mechanism::Plain, &format!("{other}\0anna\0pencil")).1),
            Failure::InvalidAuthzid,
            "{other}"
        );
        assert_eq!(failure(&world.start(Mechanism::External, other).1), Failure::InvalidAuthzid, "{other}");
    }
}

#[test]
fn external_with_two_proven_addresses_needs_to_be_told_which() {
    let mut world = World::new();
    world.proven = vec![bare("anna@site.example"), bare("bob@site.example")];
    assert_eq!(failure(&world.start(Mechanism::External, "").1), Failure::InvalidAuthzid);
    assert!(is_anna(&world.start(Mechanism::External, "anna").1));
}

#[test]
fn external_never_logs_an_address_of_another_domain_in() {
    let mut world = World::new();
    world.proven = vec![bare("anna@other.example")];
    assert_eq!(failure(&world.start(Mechanism::External, "").1), Failure::InvalidAuthzid);
    assert_eq!(failure(&world.start(Mechanism::External, "anna@other.example").1), Failure::InvalidAuthzid);
}

#[test]
fn external_follows_the_port_s_answer() {
    let mut world = World::new();
    world.proven = vec![bare("bob@site.example")];
    assert_eq!(failure(&world.start(Mechanism::External, "").1), Failure::NotAuthorized);
}
