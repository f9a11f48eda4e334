use std::collections::BTreeMap;
use std::io;

use torg_simulated::{Fault, Framing, Rack, Script, Simulation, Table, Unit, devices, serve};
use torg_thing::contract::{RecordingDirectory, Subject, check};
use torg_thing::{
    Assignment, ControlError, ControlValue, Field, FieldName, FieldValue, Interest, NoSniffer, Node, NodeError, NodeId,
    ObservationReceiver, Qos, ReadoutPart, Selection, SourceId, SystemClock, observations, readout,
};

use super::*;
use crate::config::tests::parse;
use crate::config::{LineConfig, Transport};
use crate::port::ByteStream;

/// In-memory lines to the same devices, one for each connection.
#[derive(Debug)]
struct Pipes {
    rack: Rack,
    framing: Framing,
    script: Script,
}

#[async_trait]
impl Connect for Pipes {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let (master, device) = tokio::io::duplex(4096);
        let simulation = Simulation::new(self.rack.clone(), self.framing).scripted(self.script.clone());
        tokio::spawn(async move { serve(device, &simulation).await });
        Ok(Box::new(master))
    }
}

const UNIT: u8 = 7;

fn bridge(transport: &str, profile: &str, rack: &Rack, script: Script) -> BridgeLine {
    bridge_with(config(transport, profile), rack, script)
}

fn bridge_with(config: LineConfig, rack: &Rack, script: Script) -> BridgeLine {
    let framing = if matches!(config.transport, Transport::Tcp(_)) { Framing::Tcp } else { Framing::Rtu };
    bridge_line(config, Some(Arc::new(Pipes { rack: rack.clone(), framing, script })))
}

fn config(transport: &str, profile: &str) -> LineConfig {
    let text = format!(
        "[[bridge]]\n[[bridge.line]]\nname = \"line\"\n{transport}\n[[bridge.line.device]]\nnode = \"device\"\nunit = 7\n\
         profile = \"{profile}\"\n"
    );
    parse(&text).unwrap().remove(0)
}

/// The same line with a device of a profile that is not shipped.
fn foreign(transport: &str, points: &str) -> LineConfig {
    let text = format!(
        "[profile]\nid = \"acme.fan\"\nversion = \"1.0.0\"\nprotocol = \"modbus\"\nlicense = \"CC0-1.0\"\n\
         device = {{ vendor = \"Acme\", models = [\"F1\"] }}\nsources = {{ manual = \"Acme manual\", lab = \"Measured\" }}\n[points]\n{points}\n"
    );
    let profile = torg_profile::check(&torg_thing::config::SourceText::new("acme.toml", &*text)).unwrap();
    let mut config = config(transport, "abb.b23");
    config.devices[0].link = profile.link().clone();
    config.devices[0].profile = Arc::new(profile);
    config
}

const TCP: &str = "tcp = \"127.0.0.1:1\"";
const RTU: &str = "serial = \"/dev/null\"";

fn requests(rack: &Rack) -> u64 {
    rack.on(UNIT, |unit| unit.requests()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_shipped_profile_keeps_the_contract_over_tcp_and_rtu() {
    type Make = fn() -> Unit;
    let kinds: [(&str, Make); 3] =
        [("eastron.sdm630", devices::sdm630), ("abb.b23", devices::abb_b23), ("waveshare.relay-8ch", devices::relay8)];
    for (profile, make) in kinds {
        for transport in [TCP, RTU] {
            let rack = Rack::new().with(UNIT, make());
            let line = bridge(transport, profile, &rack, Script::none());
            let subject =
                Subject { source: SourceId::parse("plant").unwrap(), requests: Box::new(move || requests(&rack)) };
            assert_eq!(check(line, subject).await, [""; 0], "{profile} {transport}");
        }
    }
}

/// A line that runs, seen from the appliance.
struct World {
    directory: Arc<RecordingDirectory>,
    node: Arc<dyn Node>,
    observed: ObservationReceiver,
    rack: Rack,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<Result<(), BridgeError>>,
}

async fn world(transport: &str, profile: &str, unit: Unit, script: Script) -> World {
    world_of(config(transport, profile), unit, script).await
}

async fn world_of(config: LineConfig, unit: Unit, script: Script) -> World {
    let rack = Rack::new().with(UNIT, unit);
    let mut line = bridge_with(config, &rack, script);
    let directory = Arc::new(RecordingDirectory::default());
    let (sender, observed) = observations();
    let stop = CancellationToken::new();
    let host = Host {
        source: SourceId::parse("plant").unwrap(),
        nodes: Arc::clone(&directory) as Arc<dyn torg_thing::NodeDirectory>,
        observations: sender,
        clock: Arc::new(SystemClock),
        sniffer: Arc::new(NoSniffer),
        shutdown: stop.clone(),
    };
    let address = NodeRef::new(SourceId::parse("plant").unwrap(), NodeId::parse("device").unwrap());
    let running = tokio::spawn(async move { line.bridge.run(host).await });
    let node = loop {
        match directory.node(&address) {
            Some(node) => break node,
            None => tokio::task::yield_now().await,
        }
    };
    World { directory, node, observed, rack, stop, running }
}

type Failures = Vec<(Vec<FieldName>, NodeError)>;

async fn read(node: &Arc<dyn Node>, wanted: &Selection) -> (Result<(), NodeError>, BTreeMap<String, Field>, Failures) {
    let (out, mut parts) = readout();
    let (mut fields, mut failures) = (BTreeMap::new(), Vec::new());
    let collect = async {
        while let Some(part) = parts.next().await {
            match part {
                ReadoutPart::Fields(more) => {
                    fields.extend(more.into_iter().map(|field| (field.name.to_string(), field)));
                }
                ReadoutPart::Failure { fields, error } => failures.push((fields, error)),
            }
        }
    };
    let (result, ()) = tokio::join!(node.read(wanted, out), collect);
    (result, fields, failures)
}

async fn read_all(world: &World) -> (Result<(), NodeError>, BTreeMap<String, Field>, Failures) {
    read(&world.node, &Selection::everything()).await
}

fn name(text: &str) -> FieldName {
    FieldName::parse(text).unwrap()
}

fn assign(parameter: &str, value: ControlValue) -> [Assignment; 1] {
    [Assignment { parameter: name(parameter), value }]
}

#[tokio::test(start_paused = true)]
async fn a_meter_is_read_exactly_with_few_requests() {
    let world = world(TCP, "eastron.sdm630", devices::sdm630(), Script::none()).await;
    let (result, fields, failures) = read_all(&world).await;
    assert_eq!((result, failures), (Ok(()), Vec::new()));
    assert_eq!(fields["Voltage L1"].value.as_ref().unwrap().to_string(), "230.1 V");
    assert_eq!(fields["Energy"].value.as_ref().unwrap().to_string(), "12345.670 kWh");
    assert!(fields["Energy"].qos.contains(Qos::AUTOMATIC_READOUT));
    assert!(requests(&world.rack) <= 10, "{} requests for {} fields", requests(&world.rack), fields.len());
}

#[tokio::test(start_paused = true)]
async fn a_missing_value_is_no_number() {
    let world = world(RTU, "abb.b23", devices::abb_b23(), Script::none()).await;
    let (_, fields, _) = read_all(&world).await;
    let missing = &fields["Reactive Energy Import L1"];
    assert_eq!(missing.value, None);
    assert!(missing.qos.contains(Qos::MISSING));
    assert_eq!(fields["Energy"].value.as_ref().unwrap().to_string(), "12345.67 kWh");
}

#[tokio::test(start_paused = true)]
async fn an_implausible_value_is_an_error_that_names_its_field_once() {
    let points =
        r#"Frequency = { table = "input", address = 0x0046, type = "f32", unit = "Hz", decimals = 2, valid = [0, 1] }"#;
    let world = world_of(foreign(TCP, points), devices::sdm630(), Script::none()).await;
    let (_, fields, failures) = read_all(&world).await;
    assert!(fields.is_empty());
    assert_eq!(failures[0].0, [name("Frequency")]);
    assert!(failures[0].1.to_string().ends_with(" is outside the valid range, 0 to 1"), "{}", failures[0].1);
    assert!(!failures[0].1.to_string().contains("Frequency"));
}

#[tokio::test(start_paused = true)]
async fn only_the_wanted_registers_are_read() {
    let world = world(TCP, "eastron.sdm630", devices::sdm630(), Script::none()).await;
    let wanted = Selection { fields: Some([name("Frequency")].into()), ..Selection::everything() };
    let (_, fields, _) = read(&world.node, &wanted).await;
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["Frequency"]);
    assert_eq!(requests(&world.rack), 1);
}

#[tokio::test(start_paused = true)]
async fn an_exception_takes_only_its_own_fields_down() {
    let script = Script::list([Some(Fault::Exception(4))]);
    let world = world(TCP, "eastron.sdm630", devices::sdm630(), script).await;
    let (result, fields, failures) = read_all(&world).await;
    assert_eq!(result, Ok(()));
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].1, NodeError::DeviceException { code: 4, meaning: "device failure" });
    assert!(!fields.is_empty());
    assert_eq!(fields.len() + failures[0].0.len(), world.node.about().fields.len());
}

#[tokio::test(start_paused = true)]
async fn a_refused_hole_is_found_once_and_remembered() {
    let mut unit = devices::abb_b23();
    unit.banks.forget(Table::Holding, 0x5B2D..0x5B3A);
    let world = world(RTU, "abb.b23", unit, Script::none()).await;
    let (result, fields, failures) = read_all(&world).await;
    assert_eq!((result, failures), (Ok(()), Vec::new()));
    assert_eq!(fields.len(), world.node.about().fields.len());
    let first = requests(&world.rack);
    let (_, again, _) = read_all(&world).await;
    assert_eq!(again.len(), fields.len());
    let second = requests(&world.rack) - first;
    let _ = read_all(&world).await;
    assert_eq!(requests(&world.rack) - first - second, second, "nothing is left to be found");
    assert!(second < first, "{second} requests after {first}");
}

#[tokio::test(start_paused = true)]
async fn a_point_the_device_does_not_have_fails_alone() {
    let mut unit = devices::sdm630();
    unit.banks.forget(Table::Input, 0x68..0x6A);
    let world = world(TCP, "eastron.sdm630", unit, Script::none()).await;
    for round in 0..3 {
        let (_, fields, failures) = read_all(&world).await;
        assert_eq!(fields.len() + 1, world.node.about().fields.len(), "round {round}");
        let expected = NodeError::DeviceException { code: 2, meaning: "illegal data address" };
        assert_eq!(failures, [(vec![name("Current N Demand")], expected)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_device_is_one_typed_error_and_a_message_that_goes_when_it_answers() {
    let script = Script::list([Some(Fault::Silence)]);
    let world = world(TCP, "eastron.sdm630", devices::sdm630(), script).await;
    let (result, fields, failures) = read_all(&world).await;
    assert!(matches!(result, Err(NodeError::DeviceSilent { .. })), "{result:?}");
    assert!(fields.is_empty() && failures.is_empty());
    assert_eq!(world.directory.messages().len(), 1);
    assert_eq!(read_all(&world).await.0, Ok(()));
    assert_eq!(world.directory.messages().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_set_and_read_back() {
    let world = world(RTU, "waveshare.relay-8ch", devices::relay8(), Script::none()).await;
    let on = assign("Digital Output 4", ControlValue::Boolean(true));
    assert_eq!(world.node.set(&on).await, Ok(()));
    assert_eq!(world.rack.on(UNIT, |unit| unit.banks.bit(Table::Coil, 3)), Some(Some(true)));
    let (_, fields, _) = read_all(&world).await;
    assert_eq!(fields["Digital Output 4"].value, Some(FieldValue::Boolean(true)));
    assert!(fields["Digital Output 4"].writable);
}

#[tokio::test(start_paused = true)]
async fn a_set_point_outside_its_values_never_reaches_the_bus() {
    let world = world(TCP, "eastron.sdm630", devices::sdm630(), Script::none()).await;
    let refused = world.node.set(&assign("Demand Period", ControlValue::Double("7".parse().unwrap()))).await;
    let Err(NodeError::AskerControl { reason: ControlError::OutOfRange { .. }, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(requests(&world.rack), 0);
    let set = world.node.set(&assign("Demand Period", ControlValue::Double("15".parse().unwrap()))).await;
    assert_eq!(set, Ok(()));
    assert_eq!(world.rack.on(UNIT, |unit| unit.banks.word(Table::Holding, 2)), Some(Some(0x4170)));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_not_read_back_as_written_is_an_error() {
    // A device that confirms every write and keeps its own opinion.
    struct Stubborn;
    impl torg_simulated::Content for Stubborn {
        fn refresh(&mut self, banks: &mut torg_simulated::Banks, _: Duration) {
            banks.set_bit(Table::Coil, 0, false);
        }
    }
    let unit = Unit::following(Stubborn).bits(Table::Coil, 0, &[false; 8]);
    let world = world(TCP, "waveshare.relay-8ch", unit, Script::none()).await;
    let set = world.node.set(&assign("Digital Output 1", ControlValue::Boolean(true))).await;
    let expected = NodeError::DeviceNotVerified { parameter: name("Digital Output 1"), found: "false".to_owned() };
    assert_eq!(set, Err(expected));
}

/// Mode and speed share a register; the mode must be unlocked.
const FAN: &str = r#"
"Mode" = { table = "holding", address = 100, type = "u16", bits = "0:4", enum = { 0 = "Off", 1 = "Auto", 2 = "Boost" }, write = { function = 22, verify = true, unlock = [{ address = 12, value = 165 }] } }
"Speed" = { table = "holding", address = 100, type = "u16", bits = "4:4", unit = "%", scale = 10, write = { function = FUNCTION, range = [0, 100], verify = true } }
"#;

fn fan() -> Unit {
    Unit::new().words(Table::Holding, 100, &[0xAB31]).words(Table::Holding, 12, &[0])
}

fn register(world: &World, address: u16) -> u16 {
    world.rack.on(UNIT, |unit| unit.banks.word(Table::Holding, address)).unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_slice_of_bits_is_set_behind_its_unlock_and_leaves_its_neighbours_alone() {
    let world = world_of(foreign(RTU, &FAN.replace("FUNCTION", "22")), fan(), Script::none()).await;
    let kind = world.node.about().controls.iter().find_map(|control| match &control.kind {
        torg_thing::ParameterKind::Enumeration { kind, .. } => Some(Arc::clone(kind)),
        _ => None,
    });
    let boost = torg_thing::EnumValue { value: "Boost".into(), kind: kind.unwrap() };
    assert_eq!(world.node.set(&assign("Mode", ControlValue::Enumeration(boost))).await, Ok(()));
    assert_eq!((register(&world, 100), register(&world, 12)), (0xAB32, 165));
}

#[tokio::test(start_paused = true)]
async fn a_device_without_function_22_gets_the_register_read_changed_and_written() {
    let world = world_of(foreign(TCP, &FAN.replace("FUNCTION", "6")), fan(), Script::none()).await;
    let speed = assign("Speed", ControlValue::Double("70".parse().unwrap()));
    assert_eq!(world.node.set(&speed).await, Ok(()));
    assert_eq!(register(&world, 100), 0xAB71);
    assert_eq!(requests(&world.rack), 3, "read, written, read back");
}

#[tokio::test(start_paused = true)]
async fn two_wishes_are_served_at_the_faster_interval_with_the_requests_of_one() {
    let mut world = world(TCP, "eastron.sdm630", devices::sdm630(), Script::none()).await;
    let wish = |seconds| Interest {
        selection: Selection { fields: Some([name("Power")].into()), ..Selection::everything() },
        interval: Duration::from_secs(seconds),
    };
    let (_slow, _fast) = (world.node.watch(wish(30)), world.node.watch(wish(10)));
    let start = tokio::time::Instant::now();
    for _ in 0..4 {
        let seen = world.observed.next().await;
        assert_eq!(seen[0].fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["Power"]);
    }
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(requests(&world.rack), 4);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_does_not_stop_a_write_half_way() {
    let script = Script::list([Some(Fault::Late(Duration::from_millis(300)))]);
    let world = world(TCP, "waveshare.relay-8ch", devices::relay8(), script).await;
    let on = assign("Digital Output 1", ControlValue::Boolean(true));
    assert!(tokio::time::timeout(Duration::from_millis(100), world.node.set(&on)).await.is_err());
    world.stop.cancel();
    assert_eq!(world.running.await.unwrap(), Ok(()));
    assert_eq!(requests(&world.rack), 2, "written and read back before the line ended");
}

#[test]
fn the_same_line_has_the_same_fingerprint_and_a_changed_one_another() {
    let print = |timeout: &str| {
        bridge(&format!("{TCP}\ntimeout_ms = {timeout}"), "abb.b23", &Rack::new(), Script::none()).fingerprint
    };
    assert_eq!(print("100"), print("100"));
    assert_ne!(print("100"), print("101"));
}
