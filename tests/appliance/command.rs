//! The command itself: exit codes, what goes where, signals.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::world::Place;

fn torg(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_torg")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn usage_errors_exit_with_2_and_failures_with_1() {
    assert_eq!(torg(&["chekc"]).status.code(), Some(2));
    assert_eq!(torg(&["node", "ls", "--as", "an na@site.example"]).status.code(), Some(2));
    assert_eq!(torg(&["check", "--config", "/absent/torg.toml"]).status.code(), Some(1));
    assert_eq!(torg(&["version"]).status.code(), Some(0));
}

#[test]
fn the_sample_configuration_is_right_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("torg.toml");
    std::fs::write(&file, torg(&["config", "sample"]).stdout).unwrap();
    let checked = torg(&["check", "--config", file.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(text(&checked.stdout).ends_with("is right: 1 bridge, 1 line, 1 node.\n"));
}

#[test]
fn check_tells_every_error_as_json_with_line_key_and_suggestion() {
    let place = Place::new("[[bridge]]\nkind = \"modbus\"\nname = \"plant\"\nlin = []\n", &["anna"]);
    let checked = torg(&["check", "--json", "--config", place.file().to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let error = &report["errors"][0];
    assert_eq!(
        (&error["key"], &error["suggestion"], &error["line"]),
        (&"bridge[0].lin".into(), &"line".into(), &12.into())
    );
    assert_eq!(text(&checked.stderr), "");
}

#[test]
fn accounts_are_added_listed_and_removed_without_an_appliance() {
    let place = Place::new("", &[]);
    let file = place.file();
    let with = |arguments: &[&str], input: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_torg"));
        command.args(arguments).arg("--config").arg(&file);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that takes no password may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    };
    assert!(with(&["account", "add", "anna@localhost", "--password-stdin"], "secret\n").status.success());
    let again = with(&["account", "add", "anna@localhost", "--password-stdin"], "secret\n");
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(text(&again.stderr), "torg: The account 'anna@localhost' exists already.\n");
    let gateway = with(&["account", "add", "gateway@localhost", "--password-stdin"], "secret\n");
    assert_eq!(gateway.status.code(), Some(1), "the concentrator's own address is taken");
    let listed: Value = serde_json::from_slice(&with(&["account", "list", "--json"], "").stdout).unwrap();
    assert_eq!(listed["accounts"][0]["jid"], "anna@localhost");
    assert!(with(&["account", "remove", "anna@localhost"], "").status.success());
    let listed: Value = serde_json::from_slice(&with(&["account", "list", "--json"], "").stdout).unwrap();
    assert_eq!(listed["accounts"], serde_json::json!([]));
}

#[test]
fn run_says_ready_then_its_addresses_and_ends_with_0_at_sigterm() {
    let place = Place::new("", &[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_torg"))
        .args(["run", "--print-addresses", "--config"])
        .arg(place.file())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "READY");
    assert!(lines.next().unwrap().unwrap().starts_with("ADDRESS c2s 127.0.0.1:"));
    assert!(lines.next().unwrap().unwrap().starts_with("ADDRESS c2s_tls 127.0.0.1:"));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn shipped_profiles_pass_their_own_vectors() {
    for id in ["eastron.sdm630", "abb.b23", "waveshare.relay-8ch"] {
        let tested = torg(&["profile", "test", id]);
        assert!(tested.status.success(), "{id}: {}{}", text(&tested.stdout), text(&tested.stderr));
    }
}

#[test]
fn the_schema_of_profiles_is_printed_with_and_without_a_file() {
    let schema = torg(&["profile", "schema"]).stdout;
    assert!(serde_json::from_slice::<Value>(&schema).is_ok());
    assert_eq!(torg(&["profile", "schema", "profiles/modbus/eastron-sdm630.toml"]).stdout, schema);
}

#[test]
fn the_service_manager_is_told_of_start_watchdog_reload_and_stop() {
    let place = Place::new("", &[]);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(crate::world::WITHIN)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_torg"))
        .args(["run", "--config"])
        .arg(place.file())
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "200000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let wait_for = |what: &str| {
        let mut buffer = [0; 1024];
        loop {
            let length = match manager.recv(&mut buffer) {
                Ok(length) => length,
                // Children of other tests in this process end, and their signal cuts the wait short.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => panic!("no {what}: {error}"),
            };
            if text(&buffer[..length]).lines().any(|line| line == what) {
                return;
            }
        }
    };
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    };
    wait_for("READY=1");
    wait_for("WATCHDOG=1");
    signal("-HUP");
    wait_for("RELOADING=1");
    wait_for("READY=1");
    place.write("[[bridge]]\nkind = \"modbas\"\nname = \"plant\"\n", &[]);
    signal("-HUP");
    wait_for(
        "STATUS=Serving localhost: 0 lines, 0 nodes. The configuration file has errors; the one before it is in use.",
    );
    signal("-TERM");
    wait_for("STOPPING=1");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn help_names_every_command_and_the_first_steps() {
    let help = text(&torg(&["help"]).stdout);
    for command in
        ["run", "check", "demo", "account", "node", "profile", "config", "status", "backup", "restore", "version"]
    {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {help}");
    }
    assert!(help.contains("torg config sample > torg.toml"), "{help}");
}
