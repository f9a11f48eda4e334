//! What can go wrong with a request between the queue and the device's answer.
//!
//! An exception is no fault: it is an answer, see [`Exception`](super::Exception).

use std::time::Duration;

use torg_thing::NodeError;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Different answers came to one request; none can be trusted.
    #[error("two different answers to one request")]
    DeviceAmbiguous,
    /// The answer ended too early.
    #[error("the answer ended after {received} of {expected} bytes")]
    DeviceCut {
        /// Bytes that came.
        received: usize,
        /// Bytes that were to come.
        expected: usize,
    },
    /// The checksum was wrong.
    #[error("checksum error")]
    DeviceDamaged,
    /// Nothing came in time.
    #[error("no answer within {} ms", waited.as_millis())]
    DeviceSilent {
        /// How long was waited.
        waited: Duration,
    },
    /// The unit has been silent before and is only probed now and then; nothing was sent.
    #[error("not asked: no answer since {failures} attempts")]
    DeviceSuspended {
        /// Attempts without an answer.
        failures: u32,
        /// Time until the next probe.
        next: Duration,
    },
    /// The answer fits another request: function, byte count, address or amount differ.
    #[error("the answer belongs to another request")]
    DeviceUnfit,
    /// Another unit answered.
    #[error("unit {found} answered instead of unit {asked}")]
    DeviceWrongUnit {
        /// The unit asked.
        asked: u8,
        /// The unit that answered.
        found: u8,
    },
    /// The line could not be opened; it is tried again later.
    #[error("cannot be opened: {reason}")]
    LineDown {
        /// What the system said.
        reason: String,
    },
    /// The connection broke while a request was under way.
    #[error("connection lost: {reason}")]
    LineLost {
        /// What the system said.
        reason: String,
    },
    /// Bytes come without end, so nothing can be sent.
    #[error("the line is never silent")]
    LineNoisy,
    /// The queue of the line is full.
    #[error("too many requests are waiting")]
    LoadFull,
    /// The request's deadline passed before it was its turn.
    #[error("waited {} ms for its turn", waited.as_millis())]
    LoadLate {
        /// How long it waited.
        waited: Duration,
    },
    /// The bridge is stopping.
    #[error("the bridge is stopping")]
    LoadStopping,
}

impl From<LineError> for NodeError {
    fn from(error: LineError) -> Self {
        match error {
            LineError::DeviceSilent { waited } => Self::DeviceSilent { waited },
            LineError::DeviceSuspended { failures, next } => Self::DeviceSuspended { failures, next },
            LineError::DeviceAmbiguous
            | LineError::DeviceCut { .. }
            | LineError::DeviceDamaged
            | LineError::DeviceUnfit
            | LineError::DeviceWrongUnit { .. } => Self::DeviceGarbled(error.to_string()),
            LineError::LineDown { .. } | LineError::LineLost { .. } | LineError::LineNoisy => {
                Self::LineDown(error.to_string())
            }
            LineError::LoadFull | LineError::LoadLate { .. } => Self::LoadQueueFull,
            LineError::LoadStopping => Self::LoadStopping,
        }
    }
}
