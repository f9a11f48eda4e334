use super::*;

const SECRET: &str = "the secret of the chat component";

fn settings() -> Arc<ComponentSettings> {
    let secret = |text: &str| Secret::new(text.to_owned());
    let domain = |text: &str| DomainPart::parse(text).unwrap();
    let secrets = [("chat.site.example", SECRET), ("other.site.example", "another")];
    let secrets = secrets.into_iter().map(|(name, text)| (domain(name), secret(text))).collect();
    Arc::new(ComponentSettings { secrets, limits: Limits::SERVER })
}

fn header(to: &str) -> String {
    let namespaces = "xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'";
    format!("<stream:stream {namespaces} to='{to}'>")
}

/// A stream, and what has come out of it.
struct World {
    stream: ComponentStream,
    now: Instant,
    said: String,
    proven: Vec<String>,
    stanzas: Vec<Stanza>,
    closed: Option<Why>,
}

impl World {
    fn new() -> World {
        let now = Instant::now();
        let stream = ComponentStream::accept(settings(), Seed::new([3; 32]), now);
        World { stream, now, said: String::new(), proven: Vec::new(), stanzas: Vec::new(), closed: None }
    }

    /// The header is exchanged; also the name of the stream.
    fn begun() -> (World, String) {
        let mut world = World::new();
        let said = world.hears(&header("chat.site.example"));
        let id = said.split_once(" id='").unwrap().1.split_once('\'').unwrap().0.to_owned();
        (world, id)
    }

    /// Stanzas may come.
    fn ready() -> World {
        let (mut world, id) = World::begun();
        let proof = proof(&id, &Secret::new(SECRET.into()));
        assert_eq!(world.hears(&format!("<handshake>{proof}</handshake>")), "<handshake/>");
        assert_eq!(world.proven, ["chat.site.example"]);
        world
    }

    fn hears(&mut self, text: &str) -> String {
        self.stream.receive(text.as_bytes());
        self.pump()
    }

    fn waits(&mut self, time: Duration) -> String {
        self.now += time;
        self.stream.wake(self.now);
        self.pump()
    }

    fn pump(&mut self) -> String {
        self.said.clear();
        while let Some(output) = self.stream.output() {
            assert!(self.closed.is_none(), "something follows the end: {output:?}");
            match output {
                ComponentOutput::Write(bytes) => self.said.push_str(std::str::from_utf8(&bytes).unwrap()),
                ComponentOutput::Proven(domain) => self.proven.push(domain.as_str().to_owned()),
                ComponentOutput::Stanza(stanza) => self.stanzas.push(stanza),
                ComponentOutput::Close(why) => self.closed = Some(why),
            }
        }
        self.said.clone()
    }

    fn condition(&self) -> Option<StreamCondition> {
        match &self.closed {
            Some(Why::Fault(error)) => Some(error.condition()),
            _ => None,
        }
    }
}

#[test]
fn the_answer_to_the_header_names_component_and_stream_and_no_version() {
    let mut world = World::new();
    let said = world.hears(&format!("<?xml version='1.0'?>{}", header("Chat.Site.example")));
    assert!(said.starts_with("<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' "), "{said}");
    assert!(said.contains(" from='chat.site.example' id='") && !said.contains(" version='1.0'>"), "{said}");
    assert!(!said.contains("features"), "{said}");
}

#[test]
fn a_right_handshake_opens_the_stream() {
    let world = World::ready();
    assert_eq!(world.stream.deadline(), None);
    assert!(world.closed.is_none());
}

#[test]
fn two_streams_have_two_names_so_that_a_handshake_is_good_for_one() {
    let (mut one, id) = World::begun();
    let other = ComponentStream::accept(settings(), Seed::new([4; 32]), one.now);
    let first = std::mem::replace(&mut one.stream, other);
    drop(first);
    one.hears(&header("chat.site.example"));
    one.hears(&format!("<handshake>{}</handshake>", proof(&id, &Secret::new(SECRET.into()))));
    assert_eq!(one.condition(), Some(StreamCondition::NotAuthorized));
}

#[test]
fn a_wrong_handshake_ends_the_stream() {
    let right = |id: &str| proof(id, &Secret::new(SECRET.into()));
    let wrong: [fn(String, &str) -> String; 7] = [
        |_, _| String::new(),
        |right, _| right[..39].to_owned(),
        |right, _| format!("{right}0"),
        |right, _| right.to_uppercase(),
        |right, _| format!(" {right}"),
        |right, _| format!("{right}<x/>"),
        |_, id| proof(id, &Secret::new("another".into())), // the secret of the other component
    ];
    for wrong in wrong {
        let (mut world, id) = World::begun();
        let said = world.hears(&format!("<handshake>{}</handshake>", wrong(right(&id), &id)));
        assert!(said.contains("<not-authorized ") && said.ends_with("</stream:stream>"), "{said}");
        assert_eq!((world.condition(), world.proven.len()), (Some(StreamCondition::NotAuthorized), 0));
    }
}

#[test]
fn nothing_passes_before_the_handshake() {
    for early in [
        "<message from='chat.site.example' to='anna@site.example'/>",
        "<handshake xmlns='jabber:client'/>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<db:result xmlns:db='jabber:server:dialback' from='a.example' to='site.example' type='valid'/>",
    ] {
        let (mut world, _) = World::begun();
        world.hears(early);
        assert_eq!(world.condition(), Some(StreamCondition::NotAuthorized), "{early}");
        assert!(world.stanzas.is_empty());
    }
}

#[test]
fn a_header_for_nobody_here_ends_the_stream_inside_one_of_ours() {
    for (text, condition) in [
        (header("elsewhere.example"), StreamCondition::HostUnknown),
        (header("x.chat.site.example"), StreamCondition::HostUnknown),
        (header("site.example"), StreamCondition::HostUnknown),
        (header(""), StreamCondition::ImproperAddressing),
        (header("anna@chat.site.example"), StreamCondition::ImproperAddressing),
        (header("chat.site.example").replace(" to=", " from="), StreamCondition::ImproperAddressing),
        (header("chat.site.example").replace("component:accept", "client"), StreamCondition::InvalidNamespace),
        (header("chat.site.example").replace("component:accept", "server"), StreamCondition::InvalidNamespace),
        (header("chat.site.example").replace("accept", "connect"), StreamCondition::InvalidNamespace),
    ] {
        let mut world = World::new();
        let said = world.hears(&text);
        assert_eq!(world.condition(), Some(condition), "{text}");
        assert!(said.contains("<stream:stream ") && said.ends_with("</stream:error></stream:stream>"), "{said}");
    }
}

#[test]
fn a_second_header_ends_the_stream() {
    for mut world in [World::begun().0, World::ready()] {
        world.hears(&header("other.site.example"));
        assert!(world.condition().is_some());
        assert!(!world.proven.iter().any(|domain| domain == "other.site.example"));
    }
}

#[test]
fn stanzas_of_any_address_at_the_domain_come_out() {
    let mut world = World::ready();
    for from in ["chat.site.example", "room@chat.site.example", "room@chat.site.example/nick", "CHAT.site.example/x"] {
        world.hears(&format!("<message from='{from}' to='anna@site.example' id='1'><body>Hi</body></message>"));
        let stanza = world.stanzas.pop().unwrap();
        assert_eq!((stanza.from().unwrap().domain(), stanza.body().as_deref()), ("chat.site.example", Some("Hi")));
    }
    assert_eq!(world.closed, None);
}

#[test]
fn a_sender_of_another_domain_ends_the_stream() {
    for from in ["site.example", "anna@site.example", "x.chat.site.example", "other.site.example", "bad@@"] {
        let mut world = World::ready();
        let said = world.hears(&format!("<message from='{from}' to='anna@site.example'><body>x</body></message>"));
        assert!(said.contains("<invalid-from "), "{from}: {said}");
        assert!(world.stanzas.is_empty());
    }
}

#[test]
fn a_stanza_that_is_refused_must_not_lie_about_its_sender_either() {
    let mut world = World::ready();
    world.hears("<iq type='get' id='1' from='anna@site.example' to='bad@@'><q xmlns='urn:x'/></iq>");
    assert_eq!(world.condition(), Some(StreamCondition::InvalidFrom));
}

#[test]
fn a_stanza_without_a_sender_is_the_component_s_own() {
    let mut world = World::ready();
    world.hears("<presence to='anna@site.example'/>");
    assert_eq!(world.stanzas[0].from().unwrap().as_str(), "chat.site.example");
}

#[test]
fn a_stanza_without_a_recipient_is_refused_and_the_stream_goes_on() {
    let mut world = World::ready();
    let said = world.hears("<iq type='get' id='1' from='x@chat.site.example'><ping xmlns='urn:xmpp:ping'/></iq>");
    assert!(said.contains("<bad-request ") && said.contains(" to='x@chat.site.example'"), "{said}");
    assert_eq!(world.hears("<message type='error' from='chat.site.example'/>"), "", "errors are not answered");
    assert!(world.stanzas.is_empty() && world.closed.is_none());
}

#[test]
fn what_breaks_the_rules_of_stanzas_is_answered_to_whoever_sent_it() {
    let mut world = World::ready();
    let said = world.hears("<iq type='get' from='x@chat.site.example' to='anna@site.example'/>");
    assert!(said.starts_with("<iq type='error' ") && said.contains("<bad-request "), "{said}");
    let said = world.hears("<message id='2' to='bad@@'><body>x</body></message>");
    assert!(said.contains("<jid-malformed ") && said.contains(" to='chat.site.example'"), "{said}");
    assert!(world.stanzas.is_empty() && world.closed.is_none());
}

#[test]
fn what_is_no_stanza_ends_the_stream() {
    for (text, condition) in [
        (
            "<message xmlns='jabber:client' from='chat.site.example' to='b@site.example'/>",
            StreamCondition::InvalidNamespace,
        ),
        (
            "<message xmlns='jabber:server' from='chat.site.example' to='b@site.example'/>",
            StreamCondition::InvalidNamespace,
        ),
        ("<handshake/>", StreamCondition::UnsupportedStanzaType),
        ("<x xmlns='urn:x'/>", StreamCondition::UnsupportedStanzaType),
    ] {
        let mut world = World::ready();
        world.hears(text);
        assert_eq!(world.condition(), Some(condition), "{text}");
    }
}

#[test]
fn an_error_in_the_namespace_of_clients_is_an_error_as_slixmpp_writes_it() {
    let mut world = World::ready();
    world.hears(
        "<iq type='error' id='1' from='chat.site.example' to='anna@site.example/x'><error xmlns='jabber:client' \
         type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
    );
    assert_eq!(world.stanzas[0].error().map(|error| error.condition()), Some(StanzaCondition::ItemNotFound));
}

#[test]
fn what_is_sent_is_in_the_namespace_of_the_stream() {
    let mut world = World::ready();
    let stanza = Stanza::message(crate::stanza::MessageType::Chat)
        .with_from(Jid::parse("anna@site.example/x").unwrap())
        .with_to(Jid::parse("room@chat.site.example").unwrap())
        .with_body("Hi");
    assert!(world.stream.send_written(&to_bytes(&stanza)));
    let text = "<message type='chat' from='anna@site.example/x' to='room@chat.site.example'><body>Hi</body></message>";
    assert_eq!(world.pump(), text);
}

#[test]
fn nothing_is_sent_before_the_handshake_or_after_the_end() {
    let (mut world, _) = World::begun();
    assert!(!world.stream.send_written(b"<presence/>"));
    let mut world = World::ready();
    world.hears("</stream:stream>");
    assert!(!world.stream.send_written(b"<presence/>"));
}

#[test]
fn forbidden_xml_ends_the_stream_before_and_after_the_handshake() {
    let bomb = "<!DOCTYPE b [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>";
    let mut world = World::new();
    world.hears(&format!("<?xml version='1.0'?>{bomb}<b>&b;</b>"));
    assert_eq!(world.condition(), Some(StreamCondition::RestrictedXml));
    for begin in [|| World::begun().0, World::ready] {
        for text in [bomb, "<!-- -->", "<?pi?>"] {
            let mut world = begin();
            world.hears(text);
            assert_eq!(world.condition(), Some(StreamCondition::RestrictedXml), "{text}");
        }
    }
}

/// A message whose XML has exactly this many bytes.
fn message(size: usize) -> String {
    let (start, end) = ("<message from='chat.site.example' to='b@site.example'><body>", "</body></message>");
    format!("{start}{}{end}", "x".repeat(size - start.len() - end.len()))
}

#[test]
fn elements_are_short_before_the_handshake() {
    let most = Limits::BEFORE_LOGIN.bytes;
    for (size, condition) in [(most, StreamCondition::NotAuthorized), (most + 1, StreamCondition::PolicyViolation)] {
        let (mut world, _) = World::begun();
        world.hears(&message(size));
        assert_eq!(world.condition(), Some(condition), "{size}");
    }
}

#[test]
fn elements_are_as_long_as_those_of_servers_after_it() {
    let mut world = World::ready();
    world.hears(&message(Limits::SERVER.bytes));
    assert_eq!(world.stanzas.len(), 1);
    world.hears(&message(Limits::SERVER.bytes + 1));
    assert_eq!(world.condition(), Some(StreamCondition::PolicyViolation));
}

#[test]
fn a_handshake_that_does_not_come_in_time_ends_the_stream() {
    for mut world in [World::new(), World::begun().0] {
        assert_eq!(world.waits(HANDSHAKE_TIME - Duration::from_millis(1)), "");
        assert!(world.waits(Duration::from_millis(1)).contains("<connection-timeout "));
    }
    assert_eq!(World::ready().waits(HANDSHAKE_TIME * 2), "");
}

#[test]
fn either_side_may_close_in_order() {
    let mut world = World::ready();
    assert_eq!(world.hears("</stream:stream>"), "</stream:stream>");
    assert_eq!(world.closed, Some(Why::ByPeer));

    let mut world = World::ready();
    world.stream.close(world.now);
    assert_eq!(world.pump(), "</stream:stream>");
    world.hears("<message from='chat.site.example' to='b@site.example'/></stream:stream>");
    assert_eq!((world.closed, world.stanzas.len()), (Some(Why::ByUs), 0));

    let mut world = World::ready();
    world.stream.close(world.now);
    world.waits(CLOSE_TIME);
    assert_eq!(world.closed, Some(Why::Slow));
}

#[test]
fn a_lost_connection_is_told() {
    let mut world = World::ready();
    world.stream.end_of_input();
    world.pump();
    assert_eq!(world.closed, Some(Why::Lost));
}

#[test]
fn any_split_of_the_bytes_gives_the_same() {
    let (mut whole, id) = World::begun();
    let rest = format!(
        "<handshake>{}</handshake><presence to='a@site.example'/> <iq/><message from='x@chat.site.example' \
         to='a@site.example'><body>&#x48;i</body></message><message from='x@evil.example' to='a@site.example'/>",
        proof(&id, &Secret::new(SECRET.into()))
    );
    let said = whole.hears(&rest);
    let (mut pieces, _) = World::begun();
    let mut heard = String::new();
    for byte in rest.as_bytes().chunks(1) {
        pieces.stream.receive(byte);
        heard.push_str(&pieces.pump());
    }
    assert_eq!((heard, &pieces.closed, &pieces.stanzas), (said, &whole.closed, &whole.stanzas));
    assert_eq!(pieces.condition(), Some(StreamCondition::InvalidFrom));
    assert_eq!(pieces.stanzas.len(), 2);
}
