//! The contract of a node: what any device looks like to the rest of Torg.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Assignment, Categories, CommandSummary, ControlParameter, Field, FieldName, FieldValue, Invocation, NodeError,
    NodeId, NodeRef, ReadoutSender, ReportSender, Timestamp, Unit,
};

/// State of a node: the worst of its open messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum NodeState {
    /// Nothing to tell.
    #[default]
    None,
    /// Something worth knowing.
    Information,
    /// A warning a person has seen.
    WarningSigned,
    /// A warning nobody has seen.
    WarningUnsigned,
    /// An error a person has seen.
    ErrorSigned,
    /// An error nobody has seen.
    ErrorUnsigned,
}

/// A value shown with a node: its address on the bus, its profile, its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayParameter {
    /// Identity for programs.
    pub id: Arc<str>,
    /// Name for people.
    pub name: Arc<str>,
    /// Value; dates without time are not used here.
    pub value: FieldValue,
}

/// A field a node can deliver, known before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSummary {
    /// Name.
    pub name: FieldName,
    /// What kind of value it is.
    pub categories: Categories,
    /// Unit, if it is a quantity.
    pub unit: Unit,
    /// Whether a control parameter of the same name exists.
    pub writable: bool,
    /// Whether only one source confirms the profile's entry for it.
    pub unconfirmed: bool,
}

/// What is known of a node without asking the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Address.
    pub node: NodeRef,
    /// Parent in the same source and partition; none for a root.
    pub parent: Option<NodeId>,
    /// Machine name of the node's type, for instance `modbus.device`.
    pub kind: &'static str,
    /// Name for people.
    pub name: Arc<str>,
    /// Values shown with the node.
    pub parameters: Vec<DisplayParameter>,
    /// Harmonised interfaces it fulfils, as URIs.
    pub interfaces: Vec<Arc<str>>,
    /// Fields it can deliver; empty if it cannot be read.
    pub fields: Vec<FieldSummary>,
    /// What can be set on it; empty if it cannot be controlled.
    pub controls: Vec<ControlParameter>,
    /// Commands it knows.
    pub commands: Vec<CommandSummary>,
    /// Whether bytes of its line can be shown live.
    pub sniffable: bool,
}

impl About {
    /// The control parameter of that name.
    #[must_use]
    pub fn control(&self, name: &FieldName) -> Option<&ControlParameter> {
        self.controls.iter().find(|parameter| parameter.name == *name)
    }
}

/// What a reader wants of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The fields wanted; `None` for every field.
    pub fields: Option<BTreeSet<FieldName>>,
    /// Categories wanted. A field passes if all its categories are among them.
    pub categories: Categories,
    /// Earliest time wanted, inclusive.
    pub from: Option<Timestamp>,
    /// Latest time wanted, inclusive.
    pub to: Option<Timestamp>,
}

impl Selection {
    /// Everything the node has.
    #[must_use]
    pub fn everything() -> Self {
        Self { fields: None, categories: Categories::ALL, from: None, to: None }
    }

    /// Whether a field of this name and these categories is wanted, before its time is known.
    #[must_use]
    pub fn wants(&self, name: &FieldName, categories: Categories) -> bool {
        self.fields.as_ref().is_none_or(|fields| fields.contains(name)) && self.categories.contains(categories)
    }

    /// Whether this very field is wanted.
    #[must_use]
    pub fn includes(&self, field: &Field) -> bool {
        self.wants(&field.name, field.categories)
            && self.from.is_none_or(|from| field.at >= from)
            && self.to.is_none_or(|to| field.at <= to)
    }
}

/// A standing wish: what is wanted, and how often at the most useful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interest {
    /// What is wanted.
    pub selection: Selection,
    /// Longest time between two values that still serves the wish.
    pub interval: Duration,
}

/// Demand on a node, for as long as this value lives. Dropping it ends the demand.
pub struct Watch {
    end: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Watch {
    /// Demand that calls `end` when it is over.
    #[must_use]
    pub fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { end: Some(Box::new(end)) }
    }

    /// Demand on a node that needs none, because it tells by itself.
    #[must_use]
    pub fn idle() -> Self {
        Self { end: None }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// One addressable device behind the concentrator.
///
/// A node answers for itself and knows nothing of who asks. Any method may be called at any time from any task; dropping the
/// future of a call gives up the answer, never an exchange that is already on the wire.
#[async_trait]
pub trait Node: Send + Sync {
    /// What is known without asking the device.
    fn about(&self) -> Arc<About>;

    /// Reads the device and sends what was wanted to `out`, and nothing else.
    ///
    /// Part of the fields may fail: that goes to `out` as a failure and the rest is still delivered.
    ///
    /// # Errors
    /// If the node as a whole could not be read.
    async fn read(&self, wanted: &Selection, out: ReadoutSender) -> Result<(), NodeError>;

    /// Demand: while the returned value lives, the bridge polls or listens often enough to serve `interest`, and tells what it
    /// sees through [`ObservationSender`](crate::ObservationSender).
    fn watch(&self, interest: Interest) -> Watch;

    /// Sets values, in order, after all of them were checked. A write that has begun is never cancelled half way.
    ///
    /// # Errors
    /// The first failure; values before it are set, those after it are not.
    async fn set(&self, values: &[Assignment]) -> Result<(), NodeError>;

    /// Runs a command.
    ///
    /// # Errors
    /// If it is unknown or fails.
    async fn execute(&self, command: Invocation, out: ReportSender) -> Result<(), NodeError>;
}
