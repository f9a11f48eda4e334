//! Runs the lines of all bridges: starts them, restarts those that fail or panic, replaces those that a reload changed.
//!
//! One task per line. A line whose fingerprint a reload does not change is not touched at all, so its socket stays
//! open. While a line is down its nodes stay announced and show an error with the cause.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use torg_thing::{
    BridgeError, BridgeLine, Clock, Host, Node, NodeConflict, NodeDirectory, NodeMessage, NodeRef, ObservationSender,
    Severity, Sniffer,
};
use tracing::{error, info, warn};

use super::backoff::Backoff;
use crate::config::{BridgeConfig, LineChange, LineKey, lines as compare};

/// Longest wait for a new line to announce its nodes. Announcing needs no device, so this only bounds a broken bridge.
pub const ANNOUNCED_WITHIN: Duration = Duration::from_secs(5);

/// Longest wait for a line to finish its writes when it is stopped. The slowest write is a few seconds at 1200 baud;
/// after this the line is cut off, because a reload or a shutdown must end.
pub const STOPPED_WITHIN: Duration = Duration::from_secs(8);

/// The event under which a failed line is shown on its nodes.
pub const LINE_FAILED: &str = "LineFailed";

/// What every line is given, beside its own name.
#[derive(Clone)]
pub struct Environment {
    /// Where nodes are made known.
    pub nodes: Arc<dyn NodeDirectory>,
    /// Where lines tell what they see.
    pub observations: ObservationSender,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Where lines show their traffic.
    pub sniffer: Arc<dyn Sniffer>,
}

/// The running lines.
pub struct Bridges {
    environment: Environment,
    states: Arc<LineStates>,
    running: BTreeMap<LineKey, Line>,
}

/// What is wrong with each line, for whoever is asked how the appliance is.
#[derive(Debug, Default)]
pub struct LineStates(Mutex<BTreeMap<LineKey, Option<String>>>);

impl LineStates {
    /// Each line as `bridge/line`, with what is wrong with it.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Option<String>> {
        let states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.iter().map(|(key, state)| (format!("{}/{}", key.bridge, key.line), state.clone())).collect()
    }

    fn set(&self, key: &LineKey, failure: Option<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), failure);
    }

    fn remove(&self, key: &LineKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// One running line.
struct Line {
    fingerprint: String,
    nodes: Arc<LineNodes>,
    stop: CancellationToken,
    settled: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

/// What [`Bridges::apply`] did, as numbers of lines.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Applied {
    /// Untouched.
    pub kept: usize,
    /// Stopped, and started as configured now.
    pub replaced: usize,
    /// Started.
    pub started: usize,
    /// Stopped.
    pub stopped: usize,
}

impl Bridges {
    /// No lines yet.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self { environment, states: Arc::default(), running: BTreeMap::new() }
    }

    /// Makes the running lines those of `bridges`. Returns when every new line has announced its nodes or failed once.
    pub async fn apply(&mut self, bridges: Vec<BridgeConfig>) -> Applied {
        let mut wanted: BTreeMap<LineKey, BridgeLine> = BTreeMap::new();
        for bridge in bridges {
            for line in bridge.lines {
                wanted.insert(LineKey { bridge: bridge.name.clone(), line: Arc::clone(&line.name) }, line);
            }
        }
        let old = self.running.iter().map(|(key, line)| (key.clone(), line.fingerprint.clone())).collect();
        let new = wanted.iter().map(|(key, line)| (key.clone(), line.fingerprint.clone())).collect();
        let changes = compare(&old, &new);
        let mut applied = Applied::default();
        let mut leaving = Vec::new();
        for (key, change) in &changes {
            let count = match change {
                LineChange::Gone => &mut applied.stopped,
                LineChange::Kept => &mut applied.kept,
                LineChange::New => &mut applied.started,
                LineChange::Replaced => &mut applied.replaced,
            };
            *count += 1;
            if matches!(change, LineChange::Gone | LineChange::Replaced)
                && let Some(line) = self.running.remove(key)
            {
                self.states.remove(key);
                leaving.push((key.clone(), line));
            }
        }
        // All of them leave before any starts: a device or an address may have moved from one line to another.
        stop(leaving, Instant::now() + STOPPED_WITHIN).await;
        let mut settling = Vec::new();
        for (key, line) in wanted {
            if changes.get(&key) != Some(&LineChange::Kept) {
                let line = self.start(key.clone(), line);
                settling.push(line.settled.clone());
                self.running.insert(key, line);
            }
        }
        let deadline = Instant::now() + ANNOUNCED_WITHIN;
        for mut settled in settling {
            // A line that is late comes up by itself; nobody waits longer for it.
            let _ = timeout_at(deadline, settled.wait_for(|settled| *settled)).await;
        }
        applied
    }

    /// Stops every line, all at once; those that are not done by `deadline` are cut off, and the answer is false.
    pub async fn stop(&mut self, deadline: Instant) -> bool {
        stop(std::mem::take(&mut self.running).into_iter().collect(), deadline).await
    }

    /// What is wrong with each line.
    #[must_use]
    pub fn states(&self) -> Arc<LineStates> {
        Arc::clone(&self.states)
    }

    /// Number of lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// True if there is no line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// True if a line's task has ended although nobody stopped it, which no bridge can cause.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.running.values().any(|line| line.task.is_finished())
    }

    fn start(&self, key: LineKey, line: BridgeLine) -> Line {
        let stop = CancellationToken::new();
        let (settle, settled) = watch::channel(false);
        let fingerprint = line.fingerprint.clone();
        let nodes = Arc::new(LineNodes {
            directory: Arc::clone(&self.environment.nodes),
            expected: line.nodes.iter().cloned().collect(),
            announced: Mutex::default(),
            settle,
        });
        self.states.set(&key, None);
        let states = Arc::clone(&self.states);
        let task =
            tokio::spawn(supervise(key, line, self.environment.clone(), stop.clone(), Arc::clone(&nodes), states));
        Line { fingerprint, nodes, stop, settled, task }
    }
}

async fn stop(lines: Vec<(LineKey, Line)>, deadline: Instant) -> bool {
    let mut in_time = true;
    for (_, line) in &lines {
        line.stop.cancel();
    }
    for (key, mut line) in lines {
        if timeout_at(deadline, &mut line.task).await.is_err() {
            error!(bridge = %key.bridge, line = %key.line, "The line did not stop in time and is cut off.");
            in_time = false;
            line.task.abort();
            // Waits until its sockets are really closed, and takes its nodes away in its place.
            let _ = line.task.await;
            line.nodes.retire_all();
        }
    }
    in_time
}

/// Runs one line until it is stopped, again and again.
async fn supervise(
    key: LineKey,
    mut line: BridgeLine,
    environment: Environment,
    stop: CancellationToken,
    nodes: Arc<LineNodes>,
    states: Arc<LineStates>,
) {
    nodes.settle_if_complete();
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        let host = Host {
            source: key.bridge.clone(),
            nodes: Arc::clone(&nodes) as Arc<dyn NodeDirectory>,
            observations: environment.observations.clone(),
            clock: Arc::clone(&environment.clock),
            sniffer: Arc::clone(&environment.sniffer),
            shutdown: stop.child_token(),
        };
        let began = Instant::now();
        let end = run(&mut line, host).await;
        if stop.is_cancelled() {
            break;
        }
        let wait = backoff.after(began.elapsed());
        let cause = match end {
            End::Panicked(text) => {
                error!(bridge = %key.bridge, line = %key.line, panic = text, ?wait, "A bridge panicked; its line is started again. Please report this.");
                "The bridge has failed (an internal error).".to_owned()
            }
            End::Returned(Err(cause)) => {
                warn!(bridge = %key.bridge, line = %key.line, %cause, ?wait, "A line failed and is started again.");
                format!("The line has failed: {cause}.")
            }
            End::Returned(Ok(())) => {
                warn!(bridge = %key.bridge, line = %key.line, ?wait, "A line ended although it was not told to, and is started again.");
                "The line has ended.".to_owned()
            }
        };
        nodes.failed(&environment, &cause);
        states.set(&key, Some(cause));
        tokio::select! {
            // Both branches are cancellation safe: a timer and a token.
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => break,
        }
        nodes.retire_all();
        states.set(&key, None);
        info!(bridge = %key.bridge, line = %key.line, "Starting the line again.");
    }
    nodes.retire_all();
}

/// How a run of a line ended.
enum End {
    Panicked(String),
    Returned(Result<(), BridgeError>),
}

/// Runs a line once, and survives its panic.
async fn run(line: &mut BridgeLine, host: Host) -> End {
    let mut running = pin!(line.bridge.run(host));
    // After a panic the future is not polled again and the bridge is started anew, which its contract allows.
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
        Ok(poll) => poll.map(End::Returned),
        Err(panic) => Poll::Ready(End::Panicked(text_of(&*panic))),
    })
    .await
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".to_owned())
}

/// The directory as one line sees it: remembers what the line announced, so that nothing of it stays behind.
struct LineNodes {
    directory: Arc<dyn NodeDirectory>,
    expected: BTreeSet<NodeRef>,
    announced: Mutex<BTreeSet<NodeRef>>,
    settle: watch::Sender<bool>,
}

impl LineNodes {
    /// A panic while the set is held leaves a valid set, so poisoning carries no meaning.
    fn with<R>(&self, act: impl FnOnce(&mut BTreeSet<NodeRef>) -> R) -> R {
        act(&mut self.announced.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn settle_if_complete(&self) {
        if self.with(|announced| self.expected.is_subset(announced)) {
            self.settle.send_replace(true);
        }
    }

    /// Shows the cause on every node of the line.
    fn failed(&self, environment: &Environment, cause: &str) {
        for node in self.with(|announced| announced.clone()) {
            let message = NodeMessage {
                at: environment.clock.now(),
                severity: Severity::Error,
                event: LINE_FAILED,
                text: cause.to_owned(),
            };
            self.directory.report(&node, message);
        }
        self.settle.send_replace(true);
    }

    fn retire_all(&self) {
        for node in self.with(std::mem::take).iter().rev() {
            self.directory.retire(node);
        }
    }
}

impl NodeDirectory for LineNodes {
    fn announce(&self, node: Arc<dyn Node>) -> Result<(), NodeConflict> {
        let reference = node.about().node.clone();
        self.directory.announce(node)?;
        self.with(|announced| announced.insert(reference));
        self.settle_if_complete();
        Ok(())
    }

    fn retire(&self, node: &NodeRef) {
        self.with(|announced| announced.remove(node));
        self.directory.retire(node);
    }

    fn report(&self, node: &NodeRef, message: NodeMessage) {
        self.directory.report(node, message);
    }

    fn clear(&self, node: &NodeRef, event: &str) {
        self.directory.clear(node, event);
    }
}

#[cfg(test)]
mod tests;
