use torg_store::{Sqlite, migrate};
use torg_wire::xep::pubsub::{Affiliation, SubscriptionState};

use super::super::limits::{AFFILIATIONS_MAX, BOUNDS, BYTES_MAX, SUBSCRIPTIONS_MAX, SUBSCRIPTIONS_OF_ONE};
use super::*;

async fn table() -> Table {
    let engine = Arc::new(Sqlite::in_memory().unwrap());
    migrate(&*engine, &[MIGRATIONS]).await.unwrap();
    Table::new(engine)
}

fn bare(text: &str) -> BareJid {
    BareJid::parse(text).unwrap()
}

fn anna() -> BareJid {
    bare("anna@x")
}

fn service() -> BareJid {
    bare("pubsub.x")
}

async fn create(table: &Table, service: &BareJid, name: &str) -> Result<(), Failure> {
    table.create(service, name, &anna(), &Config::shared(&BOUNDS), 0).await
}

async fn found(table: &Table, name: &str) -> Node {
    table.find(&service(), name).await.unwrap().unwrap()
}

async fn publish(table: &Table, node: &Node, id: &str, payload: Option<String>) -> Result<(), Failure> {
    let (publisher, published) = (&anna(), 0);
    table.publish(node, Publishing { id, payload, publisher, published, drop_through: None }).await
}

fn refusal(result: Result<(), Failure>) -> Option<Refusal> {
    match result {
        Ok(()) => None,
        Err(Failure::Refused(refusal)) => Some(refusal),
        Err(Failure::Store(error)) => panic!("{error}"),
    }
}

#[tokio::test]
async fn an_account_has_as_many_nodes_as_the_limit_here_and_there_together() {
    let table = table().await;
    for n in 0..NODES_MAX {
        let at = if n % 2 == 0 { service() } else { anna() };
        assert_eq!(refusal(create(&table, &at, &n.to_string()).await), None, "{n}");
    }
    assert_eq!(refusal(create(&table, &service(), "more").await), Some(Refusal::MaxNodes));
    let bobs = table.create(&service(), "bob's", &bare("bob@x"), &Config::shared(&BOUNDS), 0).await;
    assert_eq!(refusal(bobs), None, "others have their own share");
    table.delete(&found(&table, "0").await).await.unwrap();
    assert_eq!(refusal(create(&table, &service(), "more").await), None);
}

#[tokio::test]
async fn a_name_is_there_once_at_each_service() {
    let table = table().await;
    assert_eq!(refusal(create(&table, &service(), "n").await), None);
    assert_eq!(refusal(create(&table, &service(), "n").await), Some(Refusal::Exists));
    assert_eq!(refusal(create(&table, &anna(), "n").await), None);
}

#[tokio::test]
async fn an_id_is_never_used_again() {
    let table = table().await;
    create(&table, &service(), "n").await.unwrap();
    let first = found(&table, "n").await;
    table.delete(&first).await.unwrap();
    create(&table, &service(), "n").await.unwrap();
    assert!(found(&table, "n").await.id > first.id);
}

#[tokio::test]
async fn an_account_may_be_full_but_not_fuller() {
    let table = table().await;
    for name in ["a", "b"] {
        create(&table, &service(), name).await.unwrap();
    }
    let text = |length: i64| Some("x".repeat(usize::try_from(length).unwrap()));
    publish(&table, &found(&table, "a").await, "i", text(BYTES_MAX / 2)).await.unwrap();
    let rest = BYTES_MAX - BYTES_MAX / 2 - 2; // the ids count too
    let b = found(&table, "b").await;
    assert_eq!(refusal(publish(&table, &b, "i", text(rest + 1)).await), Some(Refusal::Quota));
    assert_eq!(table.entries(b.id).await.unwrap(), [], "nothing is left of what is refused");
    publish(&table, &b, "i", text(rest)).await.unwrap();
    let b = found(&table, "b").await;
    assert_eq!(refusal(publish(&table, &b, "i", text(rest)).await), None, "what takes its place does not add to it");
    let b = found(&table, "b").await;
    assert_eq!(refusal(publish(&table, &b, "j", None).await), Some(Refusal::Quota));
    table.purge(&found(&table, "a").await).await.unwrap();
    assert_eq!(refusal(publish(&table, &found(&table, "b").await, "j", None).await), None, "room was given back");
}

#[tokio::test]
async fn a_decision_on_an_older_state_is_a_conflict() {
    let table = table().await;
    create(&table, &service(), "n").await.unwrap();
    let old = found(&table, "n").await;
    publish(&table, &old, "a", None).await.unwrap();
    assert!(publish(&table, &old, "b", None).await.is_err_and(|failure| failure.is_conflict()), "another publication");
    let old = found(&table, "n").await;
    table.configure(&old, &Config::shared(&BOUNDS)).await.unwrap();
    let changes = [(bare("bob@x"), Affiliation::Member)];
    assert!(publish(&table, &old, "b", None).await.is_err_and(|failure| failure.is_conflict()));
    assert!(table.set_affiliations(&old, &changes).await.is_err_and(|failure| failure.is_conflict()));
    assert!(matches!(table.retract(&old, "a").await, Err(StoreError::Conflict { .. })));
    assert!(matches!(table.purge(&old).await, Err(StoreError::Conflict { .. })));
    assert!(matches!(table.delete(&old).await, Err(StoreError::Conflict { .. })));
}

#[tokio::test]
async fn fewer_items_to_keep_leave_the_newest() {
    let table = table().await;
    create(&table, &service(), "n").await.unwrap();
    for id in ["a", "b", "c"] {
        publish(&table, &found(&table, "n").await, id, None).await.unwrap();
    }
    publish(&table, &found(&table, "n").await, "a", None).await.unwrap();
    let node = found(&table, "n").await;
    table.configure(&node, &Config { items: 2, ..node.config.clone() }).await.unwrap();
    let ids = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(ids(table.entries(node.id).await.unwrap()), ["c", "a"]);
    let node = found(&table, "n").await;
    table.configure(&node, &Config { persist: false, ..node.config.clone() }).await.unwrap();
    assert_eq!(ids(table.entries(node.id).await.unwrap()), Vec::<String>::new());
}

#[tokio::test]
async fn a_node_has_as_many_affiliations_as_the_limit_and_no_more() {
    let table = table().await;
    create(&table, &service(), "n").await.unwrap();
    // The owner's is one of them.
    let changes: Vec<_> = (1..AFFILIATIONS_MAX).map(|n| (bare(&format!("a{n}@x")), Affiliation::Member)).collect();
    assert_eq!(refusal(table.set_affiliations(&found(&table, "n").await, &changes).await), None);
    let more = [(bare("more@x"), Affiliation::Member)];
    assert_eq!(refusal(table.set_affiliations(&found(&table, "n").await, &more).await), Some(Refusal::Quota));
    let swap = [(bare("a1@x"), Affiliation::None), (bare("more@x"), Affiliation::Member)];
    assert_eq!(refusal(table.set_affiliations(&found(&table, "n").await, &swap).await), None);
}

#[tokio::test]
async fn a_node_and_an_account_have_as_many_subscriptions_as_their_limits_and_no_more() {
    let table = table().await;
    create(&table, &service(), "n").await.unwrap();
    let of = |who: &str, n: i64| (Jid::parse(&format!("{who}@x/{n}")).unwrap(), SubscriptionState::Subscribed);
    let own: Vec<_> = (0..SUBSCRIPTIONS_OF_ONE).map(|n| of("bob", n)).collect();
    assert_eq!(refusal(table.set_subscriptions(&found(&table, "n").await, &own).await), None);
    let more = [of("bob", SUBSCRIPTIONS_OF_ONE)];
    assert_eq!(
        refusal(table.set_subscriptions(&found(&table, "n").await, &more).await),
        Some(Refusal::TooManySubscriptions)
    );
    let others: Vec<_> = (SUBSCRIPTIONS_OF_ONE..SUBSCRIPTIONS_MAX).map(|n| of(&format!("a{n}"), 0)).collect();
    assert_eq!(refusal(table.set_subscriptions(&found(&table, "n").await, &others).await), None);
    let more = [of("carla", 0)];
    assert_eq!(
        refusal(table.set_subscriptions(&found(&table, "n").await, &more).await),
        Some(Refusal::TooManySubscriptions)
    );
    assert_eq!(table.subscribers(found(&table, "n").await.id).await.unwrap(), SUBSCRIPTIONS_MAX);
}
