//! The status as OpenMetrics text. Labels are the operator's own names of lines and components; no account is ever one.
//!
//! # Why
//! `prometheus-client`: the reference implementation of the format. The numbers are kept elsewhere, so it only writes them, anew for
//! each request.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::status::Status;

/// Media type of the text.
pub(super) const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text of a status.
pub(super) fn text(status: &Status) -> String {
    let mut registry = Registry::with_prefix("torg");
    let info = vec![("version", status.version.clone())];
    registry.register("build", "The appliance", prometheus_client::metrics::info::Info::new(info));

    gauge(&mut registry, "ready", "1 if nothing is in the way of serving", u64::from(status.reasons.is_empty()));
    gauge(&mut registry, "uptime_seconds", "Time since the start", status.uptime_seconds);
    gauge(&mut registry, "sessions", "Bound sessions", number(status.sessions));
    gauge(&mut registry, "unauthenticated_connections", "Connections not logged in", number(status.unauthenticated));
    gauge(&mut registry, "waiting_stanzas", "Stanzas waiting to be written to clients", number(status.waiting));
    gauge(&mut registry, "nodes", "Nodes behind the lines", number(status.nodes));

    let totals = &status.totals;
    counter(&mut registry, "connections_accepted", "Connections accepted", totals.accepted);
    counter(&mut registry, "connections_refused", "Connections turned away at once", totals.refused);
    counter(&mut registry, "sessions_bound", "Sessions bound", totals.bound);
    counter(&mut registry, "stanzas_received", "Stanzas from clients", totals.stanzas_received);
    counter(&mut registry, "stanzas_sent", "Stanzas written to clients", totals.stanzas_sent);
    bytes(&mut registry, "received", "Bytes from clients, without TLS", totals.bytes_received);
    bytes(&mut registry, "sent", "Bytes written to clients, without TLS", totals.bytes_sent);

    gauge(&mut registry, "store_up", "1 if the store answers", u64::from(status.store.answers));
    gauge(&mut registry, "store_bytes", "Size of the store", status.store.bytes);
    if let Some(free) = status.store.free_bytes {
        gauge(&mut registry, "store_free_bytes", "Free space on the disk of the store", free);
    }

    let certificate = &status.certificate;
    let until = u64::try_from(certificate.until_seconds).unwrap_or(0);
    gauge(&mut registry, "certificate_expiry_timestamp_seconds", "End of the certificate, since 1970", until);
    counter(&mut registry, "certificates_issued", "Certificates received from the authority", certificate.issued);
    gauge(&mut registry, "certificate_order_failures", "Failed orders in a row", certificate.failures.into());

    let lines = Family::<[(&str, String); 1], Gauge<u64, AtomicU64>>::default();
    for (line, failure) in &status.lines {
        lines.get_or_create(&[("line", line.clone())]).set(u64::from(failure.is_none()));
    }
    registry.register("line_up", "1 if the line of the bridge runs", lines);
    let components = Family::<[(&str, String); 1], Gauge<u64, AtomicU64>>::default();
    for (component, connected) in &status.components {
        components.get_or_create(&[("component", component.clone())]).set(u64::from(*connected));
    }
    registry.register("component_up", "1 if the component is connected", components);
    let mut text = String::new();
    // Writing into memory cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<u64, AtomicU64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

fn bytes(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(value);
    registry.register_with_unit(name, help, Unit::Bytes, counter);
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
