//! The status as OpenMetrics text. Labels are the operator's own names of lines, components and peers; nobody
//! else's address is ever one.
//!
//! | metric | unit | meaning |
//! |---|---|---|
//! | `torg_build_info` | | The appliance |
//! | `torg_ready` | | 1 if nothing is in the way of serving |
//! | `torg_degraded` | | 1 if something does not work although it serves |
//! | `torg_uptime_seconds` | seconds | Time since the start |
//! | `torg_sessions` | | Bound sessions |
//! | `torg_unauthenticated_connections` | | Connections not logged in |
//! | `torg_waiting_stanzas` | | Stanzas waiting to be written to clients |
//! | `torg_nodes` | | Nodes behind the lines |
//! | `torg_line_up` | | 1 if the line of the bridge runs |
//! | `torg_component_up` | | 1 if the component is connected |
//! | `torg_connections_accepted_total` | | Connections accepted |
//! | `torg_connections_refused_total` | | Connections turned away at once |
//! | `torg_sessions_bound_total` | | Sessions bound |
//! | `torg_stanzas_received_total` | | Stanzas from clients |
//! | `torg_stanzas_sent_total` | | Stanzas written to clients |
//! | `torg_received_bytes_total` | bytes | Bytes from clients, without TLS |
//! | `torg_sent_bytes_total` | bytes | Bytes written to clients, without TLS |
//! | `torg_peer_links` | | Links to other servers, by state: connected, connecting, failed, idle |
//! | `torg_peer_waiting_stanzas` | | Stanzas waiting for other servers |
//! | `torg_peer_waiting_bytes` | bytes | Their bytes |
//! | `torg_peer_up` | | 1 if a stream leads to the configured peer, 0 if it was looked for in vain or nothing is to be sent |
//! | `torg_peer_failed` | | 1 if the configured peer was looked for in vain and is left alone for a while |
//! | `torg_peer_queue_stanzas` | | Stanzas waiting for the configured peer |
//! | `torg_store_up` | | 1 if the store answers |
//! | `torg_store_writable` | | 1 if the disk took the last write |
//! | `torg_store_refusals_total` | | Writes that the disk refused |
//! | `torg_store_bytes` | bytes | Size of the store, its write-ahead log included |
//! | `torg_store_free_bytes` | bytes | Free space on the disk of the store |
//! | `torg_certificate_expiry_timestamp_seconds` | seconds | End of the certificate, since 1970 |
//! | `torg_certificates_issued_total` | | Certificates received from the authority |
//! | `torg_certificate_order_failures` | | Failed orders in a row |
//!
//! # Why
//! `prometheus-client`: the reference implementation of the format. The numbers are kept elsewhere, so it only writes them, anew for
//! each request.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use torg_core::s2s::LinkState;

use super::status::Status;

/// Media type of the text.
pub(super) const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text of a status.
pub(super) fn text(status: &Status) -> String {
    let mut page = Page(Registry::with_prefix("torg"));
    let build = vec![("version", status.version.clone())];
    page.0.register("build", "The appliance", Info::new(build));
    page.gauge("ready", "1 if nothing is in the way of serving", u64::from(status.reasons.is_empty()));
    page.gauge("degraded", "1 if something does not work although it serves", u64::from(!status.degraded.is_empty()));
    page.measure("uptime", Unit::Seconds, "Time since the start", status.uptime_seconds);
    clients(&mut page, status);
    peers(&mut page, status);
    keeping(&mut page, status);
    let lines = status.lines.iter().map(|(line, failure)| (line, u64::from(failure.is_none())));
    page.labelled("line_up", "line", "1 if the line of the bridge runs", lines);
    let components = status.components.iter().map(|(component, connected)| (component, u64::from(*connected)));
    page.labelled("component_up", "component", "1 if the component is connected", components);
    let mut text = String::new();
    // Writing into memory cannot fail.
    let _ = encode(&mut text, &page.0);
    text
}

fn clients(page: &mut Page, status: &Status) {
    page.gauge("sessions", "Bound sessions", number(status.sessions));
    page.gauge("unauthenticated_connections", "Connections not logged in", number(status.unauthenticated));
    page.gauge("waiting_stanzas", "Stanzas waiting to be written to clients", number(status.waiting));
    page.gauge("nodes", "Nodes behind the lines", number(status.nodes));
    let totals = &status.totals;
    page.counter("connections_accepted", "Connections accepted", totals.accepted);
    page.counter("connections_refused", "Connections turned away at once", totals.refused);
    page.counter("sessions_bound", "Sessions bound", totals.bound);
    page.counter("stanzas_received", "Stanzas from clients", totals.stanzas_received);
    page.counter("stanzas_sent", "Stanzas written to clients", totals.stanzas_sent);
    page.bytes("received", "Bytes from clients, without TLS", totals.bytes_received);
    page.bytes("sent", "Bytes written to clients, without TLS", totals.bytes_sent);
}

fn peers(page: &mut Page, status: &Status) {
    let peers = &status.peers;
    let states =
        LinkState::ALL.map(|state| (state.name(), number(peers.links.get(state.name()).copied().unwrap_or(0))));
    let help = "Links to other servers, by state: connected, connecting, failed, idle";
    page.labelled("peer_links", "state", help, states);
    page.gauge("peer_waiting_stanzas", "Stanzas waiting for other servers", number(peers.waiting));
    page.measure("peer_waiting", Unit::Bytes, "Their bytes", number(peers.waiting_bytes));
    let each = |value: fn(&super::status::PeerStatus) -> u64| {
        peers.configured.iter().map(move |(domain, peer)| (domain, value(peer)))
    };
    let help = "1 if a stream leads to the configured peer, 0 if it was looked for in vain or nothing is to be sent";
    page.labelled("peer_up", "peer", help, each(|peer| u64::from(peer.state == LinkState::Connected.name())));
    let help = "1 if the configured peer was looked for in vain and is left alone for a while";
    page.labelled("peer_failed", "peer", help, each(|peer| u64::from(peer.state == LinkState::Failed.name())));
    let help = "Stanzas waiting for the configured peer";
    page.labelled("peer_queue_stanzas", "peer", help, each(|peer| number(peer.waiting)));
}

/// The store and the certificate.
fn keeping(page: &mut Page, status: &Status) {
    let store = &status.store;
    page.gauge("store_up", "1 if the store answers", u64::from(store.answers));
    page.gauge("store_writable", "1 if the disk took the last write", u64::from(store.refused.is_none()));
    page.counter("store_refusals", "Writes that the disk refused", store.refusals);
    page.measure("store", Unit::Bytes, "Size of the store, its write-ahead log included", store.bytes);
    if let Some(free) = store.free_bytes {
        page.measure("store_free", Unit::Bytes, "Free space on the disk of the store", free);
    }
    let certificate = &status.certificate;
    let until = u64::try_from(certificate.until_seconds).unwrap_or(0);
    page.measure("certificate_expiry_timestamp", Unit::Seconds, "End of the certificate, since 1970", until);
    page.counter("certificates_issued", "Certificates received from the authority", certificate.issued);
    page.gauge("certificate_order_failures", "Failed orders in a row", certificate.failures.into());
}

/// What is written at the end.
struct Page(Registry);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.0.register(name, help, set(value));
    }

    /// A gauge of something that has a unit, which becomes the end of its name.
    fn measure(&mut self, name: &str, unit: Unit, help: &str, value: u64) {
        self.0.register_with_unit(name, help, unit, set(value));
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.0.register(name, help, count(value));
    }

    fn bytes(&mut self, name: &str, help: &str, value: u64) {
        self.0.register_with_unit(name, help, Unit::Bytes, count(value));
    }

    /// A gauge for each value of a label.
    fn labelled<L: AsRef<str>>(
        &mut self,
        name: &str,
        label: &'static str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) {
        let family = Family::<[(&'static str, String); 1], Gauge<u64, AtomicU64>>::default();
        for (of, value) in values {
            family.get_or_create(&[(label, of.as_ref().to_owned())]).set(value);
        }
        self.0.register(name, help, family);
    }
}

fn set(value: u64) -> Gauge<u64, AtomicU64> {
    let gauge = Gauge::default();
    gauge.set(value);
    gauge
}

fn count(value: u64) -> Counter<u64> {
    let counter = Counter::default();
    counter.inc_by(value);
    counter
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::status::{PeerStatus, Status};
    use super::*;

    /// Name of a sample, unit, meaning.
    type Rows = BTreeMap<String, (String, String)>;

    /// The table above.
    fn described() -> Rows {
        let rows = include_str!("metrics.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
        rows.map(|row| {
            let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
            (cells[0].trim_end_matches('`').to_owned(), (cells[1].to_owned(), cells[2].to_owned()))
        })
        .collect()
    }

    /// What the text says of itself.
    fn told(text: &str) -> Rows {
        let mut rows = Rows::new();
        let comments =
            |kind: &'static str| text.lines().filter_map(move |line| line.strip_prefix(kind)?.split_once(' '));
        let units: BTreeMap<_, _> = comments("# UNIT ").collect();
        let kinds: BTreeMap<_, _> = comments("# TYPE ").collect();
        for (name, help) in comments("# HELP ") {
            let end = match kinds[name] {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            let unit = units.get(name).copied().unwrap_or_default().to_owned();
            rows.insert(format!("{name}{end}"), (unit, help.trim_end_matches('.').to_owned()));
        }
        rows
    }

    fn status() -> Status {
        let mut status = Status::sample();
        let peer = PeerStatus { state: LinkState::Failed.name().to_owned(), waiting: 3, why: String::new() };
        status.peers.configured.insert("other.example".to_owned(), peer);
        status.peers.links.insert(LinkState::Failed.name().to_owned(), 1);
        status
    }

    #[test]
    fn the_table_of_metrics_is_what_is_told() {
        assert_eq!(told(&text(&status())), described());
    }

    #[test]
    fn a_peer_in_trouble_is_seen() {
        let text = text(&status());
        for line in [
            "torg_peer_links{state=\"failed\"} 1",
            "torg_peer_links{state=\"connected\"} 0",
            "torg_peer_up{peer=\"other.example\"} 0",
            "torg_peer_failed{peer=\"other.example\"} 1",
            "torg_peer_queue_stanzas{peer=\"other.example\"} 3",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in {text}");
        }
    }
}
