//! systemd's own opinion of the units in `systemd`, what the appliance tells a service manager, and what it takes from one.

use std::{fs, net::TcpStream, os::unix::net::UnixDatagram, process::Command, time::Duration};

use crate::{
    federation::world::free_port,
    support::{
        child::Child,
        repository,
        site::{DOMAIN, Site, port},
        tls,
    },
};

/// Highest accepted exposure, in tenths, as `systemd-analyze` counts.
const EXPOSURE_MAX: &str = "15";

#[test]
fn the_exposure_of_the_unit_is_at_most_1_5() {
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--no-pager", "--offline=true"]).arg(format!("--threshold={EXPOSURE_MAX}"));
    let text = Child::start("systemd-analyze", command.arg(repository("systemd/torg.service"))).succeed();
    assert!(text.contains("Overall exposure level for torg.service"), "{text}");
}

#[test]
fn systemd_understands_every_line_of_every_unit() {
    let folder = tempfile::tempdir().unwrap();
    let (mut units, mut names) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(repository("systemd")).unwrap() {
        let path = entry.unwrap().path();
        if !path.extension().is_some_and(|kind| kind == "service" || kind == "socket" || kind == "timer") {
            continue;
        }
        // The binary is not installed on a machine that tests, and `verify` looks for it.
        let unit = fs::read_to_string(&path).unwrap().replace("/usr/bin/torg", "/bin/true");
        let file = folder.path().join(path.file_name().unwrap());
        fs::write(&file, unit).unwrap();
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
        units.push(file);
    }
    names.sort();
    let all = ["torg-backup.service", "torg-backup.timer", "torg-http.socket", "torg-https.socket", "torg.service"];
    assert_eq!(names, all);
    let done = Command::new("systemd-analyze").arg("verify").args(&units).output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn sockets_that_the_service_manager_opened_are_served_in_place_of_configured_addresses() {
    let stopped = Site::start("", &[], &["anna"]).stop().1;
    let ports = [free_port(), free_port()];
    let names = "https:c2s_tls";
    let mut launcher = Command::new("systemd-socket-activate");
    launcher.arg(format!("--fdname={names}"));
    for port in ports {
        launcher.arg(format!("--listen=127.0.0.1:{port}"));
    }
    launcher.arg(env!("CARGO_BIN_EXE_torg")).args(["run", "--print-addresses", "--config"]).arg(stopped.config());
    let torg = Child::start("systemd-socket-activate", &mut launcher);
    torg.log("the launcher listens", |line| line.contains(&format!("Listening on 127.0.0.1:{}", ports[1])));

    // The connection that starts the appliance is the first that it serves.
    let first = TcpStream::connect(("127.0.0.1", ports[0])).unwrap();
    torg.line("READY", |line| line == "READY");
    for (kind, expected) in [("https", ports[0]), ("c2s_tls", ports[1])] {
        assert_eq!(port(&torg, kind), expected);
    }
    assert!(!ports.contains(&port(&torg, "c2s")), "what was not passed is opened as configured");
    let answer = tls::get_on(first, DOMAIN, &stopped.authority(), "/.well-known/host-meta");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&format!(":{}/", ports[0])), "{answer}");
    tls::leaf(ports[1], DOMAIN, &stopped.authority(), "xmpp-client");
    torg.signal("TERM");
    torg.succeed();
}

#[test]
fn a_socket_with_an_unknown_name_is_told_with_the_names_there_are() {
    let stopped = Site::start("", &[], &[]).stop().1;
    let port = free_port();
    let mut launcher = Command::new("systemd-socket-activate");
    launcher.args(["--fdname=web", &format!("--listen=127.0.0.1:{port}")]);
    launcher.arg(env!("CARGO_BIN_EXE_torg")).args(["run", "--config"]).arg(stopped.config());
    let torg = Child::start("systemd-socket-activate", &mut launcher);
    torg.log("the launcher listens", |line| line.contains("Listening on"));
    let _first = TcpStream::connect(("127.0.0.1", port)).unwrap();
    torg.log("the mistake", |line| line.contains("\"web\"") && line.contains("https, http"));
    assert!(!torg.finish().0.success());
}

#[test]
fn the_unit_stops_its_service_only_after_the_drain_of_20_seconds() {
    let unit = fs::read_to_string(repository("systemd/torg.service")).unwrap();
    let seconds = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec="));
    assert!(seconds.and_then(|text| text.parse::<u32>().ok()).is_some_and(|seconds| seconds > 20));
}

#[test]
fn the_service_manager_hears_of_start_watchdog_reload_and_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let hear = |wanted: &str| {
        let mut buffer = [0; 1024];
        loop {
            let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("never heard {wanted}: {error}"));
            if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == wanted) {
                return;
            }
        }
    };
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")];
    let site = Site::start_with(&environment, "", &[], &[]);
    hear("READY=1");
    hear("WATCHDOG=1");
    site.torg.signal("HUP");
    hear("RELOADING=1");
    hear("READY=1");
    site.stop();
    hear("STOPPING=1");
}
