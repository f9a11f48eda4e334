//! How the appliance is: gathered once, shown as JSON, as metrics and as health.
//!
//! Nothing in it names an account: numbers, the operator's own names of lines and components, and the domain.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use torg_core::s2s::{LinkReport, LinkState};
use torg_core::{Entrance, Numbers};
use torg_store::{Engine, Health};
use torg_thing::{Clock, Timestamp};

use crate::acme;
use crate::app::bridges::LineStates;
use crate::concentrator::Tree;

/// Free space below which new durable writes are about to fail: a write-ahead log grows by some megabytes before it is folded in.
pub const SPACE_LOW: u64 = 16 * 1024 * 1024;

/// Free space from which a disk that refused is tried again. With less, a write as small as the trial may find room in the log where a
/// message does not.
const PROBE_FREE_MIN: u64 = 1024 * 1024;

/// Days before its end at which a certificate in files should have been replaced: whoever renews them by a timer does so weeks before.
const FILES_DUE_DAYS: i64 = 7;

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
    /// Domains of the peers that the operator has named.
    pub peers: ArcSwap<Vec<Box<str>>>,
    /// Where it listens, by kind.
    pub listeners: BTreeMap<String, Vec<String>>,
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
    /// What it cannot do although it is ready; empty if there is nothing.
    #[serde(default)]
    pub degraded: Vec<String>,
    /// Where it listens, by kind.
    #[serde(default)]
    pub listeners: BTreeMap<String, Vec<String>>,
    /// Bound sessions.
    pub sessions: usize,
    /// Connections that have not logged in.
    pub unauthenticated: usize,
    /// Stanzas that wait to be written.
    pub waiting: usize,
    /// Totals since the start.
    pub totals: Totals,
    /// Other servers.
    pub peers: PeersStatus,
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
    /// Those of them that have something to complain of, the first [`UNWELL_MAX`] by name.
    #[serde(default)]
    pub unwell: Vec<UnwellNode>,
}

/// A node with an open message.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct UnwellNode {
    /// Its source and its name.
    pub node: String,
    /// `information`, `warning` or `error`.
    pub state: String,
    /// Its gravest message.
    pub message: String,
}

/// Most nodes that are told of one by one: a screen or two; whoever has more looks at the line they are on.
pub const UNWELL_MAX: usize = 50;

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

/// Other servers: in numbers, and one by one only those that the operator has named.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PeersStatus {
    /// Links by state: connected, connecting, failed, idle. There is one for each pair of a domain of ours and one of theirs.
    pub links: BTreeMap<String, usize>,
    /// Stanzas that wait for other servers.
    pub waiting: usize,
    /// Their bytes.
    pub waiting_bytes: usize,
    /// The configured peers, by domain, their subdomains included.
    pub configured: BTreeMap<String, PeerStatus>,
}

/// A configured peer.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PeerStatus {
    /// The best state of its links: connected, connecting, failed, idle.
    pub state: String,
    /// Stanzas that wait for it.
    pub waiting: usize,
    /// Why it is believed, or why it was not reached; empty before it was looked for.
    #[serde(default)]
    pub why: String,
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
    /// Why its disk refused the last write; absent if it took it.
    #[serde(default)]
    pub refused: Option<String>,
    /// How often the disk has refused since the start.
    #[serde(default)]
    pub refusals: u64,
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
        // While the disk refuses, each look tries it again once there is room: it heals without waiting for the next message.
        let Health { refused, refusals } = match free_bytes.is_none_or(|free| free >= PROBE_FREE_MIN) {
            true => tokio::time::timeout(STORE_WITHIN, torg_store::probe(&*self.store)).await.ok(),
            false => None,
        }
        .unwrap_or_else(|| self.store.health());
        let answers = matches!(asked, Ok(Ok(_)));
        let store = StoreStatus { path: self.store_path.clone(), bytes, free_bytes, answers, refused, refusals };
        let certificate = self.certificate();
        let lines = self.lines.all();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            domain: domain.to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
            reasons: reasons(&store, &certificate),
            degraded: degraded(&store, &certificate),
            listeners: self.listeners.clone(),
            sessions: numbers.sessions,
            unauthenticated: numbers.unauthenticated,
            waiting: numbers.waiting,
            totals: totals(&numbers),
            peers: peers(&self.entrance.links(), &self.peers.load()),
            store,
            certificate,
            lines,
            nodes: self.tree.len(),
            unwell: self.tree.unwell(UNWELL_MAX),
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

/// Sums up links. A link of a subdomain belongs to the longest of the named domains.
fn peers(links: &[LinkReport], named: &[Box<str>]) -> PeersStatus {
    let mut status = PeersStatus::default();
    let mut states: BTreeMap<&str, (LinkState, usize, &str)> =
        named.iter().map(|domain| (&**domain, (LinkState::Idle, 0, ""))).collect();
    for link in links {
        *status.links.entry(link.state.name().to_owned()).or_default() += 1;
        status.waiting = status.waiting.saturating_add(link.waiting);
        status.waiting_bytes = status.waiting_bytes.saturating_add(link.bytes);
        let of = named.iter().filter(|domain| is_within(&link.peer, domain)).max_by_key(|domain| domain.len());
        if let Some((state, waiting, why)) = of.and_then(|domain| states.get_mut(&**domain)) {
            if link.state <= *state {
                (*state, *why) = (link.state, &link.why);
            }
            *waiting = waiting.saturating_add(link.waiting);
        }
    }
    let told = |(state, waiting, why): (LinkState, usize, &str)| PeerStatus {
        state: state.name().to_owned(),
        waiting,
        why: why.to_owned(),
    };
    status.configured = states.into_iter().map(|(domain, found)| (domain.to_owned(), told(found))).collect();
    status
}

/// The domain itself or a subdomain of it.
fn is_within(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Why it is not ready to serve. A line that is down is no such reason: its nodes say so, and the others go on.
fn reasons(store: &StoreStatus, certificate: &CertificateStatus) -> Vec<String> {
    let mut reasons = Vec::new();
    if !store.answers {
        reasons.push("the store does not answer".to_owned());
    }
    if certificate.days_left < 0 {
        reasons.push(format!("the certificate ended at {}", certificate.until));
    }
    reasons
}

/// What it cannot do, or not for long. It is ready all the same: who is there goes on talking.
fn degraded(store: &StoreStatus, certificate: &CertificateStatus) -> Vec<String> {
    let mut degraded = Vec::new();
    if let Some(why) = &store.refused {
        degraded
            .push(format!("the disk of the store takes nothing, so nothing new is kept; what is live goes on ({why})"));
    } else if store.free_bytes.is_some_and(|free| free < SPACE_LOW) {
        degraded.push("the disk of the store is nearly full: soon nothing new is kept".to_owned());
    }
    if let Some(why) = certificate.error.as_ref().filter(|_| certificate.failures > 0) {
        degraded.push(format!("no new certificate can be had; the one in use ends at {} ({why})", certificate.until));
    } else if certificate.source == "files" && (0..FILES_DUE_DAYS).contains(&certificate.days_left) {
        degraded.push(format!("the certificate ends at {}: put a new one in its place", certificate.until));
    }
    degraded
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
impl Status {
    /// One in which all is well and nothing happens.
    pub(super) fn sample() -> Status {
        Status {
            version: "0.1.0".to_owned(),
            domain: "site.example".to_owned(),
            uptime_seconds: 1,
            reasons: Vec::new(),
            degraded: Vec::new(),
            listeners: BTreeMap::new(),
            sessions: 0,
            unauthenticated: 0,
            waiting: 0,
            totals: totals(&Numbers::default()),
            peers: PeersStatus::default(),
            store: StoreStatus {
                path: "torg.db".into(),
                bytes: 1,
                free_bytes: Some(SPACE_LOW),
                answers: true,
                refused: None,
                refusals: 0,
            },
            certificate: CertificateStatus {
                source: "files".to_owned(),
                until: "2026-01-01T00:00:00Z".to_owned(),
                until_seconds: 0,
                days_left: 0,
                renewal: None,
                failures: 0,
                error: None,
                issued: 0,
            },
            lines: BTreeMap::from([("plant/meters".to_owned(), None)]),
            components: BTreeMap::from([("rooms.site.example".to_owned(), true)]),
            nodes: 0,
            unwell: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> StoreStatus {
        Status::sample().store
    }

    fn certificate(days_left: i64) -> CertificateStatus {
        CertificateStatus { days_left, ..Status::sample().certificate }
    }

    fn link(peer: &str, state: LinkState, waiting: usize) -> LinkReport {
        LinkReport {
            peer: peer.into(),
            state,
            waiting,
            bytes: 100 * waiting,
            why: format!("why it is {}", state.name()).into(),
        }
    }

    #[test]
    fn peers_are_counted_and_only_the_named_ones_are_told_apart() {
        let links = [
            link("other.example", LinkState::Failed, 2),
            link("rooms.other.example", LinkState::Connected, 1),
            link("another.example", LinkState::Connecting, 4),
        ];
        let status = peers(&links, &["other.example".into(), "quiet.example".into()]);
        assert_eq!((status.waiting, status.waiting_bytes), (7, 700));
        assert_eq!(status.links.values().copied().collect::<Vec<_>>(), [1, 1, 1]);
        let told: Vec<_> = status
            .configured
            .iter()
            .map(|(domain, peer)| (domain.as_str(), peer.state.as_str(), peer.waiting, peer.why.as_str()))
            .collect();
        assert_eq!(told, [("other.example", "connected", 3, "why it is connected"), ("quiet.example", "idle", 0, "")]);
    }

    #[test]
    fn a_link_belongs_to_the_longest_named_domain_that_it_is_within() {
        let links = [link("a.b.example", LinkState::Connected, 1), link("xb.example", LinkState::Connected, 1)];
        let status = peers(&links, &["b.example".into(), "a.b.example".into()]);
        let waiting: Vec<usize> = status.configured.values().map(|peer| peer.waiting).collect();
        assert_eq!(waiting, [1, 0]);
    }

    #[test]
    fn what_works_is_ready() {
        assert_eq!(reasons(&store(), &certificate(0)), Vec::<String>::new());
        assert_eq!(degraded(&store(), &certificate(FILES_DUE_DAYS)), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_a_reason_of_its_own() {
        let broken = StoreStatus { answers: false, ..store() };
        let reasons = reasons(&broken, &certificate(-1));
        assert_eq!(reasons.len(), 2, "{reasons:?}");
    }

    #[test]
    fn a_full_disk_degrades_and_is_no_reason_to_turn_clients_away() {
        for full in [
            StoreStatus { free_bytes: Some(SPACE_LOW - 1), ..store() },
            StoreStatus { refused: Some("no space".into()), refusals: 1, ..store() },
        ] {
            assert_eq!(degraded(&full, &certificate(FILES_DUE_DAYS)).len(), 1);
            assert_eq!(reasons(&full, &certificate(0)), Vec::<String>::new());
        }
    }

    #[test]
    fn a_certificate_that_nobody_renews_degrades_before_it_ends() {
        let after = |certificate: &CertificateStatus| degraded(&store(), certificate).concat();
        assert!(after(&certificate(FILES_DUE_DAYS - 1)).contains("put a new one in its place"));
        assert!(after(&certificate(0)).contains("put a new one in its place"));
        let by = |source: &str| CertificateStatus { source: source.to_owned(), ..certificate(0) };
        assert_eq!(after(&by("acme")) + &after(&by("authority")), "", "those are renewed by themselves");
        let failing = CertificateStatus { failures: 2, error: Some("gone".to_owned()), ..by("acme") };
        assert!(after(&failing).contains("no new certificate can be had") && after(&failing).contains("gone"));
        assert_eq!(after(&certificate(-1)), "", "that is a reason not to be ready");
    }

    #[test]
    fn days_are_counted_down_below_zero() {
        let day = |days: i64| Timestamp::from_micros(days * SECONDS_IN_DAY * MICROS_IN_SECOND);
        assert_eq!(days_left(day(14), day(0)), 14);
        assert_eq!(days_left(day(0), Timestamp::from_micros(1)), -1);
    }
}
