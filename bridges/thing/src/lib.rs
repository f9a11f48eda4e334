//! The nouns of Torg and the two contracts every bridge fulfils.
//!
//! Everything a device can be, say or do is named here: nodes and their addresses, fields with exact values, control
//! parameters, readouts, watches, and the [`Node`] and [`Bridge`] contracts. There is no protocol, no XML and no JID in this
//! crate, so that no bridge can see who asks and no service can see a bus.
//!
//! Source of the vocabulary: IEEE P1451.99 as published by the Neuro-Foundation ("Sensor Data", "Control Parameters",
//! "Concentrator").

mod bridge;
mod clock;
mod command;
pub mod config;
pub mod contract;
mod control;
mod decimal;
mod error;
mod field;
mod name;
mod node;
mod observation;
mod readout;
mod report;
mod time;

pub use bridge::{
    Bridge, BridgeError, BridgeKind, BridgeLine, Host, NoSniffer, NodeConflict, NodeDirectory, NodeMessage, Severity,
    Sniffed, Sniffer,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use command::{CommandKind, CommandSummary, Invocation, ReportSender, reports};
pub use control::{Assignment, Color, ColorError, ControlError, ControlParameter, ControlValue, ParameterKind, Range};
pub use decimal::{Decimal, DecimalError};
pub use error::{Blame, NodeError};
pub use field::{Categories, EnumValue, Field, FieldValue, Qos, Quantity, Unit};
pub use name::{FieldName, NAME_BYTES_MAX, NameError, NodeId, NodeRef, Partition, SourceId};
pub use node::{About, DisplayParameter, FieldSummary, Interest, Node, NodeState, Selection, Watch};
pub use observation::{Observation, ObservationReceiver, ObservationSender, STATE_CHANGES_MAX, observations};
pub use readout::{ReadoutGone, ReadoutPart, ReadoutSender, SensorReadout, readout};
pub use report::{Alignment, Cell, Column, Content, Report, ReportLevel, ReportMessage, ReportMessageKind, Table};
pub use time::{Date, Span, TimeError, TimeOfDay, Timestamp};
