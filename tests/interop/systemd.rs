//! systemd's own opinion of `systemd/torg.service`, and what the appliance tells a service manager.

use std::{fs, os::unix::net::UnixDatagram, process::Command, time::Duration};

use crate::support::{child::Child, repository, site::Site};

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
fn systemd_understands_every_line_of_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string(repository("systemd/torg.service")).unwrap();
    // The binary is not installed on a machine that tests, and `verify` looks for it.
    let (start, installed) = ("ExecStart=/usr/bin/torg", "ExecStart=/bin/true");
    assert!(unit.contains(start));
    let file = folder.path().join("torg.service");
    fs::write(&file, unit.replace(start, installed)).unwrap();
    let done = Command::new("systemd-analyze").arg("verify").arg(&file).output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn systemd_understands_the_nightly_backup() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["torg-backup.service", "torg-backup.timer"].map(|name| {
        let unit = fs::read_to_string(repository("systemd").join(name)).unwrap();
        let file = folder.path().join(name);
        fs::write(&file, unit.replace("/usr/bin/torg", "/bin/true")).unwrap();
        file
    });
    let done = Command::new("systemd-analyze").arg("verify").args(files).output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
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
