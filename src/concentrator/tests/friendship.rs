//! Who becomes a friend, and what a friend loses with the friendship.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_welcome_account_is_accepted_and_asked_back() {
    let mut world = World::new().await;
    world.send("<presence type='subscribe' from='carl@c.example' to='gw@a.example'/>").await;
    world.expect("<presence type='subscribed' to='carl@c.example'/>").await;
    world.expect("<presence type='subscribe' to='carl@c.example'/>").await;
}

#[tokio::test(start_paused = true)]
async fn anybody_else_waits_for_the_owner() {
    let mut world = World::new().await;
    world.send("<presence type='subscribe' from='eve@e.example' to='gw@a.example'/>").await;
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_accepted_once_welcome() {
    let mut world = World::new().await;
    world.send("<presence type='subscribe' from='eve@e.example' to='gw@a.example'/>").await;
    world.expect_silence().await;
    world.handle.set_friends(BTreeSet::from([BareJid::parse("eve@e.example").unwrap()])).await;
    world.expect("<presence type='subscribed' to='eve@e.example'/>").await;
}

#[tokio::test(start_paused = true)]
async fn who_is_taken_off_the_list_is_a_friend_no_more() {
    let mut world = World::new().await;
    world.handle.set_friends(BTreeSet::from([BareJid::parse("anna@a.example").unwrap()])).await;
    world.expect("<presence type='unsubscribed' to='carl@c.example'/>").await;
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_roster_push_makes_a_friend() {
    let mut world = World::new().await;
    world.add(Fake::new("meter-7", Vec::new()));
    world
        .send(
            "<iq type='set' id='p' from='gw@a.example' to='gw@a.example/1'><query xmlns='jabber:iq:roster'>\
             <item jid='eve@e.example' subscription='from'/></query></iq>",
        )
        .await;
    world.expect("<iq type='result' id='p' from='gw@a.example/1' to='gw@a.example'/>").await;
    world.ask_as("eve@e.example/x", "get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='none'/></req>").await;
    world.expect_error("item-not-found", "cancel").await;
}

#[tokio::test(start_paused = true)]
async fn a_roster_push_from_somebody_else_is_refused() {
    let mut world = World::new().await;
    world
        .send(
            "<iq type='set' id='p' from='eve@e.example/x' to='gw@a.example/1'><query xmlns='jabber:iq:roster'>\
             <item jid='eve@e.example' subscription='both'/></query></iq>",
        )
        .await;
    world.expect_error("service-unavailable", "cancel").await;
    world.ask_as("eve@e.example/x", "get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
    world.expect_error("forbidden", "cancel").await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_friend_gets_no_more_data() {
    let mut world = World::new().await;
    let steps = vec![Step::Wait(Duration::from_secs(20)), Step::Fields(vec![power("1")])];
    world.add(Fake::new("meter-7", steps));
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    world.expect_result("<started xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
    world
        .send(
            "<iq type='set' id='p' to='gw@a.example/1'><query xmlns='jabber:iq:roster'>\
             <item jid='anna@a.example' subscription='to'/></query></iq>",
        )
        .await;
    world.expect("<iq type='result' id='p' from='gw@a.example/1'/>").await;
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_served_before_the_roster_is_known() {
    let mut world = World::before_roster(Config::default()).await;
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
    world.expect_error("forbidden", "cancel").await;
}

#[tokio::test(start_paused = true)]
async fn it_takes_its_presence_back_when_it_stops() {
    let mut world = World::new().await;
    world.shutdown.cancel();
    world.expect("<presence type='unavailable'/>").await;
    world.running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_its_uplink_and_leaves_the_rest_running() {
    let mut world = World::new().await;
    world.inbound = None;
    (&mut world.running).await.unwrap();
    assert!(!world.shutdown.is_cancelled());
}
