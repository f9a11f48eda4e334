//! The demonstration, as a user meets it.

use std::process::Command;

use serde_json::Value;
use torg::demo::Demo;

#[tokio::test]
async fn the_demo_reads_every_node_over_tcp_and_rtu_and_can_be_repeated_in_its_directory() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let demo = Demo::start(Some(folder.path())).await.unwrap();
        let readings = demo.read().await.unwrap();
        assert!(demo.is_complete(&readings), "{readings:?}");
        assert!(demo.guide().contains(" node ls --as anna@localhost"));
        assert!(demo.stop().await);
    }
}

#[test]
fn the_command_prints_the_json_of_the_contract_and_nothing_else() {
    let output = Command::new(env!("CARGO_BIN_EXE_torg")).args(["demo", "--once", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = printed["nodes"].as_array().unwrap();
    let names: Vec<&str> = nodes.iter().filter_map(|node| node["node"].as_str()).collect();
    assert_eq!(names, ["meter-7", "meter-8", "relay-1"]);
    for node in nodes {
        assert_eq!(
            (&node["jid"], &node["source"], &node["partition"]),
            (&"gateway@localhost".into(), &"plant".into(), &"".into())
        );
        assert_eq!(node.get("error"), None);
    }
    let voltage = &nodes[0]["fields"].as_array().unwrap()[0];
    assert_eq!((&voltage["name"], &voltage["unit"]), (&"Voltage L1".into(), &"V".into()));
    let value = voltage["value"].as_str().unwrap();
    assert!(
        value.starts_with("23") && value.split_once('.').is_some_and(|(_, decimals)| decimals.len() == 1),
        "{value}"
    );
    assert_eq!(voltage["quality"], serde_json::json!(["ar"]));
    assert_eq!(voltage["categories"], serde_json::json!(["m"]));
    assert!(voltage["time"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn the_command_works_in_a_terminal() {
    let terminal = torg_simulated::PtyPair::open().unwrap();
    let stream = |_| std::fs::File::options().read(true).write(true).open(terminal.path()).unwrap();
    let mut torg = tokio::process::Command::new(env!("CARGO_BIN_EXE_torg"));
    torg.args(["demo", "--once"]).stdout(stream(1)).stderr(stream(2)).kill_on_drop(true);
    let mut child = torg.spawn().unwrap();
    drop(torg);
    // Read while it writes, or the terminal's buffer fills up; the end counts only once the table has come.
    let mut device = terminal.device;
    let (mut shown, mut buffer) = (String::new(), [0; 4096]);
    let run = async {
        loop {
            let complete = shown.contains("relay-1");
            tokio::select! {
                read = tokio::io::AsyncReadExt::read(&mut device, &mut buffer) => {
                    shown.push_str(&String::from_utf8_lossy(&buffer[..read.unwrap()]));
                }
                status = child.wait(), if complete => return status.unwrap(),
            }
        }
    };
    let status = tokio::time::timeout(crate::world::WITHIN, run).await;
    let status = status.unwrap_or_else(|_| panic!("no table came, only this: {shown}"));
    assert!(status.success(), "{shown}");
}
