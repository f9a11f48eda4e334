//! Real sockets and a real pseudo terminal: the bridge as it is configured, against simulated devices.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use torg_modbus::BRIDGE;
use torg_simulated::{Framing, Rack, Simulation, Timing, devices, pty, tcp};
use torg_thing::config::{Document, SourceText};
use torg_thing::contract::RecordingDirectory;
use torg_thing::{
    Assignment, BridgeLine, ControlValue, Field, FieldName, FieldValue, Host, NoSniffer, Node, ReadoutPart, Selection,
    SourceId, SystemClock, observations, readout,
};

fn rack() -> Rack {
    Rack::new().with(1, devices::sdm630()).with(2, devices::abb_b23()).with(3, devices::relay8())
}

fn build(transport: &str) -> BridgeLine {
    let device = |node: &str, unit: u8, profile: &str| {
        format!("[[bridge.line.device]]\nnode = \"{node}\"\nunit = {unit}\nprofile = \"{profile}\"\n")
    };
    let text = [
        "[[bridge]]\nkind = \"modbus\"\nname = \"plant\"\n[[bridge.line]]\nname = \"line\"\n".to_owned(),
        format!("{transport}\n"),
        device("eastron", 1, "eastron.sdm630"),
        device("abb", 2, "abb.b23"),
        device("relays", 3, "waveshare.relay-8ch"),
    ]
    .concat();
    let source = SourceText::new("torg.toml", &*text);
    let document = Document::parse(&source).unwrap();
    let section = document.section("bridge[0]", "plant", &["kind", "name"], &[]).unwrap();
    (BRIDGE.build)(&section).unwrap().remove(0)
}

async fn fields(node: &Arc<dyn Node>) -> Vec<Field> {
    let (out, mut parts) = readout();
    let mut fields = Vec::new();
    let selection = Selection::everything();
    let collect = async {
        while let Some(part) = parts.next().await {
            match part {
                ReadoutPart::Fields(more) => fields.extend(more),
                ReadoutPart::Failure { fields, error } => panic!("{fields:?}: {error}"),
            }
        }
    };
    let (result, ()) = tokio::join!(node.read(&selection, out), collect);
    result.unwrap();
    fields
}

/// Reads every field of every device on the line, sets a relay, and stops.
async fn read_and_set(transport: &str) {
    let mut line = build(transport);
    let addresses = line.nodes.clone();
    let directory = Arc::new(RecordingDirectory::default());
    let shutdown = CancellationToken::new();
    let host = Host {
        source: SourceId::parse("plant").unwrap(),
        nodes: Arc::clone(&directory) as Arc<dyn torg_thing::NodeDirectory>,
        observations: observations().0,
        clock: Arc::new(SystemClock),
        sniffer: Arc::new(NoSniffer),
        shutdown: shutdown.clone(),
    };
    let running = tokio::spawn(async move { line.bridge.run(host).await });
    let mut nodes = Vec::new();
    while nodes.len() < addresses.len() {
        tokio::task::yield_now().await;
        nodes = addresses.iter().filter_map(|address| directory.node(address)).collect();
    }
    let readouts = futures_util::future::join_all(nodes.iter().map(fields)).await;
    for (node, fields) in nodes.iter().zip(&readouts) {
        assert_eq!(fields.len(), node.about().fields.len(), "{}", node.about().node);
    }
    let relays = nodes.last().unwrap();
    let parameter = FieldName::parse("Digital Output 5").unwrap();
    let on = [Assignment { parameter: parameter.clone(), value: ControlValue::Boolean(true) }];
    relays.set(&on).await.unwrap();
    let after = fields(relays).await;
    let output = after.iter().find(|field| field.name == parameter).unwrap();
    assert_eq!(output.value, Some(FieldValue::Boolean(true)));
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn three_devices_on_a_pseudo_terminal_are_read_and_set() {
    let serial = pty(Simulation::new(rack(), Framing::Rtu).timed(Timing::serial(115_200, Default::default()))).unwrap();
    read_and_set(&format!("serial = \"{}\"\nbaud = 115200", serial.address())).await;
}

#[tokio::test]
async fn three_devices_behind_one_tcp_endpoint_are_read_and_set() {
    let server = tcp(Simulation::new(rack(), Framing::Tcp)).await.unwrap();
    read_and_set(&format!("tcp = \"{}\"", server.address())).await;
}

#[tokio::test]
async fn three_devices_behind_a_serial_server_are_read_and_set() {
    let server = tcp(Simulation::new(rack(), Framing::RtuOverTcp)).await.unwrap();
    read_and_set(&format!("rtu_over_tcp = \"{}\"", server.address())).await;
}
