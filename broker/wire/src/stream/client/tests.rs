//! Scripts of the client's machine, and both machines against each other.

use std::time::Duration;

use super::*;
use crate::sasl::{ChannelBindings, Mechanism};
use crate::stanza::{IqType, MessageType, StanzaCondition, StanzaKind};
use crate::stream::Output;
use crate::stream::testing::{World, bare, password, secured};

fn settings() -> ClientSettings {
    let login = Login { username: "anna".into(), password: password(), scram_sha1: false, plain: false };
    ClientSettings {
        account: bare("anna@site.example"),
        login,
        resource: Some(ResourcePart::parse("phone").expect("a resource")),
        limits: Limits::CLIENT,
    }
}

/// A client and what it said and saw.
struct Client {
    stream: ClientStream,
    now: Instant,
    said: String,
    stanzas: Vec<Stanza>,
    ready: Option<(FullJid, Element)>,
    closed: Option<ClientFault>,
    wants_tls: bool,
}

impl Client {
    fn new(settings: ClientSettings, secured: Option<Secured>) -> Client {
        let now = Instant::now();
        let (settings, seed) = (Arc::new(settings), Seed::new([4; 32]));
        let stream = match secured {
            Some(secured) => ClientStream::direct_tls(settings, seed, secured, now),
            None => ClientStream::new(settings, seed, now),
        };
        let mut client = Client {
            stream,
            now,
            said: String::new(),
            stanzas: Vec::new(),
            ready: None,
            closed: None,
            wants_tls: false,
        };
        client.pump();
        client
    }

    fn plain() -> Client {
        Client::new(settings(), None)
    }

    fn tls() -> Client {
        Client::new(settings(), Some(secured()))
    }

    fn hears(&mut self, text: &str) -> String {
        self.said.clear();
        self.stream.receive(text.as_bytes());
        self.pump();
        self.said.clone()
    }

    fn pump(&mut self) {
        while let Some(output) = self.stream.output() {
            assert!(self.closed.is_none(), "something follows the end: {output:?}");
            match output {
                ClientOutput::Write(bytes) => self.said.push_str(std::str::from_utf8(&bytes).expect("text")),
                ClientOutput::Derive(derivation) => self.stream.derived(&derivation.run()),
                ClientOutput::StartTls => self.wants_tls = true,
                ClientOutput::Ready { jid, features } => self.ready = Some((jid, features)),
                ClientOutput::Stanza(stanza) => self.stanzas.push(stanza),
                ClientOutput::Close(fault) => self.closed = Some(fault),
            }
        }
    }
}

// --- both against each other -----------------------------------------------------------------------------------------

/// Carries bytes in pieces of this size until both are silent; TLS is a nod.
fn converse(client: &mut Client, server: &mut World, size: usize) {
    server.silent = true;
    loop {
        server.pump();
        client.pump();
        let (up, down) = (std::mem::take(&mut client.said), std::mem::take(&mut server.said));
        if up.is_empty() && down.is_empty() && server.asked.is_empty() {
            return;
        }
        for part in up.as_bytes().chunks(size) {
            server.stream.receive(part);
            server.pump();
        }
        for part in down.as_bytes().chunks(size) {
            client.stream.receive(part);
            client.pump();
        }
        for question in std::mem::take(&mut server.asked) {
            match question {
                Output::StartTls => {
                    // What is still on the way must arrive before TLS begins.
                    client.hears(&std::mem::take(&mut server.said));
                    assert!(std::mem::take(&mut client.wants_tls));
                    server.stream.secured(server.secured.clone(), server.now);
                    client.stream.secured(secured());
                }
                other => server.answers(other),
            }
        }
    }
}

fn log_in(settings: ClientSettings, mut server: World, theirs: Option<Secured>, size: usize) -> (Client, World) {
    let mut client = Client::new(settings, theirs);
    converse(&mut client, &mut server, size);
    (client, server)
}

fn is_in(client: &Client) -> bool {
    client.ready.as_ref().is_some_and(|(jid, _)| jid.as_str() == "anna@site.example/phone")
}

#[test]
fn client_and_server_agree_over_starttls_for_any_split_of_the_bytes() {
    for size in [1, 2, 3, 5, 17, 100, 10_000] {
        let (client, server) = log_in(settings(), World::plain(), None, size);
        assert!(is_in(&client), "{size}: {:?} {:?}", client.closed, server.closed);
        assert_eq!(server.stream.jid(), client.stream.jid());
    }
}

#[test]
fn client_and_server_agree_over_direct_tls() {
    let (client, _) = log_in(settings(), World::tls(), Some(secured()), 10_000);
    assert!(is_in(&client), "{:?}", client.closed);
}

#[test]
fn they_use_scram_sha_256_plus_where_both_have_channel_binding() {
    let mut server = World::tls();
    let mut client = Client::tls();
    let first = server.hears(&client.said);
    assert!(client.hears(&first).contains("mechanism='SCRAM-SHA-256-PLUS'"));
}

#[test]
fn a_client_learns_the_features_of_the_bound_stream() {
    let (client, _) = log_in(settings(), World::plain(), None, 10_000);
    let (_, features) = client.ready.expect("bound");
    assert!(features.child(ns::ROSTER_VERSIONING, "ver").is_some());
}

#[test]
fn a_client_without_a_wish_takes_the_resource_it_gets() {
    let (client, _) = log_in(ClientSettings { resource: None, ..settings() }, World::plain(), None, 10_000);
    assert!(client.ready.is_some_and(|(jid, _)| jid.resource().len() >= 16));
}

#[test]
fn a_wrong_password_is_refused() {
    let mut wrong = settings();
    wrong.login.password = crate::secret::Secret::new("crayon".into());
    let (client, _) = log_in(wrong, World::plain(), None, 10_000);
    assert_eq!(client.closed, Some(ClientFault::Refused { failure: Failure::NotAuthorized, text: None }));
}

#[test]
fn a_man_in_the_middle_with_his_own_tls_is_found_out() {
    let theirs = Secured {
        bindings: ChannelBindings { tls_exporter: Some([1; 32]), tls_server_end_point: None },
        ..Secured::default()
    };
    let (client, _) = log_in(settings(), World::tls(), Some(theirs), 10_000);
    assert_eq!(client.closed, Some(ClientFault::Refused { failure: Failure::NotAuthorized, text: None }));
}

#[test]
fn a_man_in_the_middle_who_hides_channel_binding_is_found_out() {
    let mut server = World::tls();
    let mut client = Client::tls();
    let features = server.hears(&client.said);
    let hidden = features
        .replace("<mechanism>SCRAM-SHA-256-PLUS</mechanism>", "")
        .replace("<mechanism>SCRAM-SHA-1-PLUS</mechanism>", "");
    let auth = client.hears(&hidden);
    assert!(auth.contains("mechanism='SCRAM-SHA-256'"), "{auth}");
    assert!(server.hears(&auth).contains("<not-authorized/>"));
}

#[test]
fn stanzas_go_both_ways_after_login() {
    let (mut client, mut server) = log_in(settings(), World::plain(), None, 10_000);
    client.stream.send(&Stanza::message(MessageType::Chat).with_to(bare("bob@site.example")).with_body("up"));
    server.stream.send(&Stanza::message(MessageType::Chat).with_from(bare("bob@site.example")).with_body("down"));
    converse(&mut client, &mut server, 10_000);
    assert_eq!(server.stanzas.iter().filter_map(Stanza::body).collect::<Vec<_>>(), ["up"]);
    assert_eq!(client.stanzas.iter().filter_map(Stanza::body).collect::<Vec<_>>(), ["down"]);
}

#[test]
fn either_side_may_close_and_both_know() {
    let (mut client, mut server) = log_in(settings(), World::plain(), None, 10_000);
    client.stream.close(client.now);
    converse(&mut client, &mut server, 10_000);
    assert_eq!((client.closed, server.closed), (Some(ClientFault::Ended(Why::ByUs)), Some(Why::ByPeer)));

    let (mut client, mut server) = log_in(settings(), World::plain(), None, 10_000);
    server.stream.close(server.now);
    converse(&mut client, &mut server, 10_000);
    assert_eq!((client.closed, server.closed), (Some(ClientFault::Ended(Why::ByPeer)), Some(Why::ByUs)));
}

#[test]
fn a_session_that_is_refused_ends_the_client() {
    let mut server = World::plain();
    server.conflict = true;
    let (client, _) = log_in(settings(), server, None, 10_000);
    let Some(ClientFault::NoSession(error)) = client.closed else { panic!("{:?}", client.closed) };
    assert_eq!(error.condition(), StanzaCondition::Conflict);
}

// --- the client on its own -------------------------------------------------------------------------------------------

const HEADER: &str = "<?xml version='1.0'?><stream:stream from='site.example' id='1' version='1.0' xml:lang='en' \
                      xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const STARTTLS: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

fn mechanisms(names: &[&str]) -> String {
    let list: String = names.iter().map(|name| format!("<mechanism>{name}</mechanism>")).collect();
    format!(
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{list}</mechanisms></stream:features>"
    )
}

#[test]
fn the_client_speaks_first_and_says_who_it_is_only_inside_tls() {
    let plain = Client::plain();
    assert!(plain.said.contains("to='site.example'") && !plain.said.contains("anna"), "{}", plain.said);
    assert!(Client::tls().said.contains("from='anna@site.example'"));
}

#[test]
fn without_starttls_the_client_gives_up_and_sends_nothing() {
    let mut client = Client::plain();
    client.hears(HEADER);
    let said = client.hears(&mechanisms(&["PLAIN", "SCRAM-SHA-256"]));
    assert_eq!(said, "</stream:stream>");
    assert_eq!(client.closed, Some(ClientFault::NoTls));
}

#[test]
fn a_refused_starttls_ends_the_client() {
    let mut client = Client::plain();
    client.hears(&[HEADER, STARTTLS].concat());
    client.hears("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert_eq!(client.closed, Some(ClientFault::NoTls));
}

#[test]
fn bytes_behind_proceed_end_the_client() {
    let mut client = Client::plain();
    client.hears(&[HEADER, STARTTLS].concat());
    client.hears(&[PROCEED, &mechanisms(&["PLAIN"])].concat());
    assert_eq!(client.closed, Some(ClientFault::Ended(Why::Injected)));
    assert!(!client.wants_tls);
}

#[test]
fn the_client_refuses_weaker_logins_than_allowed() {
    let mut client = Client::tls();
    client.hears(HEADER);
    client.hears(&mechanisms(&["PLAIN", "SCRAM-SHA-1", "DIGEST-MD5"]));
    assert_eq!(client.closed, Some(ClientFault::Login(ClientError::NoMechanism)));
}

#[test]
fn a_server_that_cannot_prove_itself_is_left() {
    let mut client = Client::tls();
    client.hears(HEADER);
    client.hears(&mechanisms(&["SCRAM-SHA-256"]));
    client.hears("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    assert_eq!(client.closed, Some(ClientFault::Login(ClientError::ServerOrder)));
}

#[test]
fn a_broken_challenge_is_aborted() {
    let mut client = Client::tls();
    client.hears(HEADER);
    client.hears(&mechanisms(&["SCRAM-SHA-256"]));
    let said = client.hears("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>!</challenge>");
    assert_eq!(said, "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:stream>");
    assert_eq!(client.closed, Some(ClientFault::Login(ClientError::ServerMalformed)));
}

#[test]
fn the_server_s_words_about_a_failure_reach_the_user() {
    let mut client = Client::tls();
    client.hears(HEADER);
    client.hears(&mechanisms(&["SCRAM-SHA-256"]));
    client.hears(
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><account-disabled/><text xml:lang='en'>Call us.</text></failure>",
    );
    let fault = client.closed.expect("closed");
    assert_eq!(fault.to_string(), "login refused: SASL failure account-disabled (Call us.)");
}

#[test]
fn a_header_from_another_server_ends_the_client() {
    for (from, condition) in [("other.example", "invalid-from"), ("@", "invalid-from")] {
        let mut client = Client::plain();
        let said = client.hears(&HEADER.replace("site.example", from));
        assert!(said.contains(condition), "{said}");
    }
    let mut client = Client::plain();
    assert!(
        client
            .hears(&HEADER.replace("example' id='1' version='1.0'", "example' id='1'"))
            .contains("unsupported-version")
    );
}

/// A client that has logged in by PLAIN, before its bound stream begins.
fn logged_in() -> Client {
    let mut careless = settings();
    careless.login.plain = true;
    let mut client = Client::new(careless, Some(secured()));
    client.hears(HEADER);
    client.hears(&mechanisms(&["PLAIN"]));
    client.hears("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    client.hears(HEADER);
    client
}

const BIND: &str = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>";
const BOUND: &str = "<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>anna@site.example/x</jid></bind></iq>";

#[test]
fn an_old_server_that_insists_on_a_session_gets_its_request() {
    let mut client = logged_in();
    client.hears(&format!(
        "<stream:features>{BIND}<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></stream:features>"
    ));
    let said = client.hears(BOUND);
    assert!(said.contains("<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"), "{said}");
    assert!(client.ready.is_none());
    client.hears("<iq type='result' id='session'/>");
    assert!(client.ready.is_some());
}

#[test]
fn an_answer_to_bind_that_is_none_ends_the_client() {
    for answer in [
        "<iq type='result' id='bind'/>",
        "<iq type='result' id='other'/>",
        "<message/>",
        &BOUND.replace("anna@site.example/x", "anna@other.example/x"),
        &BOUND.replace("anna@site.example/x", "anna@site.example"),
    ] {
        let mut client = logged_in();
        client.hears(&format!("<stream:features>{BIND}</stream:features>"));
        client.hears(answer);
        assert!(matches!(client.closed, Some(ClientFault::Protocol(_))), "{answer}: {:?}", client.closed);
    }
}

#[test]
fn a_server_without_bind_ends_the_client() {
    let mut client = logged_in();
    client.hears("<stream:features/>");
    assert!(matches!(client.closed, Some(ClientFault::Protocol(_))));
}

#[test]
fn a_broken_request_from_the_server_is_answered() {
    let (mut client, _) = log_in(settings(), World::plain(), None, 10_000);
    let said = client.hears("<iq type='get' id='1' from='bob@site.example/x'/>");
    assert!(said.contains("<bad-request"), "{said}");
    assert!(client.stanzas.is_empty() && client.closed.is_none());
    client.hears("<iq type='get' id='2' from='bob@site.example/x'><ping xmlns='urn:xmpp:ping'/></iq>");
    assert_eq!(client.stanzas.first().map(Stanza::kind), Some(StanzaKind::Iq(IqType::Get)));
}

#[test]
fn a_stream_error_is_reported() {
    for mut client in [Client::tls(), log_in(settings(), World::plain(), None, 10_000).0] {
        if client.ready.is_none() {
            client.hears(HEADER);
        }
        client.hears("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");
        let Some(ClientFault::Ended(Why::PeerFault(error))) = client.closed else { panic!("{:?}", client.closed) };
        assert_eq!(error.condition(), StreamCondition::Conflict);
    }
}

#[test]
fn a_silent_server_is_left_after_a_while() {
    let mut client = Client::plain();
    client.stream.wake(client.now + LOGIN_TIME - Duration::from_millis(1));
    client.pump();
    assert!(client.closed.is_none());
    client.stream.wake(client.now + LOGIN_TIME);
    client.pump();
    assert_eq!(client.closed, Some(ClientFault::Ended(Why::Slow)));
}

#[test]
fn a_lost_connection_is_reported_at_any_stage() {
    for mut client in [Client::plain(), Client::tls(), log_in(settings(), World::plain(), None, 10_000).0] {
        client.stream.end_of_input();
        client.pump();
        assert_eq!(client.closed, Some(ClientFault::Ended(Why::Lost)));
    }
}

#[test]
fn broken_xml_from_the_server_ends_the_client() {
    let (mut client, _) = log_in(settings(), World::plain(), None, 10_000);
    assert!(client.hears("<a></b>").contains("<not-well-formed"));
    assert!(matches!(client.closed, Some(ClientFault::Ended(Why::Fault(_)))));
}

#[test]
fn the_server_knows_by_which_mechanism_a_client_came() {
    let (_, server) = log_in(settings(), World::tls(), Some(secured()), 10_000);
    assert_eq!(server.mechanism, Some(Mechanism::ScramSha256Plus));
}
