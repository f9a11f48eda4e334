//! Scripts of the server's machine over messages (RFC 7395): one element each, and the answer to everything that is not.

use super::*;
use crate::stream::MESSAGE_END;
use crate::stream::testing::{BIND, LOGIN, World, secured};

const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='site.example' version='1.0'/>";
const CLOSE: &str = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";

fn world() -> World {
    World::with(|settings, seed, now| ServerStream::messages(settings, seed, secured(), now))
}

/// Feeds one message; gives the messages that were said in answer.
fn tell(world: &mut World, message: impl AsRef<[u8]>) -> Vec<String> {
    world.said.clear();
    world.stream.receive_message(message.as_ref());
    world.pump();
    let said = world.said.clone();
    let end = char::from(MESSAGE_END);
    assert!(said.is_empty() || said.ends_with(end), "{said:?}");
    said.split_terminator(end).map(String::from).collect()
}

fn logged_in() -> World {
    let mut world = world();
    for message in [OPEN, LOGIN, OPEN, &BIND.replacen("<iq", "<iq xmlns='jabber:client'", 1)] {
        tell(&mut world, message);
    }
    assert_eq!(world.stream.jid().map(|jid| jid.as_str()), Some("anna@site.example/phone"), "{}", world.said);
    world
}

/// Asserts that the message ended the stream with this error, told in messages of its own.
#[track_caller]
fn refused(mut world: World, message: impl AsRef<[u8]>, condition: &str) {
    let said = tell(&mut world, message);
    assert_eq!(world.fault(), condition);
    let [.., error, close] = &said[..] else { panic!("{said:?}") };
    assert!(error.starts_with("<stream:error xmlns=") && error.contains(&format!("<{condition} ")), "{error}");
    assert_eq!(close, CLOSE);
}

#[test]
fn open_is_answered_by_open_and_then_features() {
    let said = tell(&mut world(), OPEN);
    let [open, features] = &said[..] else { panic!("{said:?}") };
    for part in
        ["<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' ", " from='site.example'", " id='", " version='1.0'"]
    {
        assert!(open.contains(part), "{part} in {open}");
    }
    assert!(features.starts_with("<stream:features xmlns='jabber:client' xmlns:stream='"), "{features}");
    assert!(!features.contains("starttls"), "{features}");
}

#[test]
fn a_login_begins_a_new_stream_by_open() {
    let mut world = world();
    tell(&mut world, OPEN);
    assert_eq!(tell(&mut world, LOGIN), ["<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"]);
    assert!(tell(&mut world, OPEN)[1].contains("<bind "));
}

#[test]
fn a_stanza_in_a_message_is_a_stanza() {
    let mut world = logged_in();
    tell(&mut world, "<message xmlns='jabber:client' to='b@c'><body>Hi</body></message>");
    assert_eq!(world.stanzas.len(), 1);
}

#[test]
fn white_space_behind_the_element_is_no_second_one() {
    let mut world = logged_in();
    tell(&mut world, "<presence xmlns='jabber:client'/>\r\n");
    tell(&mut world, "<presence xmlns='jabber:client'/>");
    assert_eq!(world.stanzas.len(), 2);
}

#[test]
fn what_was_written_for_a_stream_declares_its_namespaces_in_a_message() {
    let mut world = logged_in();
    world.stream.send_written(b"<message to='a'/>");
    world.said.clear();
    world.pump();
    assert_eq!(world.said, "<message xmlns='jabber:client' to='a'/>\0");
}

#[test]
fn close_is_answered_by_close() {
    let mut world = logged_in();
    assert_eq!(tell(&mut world, CLOSE), [CLOSE]);
    assert_eq!(world.closed, Some(Why::ByPeer));
}

#[test]
fn channel_binding_is_offered_only_where_there_is_one() {
    let behind_proxy =
        || World::with(|settings, seed, now| ServerStream::messages(settings, seed, Secured::default(), now));
    assert!(tell(&mut world(), OPEN)[1].contains("-PLUS"));
    assert!(!tell(&mut behind_proxy(), OPEN)[1].contains("-PLUS"));
}

#[test]
fn the_limit_of_a_message_rises_with_the_login() {
    assert_eq!(world().stream.message_bytes_max(), Limits::BEFORE_LOGIN.bytes);
    assert_eq!(logged_in().stream.message_bytes_max(), Limits::CLIENT.bytes);
}

#[test]
fn before_login_a_message_has_10000_bytes() {
    let message = |bytes: usize| {
        let (start, end) =
            ("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='site.example' version='1.0'>", "</open>");
        format!("{start}{}{end}", " ".repeat(bytes - start.len() - end.len()))
    };
    let mut at = world();
    tell(&mut at, message(10_000));
    assert_eq!(at.closed, None);
    refused(world(), message(10_001), "policy-violation");
}

// --- what is no message ----------------------------------------------------------------------------------------------

#[test]
fn two_elements_in_one_message_are_refused_and_neither_is_routed() {
    let mut world = logged_in();
    tell(&mut world, "<presence xmlns='jabber:client'/><presence xmlns='jabber:client'/>");
    assert_eq!(world.fault(), "bad-format");
    assert!(world.stanzas.is_empty());
}

#[test]
fn half_an_element_is_refused_and_not_kept_for_the_next_message() {
    refused(logged_in(), "<message xmlns='jabber:client'><body>", "bad-format");
}

#[test]
fn a_message_that_does_not_begin_with_an_element_is_refused() {
    for message in
        ["", " ", " <presence xmlns='jabber:client'/>", "hello", "\0", "\u{feff}<presence xmlns='jabber:client'/>"]
    {
        refused(logged_in(), message, "bad-format");
    }
}

#[test]
fn an_entity_bomb_is_refused_at_its_first_bytes() {
    let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><open>&b;</open>";
    refused(world(), bomb, "restricted-xml");
    refused(logged_in(), bomb, "restricted-xml");
    refused(logged_in(), "<message xmlns='jabber:client'><body>&lol;</body></message>", "restricted-xml");
}

#[test]
fn what_would_cost_much_before_login_is_refused_at_its_limit() {
    let open = |attributes: &str, inside: &str| OPEN.replace("/>", &format!("{attributes}>{inside}</open>"));
    let attributes = |count: usize| (0..count).map(|n| format!(" a{n}=''")).collect::<String>();
    let bindings = |count: usize| (0..count).map(|n| format!(" xmlns:p{n}='q'")).collect::<String>();
    let deep = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
    for (within, beyond) in [
        // What `open` has itself counts: an element, two attributes, a binding.
        (open("", &deep(7)), open("", &deep(8))),
        (open("", &"<a/>".repeat(63)), open("", &"<a/>".repeat(64))),
        (open(&attributes(14), ""), open(&attributes(15), "")),
        (open(&bindings(15), ""), open(&bindings(16), "")),
    ] {
        let mut fine = world();
        tell(&mut fine, &within);
        assert_eq!(fine.closed, None, "{within}");
        refused(world(), &beyond, "policy-violation");
    }
}

#[test]
fn there_is_no_starttls_below_a_message() {
    let mut opened = world();
    tell(&mut opened, OPEN);
    refused(opened, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "not-authorized");
}

#[test]
fn comments_instructions_and_declarations_are_refused() {
    for message in ["<!-- -->", "<?pi?>", "<?xml version='1.0'?><presence xmlns='jabber:client'/>"] {
        refused(logged_in(), message, "restricted-xml");
    }
}

#[test]
fn a_stream_header_is_no_message() {
    let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='site.example' \
                  version='1.0'>";
    refused(world(), header, "bad-format");
    refused(logged_in(), header, "bad-format");
    refused(logged_in(), "</stream:stream>", "not-well-formed");
    refused(logged_in(), "</>", "bad-format");
}

#[test]
fn namespaces_are_not_inherited_from_a_message_before() {
    refused(logged_in(), "<presence/>", "unsupported-stanza-type");
    refused(logged_in(), "<stream:error/>", "bad-namespace-prefix");
}

#[test]
fn open_comes_once_and_first() {
    refused(world(), LOGIN, "bad-format");
    refused(logged_in(), OPEN, "bad-format");
    let mut twice = world();
    tell(&mut twice, OPEN);
    refused(twice, OPEN, "bad-format");
}

#[test]
fn open_for_another_domain_is_refused_after_login_too() {
    let other = OPEN.replace("site.example", "other.example");
    refused(world(), &other, "host-unknown");
    let mut later = world();
    tell(&mut later, OPEN);
    tell(&mut later, LOGIN);
    refused(later, &other, "host-unknown");
}

#[test]
fn bytes_that_are_no_utf_8_are_refused() {
    refused(logged_in(), b"<presence xmlns='jabber:client'><status>\xff</status></presence>", "unsupported-encoding");
}
