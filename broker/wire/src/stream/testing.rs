//! A server's machine with a small world behind it, for scripts: one account, an answering store, an obedient TLS layer.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::{Output, Secured, ServerSettings, ServerStream, Why};
use crate::jid::{BareJid, DomainPart, ResourcePart};
use crate::ns;
use torg_thing::Timestamp;

use crate::sasl::{
    AccountClass, ChannelBindings, Credentials, ITERATIONS, IssuedToken, Mechanism, Policy, SALT_BYTES, ScramHash,
    ServerSecret, StoredKeys, StoredToken, TokenUse, Tokens,
};
use crate::secret::Secret;
use crate::seed::Seed;
use crate::stanza::{Stanza, StanzaCondition, StanzaError};
use crate::xep::csi::ClientState;
use crate::xep::sm::{Enabled, Failed};
use crate::xml::{Element, Limits};

/// A stream header as clients send it.
pub(crate) const HEADER: &str = "<?xml version='1.0'?><stream:stream to='site.example' version='1.0' xml:lang='en' \
                                 xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// PLAIN for anna with the password `pencil`.
pub(crate) const LOGIN: &str =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFubmEAcGVuY2ls</auth>";

/// The installation of anna's client that has tokens.
pub(crate) const CLIENT: &str = "d4565fa7-4d72-4749-b3d3-740edbf87770";

/// Bind of the resource `phone`.
pub(crate) const BIND: &str =
    "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>phone</resource></bind></iq>";

pub(crate) fn password() -> Secret<String> {
    Secret::new("pencil".into())
}

pub(crate) fn settings() -> ServerSettings {
    ServerSettings {
        domain: DomainPart::parse("site.example").expect("a domain"),
        policy: Policy {
            scram_sha1: true,
            plain: true,
            external: true,
            tokens: true,
            ..Policy::new(ServerSecret::new([5; 32]))
        },
        before_login: Vec::new(),
        features: vec![Element::new(ns::ROSTER_VERSIONING, "ver")],
        bind_inline: vec![ns::STREAM_MANAGEMENT, ns::CARBONS],
        limits: Limits::CLIENT,
    }
}

/// Key derivation is slow in tests, so it is done once.
fn keys(hash: ScramHash) -> StoredKeys {
    static KEYS: OnceLock<[StoredKeys; 2]> = OnceLock::new();
    let make = |hash| StoredKeys::derive(hash, &password(), &[3; SALT_BYTES], ITERATIONS).expect("usable");
    let [sha1, sha256] = KEYS.get_or_init(|| [make(ScramHash::Sha1), make(ScramHash::Sha256)]);
    match hash {
        ScramHash::Sha1 => sha1.clone(),
        ScramHash::Sha256 => sha256.clone(),
    }
}

pub(crate) fn secured() -> Secured {
    let bindings = ChannelBindings { tls_exporter: Some([9; 32]), tls_server_end_point: Some(vec![8; 32]) };
    Secured { bindings, proven: Vec::new() }
}

/// What a script sees.
pub(crate) struct World {
    pub(crate) stream: ServerStream,
    pub(crate) now: Instant,
    /// All that was written, as text.
    pub(crate) said: String,
    pub(crate) stanzas: Vec<Stanza>,
    pub(crate) closed: Option<Why>,
    /// The next resource is taken.
    pub(crate) conflict: bool,
    /// Give no answers: the questions are left to the script.
    pub(crate) silent: bool,
    pub(crate) asked: Vec<Output>,
    /// What the TLS layer will know.
    pub(crate) secured: Secured,
    /// Tokens of anna's installation [`CLIENT`].
    pub(crate) tokens: Vec<StoredToken>,
    /// What became of them.
    pub(crate) uses: Vec<TokenUse>,
    /// Anna lacks keys for a better hash, or has got some.
    pub(crate) upgrade: Option<ScramHash>,
    pub(crate) stored: Option<StoredKeys>,
    /// What the last session was to begin with.
    pub(crate) inline: Vec<Element>,
    /// What anna is.
    pub(crate) class: AccountClass,
    /// What the client acknowledged.
    pub(crate) acked: Vec<u32>,
    /// What the client said of itself.
    pub(crate) states: Vec<ClientState>,
    /// How the client logged in.
    pub(crate) mechanism: Option<Mechanism>,
}

impl World {
    pub(crate) fn plain() -> World {
        World::with(ServerStream::new)
    }

    pub(crate) fn tls() -> World {
        World::with(|settings, seed, now| ServerStream::direct_tls(settings, seed, secured(), now))
    }

    pub(crate) fn with(start: impl FnOnce(Arc<ServerSettings>, Seed, Instant) -> ServerStream) -> World {
        let now = Instant::now();
        World {
            stream: start(Arc::new(settings()), Seed::new([6; 32]), now),
            now,
            said: String::new(),
            stanzas: Vec::new(),
            closed: None,
            conflict: false,
            silent: false,
            asked: Vec::new(),
            secured: secured(),
            tokens: Vec::new(),
            uses: Vec::new(),
            upgrade: None,
            stored: None,
            inline: Vec::new(),
            class: AccountClass::Person,
            acked: Vec::new(),
            states: Vec::new(),
            mechanism: None,
        }
    }

    /// A session of `anna@site.example/phone`.
    pub(crate) fn ready() -> World {
        let mut world = World::tls();
        world.hears(HEADER);
        world.hears(LOGIN);
        world.hears(HEADER);
        world.hears(BIND);
        assert_eq!(world.stream.jid().map(|jid| jid.as_str()), Some("anna@site.example/phone"), "{}", world.said);
        world.said.clear();
        world
    }

    /// Feeds a text; gives what was said in answer.
    pub(crate) fn hears(&mut self, text: &str) -> String {
        self.said.clear();
        self.stream.receive(text.as_bytes());
        self.pump();
        self.said.clone()
    }

    /// Time passes.
    pub(crate) fn waits(&mut self, time: Duration) -> String {
        self.said.clear();
        self.now += time;
        self.stream.wake(self.now);
        self.pump();
        self.said.clone()
    }

    pub(crate) fn pump(&mut self) {
        while let Some(output) = self.stream.output(self.now) {
            self.obey(output);
        }
    }

    fn obey(&mut self, output: Output) {
        assert!(self.closed.is_none(), "something follows the end: {output:?}");
        match output {
            Output::Write(bytes) => self.said.push_str(std::str::from_utf8(&bytes).expect("text")),
            Output::Stanza(stanza) => self.stanzas.push(stanza),
            Output::Refused(Some(answer)) => self.stream.send(&answer),
            Output::Refused(None) => {}
            Output::Close(why) => self.closed = Some(why),
            question if self.silent => self.asked.push(question),
            question => self.answers(question),
        }
    }

    /// Answers a question as a store, a TLS layer and a core would.
    pub(crate) fn answers(&mut self, question: Output) {
        match question {
            Output::Write(_) | Output::Stanza(_) | Output::Refused(_) | Output::Close(_) => {
                panic!("no question: {question:?}")
            }
            Output::Acked(h) => self.acked.push(h),
            Output::AckRequest => self.stream.acknowledge(7),
            Output::ClientState(state) => self.states.push(state),
            Output::Enable(enable) => {
                let enabled = Enabled { id: enable.resume.then(|| "the-id".to_owned()), max: Some(600) };
                self.stream.enabled(Ok(&enabled), self.now);
            }
            Output::Resume { account, request, .. } => {
                let answer = if request.previd == "the-id" {
                    Ok((account.with_resource(&ResourcePart::parse("phone").expect("a resource")), 5))
                } else {
                    Err(Failed { condition: StanzaCondition::ItemNotFound, h: Some(3) })
                };
                self.stream.resumed(answer, self.now);
            }
            Output::Register(request) => {
                let refused = Stanza::error_for(&request, StanzaCondition::NotAllowed);
                self.stream.registered(&refused);
            }
            Output::StartTls => self.stream.secured(self.secured.clone(), self.now),
            Output::Lookup { account, hash } => {
                let known = account.as_str() == "anna@site.example";
                self.stream.credentials(
                    known.then(|| Credentials {
                        class: self.class,
                        upgrade: self.upgrade,
                        ..Credentials::new(keys(hash))
                    }),
                    self.now,
                );
            }
            Output::Tokens { account, client } => {
                let known = account == bare("anna@site.example") && client.as_str() == CLIENT;
                let tokens = self.tokens.clone();
                let found = known.then_some(Tokens { tokens, disabled: false, class: self.class });
                self.stream.tokens(found, self.now);
            }
            Output::UseToken(token_use) => {
                let expiry = Timestamp::from_micros(1_773_000_000_000_000);
                let issued = token_use.issue.map(|_| IssuedToken { token: Secret::new("fresh".into()), expiry });
                self.uses.push(token_use);
                self.stream.token_used(Ok(issued), self.now);
            }
            Output::StoreKeys { account, keys } => {
                assert_eq!(account, bare("anna@site.example"));
                self.stored = Some(keys);
                self.stream.keys_stored(self.now);
            }
            Output::CheckPassword(check) => self.stream.password_checked(check.run(), self.now),
            Output::Authorise(account) => {
                let known = account == bare("anna@site.example");
                self.stream.authorised(known.then_some(self.class), self.now);
            }
            Output::Bind { account, resource, mechanism, inline, .. } => {
                self.mechanism = Some(mechanism);
                self.inline = inline;
                let answer = if std::mem::take(&mut self.conflict) {
                    Err(StanzaError::new(StanzaCondition::Conflict))
                } else {
                    Ok(account.with_resource(&resource))
                };
                self.stream.bound(answer, self.now);
            }
        }
    }

    /// The condition of the stream error that ended it.
    pub(crate) fn fault(&self) -> &'static str {
        match &self.closed {
            Some(Why::Fault(error)) => error.condition().name(),
            other => panic!("ended otherwise: {other:?}"),
        }
    }
}

pub(crate) fn bare(text: &str) -> BareJid {
    BareJid::parse(text).expect("an address")
}
