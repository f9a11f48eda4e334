//! Changes of the tree: told to who listens as they happen, and kept for a while for who asks what was missed.
//!
//! They live in memory: after a restart nodes are announced anew, and that is what a client is told.

use std::collections::VecDeque;

use tokio::sync::broadcast;
use torg_thing::{NodeId, NodeRef, NodeState, SourceId, Timestamp};

/// Changes kept; the oldest gives way. A restart of a plant of some hundred nodes leaves room for the trouble of a week.
pub(super) const KEPT_MAX: usize = 4096;

/// Changes that may wait for the listener; what is more is lost to it, though not to the log.
const WAITING_MAX: usize = 1024;

/// Something that happened to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// When.
    pub(super) at: Timestamp,
    /// The node.
    pub(super) node: NodeRef,
    /// What.
    pub(super) what: What,
}

/// What happened to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// It was announced, after this sibling.
    Added(Option<NodeId>),
    /// It was retired.
    Removed,
    /// Its state became this.
    State(NodeState),
}

/// The changes of late.
#[derive(Debug)]
pub(super) struct Changes {
    kept: VecDeque<Change>,
    listeners: broadcast::Sender<Change>,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self { kept: VecDeque::new(), listeners: broadcast::channel(WAITING_MAX).0 }
    }

    /// Notes a change. Never waits.
    pub(super) fn push(&mut self, change: Change) {
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(change.clone());
        // Nobody listens: that is no fault.
        let _ = self.listeners.send(change);
    }

    /// What happened in a source from a time on, that included, in order.
    pub(super) fn since(&self, source: &SourceId, from: Timestamp) -> Vec<Change> {
        let wanted = |change: &&Change| change.node.source == *source && change.at >= from;
        self.kept.iter().filter(wanted).cloned().collect()
    }

    /// What will happen from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Change> {
        self.listeners.subscribe()
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self::new()
    }
}
