//! `torg status` beside a running appliance, and without one.

use std::process::{Command, Output};

use serde_json::Value;

use crate::world::{Line, Place, bridge};

async fn status(place: &Place, arguments: &'static [&'static str]) -> Output {
    let file = place.file();
    let ask = move || {
        Command::new(env!("CARGO_BIN_EXE_torg"))
            .arg("status")
            .args(arguments)
            .arg("--config")
            .arg(file)
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

#[tokio::test]
async fn the_running_appliance_says_how_it_is() {
    let line = Line::start().await;
    let place = Place::new(&bridge(&[line.section("relays", "relay-1")]), &["anna"]);
    place.account("anna").await;
    let appliance = place.start().await.unwrap();
    let (connection, _gateway) = place.meet(&appliance, "anna").await;
    let asked = status(&place, &["--json"]).await;
    assert!(asked.status.success(), "{asked:?}");
    let told: Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!((&told["domain"], &told["nodes"]), (&"localhost".into(), &1.into()));
    assert_eq!((&told["reasons"], &told["degraded"]), (&serde_json::json!([]), &serde_json::json!([])));
    assert_eq!(told["listeners"]["c2s"][0], appliance.addresses().c2s[0].to_string());
    assert_eq!(told["lines"], serde_json::json!({"plant/relays": null}));
    assert!(told["certificate"]["days_left"].as_i64().unwrap() > 300);
    let asked = status(&place, &[]).await;
    let text = String::from_utf8(asked.stdout).unwrap();
    assert!(text.starts_with("localhost: ready, Torg "), "{text}");
    for part in [
        "sessions     ",
        "certificate  of authority, until ",
        "store        ",
        "listens      c2s_tls ",
        "plant/relays  runs",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    connection.leave().await;
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn without_an_appliance_there_is_a_clear_error() {
    let place = Place::new("", &[]);
    let asked = status(&place, &[]).await;
    assert_eq!(asked.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&asked.stderr).contains("No appliance runs on this store"), "{asked:?}");
    let appliance = place.start().await.unwrap();
    assert!(appliance.stop().await);
    assert_eq!(status(&place, &[]).await.status.code(), Some(1), "nor after it was stopped");
}
