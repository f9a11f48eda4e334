//! What must hold for logins whatever a client sends, with a store that answers: nobody gets in as somebody else, nothing follows the
//! end of an attempt, and the split of the bytes makes no difference. The one account is anna, whose password is `pencil`; she has
//! tokens, keys for a better hash to bring, and a certificate. Used by a property test, the corpus test and a fuzz target.
//!
//! An input that begins with `<` is what a client sends on a secured connection. Any other one is a mechanism (its first byte) and the
//! messages for it, with 0xff between them.

use std::sync::Arc;
use std::time::Instant;

use torg_wire::jid::{BareJid, DomainPart};
use torg_wire::sasl::{
    ChannelBindings, ClientId, Context, Credentials, IssuedToken, Mechanism, Policy, ScramHash, Server, ServerSecret,
    ServerStep, StoredKeys, StoredToken, TokenCheck, TokenMechanism, TokenSlot, Tokens,
};
use torg_wire::secret::Secret;
use torg_wire::seed::Seed;
use torg_wire::stream::{Output, Secured, ServerSettings, ServerStream};
use torg_wire::xep::sm;
use torg_wire::xml::Limits;
use torg_wire::{ns, stanza::StanzaCondition};

/// Most messages of one attempt that are tried.
const MESSAGES_MAX: usize = 8;

const SALT: &[u8] = b"saltsaltsaltsalt";
/// PBKDF2 of `pencil` with one iteration: here time matters and strength does not.
const SALTED_SHA_256: [u8; 32] = [
    0xdb, 0x03, 0xee, 0xa9, 0x74, 0x3c, 0xd3, 0xd8, 0xc1, 0x9c, 0x69, 0xdd, 0xd2, 0xb4, 0x88, 0x9e, 0x13, 0xe0, 0x5b,
    0x19, 0xbd, 0xad, 0x43, 0x42, 0x37, 0x90, 0x6a, 0x04, 0x88, 0x9e, 0x39, 0x9e,
];
const SALTED_SHA_1: [u8; 20] = [
    0x18, 0x09, 0xfd, 0xec, 0x33, 0x1b, 0x39, 0x96, 0x65, 0x03, 0x2e, 0xb6, 0x7b, 0x7c, 0x6c, 0x08, 0x8a, 0x86, 0xff,
    0xe4,
];

/// How far an input came.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    said: String,
    stanzas: usize,
    ended: bool,
    /// The address of the session, if there was one.
    pub(crate) session: Option<String>,
}

/// Runs the laws on the input; tells how far it came.
///
/// # Panics
/// If a law is broken.
pub(crate) fn check(input: &[u8]) -> Outcome {
    let Some((&first, rest)) = input.split_first() else { return Outcome::default() };
    if first != b'<' {
        attempt(first, rest);
        return Outcome::default();
    }
    let whole = stream(input, input.len());
    for size in [1, 11] {
        assert_eq!(stream(input, size), whole, "in pieces of {size}");
    }
    if let Some(jid) = &whole.session {
        assert!(jid.starts_with("anna@site.example/"), "{jid}");
        assert!(whole.said.contains("<success"), "{}", whole.said);
    }
    assert!(whole.session.is_some() || whole.stanzas == 0);
    whole
}

// --- one attempt of one mechanism ------------------------------------------------------------------------------------

fn mechanism(byte: u8) -> Mechanism {
    let tokens = TokenMechanism::ALL.map(Mechanism::Token);
    let all: Vec<_> = Mechanism::ALL.into_iter().chain(tokens).collect();
    all[usize::from(byte) % all.len()]
}

fn attempt(byte: u8, rest: &[u8]) {
    let mechanism = mechanism(byte);
    // With the upper half of the bytes the server's policy is the strictest, and there is no certificate.
    let strict = byte >= 128;
    let policy = if strict { Policy::new(secret()) } else { policy() };
    let domain = DomainPart::parse("site.example").unwrap();
    let bindings = bindings();
    let proven = if strict { Vec::new() } else { vec![anna()] };
    let context = Context { policy: &policy, domain: &domain, bindings: &bindings, proven: &proven };
    let mut messages = rest.split(|byte| *byte == 0xff).take(MESSAGES_MAX);
    let initial = messages.next().filter(|message| !message.is_empty());
    let (mut server, step) = Server::start(mechanism, initial, "servernonce".into(), context);
    let mut over = settle(&mut server, step, &policy, strict);
    for message in messages {
        let step = server.response(message, "servernonce".into(), context);
        if over {
            assert!(matches!(step, ServerStep::Failure(_)), "an attempt goes on after its end: {step:?}");
        }
        over |= settle(&mut server, step, &policy, strict);
    }
}

/// Answers what the attempt asks; tells whether it is over.
fn settle(server: &mut Server, step: ServerStep, policy: &Policy, strict: bool) -> bool {
    let next = match step {
        ServerStep::Challenge(_) => return false,
        ServerStep::Failure(_) => return true,
        ServerStep::Success(success) => {
            assert_eq!(success.who.account, anna());
            assert!(!strict || success.who.mechanism.hash() == Some(ScramHash::Sha256));
            return true;
        }
        ServerStep::Lookup { account, hash } => server.credentials(credentials(&account, hash), policy),
        ServerStep::Tokens(account) => server.tokens(tokens(&account), None),
        ServerStep::Check(check) => server.checked(check.run()),
        ServerStep::Authorise(account) => server.authorised((account == anna()).then(Default::default)),
    };
    settle(server, next, policy, strict)
}

// --- a whole stream --------------------------------------------------------------------------------------------------

fn stream(input: &[u8], size: usize) -> Outcome {
    let now = Instant::now();
    let secured = Secured { bindings: bindings(), proven: vec![anna()] };
    let mut machine = ServerStream::direct_tls(settings(), Seed::new([6; 32]), secured, now);
    let mut outcome = Outcome::default();
    for piece in input.chunks(size) {
        machine.receive(piece);
        while let Some(output) = machine.output(now) {
            assert!(!outcome.ended, "something follows the end: {output:?}");
            obey(output, &mut machine, &mut outcome, now);
        }
        if outcome.ended {
            break;
        }
    }
    outcome
}

fn obey(output: Output, machine: &mut ServerStream, outcome: &mut Outcome, now: Instant) {
    match output {
        Output::Write(bytes) => outcome.said.push_str(std::str::from_utf8(&bytes).unwrap()),
        Output::Close(_) => outcome.ended = true,
        Output::Stanza(_) => {
            assert!(machine.jid().is_some(), "a stanza before there is a session");
            outcome.stanzas += 1;
        }
        Output::Refused(_) | Output::Acked(_) | Output::ClientState(_) => assert!(outcome.session.is_some()),
        Output::AckRequest => machine.acknowledge(0),
        Output::StartTls => panic!("TLS inside TLS"),
        Output::Lookup { account, hash } => machine.credentials(credentials(&account, hash), now),
        Output::Tokens { account, client } => {
            let found = tokens(&account).filter(|_| client == ClientId::parse("device").unwrap());
            machine.tokens(found, now);
        }
        Output::UseToken(token_use) => {
            assert_eq!(token_use.account, anna());
            let expiry = "2026-03-01T10:15:00Z".parse().unwrap();
            let issued = token_use.issue.map(|_| IssuedToken { token: Secret::new("fresh".into()), expiry });
            machine.token_used(Ok(issued), now);
        }
        Output::StoreKeys { account, .. } => {
            assert_eq!(account, anna());
            machine.keys_stored(now);
        }
        Output::CheckPassword(check) => machine.password_checked(check.run(), now),
        Output::Authorise(account) => machine.authorised((account == anna()).then(Default::default), now),
        Output::Enable(_) => machine.enabled(Ok(&sm::Enabled { id: Some("id".into()), max: None }), now),
        Output::Resume { account, .. } => {
            assert_eq!(account, anna());
            machine.resumed(Err(sm::Failed::new(StanzaCondition::ItemNotFound)), now);
        }
        Output::Bind { account, resource, .. } => {
            assert_eq!(account, anna());
            assert!(outcome.session.is_none(), "a second session on one stream");
            let jid = account.with_resource(&resource);
            outcome.session = Some(jid.to_string());
            machine.bound(Ok(jid), now);
        }
        other => panic!("{other:?}"),
    }
}

// --- the world -------------------------------------------------------------------------------------------------------

fn settings() -> Arc<ServerSettings> {
    Arc::new(ServerSettings {
        domain: DomainPart::parse("site.example").unwrap(),
        policy: policy(),
        before_login: Vec::new(),
        features: Vec::new(),
        bind_inline: vec![ns::STREAM_MANAGEMENT],
        limits: Limits::CLIENT,
    })
}

fn secret() -> ServerSecret {
    ServerSecret::new([5; 32])
}

fn policy() -> Policy {
    Policy { scram_sha1: true, plain: true, external: true, tokens: true, ..Policy::new(secret()) }
}

fn bindings() -> ChannelBindings {
    ChannelBindings { tls_exporter: Some([9; 32]), tls_server_end_point: Some(vec![8; 32]) }
}

fn anna() -> BareJid {
    BareJid::parse("anna@site.example").unwrap()
}

fn credentials(account: &BareJid, hash: ScramHash) -> Option<Credentials> {
    let (salted, upgrade) = match hash {
        ScramHash::Sha256 => (SALTED_SHA_256.to_vec(), None),
        ScramHash::Sha1 => (SALTED_SHA_1.to_vec(), Some(ScramHash::Sha256)),
    };
    let keys = StoredKeys::from_salted(hash, &Secret::new(salted), SALT, 1).unwrap();
    (*account == anna()).then(|| Credentials { upgrade, ..Credentials::new(keys) })
}

fn tokens(account: &BareJid) -> Option<Tokens> {
    let token = |id, slot, mechanism, ageing| {
        let check = TokenCheck::new(mechanism, Secret::new("token".into()));
        StoredToken { id, slot, mechanism, check, expired: false, count: 3, ageing }
    };
    let tokens = vec![
        token(1, TokenSlot::Current, TokenMechanism::Unbound, false),
        token(2, TokenSlot::New, TokenMechanism::Exporter, true),
    ];
    (*account == anna()).then(|| Tokens { tokens, disabled: false, class: Default::default() })
}
