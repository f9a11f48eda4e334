//! A logged-in client that breaks the rules: its own stream ends with the right error, and nothing else notices.

use tokio::io::AsyncReadExt;
use torg_wire::xml::Limits;

use crate::client::Client;
use crate::world::World;

/// Sends the bytes in a session of anna and answers how it ended; bob must not have noticed.
async fn ended_by(bytes: impl AsRef<[u8]>) -> String {
    let world = World::new().await;
    let mut bob = world.client("bob@site.example/desk").await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.raw(bytes).await;
    let fault = anna.end().await.to_string();
    assert!(bob.pending().await.is_empty());
    fault
}

#[tokio::test]
async fn what_is_no_xml_ends_the_stream() {
    for bytes in ["<message></iq>", "<message a='1' a='2'/>", "<x:message/>", "<message>&#0;</message>"] {
        let fault = ended_by(bytes).await;
        assert!(fault.contains("not-well-formed") || fault.contains("bad-namespace-prefix"), "{bytes}: {fault}");
    }
}

#[tokio::test]
async fn forbidden_xml_ends_the_stream() {
    for bytes in ["<!-- -->", "<?pi?>", "<!DOCTYPE x>", "<message>&nbsp;</message>"] {
        let fault = ended_by(bytes).await;
        assert!(fault.contains("restricted-xml") || fault.contains("not-well-formed"), "{bytes}: {fault}");
    }
}

#[tokio::test]
async fn what_is_no_stanza_ends_the_stream() {
    assert!(ended_by("<presents/>").await.contains("unsupported-stanza-type"));
    assert!(ended_by("<presence xmlns='urn:example'/>").await.contains("unsupported-stanza-type"));
    assert!(ended_by("<presence xmlns='jabber:server'/>").await.contains("invalid-namespace"));
}

#[tokio::test]
async fn the_senders_of_others_are_not_taken() {
    for from in ["bob@site.example", "anna@site.example/other", "anna@elsewhere.example", "site.example"] {
        let fault = ended_by(&format!("<presence from='{from}'/>")).await;
        assert!(fault.contains("invalid-from"), "{from}: {fault}");
    }
}

/// A message to bob's session whose XML has exactly this many bytes.
fn message(size: usize) -> String {
    let (begin, end) = ("<message to='bob@site.example/desk' id='m'><body>", "</body></message>");
    format!("{begin}{}{end}", "x".repeat(size - begin.len() - end.len()))
}

#[tokio::test]
async fn a_stanza_as_long_as_the_limit_passes_and_one_byte_more_ends_the_stream() {
    let world = World::new().await;
    let mut bob = world.client("bob@site.example/desk").await;
    for size in [Limits::CLIENT.bytes - 1, Limits::CLIENT.bytes] {
        let mut admin = world.client("admin@site.example/x").await;
        admin.raw(&message(size)).await;
        assert_eq!(bob.recv().await.id(), Some("m"), "{size}");
    }
    let mut admin = world.client("admin@site.example/x").await;
    admin.raw(&message(Limits::CLIENT.bytes + 1)).await;
    assert!(admin.end().await.to_string().contains("policy-violation"));
    assert!(bob.pending().await.is_empty());
}

#[tokio::test]
async fn two_stanzas_in_one_write_are_two_and_half_a_stanza_waits() {
    let world = World::new().await;
    let mut bob = world.client("bob@site.example/desk").await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.raw(
        "<message to='bob@site.example/desk' id='1'/><message to='bob@site.example/desk' id='2'/><message to='bob@si",
    )
    .await;
    assert_eq!(bob.recv().await.id(), Some("1"));
    assert_eq!(bob.recv().await.id(), Some("2"));
    anna.raw("te.example/desk' id='3'/>").await;
    assert_eq!(bob.recv().await.id(), Some("3"));
}

#[tokio::test]
async fn bytes_behind_starttls_are_an_injection() {
    use tokio::io::AsyncWriteExt;
    let world = World::new().await;
    let mut socket = world.starttls.connect().await.unwrap();
    let header = "<stream:stream to='site.example' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
    let begin = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    socket.write_all(format!("{header}{begin}<auth/>").as_bytes()).await.unwrap();
    let mut said = String::new();
    socket.read_to_string(&mut said).await.unwrap();
    assert!(said.contains("<failure") && !said.contains("<proceed"), "{said}");
}

#[tokio::test]
async fn a_lost_connection_frees_its_session() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.online().await;
    drop(anna);
    // The router forgets it as soon as the end of the pipe has been seen.
    world.left(0).await;
    Client::login(&world, "anna@site.example/phone").await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_no_utf_8_or_no_xml_characters_end_the_stream() {
    // Overlong, surrogate, cut, above the last character, a control character: what parsers that disagree are fooled with.
    let tricks: [&[u8]; 5] = [b"\xc0\xbc", b"\xed\xa0\x80", b"\xe2\x82", b"\xf4\x90\x80\x80", b"\x0b"];
    for trick in tricks {
        let fault = ended_by([b"<message><body>", trick, b"</body></message>"].concat()).await;
        assert!(fault.contains("not-well-formed") || fault.contains("unsupported-encoding"), "{trick:x?}: {fault}");
    }
}

#[tokio::test]
async fn an_entity_bomb_ends_the_stream_before_login_too() {
    let bomb = "<?xml version='1.0'?><!DOCTYPE b [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><b>&b;</b>";
    let world = World::new().await;
    let mut socket = world.starttls.connect().await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut socket, bomb.as_bytes()).await.unwrap();
    let mut said = String::new();
    socket.read_to_string(&mut said).await.unwrap();
    assert!(said.contains("restricted-xml"), "{said}");
}

#[tokio::test]
async fn what_was_written_strangely_arrives_written_by_us() {
    let world = World::new().await;
    let mut bob = world.client("bob@site.example/desk").await;
    let mut anna = world.client("anna@site.example/phone").await;
    let strange = "<c:message xmlns:c='jabber:client' to=\"bob@site.example/desk\" id='&#109;' type = 'chat' >\
        <c:body><![CDATA[</body></message><presence/>]]></c:body></c:message>";
    anna.raw(strange).await;
    let message = bob.recv().await;
    assert_eq!((message.id(), message.body().as_deref()), (Some("m"), Some("</body></message><presence/>")));
    assert!(bob.pending().await.is_empty(), "one stanza, not three");
}

#[tokio::test]
async fn marks_of_the_server_on_a_client_s_stanza_are_taken_off() {
    let world = World::new().await;
    let mut bob = world.client("bob@site.example/desk").await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.raw(
        "<message to='bob@site.example/desk' type='chat'><body>x</body>\
         <received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
         <message xmlns='jabber:client' from='carla@site.example/x'><body>forged</body></message></forwarded></received>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='bob@site.example' id='forged'/>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='site.example' id='forged'/>\
         <delay xmlns='urn:xmpp:delay' from='site.example' stamp='2001-01-01T00:00:00Z'/></message>",
    )
    .await;
    let message = bob.recv().await;
    assert!(!format!("{message:?}").contains("forged"), "{message:?}");
    assert!(!format!("{message:?}").contains("2001"), "{message:?}");
}

#[tokio::test]
async fn neither_compression_nor_the_old_login_is_offered() {
    let world = World::new().await;
    let mut socket = world.starttls.connect().await.unwrap();
    let header = "<stream:stream to='site.example' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
    for attempt in [
        "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>",
        "<iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>anna</username><password>secret</password></query></iq>",
    ] {
        tokio::io::AsyncWriteExt::write_all(&mut socket, format!("{header}{attempt}").as_bytes()).await.unwrap();
        let mut said = String::new();
        socket.read_to_string(&mut said).await.unwrap();
        assert!(said.contains("not-authorized") && !said.contains("compress"), "{said}");
        socket = world.starttls.connect().await.unwrap();
    }
}
