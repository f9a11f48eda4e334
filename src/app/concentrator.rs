//! The concentrator inside the appliance: attached to the broker in this process, started again if it ends.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use torg_core::{Attached, AttachedSender, Router};
use torg_thing::Clock;
use torg_wire::jid::{BareJid, FullJid, ResourcePart};
use torg_wire::stanza::Stanza;
use tracing::warn;

use super::backoff::Backoff;
use crate::concentrator::{self, Concentrator, Handle, Outlet, Tree, Uplink, UplinkClosed};

/// Resource of the concentrator's session.
const RESOURCE: &str = "torg";

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

/// What its supervisor and the appliance share.
struct Shared {
    jid: FullJid,
    router: Router,
    tree: Arc<Tree>,
    clock: Arc<dyn Clock>,
    friends: Mutex<BTreeSet<BareJid>>,
    handle: Mutex<Option<Handle>>,
}

impl Running {
    /// Attaches the concentrator to the broker. When this returns its session exists.
    pub(super) async fn start(
        jid: &BareJid,
        friends: BTreeSet<BareJid>,
        router: &Router,
        tree: &Arc<Tree>,
        clock: Arc<dyn Clock>,
    ) -> Option<Self> {
        let jid = jid.with_resource(&ResourcePart::parse(RESOURCE).ok()?);
        let shared = Arc::new(Shared {
            jid,
            router: router.clone(),
            tree: Arc::clone(tree),
            clock,
            friends: Mutex::new(friends),
            handle: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let first = shared.make(&stop).await;
        let task = tokio::spawn(Arc::clone(&shared).supervise(first, stop.clone()));
        Some(Self { shared, stop, task })
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
    async fn make(&self, stop: &CancellationToken) -> Concentrator {
        let attached = self.router.attach(self.jid.clone(), "concentrator").await;
        let config = concentrator::Config { friends: lock(&self.friends).clone(), ..concentrator::Config::default() };
        let uplink = Box::new(InProcess { attached });
        let made = Concentrator::new(config, Arc::clone(&self.tree), uplink, Arc::clone(&self.clock), stop);
        *lock(&self.handle) = Some(made.handle());
        made
    }

    /// Runs it until it is told to stop, and again whenever it ends by itself: its session was taken by somebody who
    /// logged in as the concentrator's account with its resource, or it panicked.
    async fn supervise(self: Arc<Self>, first: Concentrator, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        let mut next = first;
        loop {
            let began = Instant::now();
            // A task of its own, so that a panic of it is not one of ours.
            let mut running = tokio::spawn(next.run());
            let end = (&mut running).await;
            if stop.is_cancelled() {
                return;
            }
            let wait: Duration = backoff.after(began.elapsed());
            warn!(jid = %self.jid, panicked = end.is_err(), ?wait, "The concentrator ended and is started again.");
            tokio::select! {
                // Cancellation safe: a timer and a token.
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return,
            }
            next = self.make(&stop).await;
        }
    }
}

/// A panic while one of these is held leaves a valid value, so poisoning carries no meaning.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
