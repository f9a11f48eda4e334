//! How the appliance is: gathered once, shown as JSON, as metrics and as health.
//!
//! Nothing in it names an account: numbers, the operator's own names of lines and components, and the domain.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use torg_core::{Entrance, Numbers};
use torg_store::Engine;
use torg_thing::{Clock, Timestamp};

use crate::acme;
use crate::app::bridges::LineStates;
use crate::concentrator::Tree;

/// Free space below which new durable writes are about to fail: a write-ahead log grows by some megabytes before it is folded in.
pub const SPACE_LOW: u64 = 16 * 1024 * 1024;

/// How long the store may take to answer before it counts as stuck.
const STORE_WITHIN: Duration = Duration::from_secs(5);

/// Sources of everything that is shown.
pub struct Vitals {
    /// When the appliance started.
    pub started: Instant,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// The broker.
    pub entrance: Entrance,
    /// The store.
    pub store: Arc<dyn Engine>,
    /// Its file.
    pub store_path: PathBuf,
    /// The nodes.
    pub tree: Arc<Tree>,
    /// The lines of the bridges.
    pub lines: Arc<LineStates>,
    /// Where the certificate comes from: `files`, `authority` (our own) or `acme`.
    pub certificate_source: &'static str,
    /// How the orders of certificates go, if any are made.
    pub acme: Option<Arc<acme::Report>>,
}

/// How the appliance is at one moment; the JSON of `/status` and `torg status --json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Status {
    /// Version of the appliance.
    pub version: String,
    /// Domain it serves.
    pub domain: String,
    /// Seconds since its start.
    pub uptime_seconds: u64,
    /// Why it is not ready; empty if it is.
    pub reasons: Vec<String>,
    /// Bound sessions.
    pub sessions: usize,
    /// Connections that have not logged in.
    pub unauthenticated: usize,
    /// Stanzas that wait to be written.
    pub waiting: usize,
    /// Totals since the start.
    pub totals: Totals,
    /// The store.
    pub store: StoreStatus,
    /// The certificate in force.
    pub certificate: CertificateStatus,
    /// Lines of the bridges, `bridge/line`, and what is wrong with each.
    pub lines: BTreeMap<String, Option<String>>,
    /// Nodes behind them.
    pub nodes: usize,
    /// External components, by domain, and whether each is connected.
    #[serde(default)]
    pub components: BTreeMap<String, bool>,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Totals {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections turned away at once.
    pub refused: u64,
    /// Sessions bound.
    pub bound: u64,
    /// Stanzas from clients.
    pub stanzas_received: u64,
    /// Stanzas to clients.
    pub stanzas_sent: u64,
    /// Bytes from clients.
    pub bytes_received: u64,
    /// Bytes to clients.
    pub bytes_sent: u64,
}

/// The store.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StoreStatus {
    /// Its file.
    pub path: PathBuf,
    /// Bytes of it, its write-ahead log included.
    pub bytes: u64,
    /// Bytes free on its disk; absent if the system does not say.
    pub free_bytes: Option<u64>,
    /// Whether it answers.
    pub answers: bool,
}

/// The certificate in force.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CertificateStatus {
    /// `files`, `authority` or `acme`.
    pub source: String,
    /// End of its validity.
    pub until: String,
    /// The same, in seconds since 1970.
    pub until_seconds: i64,
    /// Whole days left; negative once it is over.
    pub days_left: i64,
    /// When the next one is ordered, where one is.
    pub renewal: Option<String>,
    /// Orders that failed in a row.
    pub failures: u32,
    /// Why the last one failed.
    pub error: Option<String>,
    /// Certificates received since the start.
    pub issued: u64,
}

const ANSWERS: &str = "SELECT version FROM torg_schema ORDER BY service LIMIT 1";
const MICROS_IN_SECOND: i64 = 1_000_000;
const SECONDS_IN_DAY: i64 = 24 * 3600;

impl Vitals {
    /// Looks at everything.
    pub async fn status(&self, domain: &str) -> Status {
        let numbers = self.entrance.numbers();
        let asked = tokio::time::timeout(STORE_WITHIN, self.store.query(ANSWERS, Vec::new())).await;
        let path = self.store_path.clone();
        let (bytes, free_bytes) = tokio::task::spawn_blocking(move || space(&path)).await.unwrap_or_default();
        let store =
            StoreStatus { path: self.store_path.clone(), bytes, free_bytes, answers: matches!(asked, Ok(Ok(_))) };
        let certificate = self.certificate();
        let lines = self.lines.all();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            domain: domain.to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
            reasons: reasons(&store, &certificate),
            sessions: numbers.sessions,
            unauthenticated: numbers.unauthenticated,
            waiting: numbers.waiting,
            totals: totals(&numbers),
            store,
            certificate,
            lines,
            nodes: self.tree.len(),
            components: self.entrance.components().into_iter().collect(),
        }
    }

    fn certificate(&self) -> CertificateStatus {
        let until = self.entrance.tls().until();
        let facts = self.acme.as_ref().map(|acme| acme.facts()).unwrap_or_default();
        CertificateStatus {
            source: self.certificate_source.to_owned(),
            until: until.to_string(),
            until_seconds: until.micros().div_euclid(MICROS_IN_SECOND),
            days_left: days_left(until, self.clock.now()),
            renewal: facts.due.map(|due| due.to_string()),
            failures: facts.failures,
            error: facts.error,
            issued: facts.issued,
        }
    }
}

/// Whole days from now to then; negative once that is over.
#[must_use]
pub fn days_left(until: Timestamp, now: Timestamp) -> i64 {
    until.micros().saturating_sub(now.micros()).div_euclid(MICROS_IN_SECOND.saturating_mul(SECONDS_IN_DAY))
}

fn totals(numbers: &Numbers) -> Totals {
    Totals {
        accepted: numbers.accepted,
        refused: numbers.refused,
        bound: numbers.bound,
        stanzas_received: numbers.stanzas_received,
        stanzas_sent: numbers.stanzas_sent,
        bytes_received: numbers.bytes_received,
        bytes_sent: numbers.bytes_sent,
    }
}

/// Why it is not ready to serve. A line that is down is no such reason: its nodes say so, and the others go on.
fn reasons(store: &StoreStatus, certificate: &CertificateStatus) -> Vec<String> {
    let mut reasons = Vec::new();
    if !store.answers {
        reasons.push("the store does not answer".to_owned());
    }
    if store.free_bytes.is_some_and(|free| free < SPACE_LOW) {
        reasons.push("the disk of the store is full: nothing new is kept, what is live goes on".to_owned());
    }
    if certificate.days_left < 0 {
        reasons.push(format!("the certificate ended at {}", certificate.until));
    }
    reasons
}

/// Bytes of the store and bytes free where it is.
fn space(path: &std::path::Path) -> (u64, Option<u64>) {
    let size = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        std::fs::metadata(name).map_or(0, |found| found.len())
    };
    let free = rustix::fs::statvfs(path).ok().map(|found| found.f_bavail.saturating_mul(found.f_frsize));
    (size("").saturating_add(size("-wal")), free)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> StoreStatus {
        StoreStatus { path: "torg.db".into(), bytes: 1, free_bytes: Some(SPACE_LOW), answers: true }
    }

    fn certificate(days_left: i64) -> CertificateStatus {
        CertificateStatus {
            source: "files".to_owned(),
            until: "2026-01-01T00:00:00Z".to_owned(),
            until_seconds: 0,
            days_left,
            renewal: None,
            failures: 0,
            error: None,
            issued: 0,
        }
    }

    #[test]
    fn what_works_is_ready() {
        assert_eq!(reasons(&store(), &certificate(0)), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_a_reason_of_its_own() {
        let broken = StoreStatus { free_bytes: Some(SPACE_LOW - 1), answers: false, ..store() };
        let reasons = reasons(&broken, &certificate(-1));
        assert_eq!(reasons.len(), 3, "{reasons:?}");
    }

    #[test]
    fn days_are_counted_down_below_zero() {
        let day = |days: i64| Timestamp::from_micros(days * SECONDS_IN_DAY * MICROS_IN_SECOND);
        assert_eq!(days_left(day(14), day(0)), 14);
        assert_eq!(days_left(day(0), Timestamp::from_micros(1)), -1);
    }
}
