//! The contract of a bridge: code for one protocol, running one line.
//!
//! A bridge knows devices and nothing else. What it gets is a [`Host`]; what it gives are nodes and observations.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, Section};
use crate::{Clock, Node, NodeRef, ObservationSender, SourceId, Timestamp};

/// How grave a message about a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Information,
    /// Degraded, but handled.
    Warning,
    /// Does not work.
    Error,
}

/// A message about a node; it stays open until it is cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeMessage {
    /// When it happened.
    pub at: Timestamp,
    /// How grave it is.
    pub severity: Severity,
    /// What kind of event it is, for instance `DeviceSilent`; one message per kind is open at a time.
    pub event: &'static str,
    /// Text for people.
    pub text: String,
}

/// Two bridges, or two lines of one, claim the same address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the node {0} exists already")]
pub struct NodeConflict(pub NodeRef);

/// Where nodes are made known. Implemented by the concentrator's tree.
pub trait NodeDirectory: Send + Sync {
    /// Makes a node known. Parents come before children.
    ///
    /// # Errors
    /// [`NodeConflict`] if the address is taken.
    fn announce(&self, node: Arc<dyn Node>) -> Result<(), NodeConflict>;

    /// Takes a node away, with its open messages. Unknown nodes are ignored.
    fn retire(&self, node: &NodeRef);

    /// Opens a message on a node, or renews the one of the same event.
    fn report(&self, node: &NodeRef, message: NodeMessage);

    /// Closes the message of that event, if it is open.
    fn clear(&self, node: &NodeRef, event: &str);
}

/// Bytes or a remark seen on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sniffed<'a> {
    /// Bytes that came in.
    Received(&'a [u8]),
    /// A remark in words.
    Remark(&'a str),
    /// Bytes that went out.
    Sent(&'a [u8]),
}

/// Where a line shows its traffic to those who look. Must be cheap when nobody does.
pub trait Sniffer: Send + Sync {
    /// Shows what was seen on the line of `node`.
    fn seen(&self, node: &NodeRef, what: Sniffed<'_>);
}

/// Nobody looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSniffer;

impl Sniffer for NoSniffer {
    fn seen(&self, _node: &NodeRef, _what: Sniffed<'_>) {}
}

/// All a bridge gets from the appliance.
#[derive(Clone)]
pub struct Host {
    /// The data source its nodes belong to: the name of the bridge in the configuration.
    pub source: SourceId,
    /// Where its nodes are made known.
    pub nodes: Arc<dyn NodeDirectory>,
    /// Where it tells what it sees.
    pub observations: ObservationSender,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Where it shows its traffic.
    pub sniffer: Arc<dyn Sniffer>,
    /// Cancelled when it has to stop.
    pub shutdown: CancellationToken,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Why a bridge ended before it was told to. It is started again, with growing pauses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// Its line or service is not there and it cannot wait for it by itself.
    #[error("the line is not available: {0}")]
    LineDown(String),
    /// An address it announced is taken.
    #[error(transparent)]
    Conflict(#[from] NodeConflict),
}

/// One running line of a protocol.
#[async_trait]
pub trait Bridge: Send {
    /// Announces its nodes and serves them until [`Host::shutdown`] is cancelled; then finishes writes that have begun, retires
    /// its nodes and returns.
    ///
    /// Called again after an error, so it must be able to start from anew.
    ///
    /// # Errors
    /// If it cannot go on; the appliance starts it again.
    async fn run(&mut self, host: Host) -> Result<(), BridgeError>;
}

/// One line of a bridge, checked and ready to run.
///
/// Lines are the unit of reload: one whose fingerprint has not changed goes on with its socket open.
pub struct BridgeLine {
    /// Name of the line in its bridge.
    pub name: Arc<str>,
    /// Equal for equal behaviour: everything the line was built from, profiles included.
    pub fingerprint: String,
    /// Nodes it will announce, so that clashes are found before anything runs.
    pub nodes: Vec<NodeRef>,
    /// The line itself.
    pub bridge: Box<dyn Bridge>,
}

impl fmt::Debug for BridgeLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeLine").field("name", &self.name).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}
/// A protocol the appliance can speak: one line in its catalogue.
#[derive(Clone, Copy)]
pub struct BridgeKind {
    /// `kind` in the configuration.
    pub name: &'static str,
    /// A complete `[[bridge]]` section as an example, which must load.
    pub sample: &'static str,
    /// Builds the lines of a `[[bridge]]` section, or tells every error in it. Opens nothing and starts nothing.
    pub build: fn(&Section<'_>) -> Result<Vec<BridgeLine>, Vec<ConfigError>>,
}

impl fmt::Debug for BridgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeKind").field("name", &self.name).finish_non_exhaustive()
    }
}
