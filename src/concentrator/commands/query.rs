//! Queries while they run: what a node reports is told to the one who asked, in numbered messages.
//!
//! A query ends once, as done or aborted: by its node, by its client, by the client going away (then nobody is told), by
//! its greatest length or by the concentrator stopping.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use torg_thing::{NodeRef, Report, ReportLevel, ReportMessage, ReportMessageKind, reports};
use torg_wire::iot::Generation;
use torg_wire::iot::concentrator::{Nodes, Notice, Progress, QueryProgress};
use torg_wire::jid::Jid;
use torg_wire::stanza::StanzaError;

use super::Order;
use crate::concentrator::browse::fits;
use crate::concentrator::refusal;
use crate::concentrator::shared::{Caller, Shared};

/// Queries running at a time; each is a task that may hold a line.
const RUNNING_MAX: usize = 64;

/// Queries of one sender running at a time, so that one cannot take all places.
pub(in crate::concentrator) const RUNNING_PER_CALLER_MAX: usize = 8;

/// Longest time a query may run: a scan of a whole slow line takes minutes.
const RUN_MAX: Duration = Duration::from_secs(3600);

/// Elements of records in one message. Brokers let 2,000 elements pass in a stanza.
const ELEMENTS_AT_ONCE: usize = 1500;

type Key = (Jid, NodeRef, String);

/// All running queries.
#[derive(Debug, Default)]
pub(in crate::concentrator) struct Queries(Arc<Mutex<HashMap<Key, Entry>>>);

#[derive(Debug)]
struct Entry {
    command: Arc<str>,
    /// The client wants it to end and to be told so.
    abort: CancellationToken,
    /// The client has gone.
    forget: CancellationToken,
}

/// A place among the running queries, given back when dropped.
struct Ticket {
    queries: Arc<Mutex<HashMap<Key, Entry>>>,
    key: Key,
    abort: CancellationToken,
    forget: CancellationToken,
}

/// A query that was accepted.
pub(super) struct Run {
    shared: Arc<Shared>,
    ticket: Ticket,
    order: Order,
    generation: Generation,
    /// Messages told so far.
    told: u32,
}

impl Queries {
    /// Ends a query; false if there is none like this.
    pub(super) fn abort(&self, caller: &Jid, node: &NodeRef, command: &str, query: &str) -> bool {
        let running = lock(&self.0);
        let entry = running.get(&(caller.clone(), node.clone(), query.to_owned()));
        let entry = entry.filter(|entry| &*entry.command == command);
        if let Some(entry) = entry {
            entry.abort.cancel();
        }
        entry.is_some()
    }

    /// Ends all queries of those for whom `gone` is true, silently.
    pub(in crate::concentrator) fn forget(&self, gone: impl Fn(&Jid) -> bool) {
        for ((_, _, _), entry) in lock(&self.0).iter().filter(|((caller, _, _), _)| gone(caller)) {
            entry.forget.cancel();
        }
    }

    fn take(&self, caller: &Jid, order: &Order, query: &str) -> Result<Ticket, StanzaError> {
        let mut running = lock(&self.0);
        let key = (caller.clone(), order.address.clone(), query.to_owned());
        if running.contains_key(&key) {
            return Err(refusal::conflict());
        }
        let own = running.keys().filter(|(other, _, _)| other == caller).count();
        if running.len() >= RUNNING_MAX || own >= RUNNING_PER_CALLER_MAX {
            return Err(refusal::busy("Too many queries are running."));
        }
        let (abort, forget) = (CancellationToken::new(), CancellationToken::new());
        let command = Arc::clone(&order.invocation.id);
        running.insert(key.clone(), Entry { command, abort: abort.clone(), forget: forget.clone() });
        Ok(Ticket { queries: Arc::clone(&self.0), key, abort, forget })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.queries).remove(&self.key);
    }
}

fn lock(queries: &Mutex<HashMap<Key, Entry>>) -> MutexGuard<'_, HashMap<Key, Entry>> {
    // A panic while holding this lock leaves a valid map, so poisoning carries no meaning.
    queries.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a place for each node: all or none.
pub(super) fn start(
    shared: &Arc<Shared>,
    caller: &Caller,
    asked: &Nodes,
    orders: Vec<Order>,
    query: &str,
    generation: Generation,
) -> Result<Vec<Run>, StanzaError> {
    debug_assert_eq!(asked.as_slice().len(), orders.len(), "an order for each node");
    let runs = orders.into_iter().map(|order| {
        let ticket = shared.queries.take(&caller.jid, &order, query)?;
        Ok(Run { shared: Arc::clone(shared), ticket, order, generation, told: 0 })
    });
    runs.collect()
}

/// Why a query ends.
enum End {
    Aborted,
    Done,
    Failed(String),
    Forgotten,
}

impl Run {
    /// Lets it run. The answer to its request has been sent.
    pub(super) fn spawn(self) {
        self.shared.clone().tasks.spawn(self.run());
    }

    async fn run(mut self) {
        self.tell(Progress::Started).await;
        match self.report().await {
            End::Aborted => self.tell(Progress::Aborted).await,
            End::Done => self.tell(Progress::Done).await,
            End::Failed(text) => {
                self.tell(Progress::Report(remark(text))).await;
                self.tell(Progress::Aborted).await;
            }
            End::Forgotten => {}
        }
    }

    async fn report(&mut self) -> End {
        let (sender, mut parts) = reports();
        let (node, invocation) = (Arc::clone(&self.order.node), self.order.invocation.clone());
        // A task of its own, so that a panic of a bridge is an end like others.
        let mut work = tokio::spawn(async move { node.execute(invocation, sender).await });
        let (abort, forget) = (self.ticket.abort.clone(), self.ticket.forget.clone());
        let shutdown = self.shared.shutdown.clone();
        let too_long = Instant::now() + RUN_MAX;
        let end = loop {
            tokio::select! {
                biased;
                () = forget.cancelled() => break End::Forgotten,
                () = abort.cancelled() => break End::Aborted,
                () = shutdown.cancelled() => break End::Failed("The concentrator is stopping.".to_owned()),
                () = sleep_until(too_long) => break End::Failed("The query took too long.".to_owned()),
                Some(part) = parts.recv() => self.part(part).await,
                ended = &mut work => {
                    self.rest(&mut parts).await;
                    return match ended {
                        Ok(Ok(())) => End::Done,
                        Ok(Err(error)) => End::Failed(refusal::sentence(&error.to_string())),
                        Err(_) => End::Failed("The query failed because of an internal error.".to_owned()),
                    };
                }
            }
        };
        work.abort();
        end
    }

    /// What was reported before the node was done.
    async fn rest(&mut self, parts: &mut mpsc::Receiver<Report>) {
        while let Ok(part) = parts.try_recv() {
            self.part(part).await;
        }
    }

    /// Tells a part of the report, in as many messages as it needs.
    async fn part(&mut self, part: Report) {
        let Report::Records { table, records } = part else { return self.tell(Progress::Report(part)).await };
        let cells = records.iter().map(Vec::len).max().unwrap_or_default();
        let at_once = ELEMENTS_AT_ONCE / cells.saturating_add(1);
        for records in records.chunks(at_once.max(1)) {
            let part = Report::Records { table: table.clone(), records: records.to_vec() };
            self.tell(Progress::Report(part)).await;
        }
    }

    async fn tell(&mut self, part: Progress) {
        let mut element = self.message(part);
        if !fits(&element) {
            self.told = self.told.saturating_sub(1);
            element =
                self.message(Progress::Report(remark("A part of the report was too large to be sent.".to_owned())));
        }
        let (caller, _, _) = &self.ticket.key;
        self.shared.tell(caller, element).await;
    }

    fn message(&mut self, part: Progress) -> torg_wire::xml::Element {
        self.told = self.told.saturating_add(1);
        let (_, _, query) = &self.ticket.key;
        let (query, node) = (query.clone(), self.order.asked.clone());
        Notice::Query(QueryProgress { query, node, number: self.told, parts: vec![part] }).encode(self.generation)
    }
}

fn remark(text: String) -> Report {
    Report::Message(ReportMessage { kind: ReportMessageKind::Error, level: ReportLevel::Medium, text })
}
