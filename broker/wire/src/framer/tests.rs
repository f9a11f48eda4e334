//! What the framer holds, and when it gives it back; the strict table and the splits are in `tests/xml`.

use super::*;

const HEADER: &[u8] = b"<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'>";

fn opened(limits: Limits) -> Framer {
    let mut framer = Framer::new(limits);
    framer.feed(HEADER);
    assert_eq!(framer.next_frame(), Ok(Some(Frame::Header(HEADER))));
    assert_eq!(framer.next_frame(), Ok(None));
    framer
}

#[test]
fn a_frame_is_what_was_fed() {
    let mut framer = opened(Limits::CLIENT);
    framer.feed(b" <a b='>'><!");
    assert_eq!(framer.next_frame(), Ok(None));
    framer.feed(b"[CDATA[</a>]]></a><c/></s:stream>");
    assert_eq!(framer.next_frame(), Ok(Some(Frame::Element(b"<a b='>'><![CDATA[</a>]]></a>"))));
    assert_eq!(framer.next_frame(), Ok(Some(Frame::Element(b"<c/>"))));
    assert_eq!(framer.next_frame(), Ok(Some(Frame::Close)));
    assert_eq!(framer.next_frame(), Ok(None));
}

#[test]
fn an_idle_framer_holds_no_memory() {
    let mut framer = opened(Limits::CLIENT);
    for _ in 0..3 {
        framer.feed(format!("<a>{}</a> ", "x".repeat(100_000)).as_bytes());
        assert!(matches!(framer.next_frame(), Ok(Some(Frame::Element(_)))));
        assert_eq!(framer.next_frame(), Ok(None));
        assert_eq!(framer.buffer.capacity(), 0);
    }
}

#[test]
fn an_endless_element_is_not_held_beyond_its_limit() {
    let mut framer = opened(Limits::BEFORE_LOGIN);
    framer.feed(b"<a>");
    let mut held = 0;
    while framer.next_frame().is_ok() {
        framer.feed(&[b'x'; 1_000]);
        held = held.max(framer.buffer.capacity());
    }
    assert!(held <= 2 * (Limits::BEFORE_LOGIN.bytes + 1_000), "{held} bytes");
    assert_eq!(framer.buffer.capacity(), 0, "an error gives the memory back");
}

#[test]
fn bytes_after_the_end_and_after_an_error_are_dropped() {
    let mut ended = opened(Limits::CLIENT);
    ended.feed(b"</s:stream>");
    assert_eq!(ended.next_frame(), Ok(Some(Frame::Close)));
    let mut failed = opened(Limits::CLIENT);
    failed.feed(b"<!--");
    let error = failed.next_frame().unwrap_err();
    for framer in [&mut ended, &mut failed] {
        framer.feed(&[b'x'; 1_000]);
        assert!(framer.is_empty());
    }
    assert_eq!(failed.next_frame(), Err(error));
}

#[test]
fn an_empty_header_opens_and_closes() {
    let mut framer = Framer::new(Limits::CLIENT);
    framer.feed(b"<s:stream/><a/>");
    assert_eq!(framer.next_frame(), Ok(Some(Frame::Header(b"<s:stream/>"))));
    assert_eq!(framer.next_frame(), Ok(Some(Frame::Close)));
    assert_eq!(framer.next_frame(), Ok(None));
    assert!(framer.is_empty());
}
