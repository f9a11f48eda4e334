//! Accounts that move from one store to another in the form of XEP-0227.
#![cfg(test)]

use std::sync::Arc;

use torg_accounts::{Accounts, MIGRATIONS, Transfer};
use torg_store::{Engine, Sqlite, migrate};
use torg_thing::SystemClock;
use torg_wire::jid::{BareJid, DomainPart};
use torg_wire::sasl::{AccountClass, ScramHash};
use torg_wire::secret::Secret;
use torg_wire::xml::{Element, Limits, parse_document};

async fn accounts() -> Accounts {
    let engine: Arc<dyn Engine> = Arc::new(Sqlite::in_memory().unwrap());
    migrate(&*engine, &[MIGRATIONS]).await.unwrap();
    migrate(&*engine, torg_core::MIGRATIONS).await.unwrap();
    Accounts::new(engine, DomainPart::parse("site.example").unwrap(), Arc::new(SystemClock))
}

fn anna() -> BareJid {
    BareJid::parse("anna@site.example").unwrap()
}

fn password(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn user(content: &str) -> Element {
    parse_document(content, &Limits::SERVER).unwrap()
}

#[tokio::test]
async fn the_same_password_opens_the_account_elsewhere() {
    let (here, there) = (accounts().await, accounts().await);
    here.create_as(&anna(), password("pencil"), AccountClass::Thing).await.unwrap();
    let user = here.export(&anna()).await.unwrap().unwrap();
    assert!(!user.to_string().contains("pencil"));
    assert!(matches!(there.import(&user, false).await.unwrap(), Transfer::Imported(jid, _) if jid == anna()));
    let found = there.credentials(&anna(), ScramHash::Sha256).await.unwrap().unwrap();
    assert!(found.keys.verify(&password("pencil")) && !found.keys.verify(&password("pen")));
    assert_eq!(found.class, AccountClass::Thing);
    assert_eq!(there.export(&anna()).await.unwrap().unwrap(), user);
}

#[tokio::test]
async fn a_disabled_account_stays_so() {
    let (here, there) = (accounts().await, accounts().await);
    here.create(&anna(), password("pencil")).await.unwrap();
    here.set_disabled(&anna(), true).await.unwrap();
    let user = here.export(&anna()).await.unwrap().unwrap();
    there.import(&user, false).await.unwrap();
    assert!(!there.exists(&anna()).await.unwrap());
    assert!(there.list().await.unwrap()[0].disabled);
}

#[tokio::test]
async fn an_account_that_is_there_stays_unless_it_is_to_be_replaced() {
    let there = accounts().await;
    there.create(&anna(), password("old")).await.unwrap();
    let user = user("<user xmlns='urn:xmpp:pie:0' name='anna' password='new'/>");
    assert_eq!(there.import(&user, false).await.unwrap(), Transfer::Exists(anna()));
    let verify =
        async |text| there.credentials(&anna(), ScramHash::Sha256).await.unwrap().unwrap().keys.verify(&password(text));
    assert!(verify("old").await);
    assert!(matches!(there.import(&user, true).await.unwrap(), Transfer::Imported(..)));
    assert!(verify("new").await && !verify("old").await);
}

#[tokio::test]
async fn accounts_without_a_name_or_a_way_in_are_refused() {
    let there = accounts().await;
    for bad in [
        "<user xmlns='urn:xmpp:pie:0' password='x'/>",
        "<user xmlns='urn:xmpp:pie:0' name='a b' password='x'/>",
        "<user xmlns='urn:xmpp:pie:0' name='anna@other.example' password='x'/>",
        "<user xmlns='urn:xmpp:pie:0' name='anna'/>",
        "<user xmlns='urn:xmpp:pie:0' name='anna' password=''/>",
        "<user xmlns='urn:xmpp:pie:0' name='anna'><scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-256'>\
         <iter-count>0</iter-count><salt>AAAA</salt><server-key>AA==</server-key><stored-key>AA==</stored-key>\
         </scram-credentials></user>",
    ] {
        let done = there.import(&user(bad), false).await.unwrap();
        assert!(matches!(done, Transfer::Refused(..)), "{bad}: {done:?}");
    }
    assert_eq!(there.count().await.unwrap(), 0);
}

#[tokio::test]
async fn keys_of_the_old_hash_alone_are_taken_over_and_told() {
    let here = accounts().await.with_scram_sha1(true);
    here.create(&anna(), password("pencil")).await.unwrap();
    let mut user = here.export(&anna()).await.unwrap().unwrap();
    user.retain_children(|child| child.attr("mechanism") != Some("SCRAM-SHA-256"));
    let there = accounts().await;
    let Transfer::Imported(_, done) = there.import(&user, false).await.unwrap() else { panic!("not imported") };
    assert!(done.left_out[0].contains("SCRAM-SHA-256"), "{:?}", done.left_out);
    assert!(there.credentials(&anna(), ScramHash::Sha1).await.unwrap().is_some());
}
