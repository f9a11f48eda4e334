//! Streams to and from other servers (RFC 6120 §4, XEP-0220, XEP-0288, XEP-0368): accepting and connecting, TLS, a queue for each
//! peer. The machines are in `torg_wire::stream::peer`; policy, resolver and verifier stand behind [`Federation`].
//!
//! # Why
//! - What waits for a peer is in memory, bounded, and answered with an error when the peer is not found in time: a sender hears of it
//!   within half a minute. A message that was acknowledged outlives the process (see `transit`), but no payload of a device is ever
//!   written down on its way.
//! - A peer that failed is left alone for a while, and senders hear of it at once: a storm of stanzas is no storm of DNS questions.
//! - Nothing is opened without something to send, so a peer that comes back is found by the next stanza.

mod budget;
mod callback;
mod connection;
mod federation;
mod inbound;
mod link;
mod outbound;
mod report;
mod roll;
mod table;

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use torg_wire::seed::Seed;
use torg_wire::stanza::{Stanza, StanzaCondition};
use torg_wire::stream::peer::{DialbackSecret, Domains, PeerSettings, Standing, to_bytes};
use torg_wire::xml::Limits as XmlLimits;

pub(crate) use budget::Budget;
pub use federation::{Connector, Federation, Socket, Target, TcpConnector, Unreachable, Verdict};
pub(crate) use inbound::listen;

pub use connection::{IDLE, IDLE_ACCEPTED};
pub use link::{LINKED_STANZAS, PAUSE_MAX, PAUSE_MIN, UNRESOLVED_STANZAS, WAITING_BYTES, WAITING_BYTES_OF_ALL};
pub use outbound::RESOLVE_TIME;
pub use report::{LinkReport, LinkState};
pub use table::LINKS_MAX;

use self::budget::Budgets;
use self::link::{Parcel, Pushed};
use self::roll::Roll;
use self::table::Table;
use crate::c2s::Gate;
use crate::limits::Limits;
use crate::router::Router;
use crate::service;
use crate::session::now;
use crate::tls::ServerTls;
use crate::transit;

/// Time to judge a certificate: with DANE that asks DNS.
const JUDGE_TIME: Duration = Duration::from_secs(10);
/// Keys of peers that are being checked at the same time, on connections we open for it.
const CALLBACKS_MAX: usize = 64;

/// Peers that are being looked for at the same time: who writes to thousands of domains makes no flood of DNS questions.
const LOOKING_MAX: usize = 256;

/// Everything that leads to other servers.
pub(crate) struct Links {
    federation: Arc<dyn Federation>,
    connector: Arc<dyn Connector>,
    tls: Arc<ServerTls>,
    secret: DialbackSecret,
    limits: Limits,
    /// A number from 0 to 1, anew each time: randomness from outside.
    chance: fn() -> f64,
    /// Streams of peers that have proven nothing.
    gate: Arc<Gate>,
    /// Streams that peers have opened and proven a domain on.
    proven: Arc<Gate>,
    table: Table,
    budgets: Budgets,
    /// Streams there are.
    pub(crate) roll: Arc<Roll>,
    callbacks: Semaphore,
    looking: Semaphore,
    tasks: TaskTracker,
    /// Streams end once nothing waits for them.
    closing: CancellationToken,
    /// Streams end now.
    cut: CancellationToken,
}

impl Links {
    /// `secret`: fresh random bytes, for dialback.
    pub(crate) fn new(
        federation: Arc<dyn Federation>,
        connector: Arc<dyn Connector>,
        tls: Arc<ServerTls>,
        secret: &[u8; 32],
        limits: Limits,
    ) -> Self {
        Links {
            federation,
            connector,
            tls,
            secret: DialbackSecret::new(secret),
            limits,
            chance,
            gate: Arc::new(Gate::new(limits.unauthenticated, limits.unauthenticated_per_address)),
            proven: Arc::new(Gate::new(limits.peer_streams, limits.peer_streams_per_address)),
            table: Table::default(),
            budgets: Budgets::default(),
            roll: Arc::default(),
            callbacks: Semaphore::new(CALLBACKS_MAX),
            looking: Semaphore::new(LOOKING_MAX),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Hands a stanza with both addresses to the link it belongs to. Answers why not, if it cannot.
    pub(crate) fn send(&self, router: &Router, stanza: &Stanza) -> Result<(), StanzaCondition> {
        let (Some(from), Some(to)) = (stanza.from(), stanza.to()) else { return Err(StanzaCondition::BadRequest) };
        if self.closing.is_cancelled() && self.cut.is_cancelled() {
            return Err(StanzaCondition::RemoteServerTimeout);
        }
        let now = now();
        let Some(link) = self.table.link(from.domain(), to.domain(), now) else {
            return Err(StanzaCondition::ResourceConstraint);
        };
        let passage = transit::passage_out(Arc::as_ptr(&link).addr(), stanza);
        let parcel = Parcel { header: service::header(stanza), text: to_bytes(stanza).into(), passage };
        match link.push(parcel, now) {
            Pushed::Taken => Ok(()),
            Pushed::TakenFirst => {
                self.spawn(router, outbound::look(router.clone(), link));
                Ok(())
            }
            Pushed::Refused(_, condition) => Err(condition),
        }
    }

    /// How each link stands.
    pub(crate) fn reports(&self) -> Vec<LinkReport> {
        self.table.reports(now())
    }

    /// Forgets what is idle; once a minute.
    pub(crate) fn sweep(&self) {
        self.table.sweep(now());
        self.budgets.sweep();
    }

    /// Ends all streams: what waits is written first, as far as it goes within `deadline`. Answers whether all went.
    pub(crate) async fn shutdown(&self, deadline: Duration) -> bool {
        self.closing.cancel();
        self.tasks.close();
        let in_time = timeout(deadline, self.tasks.wait()).await.is_ok();
        self.cut.cancel();
        self.tasks.wait().await;
        in_time
    }

    /// Runs until it ends or all streams are cut.
    fn spawn(&self, router: &Router, work: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        let bounded = async move {
            tokio::select! {
                () = work => {}
                () = cut.cancelled() => {}
            }
        };
        self.tasks.spawn_on(bounded, &router.shared().runtime);
    }

    /// What all streams begin with.
    fn settings(&self, router: &Router) -> Arc<PeerSettings> {
        let domains = Arc::new(Ours(router.clone()));
        Arc::new(PeerSettings { domains, secret: self.secret.clone(), limits: XmlLimits::SERVER })
    }

    /// What a certificate and our policy say about a domain.
    async fn standing(&self, remote: &str, chain: &[CertificateDer<'static>], target: Option<&Target>) -> Standing {
        if !self.federation.allows(remote) {
            return Standing::Refused;
        }
        let judged = timeout(JUDGE_TIME, self.federation.judge(remote, chain, target)).await;
        let reason = match judged {
            Ok(Verdict::Proven(by)) => {
                tracing::debug!(remote, by, "A peer's certificate proves its domain.");
                self.table.explain(remote, by);
                return Standing::Proven;
            }
            Ok(Verdict::Unproven(reason)) => reason,
            Err(_) => "judging took too long".to_owned(),
        };
        if self.federation.allows_dialback(remote, !chain.is_empty()) {
            tracing::debug!(remote, %reason, "A peer's certificate does not prove its domain; dialback may.");
            self.table.explain(remote, &format!("dialback: {reason}"));
            return Standing::Dialback;
        }
        tracing::info!(remote, %reason, "A peer's certificate does not prove its domain.");
        Standing::Unproven
    }
}

/// The domains of a router, as the machines ask for them.
struct Ours(Router);

impl Domains for Ours {
    fn serves(&self, domain: &str) -> bool {
        self.0.answers_for(domain)
    }
}

fn seed() -> std::io::Result<Seed> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(Seed::new(bytes))
}

/// Without randomness from the system peers come back together, which is no reason to stop.
fn chance() -> f64 {
    getrandom::u32().map_or(0.0, |number| f64::from(number) / f64::from(u32::MAX))
}
