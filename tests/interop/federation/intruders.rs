//! A server that writes in the name of others, or cannot prove its own: it loses its stream with the reason that RFC 6120 §4.9.3 names, and
//! nothing of what it wrote is delivered. The intruder speaks through the TLS of another language than ours.

use std::process::Command;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    OURS, THEIRS,
    servers::{Program, Proof, Server, peer_section},
    world::{Files, Kind, User, World},
};
use crate::support::{child::Child, peer, repository};

const EVIL: &str = "evil.example";
const BELOW: &str = "rooms.evil.example";
const EXTERNAL: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";

/// Ours with anna, who knows an honest server and will hear what an intruder gets through.
struct Scene {
    world: World,
    ours: Server,
    anna: User,
}

impl Scene {
    /// `proof`: how the honest server is known here.
    fn new(proof: Proof) -> Self {
        Self::with(proof, "")
    }

    /// With more about the honest server.
    fn with(proof: Proof, more: &str) -> Self {
        let world = World::new();
        let theirs = peer_section(THEIRS, &world.ca(), proof) + more;
        let peers = [theirs, peer_section(EVIL, &world.ca(), Proof::Certificate)];
        let own = world.certificate(OURS, Kind::Good);
        let ours = Server::start(&world, Program::Torg, OURS, "anna", &own, Proof::Certificate, &peers.concat());
        world.dns.server(OURS, ours.s2s, 0);
        let anna = ours.user("anna");
        Self { world, ours, anna }
    }

    fn enter(&self, name: &str, certificate: Option<&Files>, direct: bool) -> Intruder {
        let mut command = Command::new(peer("venv/bin/python"));
        command.arg(repository("tests/peers/intruder.py"));
        let mut child = Child::start("intruder", &mut command);
        let port = if direct { self.ours.s2s_tls } else { self.ours.s2s };
        let order = json!({
            "port": port, "direct": direct, "from": name, "to": OURS,
            "certificate": certificate.map(|files| &files.certificate), "key": certificate.map(|files| &files.key),
        });
        child.write(&format!("{order}\n"));
        child.line("stream", |line| line == "\"ready\"");
        Intruder { child, answers: 0 }
    }

    /// A stream of the intruder's own domain, rightly.
    fn authenticated(&self, certificate: &Files, direct: bool) -> Intruder {
        let mut intruder = self.enter(EVIL, Some(certificate), direct);
        intruder.says("HEADER");
        let features = intruder.hears("</stream:features>");
        assert!(features.contains("EXTERNAL"), "{features}");
        intruder.says(EXTERNAL);
        intruder.hears("<success");
        intruder.says("HEADER");
        intruder.hears("</stream:features>");
        intruder
    }

    /// Anna has heard nothing: what she writes to herself is the first that comes.
    fn nothing_was_delivered(mut self) {
        self.anna.message(&format!("anna@{OURS}"), "to myself");
        self.anna.hears(&format!("anna@{OURS}"), "to myself");
        assert_eq!(self.anna.heard("trust me"), 0);
    }
}

struct Intruder {
    child: Child,
    answers: usize,
}

impl Intruder {
    fn says(&mut self, xml: &str) {
        self.child.write(&format!("{}\n", json!({"say": xml})));
    }

    /// What comes until that text, or the end.
    fn hears(&mut self, text: &str) -> String {
        self.child.write(&format!("{}\n", json!({"until": text})));
        let line = self.child.line_after(self.answers, "answer", |line| line.contains("\"heard\""));
        self.answers += 1;
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        answer["heard"].as_str().expect("text").to_owned()
    }

    fn writes_as(&mut self, sender: &str) {
        self.says(&format!("<message type='chat' from='{sender}' to='anna@{OURS}'><body>trust me</body></message>"));
    }

    fn loses_its_stream(&mut self, condition: &str) {
        let end = self.hears("</stream:stream>");
        assert!(end.contains(&format!("<{condition} ")), "{end}");
    }
}

#[test]
fn a_foreign_sender_ends_the_stream_with_invalid_from() {
    for direct in [false, true] {
        for sender in [format!("eva@{THEIRS}/desk"), format!("anna@{OURS}/desk"), format!("eva@{BELOW}/desk")] {
            let scene = Scene::new(Proof::Certificate);
            let mut intruder = scene.authenticated(&scene.world.certificate(EVIL, Kind::Good), direct);
            intruder.writes_as(&sender);
            intruder.loses_its_stream("invalid-from");
            scene.nothing_was_delivered();
        }
    }
}

#[test]
fn a_subdomain_writes_once_it_is_proven_too() {
    let scene = Scene::new(Proof::Certificate);
    let mut own = scene.authenticated(&scene.world.certificate_of(&[EVIL, BELOW], Kind::Good), false);
    // XEP-0220 §1.2: with a certificate for it the key is not asked about.
    own.says(&format!("<db:result from='{BELOW}' to='{OURS}'>key</db:result>"));
    assert!(own.hears("type='valid'").contains("type='valid'"));
    own.says(&format!("<message type='chat' from='room@{BELOW}' to='anna@{OURS}'><body>from a room</body></message>"));
    scene.anna.hears(&format!("room@{BELOW}"), "from a room");
}

#[test]
fn a_subdomain_that_the_certificate_does_not_name_is_not_proven() {
    let scene = Scene::new(Proof::Certificate);
    let mut intruder = scene.authenticated(&scene.world.certificate(EVIL, Kind::Good), false);
    intruder.says(&format!("<db:result from='{BELOW}' to='{OURS}'>key</db:result>"));
    assert!(intruder.hears("</db:result>").contains("<not-authorized "));
    intruder.writes_as(&format!("room@{BELOW}"));
    intruder.loses_its_stream("invalid-from");
    scene.nothing_was_delivered();
}

#[test]
fn a_certificate_of_another_name_proves_nothing() {
    for direct in [false, true] {
        let scene = Scene::new(Proof::Certificate);
        let mut intruder = scene.enter(THEIRS, Some(&scene.world.certificate(EVIL, Kind::Good)), direct);
        intruder.says("HEADER");
        let features = intruder.hears("</stream:features>");
        assert!(!features.contains("EXTERNAL"), "{features}");
        intruder.says(EXTERNAL);
        assert!(intruder.hears("</failure>").contains("<invalid-mechanism"));
        intruder.says(&format!("<db:result from='{THEIRS}' to='{OURS}'>key</db:result>"));
        assert!(intruder.hears("</db:result>").contains("<not-authorized "));
        intruder.writes_as(&format!("eva@{THEIRS}/desk"));
        intruder.loses_its_stream("invalid-from");
        scene.nothing_was_delivered();
    }
}

#[test]
fn a_server_without_a_certificate_is_told_that_it_must_have_one() {
    let scene = Scene::new(Proof::Certificate);
    let mut intruder = scene.enter(THEIRS, None, false);
    intruder.says("HEADER");
    assert!(!intruder.hears("</stream:features>").contains("EXTERNAL"));
    intruder.says(&format!("<db:result from='{THEIRS}' to='{OURS}'>key</db:result>"));
    assert!(intruder.hears("</db:result>").contains("<not-authorized "));
    intruder.writes_as(&format!("eva@{THEIRS}/desk"));
    intruder.loses_its_stream("invalid-from");
    scene.nothing_was_delivered();
}

/// The key that a server with this secret makes (XEP-0185 §2).
fn dialback_key(secret: &str, id: &str) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let hashed = hex(&Sha256::digest(secret));
    let mut code = Hmac::<Sha256>::new_from_slice(hashed.as_bytes()).expect("a key of any length");
    code.update(format!("{OURS} {THEIRS} {id}").as_bytes());
    hex(&code.finalize().into_bytes())
}

#[test]
fn a_server_that_shows_no_certificate_is_vouched_for_by_the_one_that_has_it_where_that_is_configured() {
    let scene = Scene::with(Proof::Certificate, "without_certificate = \"dialback\"\n");
    let (honest, more) = (scene.world.certificate(THEIRS, Kind::Good), "dialback_secret = \"known to the test\"");
    let theirs = Server::start(&scene.world, Program::Prosody, THEIRS, "eva", &honest, Proof::Certificate, more);
    scene.world.dns.server(THEIRS, theirs.s2s, 0);
    let enter = |certificate: Option<&Files>| {
        let mut stream = scene.enter(THEIRS, certificate, false);
        stream.says("HEADER");
        let header = stream.hears("</stream:features>");
        let id = header.split(" id='").nth(1).and_then(|rest| rest.split('\'').next()).expect("a stream id").to_owned();
        (stream, id)
    };
    let claim = |key: &str| format!("<db:result from='{THEIRS}' to='{OURS}'>{key}</db:result>");

    let (mut own, id) = enter(None);
    own.says(&claim(&dialback_key("known to the test", &id)));
    assert!(own.hears("type='valid'").contains("type='valid'"));
    own.says(&format!("<message type='chat' from='eva@{THEIRS}' to='anna@{OURS}'><body>it is me</body></message>"));
    scene.anna.hears(&format!("eva@{THEIRS}"), "it is me");

    let (mut forged, id) = enter(None);
    forged.says(&claim(&dialback_key("guessed", &id)));
    let end = forged.hears("</stream:stream>");
    assert!(end.contains("type='invalid'") && end.contains("<not-authorized "), "{end}");

    // Whoever shows a certificate is judged by it.
    let (mut shown, id) = enter(Some(&scene.world.certificate(EVIL, Kind::Good)));
    shown.says(&claim(&dialback_key("known to the test", &id)));
    assert!(shown.hears("</db:result>").contains("<not-authorized "));
    scene.nothing_was_delivered();
}

#[test]
fn a_forged_dialback_key_is_shown_to_the_true_server_and_refused() {
    for program in [Program::Prosody, Program::Ejabberd] {
        let scene = Scene::new(Proof::Dialback);
        let honest = scene.world.certificate(THEIRS, Kind::Unknown);
        let theirs = Server::start(&scene.world, program, THEIRS, "eva", &honest, Proof::Dialback, "");
        scene.world.dns.server(THEIRS, theirs.s2s, 0);
        let mut intruder = scene.enter(THEIRS, Some(&scene.world.certificate(EVIL, Kind::Good)), false);
        intruder.says("HEADER");
        intruder.hears("</stream:features>");
        intruder.says(&format!("<db:result from='{THEIRS}' to='{OURS}'>forged</db:result>"));
        intruder.writes_as(&format!("eva@{THEIRS}/desk"));
        intruder.loses_its_stream("invalid-from");
        // And without a message in the way.
        let mut intruder = scene.enter(THEIRS, None, false);
        intruder.says("HEADER");
        intruder.hears("</stream:features>");
        intruder.says(&format!("<db:result from='{THEIRS}' to='{OURS}'>forged</db:result>"));
        let end = intruder.hears("</stream:stream>");
        assert!(end.contains("type='invalid'") && end.contains("<not-authorized "), "{end}");
        scene.nothing_was_delivered();
    }
}
