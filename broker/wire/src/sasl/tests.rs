//! The vectors of the standards, both ends against each other, and everything a hostile client may try.

use super::*;
use crate::jid::{BareJid, DomainPart};
use crate::secret::Secret;

fn bare(text: &str) -> BareJid {
    BareJid::parse(text).expect("a valid address")
}

fn password(text: &str) -> Secret<String> {
    Secret::new(text.into())
}

fn policy() -> Policy {
    Policy { scram_sha1: true, plain: true, external: true, tokens: true, ..Policy::new(ServerSecret::new([1; 32])) }
}

fn bindings() -> ChannelBindings {
    ChannelBindings { tls_exporter: Some([9; 32]), tls_server_end_point: Some(vec![8; 32]) }
}

fn keys(hash: ScramHash, text: &str) -> StoredKeys {
    StoredKeys::derive(hash, &password(text), &[3; SALT_BYTES], ITERATIONS).expect("usable password")
}

/// One connection to `site.example` whose only account is anna with the password `pencil`.
struct World {
    policy: Policy,
    domain: DomainPart,
    bindings: ChannelBindings,
    proven: Vec<BareJid>,
    disabled: bool,
}

impl World {
    fn new() -> World {
        World {
            policy: policy(),
            domain: DomainPart::parse("site.example").expect("a domain"),
            bindings: bindings(),
            proven: Vec::new(),
            disabled: false,
        }
    }

    fn context(&self) -> Context<'_> {
        Context { policy: &self.policy, domain: &self.domain, bindings: &self.bindings, proven: &self.proven }
    }

    fn start(&self, mechanism: Mechanism, initial: &str) -> (Server, ServerStep) {
        let (mut server, step) =
            Server::start(mechanism, Some(initial.as_bytes()), "servernonce".into(), self.context());
        let step = self.store(&mut server, step);
        (server, step)
    }

    /// Answers the look-ups of a server step as a store would.
    fn store(&self, server: &mut Server, step: ServerStep) -> ServerStep {
        match step {
            ServerStep::Lookup { account, hash } => {
                let known = account == bare("anna@site.example");
                let found =
                    known.then(|| Credentials { disabled: self.disabled, ..Credentials::new(keys(hash, "pencil")) });
                let step = server.credentials(found, &self.policy);
                self.store(server, step)
            }
            ServerStep::Check(check) => server.checked(check.run()),
            ServerStep::Authorise(account) => {
                server.authorised((account == bare("anna@site.example")).then_some(AccountClass::Person))
            }
            other => other,
        }
    }

    /// A whole attempt of our own client.
    fn run(
        &self,
        login: &Login,
        offered: &[Mechanism],
        theirs: &ChannelBindings,
    ) -> Result<(Mechanism, ServerStep), ClientError> {
        let (mut client, first) = Client::start(login, offered, theirs, None, "clientnonce")?;
        let (mut server, step) = Server::start(client.mechanism(), Some(&first), "servernonce".into(), self.context());
        let mut step = self.store(&mut server, step);
        while let ServerStep::Challenge(challenge) = &step {
            let next = match client.challenge(challenge)? {
                ClientStep::Derive(derivation) => client.derived(&derivation.run())?,
                other => other,
            };
            let ClientStep::Respond(response) = next else { panic!("the client has nothing to say: {next:?}") };
            step = server.response(&response, String::new(), self.context());
        }
        if let ServerStep::Success(success) = &step {
            assert!(matches!(client.success(success.data.as_deref())?, ClientStep::Done));
        }
        Ok((client.mechanism(), step))
    }
}

fn login(username: &str, text: &str) -> Login {
    Login { username: username.into(), password: password(text), scram_sha1: true, plain: true }
}

fn failure(step: &ServerStep) -> Failure {
    match step {
        ServerStep::Failure(failure) => *failure,
        other => panic!("expected a failure, found {other:?}"),
    }
}

fn is_anna(step: &ServerStep) -> bool {
    matches!(step, ServerStep::Success(success) if success.who.account == bare("anna@site.example"))
}

fn challenge(step: ServerStep) -> String {
    match step {
        ServerStep::Challenge(bytes) => String::from_utf8(bytes).expect("text"),
        other => panic!("expected a challenge, found {other:?}"),
    }
}

const EACH_SCRAM: [Mechanism; 4] =
    [Mechanism::ScramSha256Plus, Mechanism::ScramSha1Plus, Mechanism::ScramSha256, Mechanism::ScramSha1];

fn header(mechanism: Mechanism, authzid: &str) -> String {
    let flag = if mechanism.is_plus() { "p=tls-exporter" } else { "n" };
    format!("{flag},{authzid},")
}

// --- vectors ---------------------------------------------------------------------------------------------------------

/// Runs the server's and the client's side on the messages of a standard.
fn check_vector(hash: ScramHash, first: &str, challenge: &str, last: &str, signature: &str) {
    let (client_nonce, server_nonce) = (nonce_of(first), nonce_of(challenge));
    let salt = challenge.split(',').find_map(|part| part.strip_prefix("s=")).expect("salt");
    let salt = base64_decode(salt).expect("base64");
    let prepared = prep::Prepared::password(&password("pencil")).expect("usable");
    let derived = keys::ClientKeys::derive(hash, &prepared, &salt, 4_096);
    let stored = StoredKeys::from_parts(
        hash,
        salt,
        4_096,
        hash.hash(derived.client_key.bytes()).bytes(),
        derived.server_key.bytes(),
    )
    .expect("fits");

    let state = scram_server::ClientFirst::parse(first.as_bytes(), hash, false, false, &ChannelBindings::default())
        .expect("valid");
    assert_eq!(state.username, "user");
    let (proof, sent) = state.challenge(stored, true, server_nonce.strip_prefix(client_nonce).expect("prolonged"));
    assert_eq!(sent, challenge);
    assert_eq!(proof.finish(last.as_bytes()).as_deref(), Ok(signature));

    let (state, sent) = scram_client::start(hash, "user", prepared, message::BindingFlag::None, &[], client_nonce);
    assert_eq!(sent, first);
    let (state, derivation) = state.challenge(challenge.as_bytes()).expect("valid");
    let (state, sent) = state.proof(&derivation.run().0);
    assert_eq!(sent, last);
    assert_eq!(state.finish(signature.as_bytes()), Ok(()));
}

fn nonce_of(message: &str) -> &str {
    message.split(',').find_map(|part| part.strip_prefix("r=")).expect("nonce")
}

/// RFC 5802 §5.
#[test]
fn the_sha_1_example_of_the_standard_holds() {
    check_vector(
        ScramHash::Sha1,
        "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    );
}

/// RFC 7677 §3.
#[test]
fn the_sha_256_example_of_the_standard_holds() {
    check_vector(
        ScramHash::Sha256,
        "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    );
}

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

// --- the client ------------------------------------------------------------------------------------------------------

#[test]
fn the_client_prefers_channel_binding_and_then_the_stronger_hash() {
    let all = Mechanism::ALL;
    let choose = |offered: &[Mechanism], theirs: &ChannelBindings| {
        Client::start(&login("anna", "pencil"), offered, theirs, None, "n").map(|(client, _)| client.mechanism())
    };
    assert_eq!(choose(&all, &bindings()), Ok(Mechanism::ScramSha256Plus));
    assert_eq!(choose(&all, &ChannelBindings::default()), Ok(Mechanism::ScramSha256));
    assert_eq!(choose(&[Mechanism::Plain, Mechanism::ScramSha1], &bindings()), Ok(Mechanism::ScramSha1));
}

#[test]
fn the_client_takes_the_exporter_if_the_server_names_it() {
    let start = |kinds: Option<&[BindingKind]>| {
        let (client, first) =
            Client::start(&login("anna", "pencil"), &Mechanism::ALL, &bindings(), kinds, "n").expect("agreed");
        (client.mechanism(), String::from_utf8(first).expect("text"))
    };
    assert!(start(None).1.starts_with("p=tls-exporter,,"));
    assert!(start(Some(&[BindingKind::TlsServerEndPoint])).1.starts_with("p=tls-server-end-point,,"));
    assert_eq!(start(Some(&[])).0, Mechanism::ScramSha256);
    assert!(start(Some(&[])).1.starts_with("n,,"));
}

#[test]
fn the_client_sends_nothing_weaker_than_it_was_told_to() {
    let careful = Login { scram_sha1: false, plain: false, ..login("anna", "pencil") };
    for offered in
        [&[Mechanism::Plain][..], &[Mechanism::ScramSha1, Mechanism::ScramSha1Plus], &[Mechanism::External], &[]]
    {
        let result = Client::start(&careful, offered, &bindings(), None, "n").map(|_| ());
        assert_eq!(result, Err(ClientError::NoMechanism), "{offered:?}");
    }
}

#[test]
fn the_client_refuses_an_unusable_password() {
    let result = Client::start(&login("anna", ""), &[Mechanism::ScramSha256], &ChannelBindings::default(), None, "n")
        .map(|_| ());
    assert_eq!(result, Err(ClientError::Credentials(PrepError::Empty)));
}

fn client_hears(challenge: &str) -> Result<ClientStep, ClientError> {
    let (mut client, _) =
        Client::start(&login("anna", "pencil"), &[Mechanism::ScramSha256], &ChannelBindings::default(), None, "mine")
            .expect("agreed");
    client.challenge(challenge.as_bytes())
}

#[test]
fn the_client_refuses_foreign_nonces_and_bad_iterations() {
    assert!(client_hears("r=mineyours,s=AAAA,i=4096").is_ok());
    for (challenge, error) in [
        ("r=yours,s=AAAA,i=4096", ClientError::ServerNonce),
        ("r=mine,s=AAAA,i=4096", ClientError::ServerNonce),
        ("r=mineyours,s=AAAA,i=4095", ClientError::ServerIterations { found: 4_095 }),
        ("r=mineyours,s=AAAA,i=500001", ClientError::ServerIterations { found: 500_001 }),
        ("r=mineyours,s=AAAA,i=+4096", ClientError::ServerMalformed),
        ("r=mineyours,s=AAAA,i=99999999999", ClientError::ServerMalformed),
        ("r=mineyours,s=,i=4096", ClientError::ServerMalformed),
        ("m=x,r=mineyours,s=AAAA,i=4096", ClientError::ServerMalformed),
        ("", ClientError::ServerMalformed),
    ] {
        assert_eq!(client_hears(challenge).map(|_| ()), Err(error), "{challenge}");
    }
    assert!(client_hears("r=mineyours,s=AAAA,i=500000").is_ok());
}

#[test]
fn the_client_believes_only_a_server_that_proves_itself() {
    let ready = || {
        let (mut client, _) = Client::start(
            &login("anna", "pencil"),
            &[Mechanism::ScramSha256],
            &ChannelBindings::default(),
            None,
            "mine",
        )
        .expect("agreed");
        let Ok(ClientStep::Derive(derivation)) = client.challenge(b"r=mineyours,s=AAAA,i=4096") else {
            panic!("no derivation")
        };
        client.derived(&derivation.run()).expect("proof");
        client
    };
    assert_eq!(ready().success(None).map(|_| ()), Err(ClientError::ServerSignature));
    assert_eq!(ready().success(Some(b"v=AAAA")).map(|_| ()), Err(ClientError::ServerSignature));
    assert_eq!(ready().success(Some(b"e=other-error")).map(|_| ()), Err(ClientError::ServerSignature));
    assert_eq!(ready().challenge(b"v=AAAA").map(|_| ()), Err(ClientError::ServerSignature));
}

#[test]
fn the_client_refuses_success_before_its_proof() {
    let (mut client, _) =
        Client::start(&login("anna", "pencil"), &[Mechanism::ScramSha256], &ChannelBindings::default(), None, "mine")
            .expect("agreed");
    assert_eq!(client.success(None).map(|_| ()), Err(ClientError::ServerOrder));
}

// --- stored keys -----------------------------------------------------------------------------------------------------

#[test]
fn stored_keys_survive_their_parts() {
    for hash in [ScramHash::Sha1, ScramHash::Sha256] {
        let made = keys(hash, "pencil");
        let read =
            StoredKeys::from_parts(hash, made.salt().to_vec(), made.iterations(), made.stored_key(), made.server_key());
        assert_eq!(read, Ok(made));
    }
}

#[test]
fn stored_keys_of_the_wrong_size_are_refused() {
    let made = keys(ScramHash::Sha256, "pencil");
    assert!(
        StoredKeys::from_parts(ScramHash::Sha1, made.salt().to_vec(), 10_000, made.stored_key(), made.server_key())
            .is_err()
    );
    assert!(
        StoredKeys::from_parts(ScramHash::Sha256, Vec::new(), 10_000, made.stored_key(), made.server_key()).is_err()
    );
    assert!(
        StoredKeys::from_parts(ScramHash::Sha256, made.salt().to_vec(), 0, made.stored_key(), made.server_key())
            .is_err()
    );
}

#[test]
fn derivation_never_uses_fewer_iterations_than_the_least() {
    let made = StoredKeys::derive(ScramHash::Sha256, &password("pencil"), &[3; SALT_BYTES], 1).expect("usable");
    assert_eq!(made.iterations(), ITERATIONS);
}

#[test]
fn stored_keys_know_their_password() {
    assert!(keys(ScramHash::Sha256, "pencil").verify(&password("pencil")));
    assert!(!keys(ScramHash::Sha256, "pencil").verify(&password("crayon")));
    assert!(!keys(ScramHash::Sha256, "pencil").verify(&password("")));
}

#[test]
fn names_of_mechanisms_and_failures_read_back() {
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::parse(mechanism.name()), Some(mechanism));
    }
    for condition in Failure::ALL {
        assert_eq!(Failure::parse(condition.name()), Some(condition));
    }
    assert_eq!(Mechanism::parse("SCRAM-SHA-512"), None);
    assert_eq!(Failure::parse("teapot"), None);
}
