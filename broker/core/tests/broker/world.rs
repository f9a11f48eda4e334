//! A whole broker in memory: pipes for a network, a clock that stands, accounts whose password is `secret`.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use torg_core::limits::Limits;
use torg_core::s2s::{Connector, Federation, Socket, Target, Unreachable, Verdict};
use torg_core::tls::{Authority, ClientTls, Loaded, SelfNames, ServerTls, Trust};
use torg_core::{Broker, Builder, Credentials, CredentialsUnavailable, PipeConnector, pipe};
use torg_store::{Engine, Sqlite};
use torg_thing::{Clock, ManualClock, SystemClock};
use torg_wire::jid::BareJid;
use torg_wire::sasl::{self, ITERATIONS, SALT_BYTES, ScramHash, StoredKeys};
use torg_wire::secret::Secret;
use torg_wire::xep::server_info::Contacts;

use crate::client::Client;

pub(crate) const DOMAIN: &str = "site.example";
pub(crate) const PASSWORD: &str = "secret";

/// One broker and the way to it.
pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) starttls: PipeConnector,
    pub(crate) direct: PipeConnector,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) store: Arc<dyn Engine>,
}

impl World {
    pub(crate) async fn new() -> World {
        World::with(Arc::new(Sqlite::in_memory().unwrap()), Limits::default()).await
    }

    pub(crate) async fn with_store(store: Arc<dyn Engine>) -> World {
        World::with(store, Limits::default()).await
    }

    pub(crate) async fn with(store: Arc<dyn Engine>, limits: Limits) -> World {
        World::built(store, limits, |builder| builder).await
    }

    /// One beside a server that takes connections and never says a word.
    pub(crate) async fn federated(store: Arc<dyn Engine>) -> World {
        let silent = |builder: Builder| builder.federation(Arc::new(Silent), Arc::new(Silent));
        World::built(store, Limits::default(), silent).await
    }

    /// One where strangers may make accounts.
    pub(crate) async fn open() -> World {
        World::changed(|builder| builder.open_registration(true)).await
    }

    /// One whose broker is built with a difference.
    pub(crate) async fn changed(change: impl FnOnce(Builder) -> Builder) -> World {
        World::built(Arc::new(Sqlite::in_memory().unwrap()), Limits::default(), change).await
    }

    async fn built(store: Arc<dyn Engine>, limits: Limits, change: impl FnOnce(Builder) -> Builder) -> World {
        let accounts = Arc::new(Accounts::default());
        for name in ["anna", "bob", "carla", "admin"] {
            accounts.add(name);
        }
        let clock = ManualClock::new("2026-03-01T10:15:00Z".parse().unwrap());
        let tls = Arc::new(ServerTls::new(&certificate().0).unwrap());
        let domain = BareJid::parse(DOMAIN).unwrap();
        let builder = Broker::builder(domain, Arc::clone(&store), accounts.clone(), Arc::new(clock), tls)
            .admins([jid("admin@site.example")])
            .limits(limits)
            .administration(accounts.clone())
            .contacts(Contacts { admin: vec!["mailto:ops@site.example".into()], ..Contacts::default() });
        let broker = change(builder).start().await.unwrap();
        let (starttls, listener) = pipe();
        broker.listen_c2s(listener);
        let (direct, listener) = pipe();
        broker.listen_c2s_tls(listener);
        World { broker, starttls, direct, accounts, store }
    }

    /// Logs in over direct TLS.
    pub(crate) async fn client(&self, address: &str) -> Client {
        Client::login(self, address).await.unwrap()
    }
}

impl World {
    /// Waits until no more than so many sessions are left.
    pub(crate) async fn left(&self, sessions: usize) {
        let ended = async {
            while self.broker.router().sessions() > sessions {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the sessions end");
    }
}

/// One life of a broker, which ends in a crash: its runtime is dropped with all tasks where they stand.
pub(crate) fn life<T: Send + 'static>(
    store: &Arc<dyn Engine>,
    story: impl AsyncFnOnce(World) -> T + Send + 'static,
) -> T {
    live(World::with_store(Arc::clone(store)), story)
}

/// As [`life`], beside a silent server.
pub(crate) fn life_beside_silence<T: Send + 'static>(
    store: &Arc<dyn Engine>,
    story: impl AsyncFnOnce(World) -> T + Send + 'static,
) -> T {
    live(World::federated(Arc::clone(store)), story)
}

fn live<T: Send + 'static>(
    world: impl Future<Output = World> + Send + 'static,
    story: impl AsyncFnOnce(World) -> T + Send + 'static,
) -> T {
    let life = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told = runtime.block_on(async move { story(world.await).await });
        drop(runtime);
        told
    });
    life.join().unwrap()
}

/// Another server that is there and does not speak.
struct Silent;

#[async_trait]
impl Federation for Silent {
    fn allows(&self, _: &str) -> bool {
        true
    }

    fn allows_dialback(&self, _: &str, _: bool) -> bool {
        false
    }

    async fn targets(&self, _: &str) -> Result<Vec<Target>, Unreachable> {
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 5269));
        Ok(vec![Target { address, direct_tls: false, host: "far.example".into(), dane: Vec::new() }])
    }

    async fn judge(&self, _: &str, _: &[rustls::pki_types::CertificateDer<'static>], _: Option<&Target>) -> Verdict {
        Verdict::Unproven("it does not speak".into())
    }
}

#[async_trait]
impl Connector for Silent {
    async fn connect(&self, _: &Target) -> std::io::Result<std::pin::Pin<Box<dyn Socket>>> {
        std::future::pending().await
    }
}

pub(crate) fn jid(text: &str) -> BareJid {
    BareJid::parse(text).unwrap()
}

/// The certificate of all brokers of this test run, and who trusts it. Made once: keys cost time.
pub(crate) fn certificate() -> &'static (Loaded, ClientTls) {
    static MADE: OnceLock<(Loaded, ClientTls)> = OnceLock::new();
    MADE.get_or_init(make_certificate)
}

/// A certificate of an authority of its own.
pub(crate) fn make_certificate() -> (Loaded, ClientTls) {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemClock.now();
    let made = Authority::new(folder.path()).certificate(DOMAIN, SelfNames::DomainOnly, now).unwrap();
    let loaded = made.files.load(DOMAIN, now).unwrap();
    (loaded, ClientTls::new(&Trust::File(made.authority)).unwrap())
}

/// Accounts in memory.
#[derive(Default)]
pub(crate) struct Accounts {
    pub(crate) known: Mutex<HashMap<BareJid, StoredKeys>>,
    pub(crate) disabled: Mutex<BTreeSet<BareJid>>,
}

impl Accounts {
    pub(crate) fn add(&self, name: &str) {
        self.known.lock().unwrap().insert(jid(&format!("{name}@{DOMAIN}")), keys());
    }

    pub(crate) fn remove(&self, name: &str) {
        self.known.lock().unwrap().remove(&jid(&format!("{name}@{DOMAIN}")));
    }
}

/// All accounts share one password and its keys, which take long to derive.
fn keys() -> StoredKeys {
    static KEYS: OnceLock<StoredKeys> = OnceLock::new();
    let password = Secret::new(PASSWORD.to_owned());
    KEYS.get_or_init(|| StoredKeys::derive(ScramHash::Sha256, &password, &[7; SALT_BYTES], ITERATIONS).unwrap()).clone()
}

#[async_trait]
impl Credentials for Accounts {
    async fn exists(&self, account: &BareJid) -> Result<bool, CredentialsUnavailable> {
        Ok(self.known.lock().unwrap().contains_key(account))
    }

    async fn lookup(
        &self,
        account: &BareJid,
        hash: ScramHash,
    ) -> Result<Option<sasl::Credentials>, CredentialsUnavailable> {
        let known = self.known.lock().unwrap();
        let keys = known.get(account).filter(|keys| keys.hash() == hash).cloned();
        Ok(keys.map(sasl::Credentials::new))
    }
}
