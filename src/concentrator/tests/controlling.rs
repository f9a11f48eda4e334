//! Control parameters: types, ranges, forms, several nodes, devices that refuse.

use super::*;
use crate::concentrator::control::ORDERS_MAX;
use torg_thing::{ControlParameter, ControlValue, Decimal, EnumValue, ParameterKind, Range};
use torg_wire::iot::{Control, Generation, Interface, control};
use torg_wire::xep::data_forms::{DataForm, FieldKind, Validation, ValidationMethod};

/// Has a relay, a set point from 5 to 30 degrees, a mode, a level and a name.
fn heater(id: &str) -> Fake {
    let mut node = Fake::new(id, Vec::new());
    let parameter = |named: &str, kind: ParameterKind, range: Option<Range>| ControlParameter {
        name: name(named),
        kind,
        range,
        label: "".into(),
        description: "".into(),
    };
    let range = Range { min: Some(Decimal::from(5)), max: Some(Decimal::from(30)), values: Vec::new() };
    let mode = ParameterKind::Enumeration { kind: "Mode".into(), values: vec!["Auto".into(), "Off".into()] };
    node.about_mut().controls = vec![
        parameter("Relay", ParameterKind::Boolean, None),
        parameter("Set Point", ParameterKind::Double { unit: Unit::new("°C") }, Some(range)),
        parameter("Mode", mode, None),
        parameter("Level", ParameterKind::Int32, None),
        parameter("Name", ParameterKind::Text, None),
    ];
    node
}

fn double(text: &str) -> ControlValue {
    ControlValue::Double(text.parse().unwrap())
}

fn told(node: &Fake) -> Vec<(String, ControlValue)> {
    let sets = node.sets.lock().unwrap();
    sets.iter().map(|assignment| (assignment.parameter.to_string(), assignment.value.clone())).collect()
}

#[tokio::test(start_paused = true)]
async fn values_reach_the_node_in_order_and_are_listed_in_the_answer() {
    for generation in Generation::ALL {
        let namespace = generation.namespace(Interface::Control);
        let mut world = World::new().await;
        let node = world.add(heater("h"));
        world
            .ask(
                "set",
                &format!(
                    "<set xmlns='{namespace}'><nd id='h'/><db n='Set Point' v='21.50'/><b n='Relay' v='true'/></set>"
                ),
            )
            .await;
        world
            .expect_result(&format!("<resp xmlns='{namespace}'><nd id='h'/><p n='Set Point'/><p n='Relay'/></resp>"))
            .await;
        let expected = [("Set Point".to_owned(), double("21.50")), ("Relay".to_owned(), ControlValue::Boolean(true))];
        assert_eq!(told(&node), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_out_of_range_is_refused_before_anything_is_set() {
    for (value, good) in [("5", true), ("30.00", true), ("4.99", false), ("30.01", false)] {
        let mut world = World::new().await;
        let node = world.add(heater("h"));
        world
            .ask(
                "set",
                &format!("<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/><b n='Relay' v='true'/><db n='Set Point' v='{value}'/></set>"),
            )
            .await;
        let answer = world.next().await;
        assert_eq!(answer.error().is_none(), good, "{answer}");
        assert_eq!(told(&node).len(), if good { 2 } else { 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_parameter_set_twice_in_one_request_is_refused_before_anything_is_set() {
    let mut world = World::new().await;
    let node = world.add(heater("h"));
    let twice = "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/><b n='Relay' v='true'/><b n='Relay' v='false'/></set>";
    world.ask("set", twice).await;
    assert!(world.next().await.to_string().contains("<bad-request "));
    assert!(told(&node).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_value_names_its_parameter_in_both_attributes() {
    let mut world = World::new().await;
    world.add(heater("h"));
    world.ask("set", "<set xmlns='urn:nf:iot:ctr:1.0'><nd id='h'/><db n='Set Point' v='31'/></set>").await;
    world
        .expect(
            "<iq type='error' id='q' from='gw@a.example/1' to='anna@a.example/x'><error type='modify'>\
             <bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>Allowed is 5 to 30, asked was 31.</text>\
             <paramError xmlns='urn:nf:iot:ctr:1.0' var='Set Point' n='Set Point'>Allowed is 5 to 30, asked was 31.</paramError>\
             </error></iq>",
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_parameter_is_not_found() {
    let mut world = World::new().await;
    let node = world.add(heater("h"));
    world
        .ask("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/><b n='Relay' v='1'/><b n='Lamp' v='1'/></set>")
        .await;
    let answer = world.next().await;
    let error = answer.error().unwrap();
    assert_eq!((error.condition().name(), error.kind().name()), ("item-not-found", "modify"));
    assert_eq!(error.application().unwrap().attr("var"), Some("Lamp"));
    assert!(told(&node).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_value_of_another_type_is_refused() {
    for value in ["<i n='Set Point' v='21'/>", "<s n='Relay' v='true'/>", "<e n='Mode' v='Boost' t='Mode'/>"] {
        let mut world = World::new().await;
        let node = world.add(heater("h"));
        world.ask("set", &format!("<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/>{value}</set>")).await;
        world.expect_error("bad-request", "modify").await;
        assert!(told(&node).is_empty(), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_enumeration_is_accepted_for_text_and_needs_no_type_name_of_ours() {
    let mut world = World::new().await;
    let node = world.add(heater("h"));
    world
        .ask("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/><e n='Name' v='Attic' t='X'/><e n='Mode' v='Off' t='X'/></set>")
        .await;
    assert!(world.next().await.error().is_none());
    let mode = EnumValue { value: "Off".into(), kind: "Mode".into() };
    let values: Vec<_> = told(&node).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [ControlValue::Text("Attic".into()), ControlValue::Enumeration(mode)]);
}

#[tokio::test(start_paused = true)]
async fn all_nodes_are_checked_before_the_first_is_set() {
    let mut world = World::new().await;
    let first = world.add(heater("a"));
    world.add(Fake::new("b", Vec::new()));
    world.ask("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='a'/><nd id='b'/><b n='Relay' v='1'/></set>").await;
    world.expect_error("item-not-found", "modify").await;
    assert!(told(&first).is_empty());
}

#[tokio::test(start_paused = true)]
async fn several_nodes_get_the_same_values() {
    let mut world = World::new().await;
    let nodes = [world.add(heater("a")), world.add(heater("b"))];
    world
        .ask("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='a' src='plant'/><b n='Relay' v='0'/><nd id='b'/></set>")
        .await;
    world
        .expect_result("<resp xmlns='urn:nfi:iot:ctr:1.0'><nd id='a' src='plant'/><nd id='b'/><p n='Relay'/></resp>")
        .await;
    assert!(nodes.iter().all(|node| told(node).len() == 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_how_far_the_order_went() {
    let mut world = World::new().await;
    let first = world.add(heater("a"));
    let mut broken = heater("b");
    broken.set_fails = Some(NodeError::DeviceSilent { waited: Duration::from_millis(500) });
    world.add(broken);
    let last = world.add(heater("c"));
    world
        .ask("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='a'/><nd id='b'/><nd id='c'/><b n='Relay' v='1'/></set>")
        .await;
    let answer = world.next().await;
    let error = answer.error().unwrap();
    assert_eq!(error.condition().name(), "recipient-unavailable");
    assert_eq!(error.text(), Some("b: no answer within 500 ms; 1 of 3 nodes were set."));
    assert_eq!((told(&first).len(), told(&last).len()), (1, 0));
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_refuses_is_told_as_such() {
    let mut world = World::new().await;
    let mut node = heater("h");
    node.set_fails = Some(NodeError::DeviceException { code: 4, meaning: "server device failure" });
    world.add(node);
    world.ask("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/><b n='Relay' v='1'/></set>").await;
    world.expect_error("not-allowed", "cancel").await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_takes_long_is_unconfirmed_but_goes_on() {
    let mut world = World::new().await;
    let mut node = heater("h");
    node.set_takes = Duration::from_secs(30);
    let node = world.add(node);
    world.ask("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/><b n='Relay' v='1'/></set>").await;
    world.expect_error("remote-server-timeout", "wait").await;
    assert!(told(&node).is_empty());
    world.expect_silence().await;
    assert_eq!(told(&node).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn orders_of_one_sender_are_carried_out_one_after_the_other() {
    let mut world = World::new().await;
    let mut slow = heater("slow");
    slow.set_takes = Duration::from_secs(5);
    let slow = world.add(slow);
    let quick = world.add(heater("quick"));
    world.ask("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='slow'/><b n='Relay' v='1'/></set>").await;
    world.ask("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='quick'/><b n='Relay' v='1'/></set>").await;
    world
        .ask_as(
            "anna@a.example/y",
            "set",
            "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='quick'/><b n='Relay' v='0'/></set>",
        )
        .await;
    assert_eq!(world.next().await.to().unwrap().resource(), Some("y"));
    assert_eq!((told(&slow).len(), told(&quick).len()), (0, 1));
    for _ in 0..2 {
        assert_eq!(world.next().await.to().unwrap().resource(), Some("x"));
    }
    assert_eq!((told(&slow).len(), told(&quick).len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_told_the_same_whatever_it_sets() {
    let mut world = World::new().await;
    let node = world.add(heater("h"));
    let mut answers = BTreeSet::new();
    for (kind, payload) in [
        ("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/><b n='Relay' v='1'/></set>"),
        ("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='none'/><b n='Relay' v='1'/></set>"),
        ("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd/></set>"),
        ("get", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/></set>"),
        ("get", "<getForm xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/></getForm>"),
    ] {
        world.ask_as("eve@e.example/x", kind, payload).await;
        answers.insert(world.next().await.to_string());
    }
    assert_eq!(answers.len(), 1);
    assert!(answers.first().unwrap().contains("<forbidden "));
    assert!(told(&node).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_node_and_no_node_are_refused() {
    let mut world = World::new().await;
    world.ask("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='none'/><b n='Relay' v='1'/></set>").await;
    world.expect_error("item-not-found", "cancel").await;
    world.ask("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><b n='Relay' v='1'/></set>").await;
    world.expect_error("bad-request", "modify").await;
}

#[tokio::test(start_paused = true)]
async fn setting_with_a_get_is_refused() {
    let mut world = World::new().await;
    world.add(heater("h"));
    world.ask("get", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/><b n='Relay' v='1'/></set>").await;
    world.expect_error("bad-request", "modify").await;
}

#[tokio::test(start_paused = true)]
async fn the_form_shows_types_ranges_and_present_values() {
    let mut world = World::new().await;
    let present = field("Set Point", "21.50", "°C", Categories::MOMENTARY);
    let mut node = heater("h");
    node.steps = vec![Step::Fields(vec![present])];
    node.about_mut().fields[0].name = name("Set Point");
    world.add(node);
    world.ask("get", "<getForm xmlns='urn:nf:iot:ctr:1.0'><nd id='h'/></getForm>").await;
    let answer = world.next().await;
    let form = DataForm::decode(answer.payload().unwrap()).unwrap();
    assert_eq!(form.title.as_deref(), Some("h"));
    let vars: Vec<_> = form.fields.iter().map(|field| field.var.as_str()).collect();
    assert_eq!(vars, ["Relay", "Set Point", "Mode", "Level", "Name"]);
    let set_point = form.field("Set Point").unwrap();
    assert_eq!((set_point.value(), set_point.not_same), (Some("21.50"), false));
    assert_eq!(set_point.description.as_deref(), Some("In °C."));
    let range = ValidationMethod::Range { min: Some("5".into()), max: Some("30".into()) };
    assert_eq!(set_point.validation, Some(Validation { datatype: "xs:double".into(), method: range }));
    let relay = form.field("Relay").unwrap();
    assert_eq!((relay.kind, relay.value(), relay.not_same), (Some(FieldKind::Boolean), None, true));
    assert_eq!(form.field("Mode").unwrap().options.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_form_of_several_nodes_has_what_they_share_and_marks_what_differs() {
    let mut world = World::new().await;
    for (id, value) in [("a", "20.0"), ("b", "21.0")] {
        let mut node = heater(id);
        node.steps = vec![Step::Fields(vec![field("Set Point", value, "°C", Categories::MOMENTARY)])];
        node.about_mut().fields[0].name = name("Set Point");
        if id == "b" {
            node.about_mut().controls.retain(|parameter| parameter.name != name("Level"));
        }
        world.add(node);
    }
    world.ask("get", "<getForm xmlns='urn:nf:iot:ctr:1.0'><nd id='a'/><nd id='b'/></getForm>").await;
    let answer = world.next().await;
    let form = DataForm::decode(answer.payload().unwrap()).unwrap();
    assert!(form.field("Level").is_none());
    let set_point = form.field("Set Point").unwrap();
    assert_eq!((set_point.value(), set_point.not_same), (Some("20.0"), true));
}

#[tokio::test(start_paused = true)]
async fn the_form_does_not_wait_for_a_dead_device() {
    let mut world = World::new().await;
    let mut node = heater("h");
    node.steps = vec![Step::Wait(Duration::from_secs(100_000))];
    node.about_mut().fields[0].name = name("Set Point");
    world.add(node);
    world.ask("get", "<getForm xmlns='urn:nf:iot:ctr:1.0'><nd id='h'/></getForm>").await;
    let begin = Instant::now();
    let answer = world.next().await;
    let form = DataForm::decode(answer.payload().unwrap()).unwrap();
    assert!(form.field("Set Point").unwrap().not_same);
    assert!(begin.elapsed() < Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_partial_form_sets_what_it_holds() {
    let mut world = World::new().await;
    let node = world.add(heater("h"));
    world
        .ask(
            "set",
            "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/><x xmlns='jabber:x:data' type='submit'>\
             <field var='xdd session'><value>1</value></field><field var='x' type='hidden'><value>1</value></field>\
             <field var='Level'/><field var='Set Point'><value> 21.50 </value></field>\
             <field var='Name'><value>a</value><value>b</value></field></x></set>",
        )
        .await;
    assert!(world.next().await.error().is_none());
    let expected = [("Set Point".to_owned(), double("21.50")), ("Name".to_owned(), ControlValue::Text("a\nb".into()))];
    assert_eq!(told(&node), expected);
}

#[tokio::test(start_paused = true)]
async fn a_form_with_a_bad_value_sets_nothing() {
    for (field, condition) in [
        ("<field var='Set Point'><value>hot</value></field>", "bad-request"),
        ("<field var='Set Point'><value>99</value></field>", "bad-request"),
        ("<field var='Lamp'><value>1</value></field>", "item-not-found"),
        ("<field var='Level'/>", "bad-request"),
    ] {
        let mut world = World::new().await;
        let node = world.add(heater("h"));
        world
            .ask(
                "set",
                &format!(
                    "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/><x xmlns='jabber:x:data' type='submit'>{field}</x></set>"
                ),
            )
            .await;
        world.expect_error(condition, "modify").await;
        assert!(told(&node).is_empty(), "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_one_that_our_own_client_reads() {
    let mut world = World::new().await;
    world.add(heater("h"));
    world.ask("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/><b n='Relay' v='1'/></set>").await;
    let answer = world.next().await;
    let expected = control::Response {
        nodes: vec![NodeRef::new(SourceId::default(), NodeId::parse("h").unwrap())],
        parameters: vec![name("Relay")],
    };
    assert_eq!(Control::decode(answer.payload().unwrap()), Ok((Control::Response(expected), Generation::Nfi)));
}

#[tokio::test(start_paused = true)]
async fn one_order_more_than_may_be_under_way_is_turned_away() {
    let mut world = World::new().await;
    let mut node = heater("h");
    node.set_takes = Duration::from_millis(1);
    let node = world.add(node);
    for _ in 0..=ORDERS_MAX {
        world.ask("set", "<set xmlns='urn:nfi:iot:ctr:1.0'><nd id='h'/><b n='Relay' v='1'/></set>").await;
        tokio::task::yield_now().await;
    }
    world.expect_error("resource-constraint", "wait").await;
    for _ in 0..ORDERS_MAX {
        assert!(world.next().await.error().is_none());
    }
    assert_eq!(told(&node).len(), ORDERS_MAX);
    world.expect_silence().await;
}
