use std::sync::Arc;

use torg_wire::jid::DomainPart;
use torg_wire::sasl::{Policy, ServerSecret};
use torg_wire::seed::Seed;
use torg_wire::stream::{Output, Secured, ServerSettings, Why};
use torg_wire::xml::Limits;

use super::*;

const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='site.example' version='1.0'/>";

fn machine() -> ServerStream {
    let settings = ServerSettings {
        domain: DomainPart::parse("site.example").unwrap(),
        policy: Policy::new(ServerSecret::new([5; 32])),
        before_login: Vec::new(),
        features: Vec::new(),
        bind_inline: Vec::new(),
        limits: Limits::CLIENT,
    };
    ServerStream::messages(Arc::new(settings), Seed::new([6; 32]), Secured::default(), Instant::now())
}

/// A frame of a client: masked, as RFC 6455 §5.3 wants it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | u8::try_from(short).unwrap()),
        long => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

/// Both, with what came of the bytes.
struct World {
    codec: WebSocket,
    machine: ServerStream,
    said: Vec<u8>,
    closed: Option<Why>,
}

impl World {
    fn new() -> World {
        World { codec: WebSocket::new(Bytes::new(), false), machine: machine(), said: Vec::new(), closed: None }
    }

    /// As the connection's loop does it.
    fn hears(&mut self, bytes: &[u8]) {
        self.codec.receive(&mut self.machine, bytes);
        while self.closed.is_none() {
            let mut out = Vec::new();
            while let Some(output) = self.machine.output(Instant::now()) {
                match output {
                    Output::Write(bytes) => out.extend(bytes),
                    Output::Close(why) => self.closed = Some(why),
                    other => panic!("{other:?}"),
                }
            }
            if self.codec.encode(&mut out).is_ok() {
                self.said.extend(out);
            }
            if self.closed.is_some() || !self.codec.advance(&mut self.machine) {
                break;
            }
        }
        let mut rest = Vec::new();
        if self.closed.is_some() {
            self.codec.farewell(&mut rest);
        } else {
            self.codec.encode(&mut rest).unwrap();
        }
        self.said.extend(rest);
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    #[track_caller]
    fn refused(&self, condition: &str) {
        assert!(
            matches!(&self.closed, Some(Why::Fault(error)) if error.condition().name() == condition),
            "{:?}",
            self.closed
        );
        assert!(self.text().contains(&format!("<{condition} ")), "{}", self.text());
        assert!(self.said.ends_with(&[0x88, 2, 3, 0xe8]), "the WebSocket is closed in order");
    }
}

#[test]
fn an_open_in_one_frame_is_answered_in_frames() {
    let mut world = World::new();
    world.hears(&frame(TEXT, OPEN.as_bytes()));
    assert_eq!(world.said[0], TEXT);
    assert!(world.text().contains("<open ") && world.text().contains("<stream:features "), "{}", world.text());
}

#[test]
fn how_bytes_and_frames_are_split_makes_no_difference() {
    let mut whole = World::new();
    whole.hears(&frame(TEXT, OPEN.as_bytes()));
    let (begin, end) = OPEN.split_at(20);
    let split =
        [frame(TEXT_BEGINS, begin.as_bytes()), frame(PING, b"in between"), frame(LAST, end.as_bytes())].concat();
    let mut slow = World::new();
    for byte in split {
        slow.hears(&[byte]);
    }
    let pong = [&[0x8a, 10], &b"in between"[..]].concat();
    let said: Vec<u8> = [pong, whole.said].concat();
    assert_eq!(String::from_utf8_lossy(&slow.said), String::from_utf8_lossy(&said));
}

#[test]
fn two_messages_in_one_read_are_two_messages() {
    let mut world = World::new();
    world.hears(&[frame(TEXT, OPEN.as_bytes()), frame(TEXT, b"<a xmlns='b'/>")].concat());
    world.refused("not-authorized");
}

#[test]
fn binary_frames_are_refused() {
    let mut world = World::new();
    world.hears(&frame(BINARY, OPEN.as_bytes()));
    world.refused("bad-format");
}

#[test]
fn a_message_of_more_than_10000_bytes_is_refused_before_it_is_whole() {
    let mut world = World::new();
    let begin = frame(TEXT, &[b' '; 10_001]);
    world.hears(&begin[..100]);
    world.refused("policy-violation");
    let mut at = World::new();
    at.hears(&frame(TEXT, &[b'x'; 10_000]));
    at.refused("bad-format");
}

#[test]
fn a_message_that_grows_by_fragments_is_refused_at_the_same_size() {
    let mut world = World::new();
    world.hears(&frame(TEXT_BEGINS, b"<a>"));
    for _ in 0..100 {
        if world.closed.is_none() {
            world.hears(&frame(MORE, &[b'x'; 125]));
        }
    }
    world.refused("policy-violation");
}

#[test]
fn an_entity_bomb_is_refused() {
    let mut world = World::new();
    world.hears(&frame(TEXT, b"<!DOCTYPE a [<!ENTITY b 'bbbb'><!ENTITY c '&b;&b;&b;'>]><a>&c;</a>"));
    world.refused("restricted-xml");
}

#[test]
fn text_that_is_no_utf_8_is_refused() {
    let mut world = World::new();
    world.hears(&frame(TEXT, b"<open \xff/>"));
    world.refused("unsupported-encoding");
}

#[test]
fn a_frame_without_mask_ends_the_connection() {
    let mut world = World::new();
    world.hears(&[&[TEXT, 3], &b"<a>"[..]].concat());
    assert_eq!(world.closed, Some(Why::Lost));
}

#[test]
fn a_websocket_that_is_closed_without_the_stream_is_a_lost_connection_and_gets_its_answer() {
    let mut world = World::new();
    world.hears(&frame(CLOSE, &[3, 0xe8]));
    assert_eq!(world.closed, Some(Why::Lost));
    assert_eq!(world.said, [0x88, 2, 3, 0xe8]);
}

#[test]
fn a_proxy_is_pinged_and_nobody_else() {
    let now = Instant::now();
    let mut direct = WebSocket::new(Bytes::new(), false);
    assert_eq!(direct.deadline(), None);
    direct.wake(now + PING_EVERY);
    assert!(!direct.owes());
    let mut proxied = WebSocket::new(Bytes::new(), true);
    proxied.wake(now + PING_EVERY);
    assert!(proxied.owes());
    assert_eq!(proxied.deadline(), Some(now + PING_EVERY * 2));
    let mut out = Vec::new();
    proxied.encode(&mut out).unwrap();
    assert_eq!(out, [PING, 0]);
}

// --- the agreement ---------------------------------------------------------------------------------------------------

fn request(change: impl FnOnce(&mut Request<()>)) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "chat, xmpp"),
    ] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    change(&mut request);
    request
}

fn status(origins: &[&str], change: impl FnOnce(&mut Request<()>)) -> u16 {
    let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    agree(&request(change), &origins).unwrap_or_else(|refused| refused).status().as_u16()
}

#[test]
fn the_agreement_is_that_of_the_standard() {
    let answer = agree(&request(|_| {}), &BTreeSet::new()).unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!((header("sec-websocket-protocol"), header("upgrade")), ("xmpp".to_owned(), "websocket".to_owned()));
}

#[test]
fn what_is_missing_is_refused() {
    for (header, refused) in [
        ("upgrade", 426),
        ("sec-websocket-version", 426),
        ("connection", 400),
        ("sec-websocket-key", 400),
        ("sec-websocket-protocol", 400),
    ] {
        assert_eq!(status(&[], |request| drop(request.headers_mut().remove(header))), refused, "{header}");
    }
}

#[test]
fn only_the_pages_that_are_named_may_connect() {
    let from = |origin: &'static str| {
        move |request: &mut Request<()>| drop(request.headers_mut().insert("origin", HeaderValue::from_static(origin)))
    };
    assert_eq!(status(&[], from("https://any.example")), 101);
    assert_eq!(status(&["https://app.example"], from("https://app.example")), 101);
    assert_eq!(status(&["https://app.example"], from("https://any.example")), 403);
    assert_eq!(status(&["https://app.example"], |_| {}), 101, "no page at all");
}
