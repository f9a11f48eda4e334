//! The machine against scripts of peers, good and bad, and against itself.

use std::time::Duration;

use super::*;
use crate::jid::Jid;

const NS: &str =
    "xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'";
const EXTERNAL: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const MESSAGE: &str = "<message from='a@their.example/x' to='b@our.example'><body>Hi</body></message>";

struct Served(Vec<&'static str>);

impl Domains for Served {
    fn serves(&self, domain: &str) -> bool {
        self.0.contains(&domain)
    }
}

fn settings(domains: &[&'static str]) -> Arc<PeerSettings> {
    let secret = DialbackSecret::new(domains.concat().as_bytes());
    Arc::new(PeerSettings { domains: Arc::new(Served(domains.to_vec())), secret, limits: Limits::SERVER })
}

fn header(from: &str, to: &str) -> String {
    format!("<?xml version='1.0'?><stream:stream {NS} from='{from}' to='{to}' version='1.0'>")
}

fn hello() -> String {
    header("their.example", "our.example")
}

/// One machine with a small world around it.
struct Side {
    stream: PeerStream,
    now: Instant,
    /// What certificates say.
    standing: Standing,
    said: String,
    events: Vec<PeerOutput>,
    closed: Option<PeerEnd>,
}

impl Side {
    fn new(stream: PeerStream, now: Instant) -> Side {
        let mut side =
            Side { stream, now, standing: Standing::Proven, said: String::new(), events: Vec::new(), closed: None };
        side.pump();
        side
    }

    /// Accepts, secured already; the peer's certificate says this of every domain.
    fn accepting(standing: Standing) -> Side {
        let now = Instant::now();
        let settings = settings(&["our.example", "other.our.example"]);
        let mut side = Side::new(PeerStream::accept_tls(settings, Seed::new([6; 32]), now), now);
        side.standing = standing;
        side
    }

    fn bare() -> Side {
        let now = Instant::now();
        Side::new(PeerStream::accept(settings(&["our.example"]), Seed::new([6; 32]), now), now)
    }

    /// Accepts, and the peer has proven its domain by its certificate.
    fn linked() -> Side {
        let mut side = Side::accepting(Standing::Proven);
        side.hears(&hello());
        assert!(side.hears(EXTERNAL).contains("<success"), "{}", side.said);
        side.hears(&hello());
        assert!(matches!(side.events[..], [PeerOutput::Proven(_, PeerProof::Certificate)]), "{:?}", side.events);
        side.events.clear();
        side
    }

    fn connecting(standing: Standing) -> Side {
        let now = Instant::now();
        let pair = Pair::new("their.example", "our.example").unwrap();
        let settings = settings(&["their.example"]);
        Side::new(PeerStream::connect_tls(settings, pair, false, standing, Seed::new([7; 32]), now), now)
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
                PeerOutput::Write(bytes) => self.said.push_str(std::str::from_utf8(&bytes).unwrap()),
                PeerOutput::Judge(_) => self.stream.judged(self.standing),
                PeerOutput::Close(end) => self.closed = Some(end),
                event => self.events.push(event),
            }
        }
    }

    /// The condition of the stream error that ended it, if one did.
    fn fault(&self) -> Option<&'static str> {
        match &self.closed {
            Some(PeerEnd::Ended(Why::Fault(error))) => Some(error.condition().name()),
            _ => None,
        }
    }

    fn stanzas(&mut self) -> usize {
        let count = self.events.iter().filter(|event| matches!(event, PeerOutput::Stanza(..))).count();
        self.events.clear();
        count
    }

    fn proven(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, PeerOutput::Proven(..))).count()
    }

    fn asked(&self) -> DialbackCheck {
        let found = self.events.iter().find_map(|event| match event {
            PeerOutput::Verify(check) => Some(check.clone()),
            _ => None,
        });
        found.expect("a key to be checked")
    }
}

/// Lets two machines talk until neither has anything to say.
fn converse(one: &mut Side, other: &mut Side) {
    loop {
        let (to_other, to_one) = (std::mem::take(&mut one.said), std::mem::take(&mut other.said));
        if to_other.is_empty() && to_one.is_empty() {
            return;
        }
        other.stream.receive(to_other.as_bytes());
        one.stream.receive(to_one.as_bytes());
        one.pump();
        other.pump();
    }
}

fn stanza(from: &str, to: &str) -> Stanza {
    let [from, to] = [from, to].map(|text| Jid::parse(text).unwrap());
    Stanza::message(crate::stanza::MessageType::Chat).with_from(from).with_to(to).with_body("Hi")
}

// -- before TLS

#[test]
fn nothing_but_starttls_is_offered_or_taken_before_tls() {
    let mut side = Side::bare();
    let said = side.hears(&hello());
    assert!(said.contains("<starttls") && said.contains("<required/>"), "{said}");
    assert!(!said.contains("EXTERNAL") && !said.contains("bidi") && !said.contains("<dialback"), "{said}");
    for forbidden in [EXTERNAL, MESSAGE, "<db:result from='their.example' to='our.example'>k</db:result>"] {
        let mut side = Side::bare();
        side.hears(&hello());
        side.hears(forbidden);
        assert_eq!(side.fault(), Some("not-authorized"), "{forbidden}");
        assert!(side.events.is_empty());
    }
}

#[test]
fn bytes_behind_starttls_are_an_injection() {
    let mut side = Side::bare();
    side.hears(&hello());
    side.hears(&format!("{STARTTLS}<db:result from='their.example' to='our.example'>k</db:result>"));
    assert_eq!(side.closed, Some(Why::Injected.into()));
}

#[test]
fn a_second_header_cannot_change_who_talks_to_whom() {
    for (second, condition) in [
        (header("their.example", "other.our.example"), "host-unknown"),
        (header("evil.example", "our.example"), "invalid-from"),
        (header("our.example", "our.example"), "invalid-from"),
    ] {
        let mut side = Side::bare();
        side.hears(&hello());
        side.hears(STARTTLS);
        assert!(matches!(side.events[..], [PeerOutput::StartTls]));
        side.stream.secured(None);
        side.hears(&second);
        assert_eq!(side.fault(), Some(condition), "{second}");
    }
    // After the certificate has spoken, too.
    let mut side = Side::accepting(Standing::Proven);
    side.hears(&hello());
    side.hears(EXTERNAL);
    side.hears(&header("their.example", "other.our.example"));
    assert_eq!(side.fault(), Some("host-unknown"));
    assert_eq!(side.proven(), 0);
}

#[test]
fn headers_that_are_not_for_us_are_refused() {
    for (text, condition) in [
        (header("their.example", "elsewhere.example"), "host-unknown"),
        (header("our.example", "our.example"), "invalid-from"),
        (header("a@their.example", "our.example"), "invalid-from"),
        (hello().replace(" to='our.example'", ""), "improper-addressing"),
        (hello().replace("version='1.0'>", ">"), "unsupported-version"),
        (hello().replace("jabber:server' xmlns:db", "jabber:client' xmlns:db"), "invalid-namespace"),
    ] {
        let mut side = Side::accepting(Standing::Proven);
        side.hears(&text);
        assert_eq!(side.fault(), Some(condition), "{text}");
    }
}

#[test]
fn a_refused_peer_hears_so_before_anything_is_offered() {
    let mut side = Side::accepting(Standing::Refused);
    side.hears(&hello());
    assert_eq!(side.fault(), Some("policy-violation"));
}

// -- EXTERNAL

#[test]
fn external_speaks_for_the_domain_of_the_header_and_no_other() {
    for (identity, works) in [
        ("=", true),
        ("", true),
        ("dGhlaXIuZXhhbXBsZQ==", true),  // their.example
        ("ZXZpbC5leGFtcGxl", false),     // evil.example
        ("YUB0aGVpci5leGFtcGxl", false), // a@their.example
        ("?", false),
    ] {
        let mut side = Side::accepting(Standing::Proven);
        assert!(side.hears(&hello()).contains("<mechanism>EXTERNAL</mechanism>"));
        let said = side.hears(&EXTERNAL.replace(">=<", &format!(">{identity}<")));
        assert_eq!(said.contains("<success"), works, "{identity}: {said}");
        assert!(side.events.is_empty());
    }
}

#[test]
fn external_is_neither_offered_nor_taken_if_the_certificate_proves_nothing() {
    for standing in [Standing::Dialback, Standing::Unproven] {
        let mut side = Side::accepting(standing);
        assert!(!side.hears(&hello()).contains("EXTERNAL"));
        assert!(side.hears(EXTERNAL).contains("<invalid-mechanism/>"));
        side.hears(EXTERNAL);
        side.hears(EXTERNAL);
        assert_eq!(side.fault(), Some("policy-violation"), "three tries");
    }
}

// -- stanzas

#[test]
fn a_stanza_of_a_proven_pair_passes_and_any_other_ends_the_stream() {
    let mut side = Side::linked();
    side.hears(MESSAGE);
    assert_eq!(side.stanzas(), 1);
    for (text, condition) in [
        ("<message from='a@evil.example' to='b@our.example'/>", "invalid-from"),
        ("<message from='a@our.example' to='b@our.example'/>", "invalid-from"),
        ("<message from='a@sub.their.example' to='b@our.example'/>", "invalid-from"),
        // Served, but not a pair that was proven.
        ("<message from='a@their.example' to='b@other.our.example'/>", "invalid-from"),
        ("<message from='a@their.example' to='b@elsewhere.example'/>", "host-unknown"),
        ("<message to='b@our.example'/>", "improper-addressing"),
        ("<message from='a@their.example'/>", "improper-addressing"),
        ("<message from='@' to='b@our.example'/>", "invalid-from"),
        ("<iq type='get' id='1' from='a@evil.example' to='b@our.example'/>", "invalid-from"),
        ("<message xmlns='jabber:client' from='a@their.example' to='b@our.example'/>", "invalid-namespace"),
        ("<r xmlns='urn:xmpp:sm:3'/>", "unsupported-stanza-type"),
    ] {
        let mut side = Side::linked();
        side.hears(text);
        assert_eq!(side.fault(), Some(condition), "{text}");
        assert!(side.events.is_empty(), "{text}");
    }
}

#[test]
fn a_stanza_before_any_proof_ends_the_stream() {
    let mut side = Side::accepting(Standing::Proven);
    side.hears(&hello());
    side.hears(MESSAGE);
    assert_eq!(side.fault(), Some("invalid-from"));
}

#[test]
fn a_broken_stanza_of_a_proven_peer_is_answered_and_the_stream_goes_on() {
    let mut side = Side::linked();
    side.hears("<iq type='get' id='1' from='a@their.example' to='b@our.example'/>");
    side.hears("<message id='2' from='a@their.example' to='@'/>");
    side.hears("<message id='3' from='a@their.example' to='b@our.example'><body xmlns='jabber:client'/></message>");
    let ids: Vec<_> = side
        .events
        .iter()
        .map(|event| match event {
            PeerOutput::Bounce(reply) => {
                assert_eq!(reply.from().map(Jid::domain), Some("our.example"));
                reply.id().unwrap().to_owned()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, ["1", "2", "3"]);
    side.hears(MESSAGE);
    assert_eq!(side.closed, None);
}

#[test]
fn entity_bombs_and_large_elements_end_the_stream_before_and_after_proof() {
    let mut side = Side::accepting(Standing::Proven);
    side.hears("<!DOCTYPE lolz [<!ENTITY lol 'lol'>]>");
    assert_eq!(side.fault(), Some("restricted-xml"));
    let mut side = Side::linked();
    side.hears("<message from='a@their.example' to='b@our.example'><body>&lol;</body></message>");
    assert!(matches!(side.fault(), Some("restricted-xml" | "not-well-formed")), "{:?}", side.closed);
    let message = |bytes: usize| {
        let (start, end) = MESSAGE.split_once("Hi").unwrap();
        format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len()))
    };
    let mut side = Side::accepting(Standing::Proven);
    side.hears(&hello());
    side.hears(&message(Limits::BEFORE_LOGIN.bytes + 1));
    assert_eq!(side.fault(), Some("policy-violation"), "a stranger");
    let mut side = Side::linked();
    side.hears(&message(Limits::SERVER.bytes));
    assert_eq!(side.stanzas(), 1);
    side.hears(&message(Limits::SERVER.bytes + 1));
    assert_eq!(side.fault(), Some("policy-violation"));
}

#[test]
fn who_proves_nothing_in_time_is_sent_away_and_who_did_may_stay() {
    let mut side = Side::accepting(Standing::Proven);
    side.hears(&hello());
    side.stream.wake(side.now + LOGIN_TIME - Duration::from_millis(1));
    side.pump();
    assert_eq!(side.closed, None);
    side.stream.wake(side.now + LOGIN_TIME);
    side.pump();
    assert_eq!(side.fault(), Some("connection-timeout"));
    assert_eq!(Side::linked().stream.deadline(), None);
}

// -- dialback

const CLAIM: &str = "<db:result from='their.example' to='our.example'>key</db:result>";

#[test]
fn a_claim_is_believed_only_once_its_server_has_confirmed_the_key() {
    let mut side = Side::accepting(Standing::Dialback);
    let said = side.hears(&hello());
    let (_, id) = said.split_once(" id='").unwrap();
    assert_eq!(side.hears(CLAIM), "");
    let check = side.asked();
    assert!(id.starts_with(&check.id), "the key is for this very stream");
    assert_eq!((check.key.as_str(), check.pair.remote.as_str()), ("key", "their.example"));
    side.stream.verified(&check, DialbackAnswer::Valid);
    side.said.clear();
    side.pump();
    assert_eq!(side.said, "<db:result from='our.example' to='their.example' type='valid'/>");
    side.hears(MESSAGE);
    assert!(matches!(side.events[1..], [PeerOutput::Proven(..), PeerOutput::Stanza(_, PeerProof::Dialback)]));
}

#[test]
fn a_stanza_while_the_key_is_being_checked_ends_the_stream() {
    let mut side = Side::accepting(Standing::Dialback);
    side.hears(&hello());
    side.hears(CLAIM);
    side.hears(MESSAGE);
    assert_eq!(side.fault(), Some("invalid-from"));
}

#[test]
fn a_liar_loses_its_stream_and_one_that_cannot_be_checked_only_its_claim() {
    let mut side = Side::accepting(Standing::Dialback);
    side.hears(&hello());
    side.hears(CLAIM);
    let check = side.asked();
    side.stream.verified(&check, DialbackAnswer::Invalid);
    side.pump();
    assert!(side.said.contains("type='invalid'"));
    assert_eq!(side.fault(), Some("not-authorized"));

    let mut side = Side::accepting(Standing::Dialback);
    side.hears(&hello());
    side.hears(CLAIM);
    let check = side.asked();
    side.stream.verified(&check, DialbackAnswer::Error(StanzaCondition::RemoteServerNotFound));
    side.pump();
    assert!(side.said.contains("<remote-server-not-found"), "{}", side.said);
    assert_eq!(side.closed, None);
    assert_eq!(side.proven(), 0);
}

#[test]
fn a_stream_carries_several_domains_and_each_needs_its_own_proof() {
    let mut side = Side::linked();
    side.standing = Standing::Dialback;
    side.hears("<db:result from='second.example' to='our.example'>k</db:result>");
    let check = side.asked();
    side.events.clear();
    side.hears(MESSAGE);
    assert_eq!(side.stanzas(), 1, "the first pair goes on meanwhile");
    side.stream.verified(&check, DialbackAnswer::Valid);
    side.pump();
    side.hears("<message from='a@second.example' to='b@our.example'/>");
    assert_eq!(side.stanzas(), 1);
    side.hears("<db:result from='third.example' to='our.example'>k</db:result>");
    let check = side.asked();
    side.stream.verified(&check, DialbackAnswer::Invalid);
    side.pump();
    assert!(side.said.contains("<forbidden"), "others share the stream: {}", side.said);
    assert_eq!(side.closed, None);
}

#[test]
fn a_certificate_that_proves_the_domain_spares_the_call() {
    let mut side = Side::accepting(Standing::Proven);
    side.hears(&hello());
    assert!(side.hears(CLAIM).contains("type='valid'"));
    assert!(matches!(side.events[..], [PeerOutput::Proven(_, PeerProof::Certificate)]));
}

#[test]
fn claims_that_cannot_be_are_refused_without_a_call() {
    for (standing, claim, condition) in [
        (Standing::Unproven, CLAIM, "not-authorized"),
        (Standing::Dialback, "<db:result from='their.example' to='else.example'>k</db:result>", "item-not-found"),
        (Standing::Dialback, "<db:result from='other.our.example' to='our.example'>k</db:result>", "not-allowed"),
    ] {
        let mut side = Side::accepting(standing);
        side.hears(&hello());
        let said = side.hears(claim);
        assert!(said.contains("type='error'") && said.contains(&format!("<{condition} ")), "{claim}: {said}");
        assert!(side.events.is_empty() && side.closed.is_none());
    }
}

#[test]
fn answers_that_nobody_asked_for_prove_nothing_and_end_the_stream() {
    for unsolicited in [
        "<db:result from='their.example' to='our.example' type='valid'/>",
        "<db:verify from='their.example' to='our.example' id='1' type='valid'/>",
    ] {
        for mut side in [Side::accepting(Standing::Dialback), Side::linked()] {
            if side.said.is_empty() {
                side.hears(&hello());
            }
            side.hears(CLAIM);
            side.events.clear();
            side.hears(unsolicited);
            assert_eq!(side.fault(), Some("policy-violation"), "{unsolicited}");
            assert_eq!(side.proven(), 0);
        }
    }
}

#[test]
fn claims_under_way_and_questions_of_strangers_have_limits() {
    let mut side = Side::accepting(Standing::Dialback);
    side.hears(&hello());
    let claim = |n: usize| format!("<db:result from='x{n}.example' to='our.example'>k</db:result>");
    for n in 0..CLAIMS_MAX {
        assert_eq!(side.hears(&claim(n)), "");
    }
    assert!(side.hears(&claim(CLAIMS_MAX)).contains("<resource-constraint"));
    for n in CLAIMS_MAX + 1..usize::from(QUESTIONS_MAX) {
        side.hears(&claim(n));
    }
    assert_eq!(side.closed, None);
    side.hears(&claim(0));
    assert_eq!(side.fault(), Some("policy-violation"));
}

#[test]
fn pairs_of_a_stream_have_a_limit() {
    let mut side = Side::linked();
    let claim = |n: usize| format!("<db:result from='x{n}.example' to='our.example'>k</db:result>");
    for n in 1..PAIRS_MAX {
        assert!(side.hears(&claim(n)).contains("type='valid'"), "{n}");
    }
    assert!(side.hears(&claim(PAIRS_MAX)).contains("<resource-constraint"));
}

#[test]
fn our_keys_are_recognised_and_nobody_else_s() {
    let mut side = Side::accepting(Standing::Dialback);
    side.hears(&hello());
    let pair = Pair::new("our.example", "their.example").unwrap();
    let key = side.stream.settings.secret.key(&pair.remote, &pair.local, "s1");
    let check = |to: &str, id: &str, key: &str| {
        format!("<db:verify from='their.example' to='{to}' id='{id}'>{key}</db:verify>")
    };
    let said = side.hears(&check("our.example", "s1", &key));
    assert_eq!(said, "<db:verify from='our.example' to='their.example' id='s1' type='valid'/>");
    assert!(side.hears(&check("our.example", "s2", &key)).contains("type='invalid'"));
    assert!(side.hears(&check("other.our.example", "s1", &key)).contains("type='invalid'"));
    assert!(side.hears(&check("else.example", "s1", &key)).contains("<item-not-found"));
}

// -- both ends

#[test]
fn two_machines_link_by_certificate_and_both_may_send() {
    let (mut one, mut other) = (Side::connecting(Standing::Proven), Side::accepting(Standing::Proven));
    converse(&mut one, &mut other);
    let pair = Pair::new("their.example", "our.example").unwrap();
    assert!(one.stream.is_open(&pair) && other.stream.is_open(&pair.swapped()));
    one.events.clear();
    other.events.clear();
    assert!(one.stream.send(&stanza("a@their.example", "b@our.example")));
    assert!(other.stream.send(&stanza("b@our.example", "a@their.example")));
    assert!(!other.stream.send(&stanza("b@other.our.example", "a@their.example")), "another pair");
    one.pump();
    other.pump();
    converse(&mut one, &mut other);
    assert_eq!((one.stanzas(), other.stanzas()), (1, 1));
    one.stream.close(one.now);
    one.pump();
    converse(&mut one, &mut other);
    assert_eq!((one.closed, other.closed), (Some(Why::ByUs.into()), Some(Why::ByPeer.into())));
}

#[test]
fn two_machines_link_by_dialback_after_the_key_was_checked_on_a_third_stream() {
    let (mut one, mut other) = (Side::connecting(Standing::Dialback), Side::accepting(Standing::Dialback));
    converse(&mut one, &mut other);
    let check = other.asked();
    let now = Instant::now();
    // The receiving side asks the authoritative one, which here is the same as the claiming one.
    let asking = PeerStream::connect_tls(
        settings(&["our.example"]),
        check.pair.clone(),
        true,
        Standing::Dialback,
        Seed::new([1; 32]),
        now,
    );
    let mut asking = Side::new(asking, now);
    let mut authority = Side::new(PeerStream::accept_tls(settings(&["their.example"]), Seed::new([2; 32]), now), now);
    assert!(asking.stream.check(check.clone()));
    asking.pump();
    converse(&mut asking, &mut authority);
    let answer = match asking.events[..] {
        [PeerOutput::Checked { answer, .. }] => answer,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(answer, DialbackAnswer::Valid);
    other.stream.verified(&check, answer);
    other.pump();
    converse(&mut one, &mut other);
    assert!(one.stream.is_open(&Pair::new("their.example", "our.example").unwrap()));
    assert_eq!(other.proven(), 1);
}

#[test]
fn a_refused_certificate_is_followed_by_dialback() {
    let mut one = Side::connecting(Standing::Dialback);
    one.hears(&header("our.example", "their.example").replace(" version='1.0'>", " id='s' version='1.0'>"));
    let features = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>\
                    </mechanisms></stream:features>";
    assert!(one.hears(features).contains("mechanism='EXTERNAL'>dGhlaXIuZXhhbXBsZQ==<"), "{}", one.said);
    let failure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
    assert!(one.hears(failure).starts_with("<db:result from='their.example' to='our.example'>"), "{}", one.said);
    let mut liar = one;
    liar.hears("<db:result from='evil.example' to='their.example' type='valid'/>");
    assert_eq!(liar.fault(), Some("policy-violation"));
}

#[test]
fn who_answers_for_another_domain_or_without_tls_gets_nothing() {
    let now = Instant::now();
    let pair = Pair::new("their.example", "our.example").unwrap();
    let plain = || PeerStream::connect(settings(&["their.example"]), pair.clone(), false, Seed::new([7; 32]), now);
    let answer = header("our.example", "their.example");
    let mut side = Side::new(plain(), now);
    side.hears(&answer);
    assert_eq!(side.hears("<stream:features/>"), "</stream:stream>");
    assert_eq!(side.closed, Some(PeerEnd::NoTls));
    let mut side = Side::new(plain(), now);
    side.hears(&header("evil.example", "their.example"));
    assert_eq!(side.fault(), Some("invalid-from"));
    let mut side = Side::new(plain(), now);
    side.hears(&answer);
    side.hears(&format!("<stream:features>{STARTTLS}</stream:features>"));
    side.hears("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><stream:features/>");
    assert_eq!(side.closed, Some(Why::Injected.into()));
    assert_eq!(Side::connecting(Standing::Unproven).fault(), Some("not-authorized"));
}

#[test]
fn a_stream_for_one_direction_takes_no_stanzas_in_the_other() {
    let mut one = Side::connecting(Standing::Proven);
    one.hears(&header("our.example", "their.example").replace(" version='1.0'>", " id='s' version='1.0'>"));
    one.hears("<stream:features/>");
    one.hears("<db:result from='our.example' to='their.example' type='valid'/>");
    assert!(matches!(one.events[..], [PeerOutput::Opened(_)]), "no bidi was offered: {:?}", one.events);
    one.hears("<message from='b@our.example' to='a@their.example'/>");
    assert_eq!(one.fault(), Some("invalid-from"));
}
