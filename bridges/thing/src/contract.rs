//! The shared test suite of the [`Node`] and [`Bridge`](crate::Bridge) contracts: every bridge passes it with a simulated
//! device before it may stand in the catalogue.
//!
//! It runs a line against a recording host and returns every breach it finds. Use it under tokio's paused time: it waits for
//! minutes of silence to see that nobody polls without demand.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{
    About, Assignment, BridgeLine, Categories, Clock, ControlError, ControlParameter, ControlValue, Field, FieldName,
    Host, Interest, Invocation, NoSniffer, Node, NodeConflict, NodeDirectory, NodeError, NodeMessage, NodeRef,
    ObservationReceiver, ParameterKind, ReadoutPart, Selection, SourceId, SystemClock, observations, readout, reports,
};

/// Longest time any single step may take.
const STEP_MAX: Duration = Duration::from_secs(60);

/// Silence that must hold while nobody asks.
const QUIET: Duration = Duration::from_secs(300);

/// A directory that remembers, for tests of bridges.
#[derive(Default)]
pub struct RecordingDirectory {
    nodes: Mutex<BTreeMap<NodeRef, Arc<dyn Node>>>,
    messages: Mutex<Vec<(NodeRef, NodeMessage)>>,
    orphans: Mutex<Vec<NodeRef>>,
}

impl RecordingDirectory {
    /// The node of that address.
    #[must_use]
    pub fn node(&self, node: &NodeRef) -> Option<Arc<dyn Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).get(node).cloned()
    }

    /// Every node known at present, by address.
    #[must_use]
    pub fn nodes(&self) -> Vec<Arc<dyn Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Open messages in the order they were reported.
    #[must_use]
    pub fn messages(&self) -> Vec<(NodeRef, NodeMessage)> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn orphans(&self) -> Vec<NodeRef> {
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl NodeDirectory for RecordingDirectory {
    fn announce(&self, node: Arc<dyn Node>) -> Result<(), NodeConflict> {
        let about = node.about();
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if nodes.contains_key(&about.node) {
            return Err(NodeConflict(about.node.clone()));
        }
        if let Some(parent) = &about.parent {
            let parent = NodeRef { id: parent.clone(), ..about.node.clone() };
            if !nodes.contains_key(&parent) {
                self.orphans.lock().unwrap_or_else(PoisonError::into_inner).push(about.node.clone());
            }
        }
        nodes.insert(about.node.clone(), node);
        Ok(())
    }

    fn retire(&self, node: &NodeRef) {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
    }

    fn report(&self, node: &NodeRef, message: NodeMessage) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.retain(|(at, open)| at != node || open.event != message.event);
        messages.push((node.clone(), message));
    }

    fn clear(&self, node: &NodeRef, event: &str) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.retain(|(at, open)| at != node || open.event != event);
    }
}

/// What the suite has to know of the device behind the line.
pub struct Subject {
    /// Data source the nodes shall belong to.
    pub source: SourceId,
    /// How many requests the device has received so far.
    pub requests: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// Runs the whole suite; an empty list means the contract is kept.
///
/// The device behind `line` must answer every request.
pub async fn check(mut line: BridgeLine, subject: Subject) -> Vec<String> {
    let mut breaches = Breaches(Vec::new());
    // Twice, since the appliance starts a failed line again.
    for round in ["first run", "second run"] {
        breaches.round(round, &mut line, &subject).await;
    }
    breaches.0
}

struct Breaches(Vec<String>);

impl Breaches {
    fn unless(&mut self, holds: bool, breach: impl Into<String>) {
        if !holds {
            self.0.push(breach.into());
        }
    }

    /// The outcome of a step, or a breach if it takes too long.
    async fn within<T>(&mut self, what: &str, step: impl Future<Output = T>) -> Option<T> {
        let outcome = tokio::time::timeout(STEP_MAX, step).await.ok();
        self.unless(outcome.is_some(), format!("{what}: not done within {STEP_MAX:?}"));
        outcome
    }

    async fn round(&mut self, round: &str, line: &mut BridgeLine, subject: &Subject) {
        let directory = Arc::new(RecordingDirectory::default());
        let (sender, mut seen) = observations();
        let shutdown = CancellationToken::new();
        let host = Host {
            source: subject.source.clone(),
            nodes: Arc::clone(&directory) as Arc<dyn NodeDirectory>,
            observations: sender,
            clock: Arc::new(SystemClock),
            sniffer: Arc::new(NoSniffer),
            shutdown: shutdown.clone(),
        };
        let promised: BTreeSet<NodeRef> = line.nodes.iter().cloned().collect();
        let probe = async {
            let all_there = async {
                while !promised.iter().all(|node| directory.node(node).is_some()) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            self.within("announcing the promised nodes", all_there).await;
            self.unless(directory.orphans().is_empty(), "a child was announced before its parent");
            let nodes = directory.nodes();
            for node in &nodes {
                let about = node.about();
                self.unless(promised.contains(&about.node), format!("{}: announced but not promised", about.node));
                self.unless(about.node.source == subject.source, format!("{}: another source", about.node));
                self.about(&about);
                self.reads(node, &about, subject).await;
                self.refuses(node, &about, subject).await;
                if !about.fields.is_empty() {
                    self.watches(node, &about, subject, &mut seen).await;
                }
            }
            self.silence("nobody asks", subject).await;
            shutdown.cancel();
            nodes
        };
        let (nodes, end) = tokio::join!(probe, line.bridge.run(host));
        self.unless(end.is_ok(), format!("{round}: run returned an error after shutdown"));
        self.unless(directory.nodes().is_empty(), format!("{round}: nodes were not retired at shutdown"));
        for node in nodes.iter().filter(|node| !node.about().fields.is_empty()) {
            let (out, mut parts) = readout();
            let answer = self.within("reading a retired node", node.read(&Selection::everything(), out)).await;
            let silent = parts.next().await.is_none_or(|part| matches!(part, ReadoutPart::Failure { .. }));
            self.unless(answer.is_none_or(|answer| answer.is_err()) || silent, "a retired node still delivers");
        }
    }

    fn about(&mut self, about: &About) {
        let names: BTreeSet<_> = about.fields.iter().map(|field| &field.name).collect();
        self.unless(names.len() == about.fields.len(), format!("{}: two fields of one name", about.node));
        for field in &about.fields {
            let controlled = about.control(&field.name).is_some();
            self.unless(controlled == field.writable, format!("{}: writable and control disagree", field.name));
            self.unless(!field.categories.is_empty(), format!("{}: no category", field.name));
        }
    }

    async fn reads(&mut self, node: &Arc<dyn Node>, about: &About, subject: &Subject) {
        let everything = self.fields(node, &Selection::everything()).await;
        self.unless(everything.is_empty() == about.fields.is_empty(), format!("{}: nothing was read", about.node));
        let now = SystemClock.now();
        let mut names = BTreeSet::new();
        for field in &everything {
            let name = &field.name;
            let listed = about.fields.iter().find(|listed| listed.name == *name);
            self.unless(listed.is_some(), format!("{name}: read but not listed"));
            if let Some(listed) = listed {
                self.unless(listed.categories == field.categories, format!("{name}: other categories than listed"));
                self.unless(listed.writable == field.writable, format!("{name}: writable differs from what is listed"));
            }
            self.unless(field.at <= now, format!("{name}: a time in the future"));
            self.unless(!field.qos.is_empty(), format!("{name}: no quality"));
            self.unless(names.insert((name.clone(), field.at)), format!("{name}: twice in one readout"));
        }
        if let Some(first) = everything.first() {
            let one = Selection { fields: Some([first.name.clone()].into()), ..Selection::everything() };
            let fields = self.fields(node, &one).await;
            self.unless(!fields.is_empty(), format!("{}: not read when asked for alone", first.name));
            self.unless(fields.iter().all(|field| field.name == first.name), "more was delivered than wanted");
        }
        let before = (subject.requests)();
        let none = Selection { categories: Categories::NONE, ..Selection::everything() };
        let nothing = self.fields_of(node, &none).await;
        self.unless(nothing.is_none_or(|fields| fields.is_empty()), "something was read for no category");
        self.unless((subject.requests)() == before, "the device was asked although nothing was wanted");
        // A reader that goes away must not harm the next one.
        let (out, parts) = readout();
        drop(parts);
        let _ = self.within("a readout without reader", node.read(&Selection::everything(), out)).await;
        let again = self.fields(node, &Selection::everything()).await;
        self.unless(again.len() == everything.len(), format!("{}: reads differently after a lost reader", about.node));
    }

    async fn fields(&mut self, node: &Arc<dyn Node>, wanted: &Selection) -> Vec<Field> {
        self.fields_of(node, wanted).await.unwrap_or_default()
    }

    /// All fields of a readout; a failure of a healthy device is a breach.
    async fn fields_of(&mut self, node: &Arc<dyn Node>, wanted: &Selection) -> Option<Vec<Field>> {
        let (out, mut parts) = readout();
        let mut fields = Vec::new();
        let mut failures = Vec::new();
        let collect = async {
            while let Some(part) = parts.next().await {
                match part {
                    ReadoutPart::Fields(more) => fields.extend(more),
                    ReadoutPart::Failure { error, .. } => failures.push(error),
                }
            }
        };
        let (answer, ()) = self.within("a readout", async { tokio::join!(node.read(wanted, out), collect) }).await?;
        self.unless(answer.is_ok() && failures.is_empty(), format!("a healthy device failed: {answer:?} {failures:?}"));
        self.unless(fields.iter().all(|field| wanted.includes(field)), "a field was delivered that was not wanted");
        Some(fields)
    }

    async fn refuses(&mut self, node: &Arc<dyn Node>, about: &About, subject: &Subject) {
        let before = (subject.requests)();
        let unknown = FieldName::parse("No Such Parameter").ok();
        for parameter in unknown.into_iter().filter(|name| about.control(name).is_none()) {
            let values = [Assignment { parameter, value: ControlValue::Boolean(true) }];
            if let Some(answer) = self.within("setting an unknown parameter", node.set(&values)).await {
                let right = matches!(answer, Err(NodeError::AskerUnknownParameter(_) | NodeError::AskerUnsupported(_)));
                self.unless(right, format!("an unknown parameter was answered with {answer:?}"));
            }
        }
        for control in &about.controls {
            let wrong = ControlValue::Color(crate::Color { red: 1, green: 2, blue: 3, alpha: 4 });
            if control.kind != ParameterKind::Color {
                self.refused(node, control, wrong, "of another type").await;
            }
            let limits = control.range.as_ref().map(|range| (range.min, range.max));
            if let (ParameterKind::Double { .. }, Some((_, Some(max)))) = (&control.kind, limits)
                && let Ok(above) = max.checked_add(crate::Decimal::from(1))
            {
                self.refused(node, control, ControlValue::Double(above), "above its range").await;
            }
        }
        let (out, _reports) = reports();
        let command = Invocation { id: "no-such-command".into(), parameters: Vec::new() };
        if let Some(answer) = self.within("running an unknown command", node.execute(command, out)).await {
            self.unless(answer.is_err(), "an unknown command was run");
        }
        self.unless((subject.requests)() == before, "the device was asked for something that was to be refused");
    }

    async fn refused(&mut self, node: &Arc<dyn Node>, control: &ControlParameter, value: ControlValue, what: &str) {
        let values = [Assignment { parameter: control.name.clone(), value }];
        if let Some(answer) = self.within("a refusal", node.set(&values)).await {
            let right = matches!(
                &answer,
                Err(NodeError::AskerControl { reason: ControlError::WrongType | ControlError::OutOfRange { .. }, .. })
            );
            self.unless(right, format!("{}: a value {what} was answered with {answer:?}", control.name));
        }
    }

    async fn watches(
        &mut self,
        node: &Arc<dyn Node>,
        about: &About,
        subject: &Subject,
        seen: &mut ObservationReceiver,
    ) {
        let interest = Interest { selection: Selection::everything(), interval: Duration::from_secs(5) };
        let watch = node.watch(interest);
        if let Some(observed) = self.within("waiting for an observation", seen.next()).await {
            let about_us = observed.iter().any(|one| one.node == about.node && !one.fields.is_empty());
            self.unless(about_us, format!("{}: watched, but nothing was seen of it", about.node));
        }
        drop(watch);
        // What is on the line at this moment may still come.
        tokio::time::sleep(STEP_MAX).await;
        self.silence("the watch has ended", subject).await;
    }

    async fn silence(&mut self, when: &str, subject: &Subject) {
        let before = (subject.requests)();
        tokio::time::sleep(QUIET).await;
        self.unless((subject.requests)() == before, format!("the device was asked although {when}"));
    }
}

#[cfg(test)]
mod tests;
