//! Sources, nodes and what is told of them.

use super::*;
use torg_thing::{DisplayParameter, NodeMessage, Severity};
use torg_wire::iot::concentrator::Answer;
use torg_wire::iot::{Generation, Interface, NodeInfo, ParameterValue};

/// line - meter-7, meter-8; and a source of its own for the boiler.
async fn plant() -> World {
    let world = World::new().await;
    let mut line = Fake::new("line", Vec::new());
    line.about_mut().kind = "fake.line";
    line.about_mut().fields.clear();
    world.add(line);
    for id in ["meter-7", "meter-8"] {
        let mut meter = Fake::new(id, Vec::new());
        meter.about_mut().parent = Some(NodeId::parse("line").unwrap());
        world.add(meter);
    }
    let mut boiler = Fake::new("boiler", Vec::new());
    boiler.about_mut().node.source = SourceId::parse("house").unwrap();
    boiler.about_mut().interfaces = vec!["urn:nfi:iot:hi:sensor:temperature:1.0".into()];
    world.add(boiler);
    world
}

const NS: &str = "urn:nfi:iot:concentrator:1.0";

/// Asks and reads the answer; `payload` is without namespace.
async fn ask(world: &mut World, name: &str, rest: &str) -> Answer {
    world.ask("get", &format!("<{name} xmlns='{NS}' {rest}")).await;
    let answer = world.next().await;
    let payload = answer.payload().unwrap_or_else(|| panic!("{answer}"));
    Answer::decode(payload).unwrap_or_else(|problem| panic!("{problem}: {answer}")).0
}

async fn ask_infos(world: &mut World, name: &str, rest: &str) -> Vec<NodeInfo> {
    match ask(world, name, rest).await {
        Answer::NodeInfos(infos) => infos,
        Answer::NodeInfo(info) => vec![*info],
        other => panic!("{other:?}"),
    }
}

fn ids(infos: &[NodeInfo]) -> Vec<&str> {
    infos.iter().map(|info| info.node.id.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_as_a_capability_is_implemented_and_nothing_else() {
    let mut world = plant().await;
    let Answer::Strings(names) = ask(&mut world, "getCapabilities", "/>").await else { panic!("no strings") };
    assert_eq!(names.len(), 13 + 10 + 2 + 2);
    for name in names.iter().take(13) {
        world.ask("get", &format!("<{name} xmlns='{NS}' id='meter-7' src='plant'><nd id='meter-7'/></{name}>")).await;
        let answer = world.next().await;
        assert!(answer.error().is_none(), "{answer}");
    }
    for name in ["createNewNode", "getNodeParametersForEdit", "destroyNode", "getIndices"] {
        world.ask("get", &format!("<{name} xmlns='{NS}' id='meter-7' src='plant'/>")).await;
        world.expect_error("feature-not-implemented", "cancel").await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_generation_gets_the_same_answer_in_its_own_namespace() {
    for generation in Generation::ALL {
        let namespace = generation.namespace(Interface::Concentrator);
        let mut world = plant().await;
        world.ask("get", &format!("<getChildDataSources xmlns='{namespace}' src='plant'/>")).await;
        world.expect_result(&format!("<dataSources xmlns='{namespace}'/>")).await;
        world.ask("get", &format!("<containsNode xmlns='{namespace}' id='boiler'/>")).await;
        world.expect_result(&format!("<bool xmlns='{namespace}'>true</bool>")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_bridge_is_a_source() {
    let mut world = plant().await;
    world.tree.add_source(SourceId::parse("empty").unwrap(), "Nothing yet");
    for operation in ["getAllDataSources", "getRootDataSources"] {
        let Answer::DataSources(sources) = ask(&mut world, operation, "/>").await else { panic!("no sources") };
        let found: Vec<_> = sources.iter().map(|source| (source.source.as_str(), source.name.as_str())).collect();
        assert_eq!(found, [("empty", "Nothing yet"), ("house", "house"), ("plant", "plant")]);
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_are_found_by_their_place_in_the_tree() {
    let mut world = plant().await;
    assert_eq!(ids(&ask_infos(&mut world, "getRootNodes", "src='plant'/>").await), ["line"]);
    assert_eq!(ids(&ask_infos(&mut world, "getChildNodes", "id='line' src='plant'/>").await), ["meter-7", "meter-8"]);
    assert_eq!(ids(&ask_infos(&mut world, "getAllNodes", "src='plant'/>").await), ["line", "meter-7", "meter-8"]);
    assert_eq!(ids(&ask_infos(&mut world, "getAncestors", "id='meter-8' src='plant'/>").await), ["meter-8", "line"]);
    let several = "><nd id='boiler'/><nd id='line' src='plant'/></getNodes>";
    assert_eq!(ids(&ask_infos(&mut world, "getNodes", several).await), ["boiler", "line"]);
}

#[tokio::test(start_paused = true)]
async fn the_flags_of_a_node_are_true() {
    let mut world = plant().await;
    let line = ask_infos(&mut world, "getNode", "id='line' src='plant'/>").await.remove(0);
    assert_eq!((line.has_children, line.is_readable, line.is_controllable), (true, false, false));
    assert_eq!((line.has_commands, line.sniffable, line.parent), (false, false, None));
    let meter = ask_infos(&mut world, "getNode", "id='meter-7' src='plant'/>").await.remove(0);
    assert_eq!((meter.has_children, meter.is_readable), (false, true));
    assert_eq!(meter.parent.unwrap().id.as_str(), "line");
    assert_eq!(meter.kind.as_deref(), Some("fake.device"));
}

#[tokio::test(start_paused = true)]
async fn nodes_of_one_type_can_be_asked_for() {
    let mut world = plant().await;
    let of = |kind: &str| format!("src='plant'><onlyIfDerivedFrom>{kind}</onlyIfDerivedFrom></getAllNodes>");
    assert_eq!(ids(&ask_infos(&mut world, "getAllNodes", &of("fake.line")).await), ["line"]);
    assert_eq!(ids(&ask_infos(&mut world, "getAllNodes", &of("torg.node")).await).len(), 3);
    world.ask("get", &format!("<getAllNodes xmlns='{NS}' {}", of("other"))).await;
    world.expect_error("item-not-found", "cancel").await;
}

#[tokio::test(start_paused = true)]
async fn parameters_and_messages_are_told_when_asked_for() {
    let mut world = plant().await;
    let mut meter = Fake::new("meter-9", Vec::new());
    let address = DisplayParameter { id: "Address".into(), name: "Address".into(), value: FieldValue::Int32(3) };
    meter.about_mut().parameters = vec![address];
    meter.about_mut().fields[0].unconfirmed = true;
    world.add(meter);
    let message = |event, severity| NodeMessage { at: at(1), severity, event, text: format!("{event}.") };
    world.tree.report(&super::address("meter-9"), message("DeviceSilent", Severity::Warning));
    world.tree.report(&super::address("meter-9"), message("LineDown", Severity::Error));
    world.tree.report(&super::address("meter-9"), message("DeviceSilent", Severity::Warning));

    let bare = ask_infos(&mut world, "getNode", "id='meter-9'/>").await.remove(0);
    assert_eq!((bare.parameters.len(), bare.messages.len()), (0, 0));
    assert_eq!(bare.state, torg_thing::NodeState::ErrorUnsigned);

    let full = ask_infos(&mut world, "getNode", "id='meter-9' parameters='true' messages='true'/>").await.remove(0);
    let value = |id: &str| full.parameters.iter().find(|parameter| parameter.id == id).map(|found| found.value.clone());
    assert_eq!(value("Address"), Some(ParameterValue::Int32(3)));
    assert_eq!(value("NodeId"), Some(ParameterValue::Text("meter-9".into())));
    assert_eq!(value("Unconfirmed"), Some(ParameterValue::Text("Power".into())));
    let events: Vec<_> = full.messages.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(events, ["LineDown.", "DeviceSilent."]);

    world.tree.clear(&super::address("meter-9"), "LineDown");
    let cleared = ask_infos(&mut world, "getNode", "id='meter-9'/>").await.remove(0);
    assert_eq!(cleared.state, torg_thing::NodeState::WarningUnsigned);
}

#[tokio::test(start_paused = true)]
async fn containing_is_told_in_the_order_asked_and_never_fails() {
    let mut world = plant().await;
    let nodes =
        "><nd id='meter-7'/><nd id='none'/><nd id='meter-7' src='house'/><nd id='boiler' src='house'/></containsNodes>";
    assert_eq!(ask(&mut world, "containsNodes", nodes).await, Answer::Bools(vec![true, false, false, true]));
    assert_eq!(ask(&mut world, "containsNode", "id='none'/>").await, Answer::Bool(false));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_is_not_found() {
    let mut world = plant().await;
    for rest in [
        "getNode xmlns='urn:nfi:iot:concentrator:1.0' id='none'/>",
        "getNodes xmlns='urn:nfi:iot:concentrator:1.0'><nd id='boiler'/><nd id='none'/></getNodes>",
        "getChildNodes xmlns='urn:nfi:iot:concentrator:1.0' id='meter-7' src='house'/>",
        "getRootNodes xmlns='urn:nfi:iot:concentrator:1.0' src='none'/>",
        "getRootNodes xmlns='urn:nfi:iot:concentrator:1.0'/>",
        "getChildDataSources xmlns='urn:nfi:iot:concentrator:1.0' src='none'/>",
    ] {
        world.ask("get", &format!("<{rest}")).await;
        world.expect_error("item-not-found", "cancel").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_told_the_same_of_everything() {
    let mut world = plant().await;
    let mut answers = BTreeSet::new();
    for payload in
        ["getCapabilities", "getAllDataSources", "getNode id='boiler'", "getNode id='none'", "getNode", "nothing"]
    {
        let (name, rest) = payload.split_once(' ').unwrap_or((payload, ""));
        world.ask_as("eve@e.example/x", "get", &format!("<{name} xmlns='{NS}' {rest}/>")).await;
        answers.insert(world.next().await.to_string());
    }
    assert_eq!(answers.len(), 1);
    assert!(answers.first().unwrap().contains("<error type='auth'><forbidden "));
}

#[tokio::test(start_paused = true)]
async fn a_retired_node_is_gone_and_its_address_free() {
    let mut world = plant().await;
    assert!(world.tree.announce(Arc::new(Fake::new("meter-7", Vec::new()))).is_err());
    world.tree.retire(&address("meter-7"));
    assert_eq!(ids(&ask_infos(&mut world, "getChildNodes", "id='line' src='plant'/>").await), ["meter-8"]);
    world.add(Fake::new("meter-7", Vec::new()));
    assert_eq!(ids(&ask_infos(&mut world, "getRootNodes", "src='plant'/>").await), ["line", "meter-7"]);
    world.tree.remove_source(&SourceId::parse("plant").unwrap());
    assert_eq!(world.tree.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_too_large_for_brokers_is_refused() {
    let mut world = World::new().await;
    for index in 0..1000 {
        world.add(Fake::new(&format!("n{index}"), Vec::new()));
    }
    assert_eq!(ask_infos(&mut world, "getAllNodes", "src='plant'/>").await.len(), 1000);
    world.ask("get", &format!("<getAllNodes xmlns='{NS}' src='plant' parameters='true'/>")).await;
    world.expect_error("resource-constraint", "wait").await;
    for index in 1000..2000 {
        world.add(Fake::new(&format!("n{index}"), Vec::new()));
    }
    world.ask("get", &format!("<getAllNodes xmlns='{NS}' src='plant'/>")).await;
    world.expect_error("resource-constraint", "wait").await;
}

#[tokio::test(start_paused = true)]
async fn interfaces_are_told_in_both_dialects() {
    let mut world = plant().await;
    world.ask("get", "<getInterfaces xmlns='urn:nfi:iot:hi:1.0' id='boiler'/>").await;
    world
        .expect_result(
            "<interfaces xmlns='urn:nfi:iot:hi:1.0'><interface ref='urn:nfi:iot:hi:sensor:temperature:1.0'/></interfaces>",
        )
        .await;
    world.ask("get", "<getInterfaces xmlns='urn:xmpp:iot:interoperability' id='boiler'/>").await;
    world
        .expect_result(
            "<getInterfacesResponse xmlns='urn:xmpp:iot:interoperability'>\
             <interface name='urn:nfi:iot:hi:sensor:temperature:1.0'/></getInterfacesResponse>",
        )
        .await;
    world.ask("get", "<getInterfaces xmlns='urn:nfi:iot:hi:1.0' id='none'/>").await;
    world.expect_error("item-not-found", "cancel").await;
}
