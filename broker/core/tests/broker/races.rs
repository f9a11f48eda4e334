//! What happens while the store thinks: a query is held up, the world goes on, and nothing is lost or left behind.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};
use torg_store::{Batch, Engine, Rows, Sqlite, StoreError, Value};
use torg_wire::ns;
use torg_wire::stanza::{IqType, PresenceType, Stanza, StanzaKind};
use torg_wire::xml::Element;

use crate::client::Client;
use crate::world::{World, jid};

/// Passes everything on, but keeps the answer of one query back until it is let go.
struct Thoughtful {
    inner: Sqlite,
    /// Part of the query to be held up next.
    awaited: Mutex<Option<&'static str>>,
    reached: Notify,
    go: Semaphore,
}

impl Thoughtful {
    async fn world() -> (Arc<Thoughtful>, World) {
        let inner = Sqlite::in_memory().unwrap();
        let store = Thoughtful { inner, awaited: Mutex::default(), reached: Notify::new(), go: Semaphore::new(0) };
        let store = Arc::new(store);
        (Arc::clone(&store), World::with_store(store).await)
    }

    fn hold_up(&self, query: &'static str) {
        *self.awaited.lock().unwrap() = Some(query);
    }

    fn let_go(&self) {
        self.go.add_permits(1);
    }
}

#[async_trait]
impl Engine for Thoughtful {
    async fn query(&self, sql: &'static str, args: Vec<Value>) -> Result<Rows, StoreError> {
        let answer = self.inner.query(sql, args).await;
        let held_up = self.awaited.lock().unwrap().take_if(|part| sql.contains(*part)).is_some();
        if held_up {
            self.reached.notify_one();
            self.go.acquire().await.unwrap().forget();
        }
        answer
    }

    async fn write(&self, batch: Batch) -> Result<Vec<u64>, StoreError> {
        self.inner.write(batch).await
    }

    async fn copy(&self, label: &str) -> Result<Option<PathBuf>, StoreError> {
        self.inner.copy(label).await
    }
}

const WHOLE_ROSTER: &str = "listed, request FROM roster_item\n    WHERE owner = ?1 ORDER BY contact";
const WATCHERS: &str = "SELECT contact, state FROM roster_item";

/// Kinds and roster versions of what has come.
fn told(stanza: &Stanza) -> (StanzaKind, Option<String>) {
    let version = stanza.payload().and_then(|query| query.attr("ver")).map(str::to_owned);
    (stanza.kind(), version)
}

#[tokio::test]
async fn a_change_of_the_roster_comes_behind_the_roster_it_changes() {
    let (store, world) = Thoughtful::world().await;
    let mut phone = world.client("anna@site.example/phone").await;
    let mut tablet = world.client("anna@site.example/tablet").await;
    store.hold_up(WHOLE_ROSTER);
    phone.say(&Stanza::iq_get("r", Element::new(ns::ROSTER, "query"))).await;
    store.reached.notified().await;
    let item = Element::new(ns::ROSTER, "item").with_attr("jid", "bob@site.example");
    tablet.ask(&Stanza::iq_set("s", Element::new(ns::ROSTER, "query").with_child(item))).await;
    store.let_go();
    let come = [told(&phone.recv().await), told(&phone.recv().await)];
    let roster = (StanzaKind::Iq(IqType::Result), Some("0".to_owned()));
    assert_eq!(come, [roster, (StanzaKind::Iq(IqType::Set), Some("1".to_owned()))]);
}

/// Bob sees anna.
async fn friends(world: &World) -> Client {
    let mut anna = world.client("anna@site.example/else").await;
    let mut bob = world.client("bob@site.example/desk").await;
    bob.online().await;
    bob.send(&Stanza::presence(PresenceType::Subscribe).with_to(jid("anna@site.example"))).await;
    anna.send(&Stanza::presence(PresenceType::Subscribed).with_to(jid("bob@site.example"))).await;
    anna.close().await;
    bob.pending().await;
    bob
}

#[tokio::test]
async fn a_session_that_is_ended_while_it_comes_is_not_seen_to_be_there() {
    let (store, world) = Thoughtful::world().await;
    let mut bob = friends(&world).await;
    let mut old = world.client("anna@site.example/phone").await;
    store.hold_up(WATCHERS);
    old.say(&Stanza::presence(PresenceType::Available)).await;
    store.reached.notified().await;
    let _new = world.client("anna@site.example/phone").await;
    store.let_go();
    assert!(old.end().await.to_string().contains("conflict"));
    let seen: Vec<_> = bob.pending().await.iter().map(Stanza::kind).collect();
    assert_eq!(seen.last(), Some(&StanzaKind::Presence(PresenceType::Unavailable)), "{seen:?}");
}
