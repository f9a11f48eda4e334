//! The service on an SQLite store in memory, and in a file shared by two of them.

use std::sync::Arc;

use torg_store::testing::{Fault, Flaky};
use torg_store::{Batch, Engine, Sqlite, migrate};
use torg_thing::{ManualClock, Timestamp};
use torg_wire::jid::{BareJid, DomainPart};
use torg_wire::sasl::{AccountClass, CREDENTIAL_BYTES_MAX, PrepError, ScramHash};
use torg_wire::secret::Secret;

use super::*;

fn password(text: &str) -> Secret<String> {
    Secret::new(text.into())
}

fn bare(text: &str) -> BareJid {
    BareJid::parse(text).expect("a valid address")
}

fn anna() -> BareJid {
    bare("anna@site.example")
}

async fn on(engine: Arc<dyn Engine>) -> Accounts {
    migrate(&*engine, &[MIGRATIONS]).await.expect("migrated");
    migrate(&*engine, torg_core::MIGRATIONS).await.expect("migrated");
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(5_000_000)));
    Accounts::new(engine, DomainPart::parse("site.example").expect("a domain"), clock)
}

async fn accounts() -> Accounts {
    on(Arc::new(Sqlite::in_memory().expect("memory"))).await
}

async fn knows(accounts: &Accounts, hash: ScramHash, text: &str) -> bool {
    let found = accounts.credentials(&anna(), hash).await.expect("read");
    found.is_some_and(|found| found.keys.verify(&password(text)))
}

#[tokio::test]
async fn a_created_account_knows_its_password() {
    let accounts = accounts().await;
    accounts.create(&anna(), password("pencil")).await.expect("created");
    assert!(knows(&accounts, ScramHash::Sha256, "pencil").await);
    assert!(!knows(&accounts, ScramHash::Sha256, "crayon").await);
    assert!(accounts.exists(&anna()).await.expect("read"));
}

#[tokio::test]
async fn keys_are_made_with_the_iterations_we_promise() {
    let accounts = accounts().await;
    accounts.create(&anna(), password("pencil")).await.expect("created");
    let found = accounts.credentials(&anna(), ScramHash::Sha256).await.expect("read").expect("there");
    assert_eq!(found.keys.iterations(), 10_000);
}

#[tokio::test]
async fn two_accounts_with_one_password_have_different_keys() {
    let accounts = accounts().await;
    accounts.create(&anna(), password("pencil")).await.expect("created");
    accounts.create(&bare("bob@site.example"), password("pencil")).await.expect("created");
    let anna = accounts.credentials(&anna(), ScramHash::Sha256).await.expect("read").expect("there");
    let bob = accounts.credentials(&bare("bob@site.example"), ScramHash::Sha256).await.expect("read").expect("there");
    assert_ne!(anna.keys, bob.keys);
}

#[tokio::test]
async fn sha_1_keys_exist_only_where_switched_on() {
    let plain = accounts().await;
    plain.create(&anna(), password("pencil")).await.expect("created");
    assert!(!knows(&plain, ScramHash::Sha1, "pencil").await);

    let old = accounts().await.with_scram_sha1(true);
    old.create(&anna(), password("pencil")).await.expect("created");
    assert!(knows(&old, ScramHash::Sha1, "pencil").await);
    assert!(knows(&old, ScramHash::Sha256, "pencil").await);
}

#[tokio::test]
async fn a_new_password_replaces_all_old_keys() {
    let accounts = accounts().await;
    accounts.clone().with_scram_sha1(true).create(&anna(), password("pencil")).await.expect("created");
    accounts.set_password(&anna(), password("crayon")).await.expect("changed");
    assert!(knows(&accounts, ScramHash::Sha256, "crayon").await);
    assert!(!knows(&accounts, ScramHash::Sha256, "pencil").await);
    assert!(!knows(&accounts, ScramHash::Sha1, "pencil").await);
}

#[tokio::test]
async fn an_account_cannot_be_created_twice() {
    let accounts = accounts().await;
    accounts.create(&anna(), password("pencil")).await.expect("created");
    let error = accounts.create(&anna(), password("crayon")).await.expect_err("exists");
    assert!(matches!(error, AccountError::UserExists(_)), "{error}");
    assert!(knows(&accounts, ScramHash::Sha256, "pencil").await);
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_changed() {
    let accounts = accounts().await;
    let outcomes = [
        accounts.set_password(&anna(), password("pencil")).await,
        accounts.set_disabled(&anna(), true).await,
        accounts.remove(&anna()).await,
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(AccountError::UserUnknown(_))), "{outcome:?}");
    }
    assert!(!knows(&accounts, ScramHash::Sha256, "pencil").await);
}

#[tokio::test]
async fn a_removed_account_is_gone_and_its_name_is_free() {
    let accounts = accounts().await;
    accounts.create(&anna(), password("pencil")).await.expect("created");
    accounts.remove(&anna()).await.expect("removed");
    assert!(!accounts.exists(&anna()).await.expect("read"));
    assert!(accounts.list().await.expect("read").is_empty());
    accounts.create(&anna(), password("crayon")).await.expect("created again");
    assert!(!knows(&accounts, ScramHash::Sha256, "pencil").await);
}

#[tokio::test]
async fn a_removed_account_leaves_no_roster_to_whoever_gets_its_name() {
    let engine = Arc::new(Sqlite::in_memory().expect("memory"));
    let accounts = on(engine.clone()).await;
    accounts.create(&anna(), password("pencil")).await.expect("created");
    let contact = "INSERT INTO roster_item (owner, contact, groups, state, approved, listed, changed)
        VALUES ('anna@site.example', 'bob@site.example', '', 0, 0, 1, 1)";
    engine.write(Batch::new().run(contact, [])).await.expect("written");
    accounts.remove(&anna()).await.expect("removed");
    assert!(engine.query("SELECT contact FROM roster_item", vec![]).await.expect("read").is_empty());
}

#[tokio::test]
async fn a_new_password_and_a_removal_are_noted_for_a_running_broker_and_failures_are_not() {
    let engine = Arc::new(Sqlite::in_memory().expect("memory"));
    let accounts = on(engine.clone()).await;
    accounts.create(&anna(), password("pencil")).await.expect("created");
    accounts.set_password(&anna(), password("crayon")).await.expect("changed");
    accounts.remove(&anna()).await.expect("removed");
    assert!(accounts.remove(&anna()).await.is_err());
    assert!(accounts.set_password(&anna(), password("crayon")).await.is_err());
    let rows = engine.query("SELECT account FROM change_account ORDER BY number", vec![]).await.expect("read");
    let noted: Vec<_> = rows.iter().map(|row| row.text(0).expect("text")).collect();
    assert_eq!(noted, ["anna@site.example"; 2]);
}

#[tokio::test]
async fn the_broker_asks_through_its_port() {
    let accounts = accounts().await;
    accounts.create(&anna(), password("pencil")).await.expect("created");
    let port: &dyn torg_core::Credentials = &accounts;
    assert!(port.exists(&anna()).await.expect("read"));
    assert!(port.lookup(&anna(), ScramHash::Sha256).await.expect("read").is_some());
    assert!(port.lookup(&anna(), ScramHash::Sha1).await.expect("read").is_none());
}

#[tokio::test]
async fn a_disabled_account_keeps_its_keys_and_says_so() {
    let accounts = accounts().await;
    accounts.create(&anna(), password("pencil")).await.expect("created");
    accounts.set_disabled(&anna(), true).await.expect("switched off");
    assert!(accounts.credentials(&anna(), ScramHash::Sha256).await.expect("read").expect("there").disabled);
    assert!(!accounts.exists(&anna()).await.expect("read"));
    accounts.set_disabled(&anna(), false).await.expect("switched on");
    assert!(accounts.exists(&anna()).await.expect("read"));
}

#[tokio::test]
async fn the_list_is_in_order_of_names_with_their_birthdays() {
    let accounts = accounts().await;
    for name in ["carl", "anna", "bob"] {
        let account = accounts.parse_new(name).expect("a name");
        accounts.create(&account, password("pencil")).await.expect("created");
    }
    let list = accounts.list().await.expect("read");
    let names: Vec<_> = list.iter().map(|account| account.jid.as_str()).collect();
    assert_eq!(names, ["anna@site.example", "bob@site.example", "carl@site.example"]);
    assert!(list.iter().all(|account| account.created == Timestamp::from_micros(5_000_000) && !account.disabled));
}

#[tokio::test]
async fn names_are_prepared_and_need_no_domain() {
    let accounts = accounts().await;
    assert_eq!(accounts.parse_new("Anna").expect("a name"), anna());
    assert_eq!(accounts.parse("ANNA@Site.Example").expect("a name"), anna());
}

#[tokio::test]
async fn names_that_cannot_be_accounts_are_refused() {
    let accounts = accounts().await;
    for name in ["", "an na", "anna@", "anna@site.example/phone", "a'b", "\u{2168}"] {
        let outcome = accounts.parse_new(name);
        assert!(matches!(outcome, Err(AccountError::UserName { .. })), "{name}: {outcome:?}");
    }
    let outcome = accounts.parse_new("anna@other.example");
    assert!(matches!(outcome, Err(AccountError::UserDomain { .. })), "{outcome:?}");
}

#[tokio::test]
async fn an_account_of_another_domain_is_not_created() {
    let accounts = accounts().await;
    let outcome = accounts.create(&bare("anna@other.example"), password("pencil")).await;
    assert!(matches!(outcome, Err(AccountError::UserDomain { .. })), "{outcome:?}");
    let outcome = accounts.create(&bare("site.example"), password("pencil")).await;
    assert!(matches!(outcome, Err(AccountError::UserDomain { .. })), "{outcome:?}");
}

#[tokio::test]
async fn passwords_are_neither_empty_nor_endless_nor_unprintable() {
    let accounts = accounts().await;
    let long = "a".repeat(CREDENTIAL_BYTES_MAX + 1);
    for (text, why) in [("", PrepError::Empty), (long.as_str(), PrepError::Long), ("a\u{7}b", PrepError::Forbidden)] {
        let outcome = accounts.create(&anna(), password(text)).await;
        assert!(matches!(&outcome, Err(AccountError::UserPassword(found)) if *found == why), "{outcome:?}");
    }
    accounts.create(&anna(), password(&"a".repeat(CREDENTIAL_BYTES_MAX))).await.expect("the longest fits");
}

#[tokio::test]
async fn the_server_secret_is_made_once() {
    let accounts = accounts().await;
    let (first, second) = tokio::join!(accounts.server_secret(), accounts.server_secret());
    let third = accounts.server_secret().await.expect("read");
    assert_eq!(first.expect("read"), third);
    assert_eq!(second.expect("read"), third);
}

#[tokio::test]
async fn another_process_s_changes_hold_from_the_next_login_on() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("torg.db");
    let server = on(Arc::new(Sqlite::open(&path).expect("opened"))).await;
    let tool = on(Arc::new(Sqlite::open(&path).expect("opened"))).await;

    tool.create(&anna(), password("pencil")).await.expect("created");
    assert!(knows(&server, ScramHash::Sha256, "pencil").await);
    tool.set_password(&anna(), password("crayon")).await.expect("changed");
    assert!(knows(&server, ScramHash::Sha256, "crayon").await);
    tool.remove(&anna()).await.expect("removed");
    assert!(!server.exists(&anna()).await.expect("read"));
}

#[tokio::test]
async fn a_failed_write_leaves_the_old_password_whole() {
    let engine = Arc::new(Sqlite::in_memory().expect("memory"));
    let accounts = on(engine.clone()).await;
    accounts.create(&anna(), password("pencil")).await.expect("created");
    let flaky = Arc::new(Flaky::new(engine, Fault::Refused));
    let broken = Accounts::new(
        flaky.clone(),
        DomainPart::parse("site.example").expect("a domain"),
        Arc::new(ManualClock::new(Timestamp::from_micros(0))),
    );
    flaky.fail_at(1);
    let outcome = broken.set_password(&anna(), password("crayon")).await;
    assert!(matches!(outcome, Err(AccountError::Store(_))), "{outcome:?}");
    assert!(knows(&accounts, ScramHash::Sha256, "pencil").await);
}

#[tokio::test]
async fn an_account_is_a_person_s_unless_it_is_made_for_a_thing() {
    let accounts = accounts().await;
    accounts.create(&anna(), password("pencil")).await.expect("created");
    accounts.create_as(&bare("meter@site.example"), password("ruler"), AccountClass::Thing).await.expect("created");
    let class = async |jid: &str| accounts.class(&bare(jid)).await.expect("read");
    assert_eq!(class("anna@site.example").await, Some(AccountClass::Person));
    assert_eq!(class("meter@site.example").await, Some(AccountClass::Thing));
    assert_eq!(class("nobody@site.example").await, None);
    let found = accounts.credentials(&bare("meter@site.example"), ScramHash::Sha256).await.expect("read");
    assert_eq!(found.map(|found| found.class), Some(AccountClass::Thing));
    let listed: Vec<_> = accounts.list().await.expect("read").iter().map(|account| account.class).collect();
    assert_eq!(listed, [AccountClass::Person, AccountClass::Thing]);
}
