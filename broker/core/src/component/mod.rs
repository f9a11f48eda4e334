//! External components (XEP-0114): programs on this machine that serve a domain of their own through this broker.
//!
//! To the router a component is what another server is: an address elsewhere, reached through a queue. Accounts see its presence and
//! it sees theirs as if it lived on another server, stanzas from it pass the same checks, and other servers reach it under its own
//! domain if the certificate names that.
//!
//! # Why
//! - The newest connection of a component wins, and the older one ends with `conflict` (RFC 6120 §4.9.3.3 allows either): who comes
//!   later knows the secret as well, and after a crash the older one may be dead without anybody having noticed.
//! - Nothing waits for a component that is away; see `line`.

mod connection;
mod line;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use torg_wire::jid::{BareJid, DomainPart};
use torg_wire::secret::Secret;
use torg_wire::stanza::{Stanza, StanzaCondition};
use torg_wire::stream::component::{ComponentSettings, to_bytes};
use torg_wire::xml::Limits as XmlLimits;

pub(crate) use connection::listen;
pub use line::{COMPONENT_BYTES, COMPONENT_STANZAS};

use self::line::{Line, Parcel};
use crate::c2s::Gate;
use crate::limits::Limits;
use crate::s2s::Budget;
use crate::service;
use crate::session::now;
use crate::transit;

/// Connections that have not said their handshake: all components of a machine that start at once, and one that does not know how.
pub const COMPONENTS_UNPROVEN: usize = 32;

/// One component that may connect.
#[derive(Debug)]
pub(crate) struct Component {
    address: BareJid,
    /// What it may send and ask; kept while the broker runs, so a reconnect renews nothing.
    budget: Arc<Budget>,
    line: Line,
}

/// All components.
#[derive(Debug)]
pub(crate) struct Components {
    by_domain: HashMap<Box<str>, Arc<Component>>,
    settings: Arc<ComponentSettings>,
    gate: Arc<Gate>,
    tasks: TaskTracker,
    /// Streams end once nothing waits for them.
    closing: CancellationToken,
    /// Streams end now.
    cut: CancellationToken,
}

impl Components {
    pub(crate) fn new(secrets: HashMap<DomainPart, Secret<String>>, limits: &Limits) -> Self {
        let component = |domain: &DomainPart| {
            let budget = Arc::new(Budget::of_class(&limits.service, now()));
            Arc::new(Component { address: BareJid::from_parts(None, domain), budget, line: Line::default() })
        };
        Components {
            by_domain: secrets.keys().map(|domain| (domain.as_str().into(), component(domain))).collect(),
            settings: Arc::new(ComponentSettings { secrets, limits: XmlLimits::SERVER }),
            gate: Arc::new(Gate::new(COMPONENTS_UNPROVEN, COMPONENTS_UNPROVEN)),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Whether the domain is that of a component, here or not.
    pub(crate) fn serves(&self, domain: &str) -> bool {
        !self.by_domain.is_empty() && self.by_domain.contains_key(domain)
    }

    /// The address of each component, and whether it is connected.
    pub(crate) fn all(&self) -> Vec<(BareJid, bool)> {
        let all = self.by_domain.values().map(|component| (component.address.clone(), component.line.is_held()));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        all
    }

    /// Hands a stanza to the component it is for; `None` if it is for none, else why it could not be taken.
    pub(crate) fn send(&self, stanza: &Stanza) -> Option<Result<(), StanzaCondition>> {
        let component = self.find(stanza.to()?.domain())?;
        if !component.line.is_held() {
            return Some(Err(StanzaCondition::RemoteServerTimeout)); // without writing it first
        }
        let passage = transit::passage_out(Arc::as_ptr(component).addr(), stanza);
        let parcel = Parcel { header: service::header(stanza), text: to_bytes(stanza).into(), passage };
        Some(component.line.push(parcel))
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

    fn find(&self, domain: &str) -> Option<&Arc<Component>> {
        if self.by_domain.is_empty() { None } else { self.by_domain.get(domain) }
    }
}
