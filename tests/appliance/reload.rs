//! A new configuration while everything runs.

use torg::app::bridges::Applied;
use torg_wire::stanza::StanzaCondition;
use torg_wire::xml::Element;

use crate::world::{Line, Place, WITHIN, bridge, meet, names, read};

#[tokio::test]
async fn editing_one_line_leaves_the_other_lines_socket_and_every_session_alone() {
    let (kept, edited) = (Line::start().await, Line::start().await);
    let lines = |name: &str| bridge(&[kept.section("kept", "relay-a"), edited.section("edited", name)]);
    let place = Place::new(&lines("relay-b"), &["anna"]);
    place.account("anna").await;
    let mut appliance = place.start().await.unwrap();
    let (connection, gateway) = place.meet(&appliance, "anna").await;
    assert!(read(&gateway).await.is_complete());
    assert_eq!((kept.connections(), edited.connections()), (1, 1));

    place.write(&lines("relay-c"), &["anna"]);
    let done = place.reload(&mut appliance).await;
    assert_eq!(done.lines, Applied { kept: 1, replaced: 1, started: 0, stopped: 0 });
    // The same session, without a new login.
    assert_eq!(names(&gateway).await, ["relay-a", "relay-c"]);
    assert!(read(&gateway).await.is_complete());
    assert_eq!((kept.connections(), edited.connections()), (1, 2));
    connection.leave().await;
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn readouts_go_on_while_another_line_is_replaced_again_and_again() {
    let (kept, edited) = (Line::start().await, Line::start().await);
    let lines = |name: &str| bridge(&[kept.section("kept", "relay-a"), edited.section("edited", name)]);
    let place = Place::new(&lines("relay-0"), &["anna"]);
    place.account("anna").await;
    let mut appliance = place.start().await.unwrap();
    let (connection, gateway) = place.meet(&appliance, "anna").await;
    let source = gateway.sources().await.unwrap()[0].source.clone();
    let node = torg_thing::NodeRef::new(source, torg_thing::NodeId::parse("relay-a").unwrap());
    let wanted =
        torg::client::Wanted { nodes: vec![node], fields: Vec::new(), categories: torg_thing::Categories::ALL };
    let reads = async {
        for _ in 0..100 {
            let readings = gateway.read(&wanted).await.unwrap();
            assert!(readings.is_complete(), "{readings:?}");
        }
    };
    let reloads = async {
        for number in 1..=5 {
            place.write(&lines(&format!("relay-{number}")), &["anna"]);
            place.reload(&mut appliance).await;
        }
    };
    tokio::join!(reads, reloads);
    assert_eq!(names(&gateway).await, ["relay-5", "relay-a"]);
    assert_eq!(kept.connections(), 1);
    connection.leave().await;
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn a_bridge_that_is_taken_out_takes_its_nodes_and_its_source_along() {
    let line = Line::start().await;
    let place = Place::new(&bridge(&[line.section("relays", "relay-1")]), &["anna"]);
    place.account("anna").await;
    let mut appliance = place.start().await.unwrap();
    let (connection, gateway) = place.meet(&appliance, "anna").await;
    assert_eq!(names(&gateway).await, ["relay-1"]);
    place.write("", &["anna"]);
    place.reload(&mut appliance).await;
    assert!(gateway.sources().await.unwrap().is_empty());
    connection.leave().await;
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn a_new_friend_is_welcome_without_a_restart() {
    let place = Place::new("", &[]);
    place.account("bob").await;
    let mut appliance = place.start().await.unwrap();
    let connection = place.log_in(&appliance, "bob", "bob", false).await.unwrap();
    // His request waits; then the list changes and he is let in by the request that is already there.
    let (met, ()) = tokio::join!(meet(&connection, WITHIN), async {
        place.write("", &["bob"]);
        place.reload(&mut appliance).await;
    });
    assert_eq!(met.unwrap().address().bare_str(), "gateway@localhost");
    connection.leave().await;
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn a_friend_taken_off_the_list_is_refused_without_a_restart() {
    let line = Line::start().await;
    let bridge = bridge(&[line.section("relays", "relay-1")]);
    let place = Place::new(&bridge, &["bob"]);
    place.account("bob").await;
    let mut appliance = place.start().await.unwrap();
    let (connection, gateway) = place.meet(&appliance, "bob").await;
    assert_eq!(names(&gateway).await, ["relay-1"]);
    place.write(&bridge, &[]);
    place.reload(&mut appliance).await;
    // The end of the friendship travels as a presence, so the next requests may still come before it.
    let refused = async { while gateway.sources().await.is_ok() {} };
    tokio::time::timeout(WITHIN, refused).await.unwrap();
    connection.leave().await;
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn a_new_account_with_the_name_of_a_removed_friend_is_refused_without_a_restart() {
    let place = Place::new("", &["bob"]);
    place.account("bob").await;
    let appliance = place.start().await.unwrap();
    let (old, gateway) = place.meet(&appliance, "bob").await;
    gateway.sources().await.unwrap();
    let to = gateway.address().as_jid().clone();
    place.remove("bob").await;
    place.account("bob").await;
    tokio::time::timeout(WITHIN, old.session.closed()).await.unwrap();
    let new = place.log_in(&appliance, "bob", "bob", false).await.unwrap();
    let node = Element::new("urn:nfi:iot:sd:1.0", "nd").with_attr("id", "none");
    let request = Element::new("urn:nfi:iot:sd:1.0", "req").with_attr("id", "1").with_child(node);
    let refused = new.session.get(Some(&to), request, WITHIN).await.unwrap_err();
    assert_eq!(refused.condition(), Some(StanzaCondition::Forbidden), "{refused}");
    new.leave().await;
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn what_only_a_restart_can_change_is_named_and_not_changed() {
    let place = Place::new("", &[]);
    let mut appliance = place.start().await.unwrap();
    let text = std::fs::read_to_string(place.file()).unwrap();
    let text = text.replace("c2s_tls = [\"127.0.0.1:0\"]", "c2s_tls = []") + "[store]\npath = \"other.db\"\n";
    std::fs::write(place.file(), text).unwrap();
    let done = place.reload(&mut appliance).await;
    assert_eq!(done.restart_needed, ["broker.listen.c2s_tls", "store.path"]);
    assert!(appliance.settings().store.ends_with("torg.db"));
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn a_file_with_errors_never_reaches_the_appliance() {
    let line = Line::start().await;
    let place = Place::new(&bridge(&[line.section("relays", "relay-1")]), &[]);
    place.write("[[bridge]]\nkind = \"modbas\"\nname = \"plant\"\n", &[]);
    let errors = place.load().unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().ends_with("did you mean `modbus`?"), "{}", errors[0]);
}
