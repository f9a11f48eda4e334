use std::sync::Arc;

use torg_store::{Batch, Engine, Sqlite, migrate};
use torg_thing::Timestamp;
use torg_wire::jid::BareJid;
use torg_wire::xml::{Element, Limits, parse_document};

use super::*;

async fn store() -> Arc<dyn Engine> {
    let store = Sqlite::in_memory().unwrap();
    migrate(&store, crate::MIGRATIONS).await.unwrap();
    Arc::new(store)
}

fn jid(text: &str) -> BareJid {
    BareJid::parse(text).unwrap()
}

fn user(content: &str) -> Element {
    parse_document(format!("<user xmlns='urn:xmpp:pie:0' name='anna'>{content}</user>"), &Limits::SERVER).unwrap()
}

fn now() -> Timestamp {
    "2026-03-01T10:15:00Z".parse().unwrap()
}

async fn import(store: &Arc<dyn Engine>, content: &str) -> Imported {
    let (batch, done) =
        import_account(Batch::new(), &jid("site.example"), &jid("anna@site.example"), &user(content), now());
    store.write(batch).await.unwrap();
    done
}

async fn export(store: &Arc<dyn Engine>) -> String {
    let parts = export_account(store, &jid("anna@site.example")).await.unwrap();
    parts.iter().map(ToString::to_string).collect()
}

const WHOLE: &str = "<query xmlns='jabber:iq:roster'>\
    <item jid='bob@site.example' name='Bob' subscription='both'><group>Friends</group><group>Plant</group></item>\
    <item jid='carl@other.example' subscription='none' ask='subscribe'/></query>\
    <presence xmlns='jabber:client' type='subscribe' from='dora@other.example'><status>Hello</status></presence>\
    <offline-messages><message xmlns='jabber:client' from='bob@site.example/x' to='anna@site.example' type='chat' id='m1'>\
    <body>first</body></message><message xmlns='jabber:client' from='bob@site.example/x' type='chat' id='m2'>\
    <body>second</body></message></offline-messages>\
    <query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'><url name='x'/></storage></query>\
    <vCard xmlns='vcard-temp'><FN>Anna</FN></vCard>\
    <blocklist xmlns='urn:xmpp:blocking'><item jid='spam.example'/></blocklist>\
    <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:xmpp:bookmarks:1'>\
    <x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE' type='hidden'>\
    <value>http://jabber.org/protocol/pubsub#node_config</value></field><field var='pubsub#access_model'>\
    <value>whitelist</value></field><field var='pubsub#max_items'><value>10</value></field></x></configure>\
    <affiliations node='urn:xmpp:bookmarks:1'><affiliation jid='carl@other.example' affiliation='member'/></affiliations>\
    <subscriptions node='urn:xmpp:bookmarks:1'><subscription jid='carl@other.example' subscription='subscribed'/>\
    </subscriptions></pubsub>\
    <pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:bookmarks:1'>\
    <item id='a'><conference xmlns='urn:xmpp:bookmarks:1' name='A'/></item>\
    <item id='b'><conference xmlns='urn:xmpp:bookmarks:1' name='B'/></item></items></pubsub>";

#[tokio::test]
async fn everything_an_account_keeps_moves_and_moves_on() {
    let first = store().await;
    let done = import(&first, WHOLE).await;
    let expected = Imported {
        contacts: 2,
        requests: 1,
        messages: 2,
        documents: 2,
        blocked: 1,
        nodes: 1,
        items: 2,
        left_out: Vec::new(),
    };
    assert_eq!(done, expected);
    let file = export(&first).await;
    for part in [
        "<group>Plant</group>",
        "ask='subscribe'",
        "dora@other.example",
        "<status>Hello</status>",
        "id='m1'",
        "id='m2'",
        "storage:bookmarks",
        "<FN>Anna</FN>",
        "spam.example",
        "<value>whitelist</value>",
        "affiliation='member'",
        "subscription='subscribed'",
        "name='A'",
        "name='B'",
    ] {
        assert!(file.contains(part), "{part}: {file}");
    }
    assert!(file.find("id='m1'") < file.find("id='m2'") && file.find("name='A'") < file.find("name='B'"), "in order");
    let second = store().await;
    assert_eq!(import(&second, &file).await, expected, "what we write, we read");
    assert_eq!(export(&second).await, file);
}

#[tokio::test]
async fn an_import_over_an_account_leaves_nothing_of_it() {
    let store = store().await;
    import(&store, WHOLE).await;
    let anna = jid("anna@site.example");
    let cleared = clearing(Batch::new(), &anna);
    let (batch, _) = import_account(
        cleared,
        &jid("site.example"),
        &anna,
        &user("<vCard xmlns='vcard-temp'><FN>B</FN></vCard>"),
        now(),
    );
    store.write(batch).await.unwrap();
    let file = export(&store).await;
    assert_eq!(file, "<query xmlns='jabber:iq:roster'/><vCard xmlns='vcard-temp'><FN>B</FN></vCard>");
}

#[tokio::test]
async fn payload_of_devices_is_left_out_wherever_it_hides_and_told() {
    let store = store().await;
    let payload = "<resp xmlns='urn:nfi:iot:sd:1.0'><val>unique-4711</val></resp>";
    let done = import(
        &store,
        &format!(
            "<offline-messages><message xmlns='jabber:client' from='x@y' type='chat'><body>x</body>{payload}</message></offline-messages>\
             <query xmlns='jabber:iq:private'><a xmlns='urn:a'>{payload}</a></query>\
             <vCard xmlns='vcard-temp'>{payload}</vCard>\
             <presence xmlns='jabber:client' type='subscribe' from='dora@other.example'>{payload}</presence>\
             <pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'><item id='i'>{payload}</item></items></pubsub>"
        ),
    )
    .await;
    assert_eq!((done.messages, done.documents, done.requests, done.items), (0, 0, 0, 0));
    assert_eq!(done.left_out.len(), 5, "{:?}", done.left_out);
    assert!(!export(&store).await.contains("unique-4711"));
}

#[tokio::test]
async fn what_is_too_much_or_unknown_is_left_out_and_told() {
    let store = store().await;
    let contacts: String =
        (0..=crate::roster::ITEMS_MAX).map(|n| format!("<item jid='c{n}@other.example' subscription='to'/>")).collect();
    let done = import(
        &store,
        &format!(
            "<query xmlns='jabber:iq:roster'>{contacts}<item jid='@'/></query><archive xmlns='urn:xmpp:pie:0#mam'/>\
             <query xmlns='jabber:iq:private'><a xmlns='jabber:client'/><big xmlns='urn:b'>{}</big></query>",
            "x".repeat(300 * 1024)
        ),
    )
    .await;
    assert_eq!((done.contacts, done.documents), (crate::roster::ITEMS_MAX, 0));
    assert_eq!(done.left_out.len(), 5, "{:?}", done.left_out);
}

#[tokio::test]
async fn a_node_whose_configuration_is_not_understood_is_closed() {
    let store = store().await;
    let done = import(
        &store,
        "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='n'><x xmlns='jabber:x:data' type='form'>\
         <field var='pubsub#access_model'><value>friends-of-friends</value></field></x></configure></pubsub>",
    )
    .await;
    assert_eq!((done.nodes, done.left_out.len()), (1, 1));
    assert!(export(&store).await.contains("<value>whitelist</value>"));
}
