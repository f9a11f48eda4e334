//! Peers of the first generation: XEP-0323, XEP-0325, XEP-0326 and the proposal for events.

use super::*;
use torg_thing::{ControlParameter, ControlValue, EnumValue, ParameterKind, Range};
use torg_wire::xep::disco::Info;

const POWER: &str = "<node nodeId='meter-7'><timestamp value='2026-03-01T10:15:00Z'><numeric name='Power' value='230.1' \
                     unit='W' momentary='true' automaticReadout='true'/></timestamp></node>";

fn quick() -> Fake {
    Fake::new("meter-7", vec![Step::Fields(vec![power("230.1")])])
}

fn valve() -> Fake {
    let mut node = Fake::new("valve", Vec::new());
    let parameter = |named: &str, kind: ParameterKind, range: Option<Range>| ControlParameter {
        name: name(named),
        kind,
        range,
        label: "".into(),
        description: "".into(),
    };
    let mode = ParameterKind::Enumeration { kind: "Mode".into(), values: vec!["Auto".into(), "Off".into()] };
    let range = Range { min: Some(0.into()), max: Some(100.into()), values: Vec::new() };
    node.about_mut().controls =
        vec![parameter("Position", ParameterKind::Int32, Some(range)), parameter("Mode", mode, None)];
    node
}

async fn read(world: &World, attributes: &str) {
    let node = "<node nodeId='meter-7'/>";
    world.ask("get", &format!("<req xmlns='urn:xmpp:iot:sensordata' seqnr='1' {attributes}>{node}</req>")).await;
}

async fn expect_accepted(world: &mut World) {
    world.expect_result("<accepted xmlns='urn:xmpp:iot:sensordata' seqnr='1'/>").await;
}

async fn expect_told(world: &mut World, name: &str, attributes: &str, inside: &str) {
    let space = "xmlns='urn:xmpp:iot:sensordata' seqnr='1'";
    world.expect_message(&format!("<{name} {space} {attributes}>{inside}</{name}>")).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_listed_beside_the_later_ones() {
    let mut world = World::new().await;
    world.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>").await;
    let info = Info::decode(world.next().await.payload().unwrap()).unwrap();
    for name in ["sensordata", "control", "events", "concentrators"] {
        assert!(info.has(&format!("urn:xmpp:iot:{name}")), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn data_follows_the_acceptance_however_quick_the_node() {
    let mut world = World::new().await;
    let meter = world.add(quick());
    read(&world, "momentary='true'").await;
    expect_accepted(&mut world).await;
    expect_told(&mut world, "fields", "done='true'", POWER).await;
    world.expect_silence().await;
    assert_eq!(meter.reads.lock().unwrap().first().unwrap().categories, Categories::MOMENTARY);
}

#[tokio::test(start_paused = true)]
async fn a_slow_readout_is_accepted_and_does_not_say_that_it_started() {
    let mut world = World::new().await;
    let wait = Step::Wait(Duration::from_secs(30));
    world.add(Fake::new("meter-7", vec![wait, Step::Fields(vec![power("230.1")])]));
    read(&world, "all='true'").await;
    expect_accepted(&mut world).await;
    expect_told(&mut world, "fields", "done='true'", POWER).await;
}

#[tokio::test(start_paused = true)]
async fn a_readout_in_the_future_is_queued_then_started() {
    let mut world = World::new().await;
    world.add(quick());
    read(&world, "when='2026-03-01T10:20:00'").await;
    world.expect_result("<accepted xmlns='urn:xmpp:iot:sensordata' seqnr='1' queued='true'/>").await;
    expect_told(&mut world, "started", "", "").await;
    expect_told(&mut world, "fields", "done='true'", POWER).await;
}

#[tokio::test(start_paused = true)]
async fn errors_have_an_element_of_their_own() {
    let mut world = World::new().await;
    let silent = NodeError::DeviceSilent { waited: Duration::from_millis(500) };
    let steps = vec![Step::Fields(vec![power("230.1")]), Step::Failure(vec![name("Energy")], silent.clone())];
    world.add(Fake::new("meter-7", steps));
    read(&world, "all='true'").await;
    expect_accepted(&mut world).await;
    expect_told(&mut world, "fields", "", POWER).await;
    let error = "<error nodeId='meter-7' timestamp='2026-03-01T10:15:00Z'>Energy: no answer within 500 ms.</error>";
    expect_told(&mut world, "failure", "done='true'", error).await;
}

#[tokio::test(start_paused = true)]
async fn a_readout_without_anything_is_done() {
    let mut world = World::new().await;
    world.add(Fake::new("meter-7", Vec::new()));
    read(&world, "all='true'").await;
    expect_accepted(&mut world).await;
    expect_told(&mut world, "done", "", "").await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_readout_is_confirmed_and_silent() {
    let mut world = World::new().await;
    world.add(Fake::new("meter-7", vec![Step::Wait(Duration::from_secs(30)), Step::Fields(vec![power("1")])]));
    read(&world, "all='true'").await;
    expect_accepted(&mut world).await;
    world.ask("get", "<cancel xmlns='urn:xmpp:iot:sensordata' seqnr='1'/>").await;
    world.expect_result("<cancelled xmlns='urn:xmpp:iot:sensordata' seqnr='1'/>").await;
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_an_error_as_ever() {
    let mut world = World::new().await;
    read(&world, "all='true'").await;
    world.expect_error("item-not-found", "cancel").await;
    let request = "<req xmlns='urn:xmpp:iot:sensordata' seqnr='1'/>";
    world.ask_as("stranger@s.example/x", "get", request).await;
    world.expect_error("forbidden", "cancel").await;
    world.ask("get", "<req xmlns='urn:xmpp:iot:sensordata'/>").await;
    world.expect_error("bad-request", "modify").await;
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_is_told_changes() {
    let mut world = World::new().await;
    world.add(quick());
    let subscribe = "<subscribe xmlns='urn:xmpp:iot:events' seqnr='1' momentary='true' minInterval='PT1S'>\
                     <node nodeId='meter-7'/><field name='Power' changedUp='5' currentValue='225'/></subscribe>";
    world.ask("get", subscribe).await;
    expect_accepted(&mut world).await;
    world.ask_as("anna@a.example/other", "get", "<req xmlns='urn:nf:iot:sd:1.0' id='r'><nd id='meter-7'/></req>").await;
    // The readout of another session of hers, then the event it gives rise to.
    assert_eq!(world.next().await.to().unwrap().as_str(), "anna@a.example/other");
    expect_told(&mut world, "fields", "done='true'", POWER).await;
    world.ask("get", "<unsubscribe xmlns='urn:xmpp:iot:events' seqnr='1'/>").await;
    world.expect_result("").await;
}

#[tokio::test(start_paused = true)]
async fn parameters_are_set_and_listed() {
    let mut world = World::new().await;
    let valve = world.add(valve());
    world
        .ask(
            "set",
            "<set xmlns='urn:xmpp:iot:control' xml:lang='en'><node nodeId='valve'/><int name='Position' value='40'/>\
             <string name='Mode' value='Off'/></set>",
        )
        .await;
    world
        .expect_result(
            "<setResponse xmlns='urn:xmpp:iot:control' responseCode='OK'><node nodeId='valve'/><parameter name='Position'/>\
             <parameter name='Mode'/></setResponse>",
        )
        .await;
    let sets = valve.sets.lock().unwrap();
    let told: Vec<_> = sets.iter().map(|set| set.value.clone()).collect();
    let off = EnumValue { value: "Off".into(), kind: "Mode".into() };
    assert_eq!(told, [ControlValue::Int32(40), ControlValue::Enumeration(off)]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_value_names_its_parameter_in_one_attribute() {
    let mut world = World::new().await;
    world.add(valve());
    let set = "<set xmlns='urn:xmpp:iot:control'><node nodeId='valve'/><int name='Position' value='101'/></set>";
    world.ask("set", set).await;
    let told = world.next().await.to_string();
    let expected =
        "<paramError xmlns='urn:xmpp:iot:control' var='Position'>Allowed is 0 to 100, asked was 101.</paramError>";
    assert!(told.contains(expected), "{told}");
}

#[tokio::test(start_paused = true)]
async fn an_order_in_a_message_is_carried_out_without_an_answer() {
    let mut world = World::new().await;
    let valve = world.add(valve());
    let order = |from: &str, value: u8, rest: &str| {
        format!(
            "<message from='{from}' to='gw@a.example/1'>{rest}<set xmlns='urn:xmpp:iot:control'><node nodeId='valve'/>\
             <int name='Position' value='{value}'/></set></message>"
        )
    };
    let delay = "<delay xmlns='urn:xmpp:delay' stamp='2026-03-01T09:00:00Z'/>";
    for text in [
        order("anna@a.example/x", 40, "<body>Open!</body>"),
        order("anna@a.example/x", 101, ""),
        order("anna@a.example/x", 41, delay),
        order("stranger@s.example/x", 42, ""),
    ] {
        world.send(&text).await;
    }
    world.expect_silence().await;
    let sets = valve.sets.lock().unwrap();
    assert_eq!(sets.iter().map(|set| set.value.clone()).collect::<Vec<_>>(), [ControlValue::Int32(40)]);
}

#[tokio::test(start_paused = true)]
async fn the_form_is_that_of_the_later_ones() {
    let mut world = World::new().await;
    world.add(valve());
    world.ask("get", "<getForm xmlns='urn:xmpp:iot:control'><node nodeId='valve'/></getForm>").await;
    let old = world.next().await;
    world.ask("get", "<getForm xmlns='urn:nfi:iot:ctr:1.0'><nd id='valve'/></getForm>").await;
    assert_eq!(old.payload(), world.next().await.payload());
    assert!(old.payload().unwrap().is("jabber:x:data", "x"));
}

#[tokio::test(start_paused = true)]
async fn nodes_are_browsed() {
    let mut world = World::new().await;
    world.add(quick());
    let wrapped = |name: &str, inside: &str| {
        format!("<{name}Response xmlns='urn:xmpp:iot:concentrators' result='OK'>{inside}</{name}Response>")
    };
    world.ask("get", "<containsNode xmlns='urn:xmpp:iot:concentrators' nodeId='meter-7' sourceId='plant'/>").await;
    world.expect_result(&wrapped("containsNode", "true")).await;
    world.ask("get", "<getRootNodes xmlns='urn:xmpp:iot:concentrators' sourceId='plant'/>").await;
    let node = "<node nodeId='meter-7' nodeType='fake.device' displayName='meter-7' state='None' hasChildren='false' \
                isReadable='true' lastChanged='2026-03-01T10:15:00Z'/>";
    world.expect_result(&wrapped("getRootNodes", node)).await;
    world.ask("get", "<getNode xmlns='urn:xmpp:iot:concentrators' nodeId='meter-9'/>").await;
    world.expect_result("<getNodeResponse xmlns='urn:xmpp:iot:concentrators' result='NotFound'/>").await;
}

#[tokio::test(start_paused = true)]
async fn a_stranger_learns_nothing_of_nodes() {
    let mut world = World::new().await;
    world.add(quick());
    for node in ["meter-7", "meter-9"] {
        let question = format!("<getNode xmlns='urn:xmpp:iot:concentrators' nodeId='{node}'/>");
        world.ask_as("stranger@s.example/x", "get", &question).await;
        let answer = world.next().await;
        assert_eq!(answer.payload().unwrap().attr("result"), Some("InsufficientPrivileges"));
    }
}

#[tokio::test(start_paused = true)]
async fn indices_and_databases_are_not_there() {
    let mut world = World::new().await;
    for name in [
        "getIndices",
        "getNodesFromIndex",
        "getNodesFromIndices",
        "getAllIndexValues",
        "getDatabases",
        "getDatabaseReadoutParameters",
        "startDatabaseReadout",
    ] {
        world.ask("get", &format!("<{name} xmlns='urn:xmpp:iot:concentrators'/>")).await;
        world.expect_error("feature-not-implemented", "cancel").await;
    }
}
