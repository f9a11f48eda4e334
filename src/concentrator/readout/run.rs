//! One readout while it runs: nodes are read side by side, what they send is delivered as it comes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use torg_thing::{Node, NodeError, NodeRef, ReadoutPart, Selection, Timestamp, readout};

use torg_wire::jid::Jid;

use super::delivery::Delivery;
use super::registry::Ticket;
use super::until;
use crate::concentrator::refusal::failure_line;
use crate::concentrator::shared::Shared;

/// Nodes of one readout that are read at a time. A line works one request after the other anyway and has 64 places.
const NODES_AT_ONCE: usize = 8;

/// Parts that wait to be packed; a full queue makes the nodes wait.
const PARTS_MAX: usize = 32;

/// Data waits at most this long for more to go with it, once messages are being sent.
const GATHER: Duration = Duration::from_secs(1);

/// A node to be read.
pub(in crate::concentrator) struct Target {
    /// As the reader wrote it; answers repeat it.
    pub(in crate::concentrator) asked: NodeRef,
    /// Its full address.
    pub(in crate::concentrator) address: NodeRef,
    /// Whether it has fields.
    pub(in crate::concentrator) readable: bool,
    /// The node.
    pub(in crate::concentrator) node: Arc<dyn Node>,
}

/// A readout that was accepted.
pub(super) struct Run {
    pub(super) shared: Arc<Shared>,
    /// Who gets the data.
    pub(super) reader: Jid,
    pub(super) ticket: Ticket,
    pub(super) targets: Vec<Target>,
    pub(super) selection: Arc<Selection>,
    pub(super) delivery: Delivery,
}

/// Why a node gave no data, in the reader's words.
enum Trouble {
    /// Its code failed.
    Crashed,
    /// It took too long.
    Late,
    /// The node's own error.
    Node(NodeError),
}

type Part = (usize, ReadoutPart);

/// What ends a readout before its nodes do.
#[derive(Clone, Copy)]
enum Interrupt {
    /// The reader gave it up or has gone.
    Cancelled,
    /// The concentrator stops.
    Stopping,
}

impl Run {
    /// Runs it, now or at its time, unless it is given up before.
    pub(super) async fn from(mut self, when: Option<Timestamp>) {
        let running = Arc::clone(self.shared.readouts.running());
        let at_once = if when.is_none() { Arc::clone(&running).try_acquire_owned().ok() } else { None };
        let turn = match at_once {
            Some(turn) => turn,
            None => {
                self.delivery.accepted().await;
                let turn = async {
                    if let Some(when) = when {
                        until(&self.shared, when).await;
                    }
                    running.acquire_owned().await
                };
                let interrupt = self.interrupt();
                let turn = tokio::select! {
                    biased;
                    why = interrupt => Err(why),
                    // The semaphore is never closed; if it were, this is a stop.
                    turn = turn => turn.map_err(|_| Interrupt::Stopping),
                };
                match turn {
                    Ok(turn) => {
                        self.delivery.started().await;
                        turn
                    }
                    Err(why) => {
                        let all = (0..self.targets.len()).collect::<Vec<_>>();
                        return self.give_up(why, &all).await;
                    }
                }
            }
        };
        self.read().await;
        drop(turn);
    }

    fn interrupt(&self) -> impl Future<Output = Interrupt> + use<> {
        let (cancel, shutdown) = (self.ticket.cancel.clone(), self.shared.shutdown.clone());
        async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Interrupt::Cancelled,
                () = shutdown.cancelled() => Interrupt::Stopping,
            }
        }
    }

    /// Ends without the nodes in `open`. A cancelled readout is silent from now on, but a request gets its answer.
    async fn give_up(mut self, why: Interrupt, open: &[usize]) {
        match why {
            Interrupt::Cancelled if !self.delivery.is_unanswered() => {}
            Interrupt::Cancelled => self.delivery.finish().await,
            Interrupt::Stopping => {
                for index in open {
                    self.trouble(*index, "The concentrator is stopping.").await;
                }
                self.delivery.finish().await;
            }
        }
    }

    async fn read(mut self) {
        let (parts, mut arriving) = mpsc::channel(PARTS_MAX);
        let mut readers = Readers { tasks: JoinSet::new(), nodes: HashMap::new(), next: 0 };
        for _ in 0..NODES_AT_ONCE {
            self.next_reader(&mut readers, &parts).await;
        }
        let mut interrupt = std::pin::pin!(self.interrupt());
        let quick = sleep_until(Instant::now() + self.shared.config.quick_reply);
        let mut quick = std::pin::pin!(quick);
        let mut gather: Option<Instant> = None;
        while !readers.tasks.is_empty() {
            tokio::select! {
                biased;
                why = &mut interrupt => {
                    let open: Vec<_> = readers.nodes.values().copied().chain(readers.next..self.targets.len()).collect();
                    return self.give_up(why, &open).await;
                }
                () = &mut quick, if self.delivery.is_unanswered() => self.delivery.started().await,
                () = sleep_until(gather.unwrap_or_else(Instant::now)), if gather.is_some() => {
                    gather = None;
                    self.delivery.flush().await;
                }
                Some(part) = arriving.recv() => self.take(part).await,
                Some(ended) = readers.tasks.join_next_with_id() => {
                    // What the node sent before it ended is in the queue already.
                    while let Ok(part) = arriving.try_recv() {
                        self.take(part).await;
                    }
                    let (task, outcome) = match ended {
                        Ok((task, outcome)) => (task, outcome),
                        Err(failure) => (failure.id(), Err(Trouble::Crashed)),
                    };
                    if let (Some(index), Err(trouble)) = (readers.nodes.remove(&task), outcome) {
                        self.trouble(index, &trouble.text()).await;
                    }
                    self.next_reader(&mut readers, &parts).await;
                }
            }
            if !self.delivery.is_unanswered() && self.delivery.has_data() {
                gather.get_or_insert_with(|| Instant::now() + GATHER);
            } else {
                gather = None;
            }
        }
        self.delivery.finish().await;
    }

    /// Starts reading the next node that can be read; the others get their error.
    async fn next_reader(&mut self, readers: &mut Readers, parts: &mpsc::Sender<Part>) {
        while let Some(target) = self.targets.get(readers.next) {
            let index = readers.next;
            readers.next = index.saturating_add(1);
            if target.readable {
                let (node, selection) = (Arc::clone(&target.node), Arc::clone(&self.selection));
                let limit = self.shared.config.node_silence_max;
                let task = readers.tasks.spawn(read_node(index, node, selection, parts.clone(), limit));
                readers.nodes.insert(task.id(), index);
                return;
            }
            self.trouble(index, "The node has no fields to read.").await;
        }
    }

    async fn take(&mut self, (index, part): Part) {
        let Some(target) = self.targets.get(index) else { return };
        match part {
            ReadoutPart::Fields(fields) => {
                self.shared.subscriptions.read(&self.reader, &target.address, &fields);
                // Nodes are trusted to send only what was asked for, and yet: what was not granted does not leave.
                for field in fields.into_iter().filter(|field| self.selection.includes(field)) {
                    self.delivery.field(Some(&target.asked), field).await;
                }
            }
            ReadoutPart::Failure { fields, error } => {
                let now = self.shared.clock.now();
                self.delivery.error(Some(&target.asked), now, failure_line(&fields, &error)).await;
            }
        }
    }

    async fn trouble(&mut self, index: usize, text: &str) {
        if let Some(target) = self.targets.get(index) {
            let now = self.shared.clock.now();
            self.delivery.error(Some(&target.asked), now, text.to_owned()).await;
        }
    }
}

/// The nodes that are being read. Dropping it gives up their answers.
struct Readers {
    tasks: JoinSet<Result<(), Trouble>>,
    nodes: HashMap<Id, usize>,
    next: usize,
}

async fn read_node(
    index: usize,
    node: Arc<dyn Node>,
    selection: Arc<Selection>,
    parts: mpsc::Sender<Part>,
    limit: Duration,
) -> Result<(), Trouble> {
    let (sender, mut stream) = readout();
    let forward = async {
        while let Some(part) = stream.next().await {
            if parts.send((index, part)).await.is_err() {
                break;
            }
        }
    };
    let both = async { tokio::join!(node.read(&selection, sender), forward).0 };
    timeout(limit, both).await.map_err(|_| Trouble::Late)?.map_err(Trouble::Node)
}

impl Trouble {
    fn text(&self) -> String {
        match self {
            Self::Crashed => "The node could not be read because of an internal error.".to_owned(),
            Self::Late => "The node did not finish in time.".to_owned(),
            Self::Node(error) => failure_line(&[], error),
        }
    }
}
