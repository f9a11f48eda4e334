//! A concentrator whose broker is on another machine.

use std::fs;

use torg::app::{Appliance, SelfNames};

use crate::world::{Line, Place, bridge, read};

#[tokio::test]
async fn nodes_of_one_appliance_are_read_through_the_broker_of_another() {
    let broker = Place::new("", &[]);
    broker.account("anna").await;
    broker.account("cellar").await;
    let there = broker.start().await.unwrap();

    let line = Line::start().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), "cellar\n").unwrap();
    let text = format!(
        "[broker]\ndomain = \"cellar.example\"\n[broker.listen]\nc2s = [\"127.0.0.1:0\"]\nc2s_tls = []\n\
         [concentrator]\njid = \"cellar@localhost\"\nfriends = [\"anna@localhost\"]\n\
         server = \"{}\"\nca = \"{}\"\npassword_file = \"password\"\n{}",
        there.addresses().c2s[0],
        there.authority().unwrap().display(),
        bridge(&[line.section("relays", "relay-1")]),
    );
    let file = folder.path().join("torg.toml");
    fs::write(&file, text).unwrap();
    let config = torg::config::load(&file, torg::catalog::BRIDGES).unwrap();
    let here = Appliance::start(config, SelfNames::DomainOnly).await.unwrap();

    let connection = broker.log_in(&there, "anna", "anna", false).await.unwrap();
    let cellar = torg_wire::jid::BareJid::parse("cellar@localhost").unwrap();
    let gateway = torg::client::Gateway::find(&connection.session, Some(&cellar), crate::world::WITHIN).await.unwrap();
    let readings = read(&gateway).await;
    assert!(readings.is_complete(), "{readings:?}");
    assert_eq!(readings.nodes[0].jid, "cellar@localhost");
    connection.leave().await;
    assert!(here.stop().await);
    assert!(there.stop().await);
}
