//! Round trips from the first byte after TLS to a session that can be used, counted from what is really said: one for each time the
//! client must wait for the server. `cargo test -p torg-wire flights -- --nocapture` prints the transcripts.

use crate::sasl::{
    Client, ClientStep, Login, Mechanism, StoredToken, TokenCheck, TokenMechanism, TokenSlot, base64_decode,
    base64_encode, token_message,
};
use crate::secret::Secret;
use crate::stream::testing::{BIND, HEADER, World, password, secured};

const WISHES: &str = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><bind xmlns='urn:xmpp:bind:0'>\
                      <tag>meter</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>";

/// A client that writes down what is said.
struct Talk {
    world: World,
    flights: usize,
    transcript: String,
}

impl Talk {
    fn new() -> Talk {
        Talk { world: World::tls(), flights: 0, transcript: String::new() }
    }

    /// Sends all of it at once and waits for the answer.
    fn flight(&mut self, parts: &[&str]) -> String {
        self.flights += 1;
        let said = self.world.hears(&parts.concat());
        self.transcript.push_str(&format!("{}. C: {}\n   S: {said}\n", self.flights, parts.concat()));
        assert!(!said.is_empty(), "there was nothing to wait for:\n{}", self.transcript);
        said
    }

    /// The flights it took, if there is a session now that routes a message.
    fn session(mut self, name: &str) -> usize {
        println!("--- {name}: {} round trips\n{}", self.flights, self.transcript);
        self.world.hears("<message to='bob@site.example'><body>Hi</body></message>");
        assert_eq!(self.world.stanzas.len(), 1, "{}", self.transcript);
        self.flights
    }
}

fn scram() -> (Client, String) {
    let login = Login { username: "anna".into(), password: password(), scram_sha1: false, plain: false };
    let bindings = secured().bindings;
    let (client, first) =
        Client::start(&login, &[Mechanism::ScramSha256Plus], &bindings, None, "nonce").expect("a client");
    (client, base64_encode(&first))
}

/// The response to the challenge in what the server said.
fn response(client: &mut Client, said: &str) -> String {
    let (_, challenge) = said.rsplit_once("<challenge").expect("a challenge");
    let challenge = challenge.split_once('>').and_then(|(_, rest)| rest.split_once('<')).expect("its content").0;
    let step = client.challenge(&base64_decode(challenge).expect("base64")).expect("a good challenge");
    let ClientStep::Derive(derivation) = step else { panic!("{step:?}") };
    let ClientStep::Respond(response) = client.derived(&derivation.run()).expect("keys") else { panic!("no response") };
    base64_encode(&response)
}

fn authenticate(mechanism: &str, initial: &str, more: &str) -> String {
    format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'><initial-response>{initial}</initial-response>\
         {WISHES}{more}</authenticate>"
    )
}

fn classic() -> usize {
    let mut talk = Talk::new();
    let (mut client, first) = scram();
    talk.flight(&[HEADER]);
    let ns = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
    let said = talk.flight(&[&format!("<auth {ns} mechanism='SCRAM-SHA-256-PLUS'>{first}</auth>")]);
    let last = response(&mut client, &said);
    talk.flight(&[&format!("<response {ns}>{last}</response>")]);
    talk.flight(&[HEADER]);
    talk.flight(&[BIND]);
    talk.flight(&["<enable xmlns='urn:xmpp:sm:3' resume='true'/>"]);
    talk.session("classic")
}

fn second(pipelined: bool) -> usize {
    let mut talk = Talk::new();
    let (mut client, first) = scram();
    let authenticate = authenticate("SCRAM-SHA-256-PLUS", &first, "");
    let said = if pipelined {
        talk.flight(&[HEADER, &authenticate])
    } else {
        talk.flight(&[HEADER]);
        talk.flight(&[&authenticate])
    };
    let last = response(&mut client, &said);
    talk.flight(&[&format!("<response xmlns='urn:xmpp:sasl:2'>{last}</response>")]);
    talk.session(if pipelined { "SASL2 and Bind 2, pipelined" } else { "SASL2 and Bind 2" })
}

fn fast(pipelined: bool) -> usize {
    let mut talk = Talk::new();
    let mechanism = TokenMechanism::Exporter;
    let token: Secret<String> = Secret::new("one".into());
    let check = TokenCheck::new(mechanism, token.clone());
    let slot = TokenSlot::Current;
    talk.world.tokens = vec![StoredToken { id: 1, slot, mechanism, check, expired: false, count: 0, ageing: false }];
    let message = base64_encode(&token_message("anna", &token, &[9; 32]));
    let authenticate = authenticate(mechanism.name(), &message, "<fast xmlns='urn:xmpp:fast:0'/>");
    if pipelined {
        talk.flight(&[HEADER, &authenticate]);
    } else {
        talk.flight(&[HEADER]);
        talk.flight(&[&authenticate]);
    }
    talk.session(if pipelined { "FAST, pipelined" } else { "FAST" })
}

#[test]
fn a_managed_session_takes_as_many_round_trips_as_we_promise() {
    assert_eq!(classic(), 6);
    assert_eq!(second(false), 3);
    assert_eq!(second(true), 2);
    assert_eq!(fast(false), 2);
    assert_eq!(fast(true), 1);
}

/// Whatever a client sends behind its login waits until it is in; nothing of it is lost or taken for something else.
#[test]
fn a_stanza_in_the_flight_of_the_login_is_a_stanza_of_the_session() {
    let mut world = World::tls();
    let plain = authenticate("PLAIN", "AGFubmEAcGVuY2ls", "");
    world.hears(&[HEADER, &plain, "<message to='bob@site.example'><body>Hi</body></message>"].concat());
    assert_eq!(world.stanzas.len(), 1);
}

#[test]
fn a_login_in_one_flight_is_the_same_however_it_is_cut() {
    let flight = [HEADER, &authenticate("PLAIN", "AGFubmEAcGVuY2ls", "")].concat();
    let said = |size: usize| {
        let mut world = World::tls();
        for piece in flight.as_bytes().chunks(size) {
            world.stream.receive(piece);
            world.pump();
        }
        world.said
    };
    let whole = said(flight.len());
    assert!(whole.contains("<enabled"), "{whole}");
    assert_eq!(said(1), whole);
    assert_eq!(said(13), whole);
}

/// STARTTLS costs one round trip more, and what is secret waits for TLS.
#[test]
fn after_starttls_the_login_may_come_in_one_flight_too() {
    let mut world = World::plain();
    world.hears(HEADER);
    world.hears("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    let said = world.hears(&[HEADER, &authenticate("PLAIN", "AGFubmEAcGVuY2ls", "")].concat());
    assert!(said.contains("<enabled") && world.stream.jid().is_some(), "{said}");
}
