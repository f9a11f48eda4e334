//! Commands of a node and the reports they make.
//!
//! Source: nfi "Concentrator", node commands and queries. First light has no bridge with commands; the shapes stand here so
//! that the [`Node`](crate::Node) contract does not change when they come.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{Assignment, ReadoutGone};

/// Lines of a report that wait for the reader.
const REPORT_PARTS_MAX: usize = 16;

/// What running a command means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
}

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Identity of the command.
    pub id: Arc<str>,
    /// Values of its parameters.
    pub parameters: Vec<Assignment>,
}

/// One part of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// What the command is doing now.
    Status(String),
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
