//! Readouts: one answer stream of one node.
//!
//! A node sends parts, the reader takes them; the end of the stream is the end of the readout. The stream maps one to one on
//! the standard's `resp more='true'` ... `done`.

use tokio::sync::mpsc;

use crate::{Field, FieldName, NodeError};

/// Parts that wait between node and reader; a full stream makes the node wait, never lose.
const READOUT_PARTS_MAX: usize = 16;

/// One part of a readout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadoutPart {
    /// Fields that were read.
    Fields(Vec<Field>),
    /// Fields that could not be read, and why. No name means the node as a whole.
    Failure {
        /// The fields concerned; empty for all that were wanted.
        fields: Vec<FieldName>,
        /// Why.
        error: NodeError,
    },
}

/// The reader has gone; further parts are of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reader has gone")]
pub struct ReadoutGone;

/// The node's end of a readout.
#[derive(Debug, Clone)]
pub struct ReadoutSender(mpsc::Sender<ReadoutPart>);

impl ReadoutSender {
    /// Hands fields to the reader, waiting while it is behind. An empty list is not sent.
    ///
    /// # Errors
    /// [`ReadoutGone`] if nobody reads any more.
    pub async fn fields(&self, fields: Vec<Field>) -> Result<(), ReadoutGone> {
        if fields.is_empty() {
            return Ok(());
        }
        self.0.send(ReadoutPart::Fields(fields)).await.map_err(|_| ReadoutGone)
    }

    /// Tells the reader which fields failed and why, waiting while it is behind.
    ///
    /// # Errors
    /// [`ReadoutGone`] if nobody reads any more.
    pub async fn failure(&self, fields: Vec<FieldName>, error: NodeError) -> Result<(), ReadoutGone> {
        self.0.send(ReadoutPart::Failure { fields, error }).await.map_err(|_| ReadoutGone)
    }

    /// Whether nobody reads any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

/// The reader's end of a readout.
#[derive(Debug)]
pub struct SensorReadout(mpsc::Receiver<ReadoutPart>);

impl SensorReadout {
    /// The next part, or `None` when the readout is done.
    pub async fn next(&mut self) -> Option<ReadoutPart> {
        self.0.recv().await
    }
}

/// A stream from a node to a reader, bounded.
#[must_use]
pub fn readout() -> (ReadoutSender, SensorReadout) {
    let (sender, receiver) = mpsc::channel(READOUT_PARTS_MAX);
    (ReadoutSender(sender), SensorReadout(receiver))
}
