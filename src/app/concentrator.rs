//! The concentrator inside the appliance: attached to the broker in this process, or logged in to one on another
//! machine; started again if it ends.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use torg_core::tls::Trust;
use torg_core::{Attached, AttachedSender, Router};
use torg_thing::Clock;
use torg_wire::jid::{BareJid, FullJid, ResourcePart};
use torg_wire::secret::Secret;
use torg_wire::stanza::Stanza;
use tracing::warn;

use super::backoff::Backoff;
use crate::client::{ConnectOptions, RemoteUplink};
use crate::concentrator::{self, Concentrator, Handle, Outlet, Tree, Uplink, UplinkClosed};
use crate::config::{ConcentratorConfig, RemoteConfig};

/// Time for one attempt to reach a broker on another machine; the next one follows.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// Random bytes in the resource of the concentrator's session, written as hexadecimal digits.
///
/// Its full JID is what presence consent protects: a stranger must not be able to guess it (RFC 6120 §13.10.2).
const RESOURCE_BYTES: usize = 8;

/// An uplink to the broker of this process.
struct InProcess {
    attached: Attached,
}

struct InProcessOutlet(AttachedSender);

#[async_trait]
impl Uplink for InProcess {
    fn address(&self) -> &FullJid {
        self.attached.jid()
    }

    fn outlet(&self) -> Arc<dyn Outlet> {
        Arc::new(InProcessOutlet(self.attached.sender()))
    }

    async fn next(&mut self) -> Option<Stanza> {
        self.attached.recv().await
    }
}

#[async_trait]
impl Outlet for InProcessOutlet {
    async fn send(&self, stanza: Stanza) -> Result<(), UplinkClosed> {
        self.0.send(stanza).await;
        Ok(())
    }
}

/// The running concentrator.
pub(super) struct Running {
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// How the concentrator reaches its broker.
pub(super) enum Way {
    /// The broker of this process.
    Inside(Router),
    /// A broker on another machine.
    Remote(RemoteConfig),
}

/// What its supervisor and the appliance share.
struct Shared {
    account: BareJid,
    way: Way,
    tree: Arc<Tree>,
    clock: Arc<dyn Clock>,
    friends: Mutex<BTreeSet<BareJid>>,
    handle: Mutex<Option<Handle>>,
}

impl Running {
    /// Starts the concentrator. When this returns its session at a broker of this process exists; a broker on another
    /// machine is called from then on until it answers.
    pub(super) async fn start(
        config: &ConcentratorConfig,
        router: &Router,
        tree: &Arc<Tree>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let way = config.remote.clone().map_or_else(|| Way::Inside(router.clone()), Way::Remote);
        let shared = Arc::new(Shared {
            account: config.jid.clone(),
            way,
            tree: Arc::clone(tree),
            clock,
            friends: Mutex::new(config.friends.clone()),
            handle: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let first = if config.remote.is_none() { shared.make(&stop).await.ok() } else { None };
        let task = tokio::spawn(Arc::clone(&shared).supervise(first, stop.clone()));
        Self { shared, stop, task }
    }

    /// Changes who is accepted at once.
    pub(super) async fn set_friends(&self, friends: BTreeSet<BareJid>) {
        friends.clone_into(&mut lock(&self.shared.friends));
        let handle = lock(&self.shared.handle).clone();
        if let Some(handle) = handle {
            handle.set_friends(friends).await;
        }
    }

    /// Stops it: no new work, what runs comes to an end. False if it did not by the deadline.
    pub(super) async fn stop(self, deadline: Instant) -> bool {
        self.stop.cancel();
        let mut task = self.task;
        let in_time = tokio::time::timeout_at(deadline, &mut task).await.is_ok();
        if !in_time {
            task.abort();
        }
        in_time
    }
}

impl Shared {
    /// A concentrator on a new uplink.
    ///
    /// # Errors
    /// Why there is no uplink, in words.
    async fn make(&self, stop: &CancellationToken) -> Result<Concentrator, String> {
        let uplink = self.uplink().await?;
        let config = concentrator::Config { friends: lock(&self.friends).clone(), ..concentrator::Config::default() };
        let made = Concentrator::new(config, Arc::clone(&self.tree), uplink, Arc::clone(&self.clock), stop);
        *lock(&self.handle) = Some(made.handle());
        Ok(made)
    }

    async fn uplink(&self) -> Result<Box<dyn Uplink>, String> {
        match &self.way {
            Way::Inside(router) => {
                let resource = resource()?;
                let attached = router.attach(self.account.with_resource(&resource), "concentrator").await;
                Ok(Box::new(InProcess { attached }))
            }
            Way::Remote(remote) => {
                let unreadable =
                    |error: std::io::Error| format!("{} cannot be read: {error}", remote.password_file.display());
                // Read each time, so that a changed password needs no restart.
                let text = tokio::fs::read_to_string(&remote.password_file).await.map_err(unreadable)?;
                let options = ConnectOptions {
                    account: self.account.clone(),
                    password: Secret::new(text.lines().next().unwrap_or_default().to_owned()),
                    server: Some(remote.server.clone()),
                    direct_tls: false,
                    trust: remote.ca.clone().map_or(Trust::System, Trust::File),
                    // The broker there makes up one.
                    resource: None,
                    within: CONNECT_WITHIN,
                };
                let uplink = RemoteUplink::connect(&options).await.map_err(|error| error.to_string())?;
                Ok(Box::new(uplink))
            }
        }
    }

    /// Runs it until it is told to stop, and again whenever it ends by itself: its session was taken by somebody who
    /// logged in as the concentrator's account with its resource, the network failed, or it panicked.
    async fn supervise(self: Arc<Self>, first: Option<Concentrator>, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        let mut next = first;
        loop {
            let began = Instant::now();
            let made = match next.take() {
                Some(concentrator) => Ok(concentrator),
                None => tokio::select! {
                    // An attempt to connect that is given up half way leaves nothing behind.
                    made = self.make(&stop) => made,
                    () = stop.cancelled() => return,
                },
            };
            let cause = match made {
                // A task of its own, so that a panic of it is not one of ours.
                Ok(concentrator) => match tokio::spawn(concentrator.run()).await {
                    Ok(()) => "its connection to the broker ended".to_owned(),
                    Err(_) => "it panicked; please report this".to_owned(),
                },
                Err(cause) => cause,
            };
            if stop.is_cancelled() {
                return;
            }
            let wait: Duration = backoff.after(began.elapsed());
            warn!(jid = %self.account, cause, ?wait, "The concentrator is not connected and tries again.");
            tokio::select! {
                // Cancellation safe: a timer and a token.
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// A resource nobody can guess.
fn resource() -> Result<ResourcePart, String> {
    let mut bytes = [0_u8; RESOURCE_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system has no randomness: {error}"))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    ResourcePart::parse(&digits).map_err(|error| error.to_string())
}

/// A panic while one of these is held leaves a valid value, so poisoning carries no meaning.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_starts_have_the_same_resource() {
        assert_ne!(resource().unwrap(), resource().unwrap());
    }
}
