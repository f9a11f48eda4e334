//! What can go wrong with a node, and who is to blame.

use std::time::Duration;

use crate::{ControlError, FieldName};

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The one who asked: the request cannot be fulfilled as it stands.
    Asker,
    /// The configuration or profile on this appliance.
    Config,
    /// The device or the line to it.
    Device,
    /// This appliance, at present: try again later.
    Load,
}

/// Why a node could not be read or set. The text is shown to the reader; it names no secrets and no internals.
///
/// An exception is an answer of the device and says so; silence, garbled or foreign answers are faults of the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A value may not be set on this parameter.
    #[error("{parameter}: {reason}")]
    AskerControl {
        /// The parameter.
        parameter: FieldName,
        /// Why not.
        reason: ControlError,
    },
    /// The node cannot do what was asked (no such command, not controllable).
    #[error("the node does not support {0}")]
    AskerUnsupported(&'static str),
    /// No parameter of that name.
    #[error("{0}: no such parameter")]
    AskerUnknownParameter(FieldName),
    /// The profile does not fit what the device sends.
    #[error("{0}")]
    ConfigMismatch(String),
    /// The device answered that it will not: its exception in plain words.
    #[error("the device answered with exception {code} ({meaning})")]
    DeviceException {
        /// Number of the exception in its protocol.
        code: u8,
        /// Name of the exception in its standard.
        meaning: &'static str,
    },
    /// An answer came that was damaged, or that belongs to no request of ours.
    #[error("the answer was not usable: {0}")]
    DeviceGarbled(String),
    /// After a write, the value read back was another one.
    #[error("{parameter}: written, but read back as {found}")]
    DeviceNotVerified {
        /// The parameter.
        parameter: FieldName,
        /// What the device shows.
        found: String,
    },
    /// No answer in time.
    #[error("no answer within {} ms", waited.as_millis())]
    DeviceSilent {
        /// How long was waited.
        waited: Duration,
    },
    /// The device has been silent for a while and is only tried now and then; this request was not sent.
    #[error("not asked: no answer since {failures} attempts; next attempt in {} ms", next.as_millis())]
    DeviceSuspended {
        /// Attempts without an answer.
        failures: u32,
        /// Time until it is tried again.
        next: Duration,
    },
    /// The line to the device is not there: adapter missing, connection refused or lost.
    #[error("the line is not available: {0}")]
    LineDown(String),
    /// Too much is waiting already.
    #[error("too many requests are waiting")]
    LoadQueueFull,
    /// The bridge is stopping or being replaced.
    #[error("the bridge is stopping")]
    LoadStopping,
}

impl NodeError {
    /// Who has to act.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::AskerControl { .. } | Self::AskerUnsupported(_) | Self::AskerUnknownParameter(_) => Blame::Asker,
            Self::ConfigMismatch(_) => Blame::Config,
            Self::DeviceException { .. }
            | Self::DeviceGarbled(_)
            | Self::DeviceNotVerified { .. }
            | Self::DeviceSilent { .. }
            | Self::DeviceSuspended { .. }
            | Self::LineDown(_) => Blame::Device,
            Self::LoadQueueFull | Self::LoadStopping => Blame::Load,
        }
    }
}
