//! The broker as one value: what the appliance starts, feeds with connections and services, and stops.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use torg_store::{Batch, Engine, MigrateError, StoreError, migrate};
use torg_thing::Clock;
use torg_wire::jid::{BareJid, DomainPart, FullJid, Jid, JidError};
use torg_wire::ns;
use torg_wire::sasl::{Policy, ServerSecret};
use torg_wire::secret::Secret;
use torg_wire::stream::ServerSettings;
use torg_wire::stream_error::{StreamCondition, StreamError};
use torg_wire::xep::data_forms::DataForm;
use torg_wire::xep::register;
use torg_wire::xep::server_info::{Contacts, DataPolicy};
use torg_wire::xml::{Element, Limits as XmlLimits};

use crate::administration::{Administration, Runs};
use crate::allowance::Allowances;
use crate::blocking::{self, Blocklists};
use crate::c2s::{self, Begin, Entrance, Gate, Listener, Shell};
use crate::changes::{self, Changes};
use crate::component::{self, Components};
use crate::counters::Counters;
use crate::credentials::Credentials;
use crate::federation_info::{self, Telling};
use crate::generations::{self, Generations};
use crate::limits::{IDLE_TIME, Limits};
use crate::mesh::{Mesh, Solo};
use crate::offline::{self, Offline};
use crate::personal::{self, Personal};
use crate::pubsub::{self, Pubsub, PubsubService};
use crate::register::Registrar;
use crate::roster::{self, Rosters};
use crate::router::{Router, Shared};
use crate::s2s::{self, Connector, Federation, Links};
use crate::service::Service;
use crate::services::Services;
use crate::session::{Attached, Ending};
use crate::sm;
use crate::sweep;
use crate::tls::{Loaded, ServerTls, TlsError};
use crate::transit::{self, Transit};

/// Password checks (PLAIN) at the same time; the cores have other work.
const HASHING_MAX: usize = 2;

/// Time to keep what cut connections had not written: a few writes of the store.
const CUT_TIME: Duration = Duration::from_secs(5);

/// Time that links to other servers get to end, if sessions have used up all there was.
const PEERS_TIME: Duration = Duration::from_secs(2);

/// Why a broker cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The domain is no domain.
    #[error("the domain cannot be used: {0}")]
    Domain(#[from] JidError),
    /// A component has the address of the server, of one of its services, or of another component.
    #[error("the component {0} has an address that is taken")]
    Component(String),
    /// The tables are not ready.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gives no random bytes.
    #[error("no randomness: {0}")]
    Random(getrandom::Error),
}

/// Collects what a broker is made of.
pub struct Builder {
    domain: BareJid,
    store: Arc<dyn Engine>,
    credentials: Arc<dyn Credentials>,
    clock: Arc<dyn Clock>,
    tls: Arc<ServerTls>,
    admins: HashSet<BareJid>,
    limits: Limits,
    mesh: Arc<dyn Mesh>,
    policy: Option<Policy>,
    federation: Option<(Arc<dyn Federation>, Arc<dyn Connector>)>,
    administration: Option<Arc<dyn Administration>>,
    registration: bool,
    contacts: Contacts,
    tells_of_itself: bool,
    components: Vec<(DomainPart, Secret<String>)>,
}

/// A running broker. Dropping it leaves its tasks running; [`Broker::shutdown`] ends them.
pub struct Broker {
    shell: Arc<Shell>,
}

impl Builder {
    /// Accounts with wider limits.
    #[must_use]
    pub fn admins(mut self, admins: impl IntoIterator<Item = BareJid>) -> Self {
        self.admins.extend(admins);
        self
    }

    /// Lets administrators make, change and remove accounts (XEP-0133), and everyone change its own (XEP-0077).
    #[must_use]
    pub fn administration(mut self, administration: Arc<dyn Administration>) -> Self {
        self.administration = Some(administration);
        self
    }

    /// Lets strangers make accounts (XEP-0077), as far as there is an [`Administration`].
    #[must_use]
    pub fn open_registration(mut self, open: bool) -> Self {
        self.registration = open;
        self
    }

    /// Whom to write to about this server (XEP-0157).
    #[must_use]
    pub fn contacts(mut self, contacts: Contacts) -> Self {
        self.contacts = contacts;
        self
    }

    /// Lets everybody know which servers this one talks to, as far as those agree (XEP-0485). Without it nobody is told anything.
    #[must_use]
    pub fn public_server_info(mut self, public: bool) -> Self {
        self.tells_of_itself = public;
        self
    }

    /// An external component that may connect (XEP-0114), with the secret it shares with us.
    #[must_use]
    pub fn component(mut self, domain: DomainPart, secret: Secret<String>) -> Self {
        self.components.push((domain, secret));
        self
    }

    /// Limits other than the usual.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Other members of a cluster; without it there are none.
    #[must_use]
    pub fn mesh(mut self, mesh: Arc<dyn Mesh>) -> Self {
        self.mesh = mesh;
        self
    }

    /// Talks to other servers: how they are found and judged, and how connections to them are opened. Without it the broker keeps to
    /// itself.
    #[must_use]
    pub fn federation(mut self, federation: Arc<dyn Federation>, connector: Arc<dyn Connector>) -> Self {
        self.federation = Some((federation, connector));
        self
    }

    /// Which logins are allowed. Without it: SCRAM-SHA-256 and its -PLUS.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Prepares the tables and starts. Must be called inside a tokio runtime, in which the broker will run.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub async fn start(self) -> Result<Broker, BrokerError> {
        let domain = DomainPart::parse(self.domain.as_str())?;
        migrate(&*self.store, MIGRATIONS).await?;
        let changes = Changes::new(Arc::clone(&self.store));
        let seen = changes.latest().await?;
        let policy = match self.policy {
            Some(policy) => policy,
            None => default_policy()?,
        };
        let links = match self.federation {
            Some((federation, connector)) => {
                Some(Links::new(federation, connector, Arc::clone(&self.tls), &random()?, self.limits))
            }
            None => None,
        };
        let pubsub = Pubsub::new(Arc::clone(&self.store), &domain)?;
        let info_node = self.tells_of_itself.then(|| torg_wire::xep::federation_info::uri(pubsub.address()));
        let about = about(&self.contacts, info_node, &policy);
        let mut secrets = HashMap::new();
        for (name, secret) in self.components {
            let taken = [domain.as_str(), pubsub.address()].contains(&name.as_str()) || secrets.contains_key(&name);
            if taken {
                return Err(BrokerError::Component(name.as_str().to_owned()));
            }
            secrets.insert(name, secret);
        }
        let transit = Transit::open(Arc::clone(&self.store), Arc::clone(&self.clock)).await?;
        let router = Router::new(Shared {
            domain: self.domain,
            sessions: crate::session::Table::new(),
            services: Services::default(),
            rosters: Rosters::new(Arc::clone(&self.store)),
            offline: Offline::new(Arc::clone(&self.store)),
            sm: sm::Kept::new(Arc::clone(&self.store)),
            transit: Arc::clone(&transit),
            changes,
            counters: Counters::default(),
            administration: self.administration,
            registrar: Registrar::new(self.registration),
            runs: Runs::default(),
            about,
            allowances: Allowances::default(),
            blocking: Blocklists::open(Arc::clone(&self.store)).await?,
            personal: Personal::new(Arc::clone(&self.store), self.clock.now()),
            pubsub,
            generations: Generations::new(Arc::clone(&self.store)),
            telling: self.tells_of_itself.then(Telling::new),
            components: Components::new(secrets, &self.limits),
            credentials: self.credentials,
            clock: self.clock,
            limits: self.limits,
            admins: self.admins,
            mesh: self.mesh,
            links,
            internal: RwLock::default(),
            draining: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            runtime: Handle::current(),
        });
        PubsubService::start(&router);
        sm::fall_asleep(&router).await?;
        // It ends after everything else, since sessions that end wait for it.
        Handle::current().spawn(transit.run());
        transit::resume(&router);
        router.spawn(sweep::run(router.clone()));
        router.spawn(federation_info::run(router.clone()));
        router.spawn(sm::clean(router.clone()));
        router.spawn(changes::run(router.clone(), seen));
        let before_login = router.is_registration_open().then(register::feature).into_iter().collect();
        let settings = ServerSettings {
            domain,
            policy,
            before_login,
            features: features(),
            bind_inline: c2s::BIND_FEATURES.to_vec(),
            limits: XmlLimits::CLIENT,
        };
        let gate = Gate::new(self.limits.unauthenticated, self.limits.unauthenticated_per_address);
        Ok(Broker {
            shell: Arc::new(Shell {
                router,
                settings: Arc::new(settings),
                tls: self.tls,
                gate: Arc::new(gate),
                backoff: c2s::Backoff::default(),
                hashing: Semaphore::new(HASHING_MAX),
            }),
        })
    }
}

impl Broker {
    /// A broker for `domain` that keeps its rows in `store` and asks `credentials` about accounts.
    pub fn builder(
        domain: BareJid,
        store: Arc<dyn Engine>,
        credentials: Arc<dyn Credentials>,
        clock: Arc<dyn Clock>,
        tls: Arc<ServerTls>,
    ) -> Builder {
        Builder {
            domain,
            store,
            credentials,
            clock,
            tls,
            admins: HashSet::new(),
            limits: Limits::default(),
            mesh: Arc::new(Solo),
            policy: None,
            federation: None,
            administration: None,
            registration: false,
            contacts: Contacts::default(),
            tells_of_itself: false,
            components: Vec::new(),
        }
    }

    /// Serves clients that begin with STARTTLS, until the broker stops.
    pub fn listen_c2s(&self, listener: impl Listener) {
        self.listen(listener, Begin::StartTls);
    }

    /// Serves clients that begin with TLS (XEP-0368), until the broker stops.
    pub fn listen_c2s_tls(&self, listener: impl Listener) {
        self.listen(listener, Begin::Direct);
    }

    /// Serves other servers that begin with STARTTLS, until the broker stops. Without [`Builder::federation`] nobody is accepted.
    pub fn listen_s2s(&self, listener: impl Listener) {
        self.shell.router.spawn(s2s::listen(self.shell.router.clone(), listener, Begin::StartTls));
    }

    /// Serves other servers that begin with TLS (XEP-0368), until the broker stops; as [`Broker::listen_s2s`].
    pub fn listen_s2s_tls(&self, listener: impl Listener) {
        self.shell.router.spawn(s2s::listen(self.shell.router.clone(), listener, Begin::Direct));
    }

    /// Serves external components, until the broker stops (XEP-0114). What passes is not encrypted: the listener must be one that other
    /// machines cannot reach.
    pub fn listen_component(&self, listener: impl Listener) {
        self.shell.router.spawn(component::listen(self.shell.router.clone(), listener));
    }

    fn listen(&self, listener: impl Listener, begin: Begin) {
        self.shell.router.spawn(c2s::listen(Arc::clone(&self.shell), listener, begin));
    }

    /// How listeners of another kind, such as those of the web, bring clients in.
    pub fn entrance(&self) -> Entrance {
        Entrance::new(Arc::clone(&self.shell))
    }

    /// Adds a service at an address of ours: the domain itself, or an address of its own.
    pub fn add_service(&self, address: BareJid, service: Arc<dyn Service>) {
        self.shell.router.shared().services.add(&self.shell.router, address, service);
    }

    /// Lists an entity among the items of the server, so that clients find it (XEP-0030 §4).
    pub fn publish(&self, jid: &Jid, name: &str) {
        self.shell.router.shared().services.publish(jid, name);
    }

    /// Opens a session inside the process; see [`Router::attach`]. `part` names who it is in logs and proofs.
    pub async fn attach(&self, jid: FullJid, part: &'static str) -> Attached {
        self.shell.router.attach(jid, part).await
    }

    /// The router, for services that send on their own.
    pub fn router(&self) -> &Router {
        &self.shell.router
    }

    /// Serves another certificate to connections that begin from now on.
    ///
    /// # Errors
    /// The old one stays in force.
    pub fn reload_tls(&self, certificate: &Loaded) -> Result<(), TlsError> {
        self.shell.tls.replace(certificate)
    }

    /// Stops: no new connections, every session gets what waits for it and `system-shutdown`, what it does not take within `deadline`
    /// goes to the offline store. Answers whether all went before the deadline.
    pub async fn shutdown(self, deadline: Duration) -> bool {
        let shared = self.shell.router.shared();
        let begun = tokio::time::Instant::now();
        shared.stop.cancel();
        for session in shared.sessions.all() {
            session.queue.end(Ending::Drained(StreamError::new(StreamCondition::SystemShutdown)));
        }
        shared.services.clear();
        shared.tasks.close();
        let in_time = tokio::time::timeout(deadline, shared.tasks.wait()).await.is_ok();
        shared.cut.cancel();
        if !in_time && tokio::time::timeout(CUT_TIME, shared.tasks.wait()).await.is_err() {
            tracing::error!("Some sessions could not be ended.");
        }
        for session in shared.sessions.all() {
            // Internal sessions that their owners still hold.
            self.shell.router.end_session(&session).await;
        }
        self.shell.router.flush_activity().await;
        shared.generations.flush().await;
        // Last, because sessions say goodbye to contacts elsewhere.
        let left = deadline.saturating_sub(begun.elapsed()).max(PEERS_TIME);
        let links = async {
            match &shared.links {
                Some(links) => links.shutdown(left).await,
                None => true,
            }
        };
        let (components, links) = tokio::join!(shared.components.shutdown(left), links);
        shared.transit.finish().await;
        in_time && components && links
    }
}

/// Forgets what the broker keeps for an account that is being removed: its roster, its offline messages and what others have granted
/// it, so that a later account of that name starts with nobody's consent. Contacts keep it in their rosters, without a subscription.
/// A broker that runs meanwhile, in this process or another, ends the account's sessions and tells its contacts within seconds.
///
/// # Errors
/// If the store fails; then nothing is forgotten.
pub async fn forget_account(store: &dyn Engine, account: &BareJid) -> Result<(), StoreError> {
    store.write(forgetting(Batch::new(), account)).await.map(drop)
}

/// As [`forget_account`], as part of a batch: the account and what hangs on it go together or not at all.
#[must_use]
pub fn forgetting(batch: Batch, account: &BareJid) -> Batch {
    // The log first: it notes who is about to lose a contact.
    let batch = Offline::forget(Rosters::forget(changes::removed(batch, account), account), account);
    let batch = transit::forget(sm::forget(batch, account), account);
    let batch = Personal::forget(Blocklists::forget(batch, account), account);
    Generations::forget(Pubsub::forget(batch, account), account)
}

/// The tables of the broker itself; for tools that open its store without starting it.
pub const MIGRATIONS: &[torg_store::Migrations] = &[
    roster::MIGRATIONS,
    offline::MIGRATIONS,
    sm::MIGRATIONS,
    transit::MIGRATIONS,
    changes::MIGRATIONS,
    blocking::MIGRATIONS,
    personal::MIGRATIONS,
    pubsub::MIGRATIONS,
    generations::MIGRATIONS,
];

fn default_policy() -> Result<Policy, BrokerError> {
    Ok(Policy::new(ServerSecret::new(random()?)))
}

fn random() -> Result<[u8; 32], BrokerError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(BrokerError::Random)?;
    Ok(bytes)
}

/// What the server says of itself to people (XEP-0157, XEP-0485, XEP-0504).
fn about(contacts: &Contacts, info_node: Option<String>, policy: &Policy) -> Vec<DataForm> {
    let data = DataPolicy {
        passwords_seen: policy.plain,
        remarks: vec!["Values of devices are never stored, nor written to any file.".into()],
    };
    contacts.form(info_node).into_iter().chain(std::iter::once(data.form())).collect()
}

/// What a stream offers after login (RFC 6121 §2.6.1, §3.4.1; XEP-0478 §3).
fn features() -> Vec<Element> {
    let most = Element::new(ns::STREAM_LIMITS, "max-bytes").with_text(XmlLimits::CLIENT.bytes.to_string());
    let idle = Element::new(ns::STREAM_LIMITS, "idle-seconds").with_text(IDLE_TIME.as_secs().to_string());
    vec![
        Element::new(ns::ROSTER_VERSIONING, "ver"),
        Element::new(ns::PRE_APPROVAL, "sub"),
        Element::new(ns::STREAM_LIMITS, "limits").with_child(most).with_child(idle),
        torg_wire::xep::sm::feature(),
        torg_wire::xep::csi::feature(),
    ]
}
