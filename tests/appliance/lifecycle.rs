//! Starting and stopping.

use std::time::Instant;

use torg_wire::stanza::{MessageType, Stanza};

use crate::world::{Line, Place, WITHIN, bridge, meet, names, read};

#[tokio::test]
async fn a_friend_reads_every_node_as_soon_as_the_appliance_has_started() {
    let line = Line::start().await;
    let place = Place::new(&bridge(&[line.section("relays", "relay-1")]), &["anna"]);
    place.account("anna").await;
    let appliance = place.start().await.unwrap();
    let (connection, gateway) = place.meet(&appliance, "anna").await;
    let readings = read(&gateway).await;
    assert!(readings.is_complete(), "{readings:?}");
    assert_eq!(readings.nodes[0].fields.len(), 8);
    connection.leave().await;
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn a_client_gets_in_by_direct_tls_too() {
    let place = Place::new("", &[]);
    place.account("anna").await;
    let appliance = place.start().await.unwrap();
    let connection = place.log_in(&appliance, "anna", "anna", true).await.unwrap();
    assert_eq!(connection.session.jid().to_bare().as_str(), "anna@localhost");
    connection.leave().await;
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn a_wrong_password_is_told_as_such() {
    let place = Place::new("", &[]);
    place.account("anna").await;
    let appliance = place.start().await.unwrap();
    let error = place.log_in(&appliance, "anna", "wrong", false).await.unwrap_err().to_string();
    assert_eq!(error, "anna@localhost was not let in: the password is wrong, or there is no such account.");
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn a_second_appliance_on_the_same_store_is_refused() {
    let place = Place::new("", &[]);
    let appliance = place.start().await.unwrap();
    let error = place.start().await.err().unwrap().to_string();
    assert!(error.starts_with("Another torg (process "), "{error}");
    assert!(appliance.stop().await);
    assert!(place.start().await.unwrap().stop().await, "free again");
}

#[tokio::test]
async fn an_account_made_while_the_appliance_runs_can_log_in_at_once() {
    let place = Place::new("", &[]);
    let appliance = place.start().await.unwrap();
    place.account("anna").await;
    place.log_in(&appliance, "anna", "anna", false).await.unwrap().leave().await;
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn stopping_tells_every_session_and_takes_the_nodes_away() {
    let line = Line::start().await;
    let place = Place::new(&bridge(&[line.section("relays", "relay-1")]), &["anna"]);
    place.account("anna").await;
    let appliance = place.start().await.unwrap();
    let (connection, gateway) = place.meet(&appliance, "anna").await;
    assert_eq!(names(&gateway).await, ["relay-1"]);
    let began = Instant::now();
    let (in_time, reason) = tokio::join!(appliance.stop(), connection.session.closed());
    assert!(in_time);
    assert!(began.elapsed() < torg::app::STOP_WITHIN);
    assert!(reason.contains("system-shutdown"), "{reason}");
}

#[tokio::test]
async fn messages_that_were_taken_for_an_absent_account_survive_a_restart() {
    let place = Place::new("", &[]);
    place.account("anna").await;
    place.account("bob").await;
    let appliance = place.start().await.unwrap();
    let anna = place.log_in(&appliance, "anna", "anna", false).await.unwrap();
    let bob = torg_wire::jid::Jid::parse("bob@localhost").unwrap();
    for number in 0..50 {
        let message = Stanza::message(MessageType::Chat).with_to(bob.clone()).with_body(number.to_string());
        anna.session.send(message).await.unwrap();
    }
    // An answered request behind them: the broker has dealt with all that came before.
    let server = torg_wire::jid::Jid::parse("localhost").unwrap();
    anna.session.get(Some(&server), torg_wire::xep::ping::request(), WITHIN).await.unwrap();
    assert!(appliance.stop().await);

    let appliance = place.start().await.unwrap();
    let bob = place.log_in(&appliance, "bob", "bob", false).await.unwrap();
    let mut inbox = bob.session.inbox();
    bob.session.send(Stanza::presence(torg_wire::stanza::PresenceType::Available)).await.unwrap();
    let mut bodies = Vec::new();
    while bodies.len() < 50 {
        let stanza = tokio::time::timeout(WITHIN, inbox.recv()).await.expect("every message comes").unwrap();
        bodies.extend(stanza.body());
    }
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(bodies, expected);
    bob.leave().await;
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn a_stranger_learns_nothing() {
    let place = Place::new("", &[]);
    place.account("mallory").await;
    let appliance = place.start().await.unwrap();
    let connection = place.log_in(&appliance, "mallory", "mallory", false).await.unwrap();
    let error = meet(&connection, std::time::Duration::from_secs(1)).await.unwrap_err().to_string();
    assert_eq!(error, "gateway@localhost is not online, or its owner has not accepted you yet.");
    connection.leave().await;
    assert!(appliance.stop().await);
}
