//! The payloads of the neuro-foundation interfaces a thing or concentrator speaks, in all four namespace generations.
//!
//! One module per interface: types, `decode`, `encode`. Decoding is lenient (unknown attributes and children are
//! ignored, booleans may be written in any of the usual ways), encoding is strict. What is answered to whom, and when, is
//! not decided here.
//!
//! ```
//! use torg_wire::iot::{Generation, SensorData, sensor_data};
//!
//! let question = SensorData::Request(sensor_data::Request::of("77ab", Vec::new()));
//! let element = question.encode(Generation::Nfi);
//! assert_eq!(SensorData::decode(&element), Ok((question, Generation::Nfi)));
//! ```

mod codec;
pub mod concentrator;
pub mod control;
pub mod events;
mod field;
mod fragments;
mod generation;
pub mod interfaces;
mod namespace;
mod node_info;
pub mod sensor_data;
pub mod synchronization;
pub mod xep;

#[cfg(test)]
mod tests;

use std::fmt;

use torg_thing::NodeRef;

pub use codec::{DecodeError, Tokens, parse_boolean};
pub use control::Control;
pub use events::Events;
pub use fragments::Fragments;
pub use generation::{Generation, Interface, NS_HARMONIZED, NS_INTEROPERABILITY};
pub use namespace::{Named, Service};
pub use node_info::{DataSource, Message, NodeInfo, Parameter, ParameterValue, Parent, state_name};
pub use sensor_data::SensorData;
pub use synchronization::Synchronization;

use crate::jid::BareJid;

/// The address of a node among all nodes everywhere: the concentrator's account and the node behind it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddress {
    /// Account of the concentrator.
    pub jid: BareJid,
    /// The node.
    pub node: NodeRef,
}

impl fmt::Display for NodeAddress {
    /// `jid/source/partition/id`, leaving out what is empty; for people and logs, not for parsing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.jid, self.node)
    }
}

impl fmt::Debug for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
