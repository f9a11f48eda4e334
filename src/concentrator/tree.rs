//! The nodes behind the concentrator: data sources, parents and children, open messages.
//!
//! Bridges announce and retire nodes; requests look them up. Nothing here asks a device.
//!
//! # Why
//! One lock around maps, held for look-ups and never across an `.await`. A snapshot that is copied on every change reads
//! without a lock, but copies the whole source for each of the thousands of announcements at start.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{Mutex, Notify, broadcast};
use tokio_util::sync::CancellationToken;
use torg_thing::{
    About, Clock, Host, Node, NodeConflict, NodeDirectory, NodeId, NodeMessage, NodeRef, NodeState,
    ObservationReceiver, ObservationSender, Partition, Severity, Sniffed, Sniffer, SourceId, Timestamp, observations,
};

use crate::console::status::UnwellNode;

use super::changes::{Change, Changes, What};
use super::sniffers::Eyes;

/// Open messages kept per node; the oldest gives way. Bridges open one per kind of event, so few suffice.
const MESSAGES_MAX: usize = 16;

/// All nodes of the appliance.
pub struct Tree {
    state: RwLock<State>,
    clock: Arc<dyn Clock>,
    observed: ObservationSender,
    observations: Mutex<ObservationReceiver>,
    /// A node was announced since the one who listens last looked.
    announced: Notify,
    /// Where bridges show the traffic of their lines.
    eyes: Eyes,
}

#[derive(Default)]
struct State {
    sources: BTreeMap<SourceId, Source>,
    nodes: HashMap<NodeRef, Entry>,
    /// Sources that hold a node of this partition and identity.
    holders: HashMap<(Partition, NodeId), Vec<SourceId>>,
    /// Children by the address of their parent, whether or not that exists, in order of announcement.
    children: HashMap<NodeRef, Vec<NodeRef>>,
    announced: u64,
    changes: Changes,
}

struct Source {
    name: Arc<str>,
    /// Nodes in order of announcement.
    nodes: BTreeMap<u64, NodeRef>,
    changed: Timestamp,
}

struct Entry {
    node: Arc<dyn Node>,
    /// Parent as announced; the tree's shape does not change while a node is known.
    parent: Option<NodeId>,
    order: u64,
    messages: Vec<NodeMessage>,
    /// Kinds of open messages that a person has seen.
    acknowledged: BTreeSet<&'static str>,
    changed: Timestamp,
}

/// A node as found in the tree.
#[derive(Clone)]
pub(super) struct Found {
    /// The node itself.
    pub(super) node: Arc<dyn Node>,
    /// What is known of it.
    pub(super) about: Arc<About>,
    /// Its open messages.
    pub(super) messages: Vec<NodeMessage>,
    /// Kinds of them that a person has seen.
    acknowledged: BTreeSet<&'static str>,
    /// When it was announced or its messages changed.
    pub(super) changed: Timestamp,
    /// Number of its children.
    pub(super) children: usize,
}

/// A data source as found in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundSource {
    /// Its identity.
    pub(super) source: SourceId,
    /// Its name for people.
    pub(super) name: Arc<str>,
    /// When a node of it was last announced, retired or changed state.
    pub(super) changed: Timestamp,
}

impl Tree {
    /// A tree without nodes.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (observed, receiver) = observations();
        Self {
            state: RwLock::default(),
            clock,
            observed,
            observations: Mutex::new(receiver),
            announced: Notify::new(),
            eyes: Eyes::new(),
        }
    }

    /// Makes a data source known before it has nodes. Known ones get the new name.
    pub fn add_source(&self, source: SourceId, name: &str) {
        let now = self.clock.now();
        self.write().source(source, now).name = Arc::from(name);
    }

    /// Takes a data source away, with all its nodes.
    pub fn remove_source(&self, source: &SourceId) {
        let nodes: Vec<_> = {
            let state = self.read();
            state.sources.get(source).map(|source| source.nodes.values().cloned().collect()).unwrap_or_default()
        };
        for node in nodes {
            self.retire(&node);
        }
        self.write().sources.remove(source);
    }

    /// All that a bridge needs, with this tree as the place for its nodes and observations.
    #[must_use]
    pub fn host(self: &Arc<Self>, source: SourceId, sniffer: Arc<dyn Sniffer>, shutdown: CancellationToken) -> Host {
        Host {
            source,
            nodes: Arc::clone(self) as Arc<dyn NodeDirectory>,
            observations: self.observed.clone(),
            clock: Arc::clone(&self.clock),
            sniffer,
            shutdown,
        }
    }

    /// Number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().nodes.len()
    }

    /// Whether there is no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nodes with an open message, by name, at most so many.
    #[must_use]
    pub fn unwell(&self, most: usize) -> Vec<UnwellNode> {
        let state = self.read();
        let gravest = |entry: &Entry| entry.messages.iter().max_by_key(|message| message.severity).cloned();
        let mut unwell: Vec<_> =
            state.nodes.iter().filter_map(|(node, entry)| Some((node.to_string(), gravest(entry)?))).collect();
        drop(state);
        unwell.sort_by(|one, other| one.0.cmp(&other.0));
        unwell.truncate(most);
        let told = |(node, message): (String, NodeMessage)| {
            let state = match message.severity {
                Severity::Information => "information",
                Severity::Warning => "warning",
                Severity::Error => "error",
            };
            UnwellNode { node, state: state.to_owned(), message: message.text }
        };
        unwell.into_iter().map(told).collect()
    }

    /// What bridges observed; one concentrator at a time takes it.
    pub(super) fn observations(&self) -> &Mutex<ObservationReceiver> {
        &self.observations
    }

    /// Waits until a node was announced since the last call. Cancellation safe.
    pub(super) async fn announced(&self) {
        self.announced.notified().await;
    }

    /// The node with this address. An empty source is resolved if exactly one source has the node.
    pub(super) fn find(&self, asked: &NodeRef) -> Option<Found> {
        let state = self.read();
        let address = state.resolve(asked)?;
        state.found(&address)
    }

    /// All sources, by identity.
    pub(super) fn sources(&self) -> Vec<FoundSource> {
        let state = self.read();
        let sources = state.sources.iter();
        sources
            .map(|(source, entry)| FoundSource {
                source: source.clone(),
                name: Arc::clone(&entry.name),
                changed: entry.changed,
            })
            .collect()
    }

    /// Whether there is such a source. The empty identity names the only one, if there is but one.
    pub(super) fn source(&self, asked: &SourceId) -> Option<SourceId> {
        self.read().resolve_source(asked)
    }

    /// Nodes of a source without a parent, in order of announcement.
    pub(super) fn roots(&self, source: &SourceId) -> Vec<Found> {
        let state = self.read();
        let Some(source) = state.sources.get(source) else { return Vec::new() };
        let roots = source.nodes.values().filter(|node| state.parent_of(node).is_none());
        roots.filter_map(|node| state.found(node)).collect()
    }

    /// Children of a node, in order of announcement.
    pub(super) fn children(&self, parent: &NodeRef) -> Vec<Found> {
        let state = self.read();
        let children = state.children.get(parent).into_iter().flatten();
        children.filter_map(|node| state.found(node)).collect()
    }

    /// The parent of a node.
    pub(super) fn parent(&self, node: &NodeRef) -> Option<Found> {
        let state = self.read();
        let parent = state.parent_of(node)?;
        state.found(&parent)
    }

    /// What happened in a source from a time on, as far as it is remembered.
    pub(super) fn changes_since(&self, source: &SourceId, from: Timestamp) -> Vec<Change> {
        self.read().changes.since(source, from)
    }

    /// What will happen from now on.
    pub(super) fn changes(&self) -> broadcast::Receiver<Change> {
        self.read().changes.listen()
    }

    /// Where bridges show the traffic of their lines.
    pub(super) fn eyes(&self) -> &Eyes {
        &self.eyes
    }

    /// Somebody has seen the messages of a node.
    pub(super) fn acknowledge(&self, node: &NodeRef) {
        let now = self.clock.now();
        self.write().change_messages(node, now, |entry| {
            entry.acknowledged = entry.messages.iter().map(|message| message.event).collect();
        });
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // A panic while holding the lock leaves valid maps, so poisoning carries no meaning.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn source(&mut self, source: SourceId, now: Timestamp) -> &mut Source {
        let name = Arc::from(source.as_str());
        let entry = self.sources.entry(source);
        let source = entry.or_insert_with(|| Source { name, nodes: BTreeMap::new(), changed: now });
        source.changed = now;
        source
    }

    fn resolve(&self, asked: &NodeRef) -> Option<NodeRef> {
        if self.nodes.contains_key(asked) {
            return Some(asked.clone());
        }
        if !asked.source.is_empty() {
            return None;
        }
        let holders = self.holders.get(&(asked.partition.clone(), asked.id.clone()))?;
        match holders.as_slice() {
            [only] => Some(NodeRef { source: only.clone(), ..asked.clone() }),
            _ => None,
        }
    }

    fn resolve_source(&self, asked: &SourceId) -> Option<SourceId> {
        if self.sources.contains_key(asked) {
            return Some(asked.clone());
        }
        let mut sources = self.sources.keys();
        match (asked.is_empty(), sources.next(), sources.next()) {
            (true, Some(only), None) => Some(only.clone()),
            _ => None,
        }
    }

    fn parent_of(&self, node: &NodeRef) -> Option<NodeRef> {
        let id = self.nodes.get(node)?.parent.clone()?;
        let parent = NodeRef { id, ..node.clone() };
        (parent != *node && self.nodes.contains_key(&parent)).then_some(parent)
    }

    fn found(&self, node: &NodeRef) -> Option<Found> {
        let entry = self.nodes.get(node)?;
        Some(Found {
            node: Arc::clone(&entry.node),
            about: entry.node.about(),
            messages: entry.messages.clone(),
            acknowledged: entry.acknowledged.clone(),
            changed: entry.changed,
            children: self.children.get(node).map_or(0, Vec::len),
        })
    }

    /// Applies a change to the messages of a node, if it exists.
    fn change_messages(&mut self, node: &NodeRef, now: Timestamp, change: impl FnOnce(&mut Entry)) {
        let before = self.found(node).map(|found| found.state());
        let Some(entry) = self.nodes.get_mut(node) else { return };
        change(entry);
        let Entry { messages, acknowledged, .. } = entry;
        acknowledged.retain(|event| messages.iter().any(|message| message.event == *event));
        entry.changed = now;
        self.source(node.source.clone(), now);
        let state = self.found(node).map(|found| found.state()).filter(|state| Some(*state) != before);
        if let Some(state) = state {
            self.changes.push(Change { at: now, node: node.clone(), what: What::State(state) });
        }
    }
}

impl NodeDirectory for Tree {
    fn announce(&self, node: Arc<dyn Node>) -> Result<(), NodeConflict> {
        let now = self.clock.now();
        let about = node.about();
        let address = about.node.clone();
        let mut state = self.write();
        if state.nodes.contains_key(&address) {
            return Err(NodeConflict(address));
        }
        let order = state.announced;
        state.announced = order.saturating_add(1);
        state.source(address.source.clone(), now).nodes.insert(order, address.clone());
        let holder = (address.partition.clone(), address.id.clone());
        state.holders.entry(holder).or_default().push(address.source.clone());
        if let Some(parent) = &about.parent {
            let parent = NodeRef { id: parent.clone(), ..address.clone() };
            state.children.entry(parent).or_default().push(address.clone());
        }
        let parent = about.parent.clone();
        let siblings = parent.clone().map(|id| NodeRef { id, ..address.clone() });
        let siblings = siblings.and_then(|parent| state.children.get(&parent)).map(Vec::as_slice).unwrap_or_default();
        // The last of them is the node itself.
        let after = siblings.iter().rev().nth(1).map(|sibling| sibling.id.clone());
        state.changes.push(Change { at: now, node: address.clone(), what: What::Added(after) });
        let (messages, acknowledged) = (Vec::new(), BTreeSet::new());
        state.nodes.insert(address, Entry { node, parent, order, messages, acknowledged, changed: now });
        drop(state);
        self.announced.notify_one();
        Ok(())
    }

    fn retire(&self, node: &NodeRef) {
        let now = self.clock.now();
        let mut state = self.write();
        let Some(entry) = state.nodes.remove(node) else { return };
        state.changes.push(Change { at: now, node: node.clone(), what: What::Removed });
        state.source(node.source.clone(), now).nodes.remove(&entry.order);
        let holder = (node.partition.clone(), node.id.clone());
        if let Some(holders) = state.holders.get_mut(&holder) {
            holders.retain(|source| *source != node.source);
            if holders.is_empty() {
                state.holders.remove(&holder);
            }
        }
        if let Some(parent) = &entry.parent {
            let parent = NodeRef { id: parent.clone(), ..node.clone() };
            if let Some(siblings) = state.children.get_mut(&parent) {
                siblings.retain(|sibling| sibling != node);
                if siblings.is_empty() {
                    state.children.remove(&parent);
                }
            }
        }
    }

    fn report(&self, node: &NodeRef, message: NodeMessage) {
        let now = self.clock.now();
        self.write().change_messages(node, now, |Entry { messages, acknowledged, .. }| {
            // What a person has seen is seen while it lasts, unless it gets worse.
            let before = messages.iter().find(|open| open.event == message.event).map(|open| open.severity);
            if before.is_none_or(|before| before < message.severity) {
                acknowledged.remove(message.event);
            }
            messages.retain(|open| open.event != message.event);
            if messages.len() >= MESSAGES_MAX {
                messages.remove(0);
            }
            messages.push(message);
        });
    }

    fn clear(&self, node: &NodeRef, event: &str) {
        let now = self.clock.now();
        self.write().change_messages(node, now, |entry| entry.messages.retain(|open| open.event != event));
    }
}

impl Sniffer for Tree {
    fn seen(&self, node: &NodeRef, what: Sniffed<'_>) {
        self.eyes.show(node, || self.clock.now(), &what);
    }
}

impl Found {
    /// The worst of the open messages.
    pub(super) fn state(&self) -> NodeState {
        let state = |message: &NodeMessage| match (message.severity, self.acknowledged.contains(message.event)) {
            (Severity::Information, _) => NodeState::Information,
            (Severity::Warning, true) => NodeState::WarningSigned,
            (Severity::Warning, false) => NodeState::WarningUnsigned,
            (Severity::Error, true) => NodeState::ErrorSigned,
            (Severity::Error, false) => NodeState::ErrorUnsigned,
        };
        self.messages.iter().map(state).max().unwrap_or_default()
    }

    /// Whether it has warnings or errors that nobody has seen.
    pub(super) fn needs_acknowledgement(&self) -> bool {
        let grave = self.messages.iter().filter(|message| message.severity >= Severity::Warning);
        grave.into_iter().any(|message| !self.acknowledged.contains(message.event))
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("nodes", &self.len()).finish_non_exhaustive()
    }
}
