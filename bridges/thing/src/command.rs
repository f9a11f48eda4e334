//! Commands of a node.
//!
//! Source: nfi "Concentrator", node commands and queries. What a query tells is in [`Report`]; parameters of commands are
//! the same nouns as control parameters.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{Assignment, ControlParameter, ReadoutGone, Report};

/// Parts of a report that wait for the reader.
const REPORT_PARTS_MAX: usize = 16;

/// What running a command means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandKind {
    /// Needs parameters.
    Parametrized,
    /// Makes a report.
    Query,
    /// Runs at once.
    Simple,
}

/// A command as listed to those who may run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSummary {
    /// Identity of the command.
    pub id: Arc<str>,
    /// Name for people.
    pub name: Arc<str>,
    /// What running it means.
    pub kind: CommandKind,
    /// What it has to be told; each of these needs a value. Empty for simple commands.
    pub parameters: Vec<ControlParameter>,
    /// Commands of one category stand together; may be empty.
    pub category: Arc<str>,
    /// A question to ask a person before it is run; may be empty.
    pub confirmation: Arc<str>,
}

impl CommandSummary {
    /// A command without parameters, category and confirmation.
    #[must_use]
    pub fn new(id: &str, name: &str, kind: CommandKind) -> Self {
        let (id, name) = (Arc::from(id), Arc::from(name));
        Self { id, name, kind, parameters: Vec::new(), category: Arc::from(""), confirmation: Arc::from("") }
    }
}

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Identity of the command.
    pub id: Arc<str>,
    /// Values of its parameters.
    pub parameters: Vec<Assignment>,
}

/// The command's end of a report.
#[derive(Debug, Clone)]
pub struct ReportSender(mpsc::Sender<Report>);

impl ReportSender {
    /// Hands a part to the reader, waiting while it is behind.
    ///
    /// # Errors
    /// [`ReadoutGone`] if nobody reads any more.
    pub async fn send(&self, report: Report) -> Result<(), ReadoutGone> {
        self.0.send(report).await.map_err(|_| ReadoutGone)
    }
}

/// A stream from a command to its reader, bounded.
#[must_use]
pub fn reports() -> (ReportSender, mpsc::Receiver<Report>) {
    let (sender, receiver) = mpsc::channel(REPORT_PARTS_MAX);
    (ReportSender(sender), receiver)
}
