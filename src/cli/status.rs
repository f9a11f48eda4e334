//! `torg status`: asks the running appliance how it is, through the socket beside its store, and shows the answer.
//!
//! # Why
//! A socket file that only its owner may open needs no token, no port and no configuration, and tells who asks by the file system itself.
//! What it says is what `/status` on the admin listener says.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::args::StatusArguments;
use super::check::{count, tell};
use super::{Failure, Table, Terminal, printable};
use crate::console::status::Status;
use crate::{app, catalog, config};

/// Longest wait for the appliance: its own answer is bounded by five seconds for the store.
const WITHIN: Duration = Duration::from_secs(15);
/// Bytes of an answer: lines and listeners have names of a few dozen bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(super) fn run(arguments: &StatusArguments, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let settings = match config::load(&arguments.config.config, catalog::BRIDGES) {
        Ok(config) => config.settings,
        Err(errors) => return Err(tell(&errors, "configuration", terminal)?),
    };
    let socket = app::socket_path(&settings.store);
    let body = ask(&socket).map_err(|error| failure(&socket, &error))?;
    let status: Status = serde_json::from_slice(&body).map_err(|error| {
        Failure::failed(format!(
            "The appliance answers what this torg does not understand ({error}). Is it of another version?"
        ))
    })?;
    if arguments.json {
        terminal.json(&status)?;
    } else {
        show(&status, terminal)?;
    }
    if status.reasons.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

/// The body of the answer to `GET /status`.
fn ask(socket: &Path) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let head = end.and_then(|end| answer.get(..end)).unwrap_or_default();
    match (head.starts_with(b"HTTP/1.1 200 "), end) {
        (true, Some(end)) => Ok(answer.split_off(end.saturating_add(4))),
        _ => Err(io::Error::other("it did not answer the question")),
    }
}

fn failure(socket: &Path, error: &io::Error) -> Failure {
    let socket = socket.display();
    Failure::failed(match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!(
                "No appliance runs on this store: nobody answers at {socket}. Start it, or give its configuration with --config."
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("This user may not ask the appliance at {socket}. Run as the appliance's own user, or as root.")
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            format!(
                "The appliance at {socket} did not answer within {} s. Its log may say what holds it up.",
                WITHIN.as_secs()
            )
        }
        _ => format!("The appliance at {socket} cannot be asked: {error}."),
    })
}

fn show(status: &Status, terminal: &mut Terminal<'_>) -> io::Result<()> {
    let word = match (status.reasons.is_empty(), status.degraded.is_empty()) {
        (true, true) => "ready",
        (true, false) => "degraded",
        (false, _) => "not ready",
    };
    let up = duration(status.uptime_seconds);
    terminal.line(&printable(&format!("{}: {word}, Torg {}, up {up}", status.domain, status.version)))?;
    for reason in status.reasons.iter().chain(&status.degraded) {
        terminal.line(&printable(&format!("  ! {reason}")))?;
    }
    let sessions = count(status.sessions, "session");
    terminal.line(&format!(
        "sessions     {sessions}, {} not logged in, {} waiting to be written",
        status.unauthenticated,
        count(status.waiting, "stanza")
    ))?;
    let certificate = &status.certificate;
    let renewal = certificate.renewal.as_deref().map(|due| format!(", next ordered {due}")).unwrap_or_default();
    terminal.line(&printable(&format!(
        "certificate  of {}, until {} ({} days){renewal}",
        certificate.source, certificate.until, certificate.days_left
    )))?;
    if let Some(error) = &certificate.error {
        terminal.line(&printable(&format!("  ! {} orders in a row failed: {error}", certificate.failures)))?;
    }
    let store = &status.store;
    let free = store.free_bytes.map(|free| format!(", {} free", mebibytes(free))).unwrap_or_default();
    terminal.line(&printable(&format!("store        {}, {}{free}", store.path.display(), mebibytes(store.bytes))))?;
    for (kind, addresses) in &status.listeners {
        terminal.line(&printable(&format!("listens      {kind} {}", addresses.join(" "))))?;
    }
    let peers = &status.peers;
    if !peers.links.is_empty() || !peers.configured.is_empty() {
        let links: Vec<String> = peers.links.iter().map(|(state, number)| format!("{number} {state}")).collect();
        terminal.line(&printable(&format!(
            "peers        {}; {} waiting",
            links.join(", "),
            count(peers.waiting, "stanza")
        )))?;
    }
    for (domain, peer) in &peers.configured {
        terminal.line(&printable(&format!(
            "peer         {domain} {}, {} waiting",
            peer.state,
            count(peer.waiting, "stanza")
        )))?;
    }
    for (component, is_connected) in &status.components {
        let state = if *is_connected { "connected" } else { "not connected" };
        terminal.line(&printable(&format!("component    {component} {state}")))?;
    }
    let mut lines = Table::new(&["line", "state"]);
    for (line, failure) in &status.lines {
        lines.row([line.as_str(), failure.as_deref().unwrap_or("runs")]);
    }
    if !lines.is_empty() {
        write!(terminal.out, "\n{}", lines.render())?;
    }
    terminal.line(&format!("nodes        {}, {} with something to tell", status.nodes, status.unwell.len()))?;
    let mut nodes = Table::new(&["node", "state", "message"]);
    for node in &status.unwell {
        nodes.row([&node.node, &node.state, &node.message]);
    }
    if !nodes.is_empty() {
        write!(terminal.out, "\n{}", nodes.render())?;
    }
    terminal.out.flush()
}

/// Days, hours and minutes; seconds while there is nothing else.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60 % 60, seconds / 3600 % 24, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{} {hours} h", count(usize::try_from(days).unwrap_or(usize::MAX), "day")),
    }
}

fn mebibytes(bytes: u64) -> String {
    let tenths = u128::from(bytes) * 10 / (1024 * 1024);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_units_people_think_in() {
        let told = [5, 60, 3_660, 86_400, 2 * 86_400 + 3 * 3600].map(duration);
        assert_eq!(told, ["5 s", "1 min", "1 h 1 min", "1 day 0 h", "2 days 3 h"]);
    }

    #[test]
    fn sizes_are_told_in_mebibytes() {
        assert_eq!([0, 1024 * 1024, 1_600_000].map(mebibytes), ["0.0 MiB", "1.0 MiB", "1.5 MiB"]);
    }
}
