//! Clock synchronization: `req`, `resp`, `sourceReq`, `sourceResp` (nfi Synchronization).

use torg_thing::Timestamp;

use super::codec::{self, DecodeError};
use super::{Generation, Interface};
use crate::xml::Element;

/// Anything that travels in the synchronization namespace.
#[derive(Clone, Debug, PartialEq)]
pub enum Synchronization {
    /// Asks for the time.
    Request,
    /// The time.
    Response(Response),
    /// Asks which clock the entity follows.
    SourceRequest,
    /// The address of that clock, as text.
    SourceResponse(String),
}

/// `resp`: the time when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The time.
    pub at: Timestamp,
    /// A tick counter without epoch, and its ticks per second.
    pub counter: Option<Counter>,
}

/// A counter that runs faster than the clock's resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Ticks.
    pub ticks: i64,
    /// Ticks per second.
    pub frequency: i64,
}

impl Synchronization {
    /// Reads an element of the synchronization namespace, in whichever generation it is.
    ///
    /// # Errors
    /// [`DecodeError::Unknown`] if it is no such element, the others if it is malformed.
    pub fn decode(element: &Element) -> Result<(Self, Generation), DecodeError> {
        let generation = codec::generation(element, Interface::Synchronization)?;
        let payload = match element.name() {
            "req" => Self::Request,
            "resp" => Self::Response(Response::decode(element)?),
            "sourceReq" => Self::SourceRequest,
            "sourceResp" => Self::SourceResponse(element.text().trim().to_owned()),
            _ => return Err(codec::unknown(element)),
        };
        Ok((payload, generation))
    }

    /// Writes the element in the given generation.
    pub fn encode(&self, generation: Generation) -> Element {
        let ns = generation.namespace(Interface::Synchronization);
        match self {
            Self::Request => Element::new(ns, "req"),
            Self::Response(response) => Element::new(ns, "resp")
                .with_attr_opt("hf", response.counter.map(|counter| counter.ticks.to_string()))
                .with_attr_opt("freq", response.counter.map(|counter| counter.frequency.to_string()))
                .with_text(response.at.to_string()),
            Self::SourceRequest => Element::new(ns, "sourceReq"),
            Self::SourceResponse(jid) => Element::new(ns, "sourceResp").with_text(jid),
        }
    }
}

impl Response {
    fn decode(element: &Element) -> Result<Self, DecodeError> {
        let ticks = codec::optional(element, "hf", "64-bit integer")?;
        let frequency = codec::optional(element, "freq", "64-bit integer")?;
        Ok(Self {
            at: element.text().trim().parse().map_err(|_| codec::invalid(element, "text", "dateTime"))?,
            counter: ticks.zip(frequency).map(|(ticks, frequency)| Counter { ticks, frequency }),
        })
    }
}
