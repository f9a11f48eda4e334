//! Sniffers: watching the traffic of a line through the concentrator (nfi Concentrator, "Sniffers").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use torg_thing::{NodeRef, Timestamp};

use super::required_text;
use crate::iot::codec::{self, DecodeError};
use crate::xml::Element;

/// The operations on sniffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sniffers {
    /// Begins to watch the line of a node.
    Register {
        /// The node.
        node: NodeRef,
        /// When it is to end by itself; the concentrator may choose an earlier time.
        expires: Option<Timestamp>,
    },
    /// Ends the watching.
    Unregister {
        /// The node.
        node: NodeRef,
        /// The sniffer, as named by the concentrator.
        sniffer: String,
    },
}

/// `sniff`: what a sniffer saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sniff {
    /// The sniffer.
    pub sniffer: String,
    /// When it was seen.
    pub at: Timestamp,
    /// What was seen, in order.
    pub seen: Vec<Sniffed>,
}

/// One thing seen on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// Something went wrong.
    Error(String),
    /// Something went wrong that nobody had thought of.
    Exception(String),
    /// The sniffer has ended.
    Expired,
    /// A remark.
    Information(String),
    /// Bytes came in.
    ReceivedBytes(Vec<u8>),
    /// Text came in.
    ReceivedText(String),
    /// Bytes went out.
    SentBytes(Vec<u8>),
    /// Text went out.
    SentText(String),
    /// Something may go wrong.
    Warning(String),
}

impl Sniffers {
    /// Names of all operations, in alphabetical order.
    pub const NAMES: [&'static str; 2] = ["registerSniffer", "unregisterSniffer"];

    /// The name of the element.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Register { .. } => "registerSniffer",
            Self::Unregister { .. } => "unregisterSniffer",
        }
    }

    /// `None` if the element is no such operation.
    pub(super) fn decode(element: &Element) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match element.name() {
            "registerSniffer" => Self::Register {
                node: codec::node(element)?,
                expires: codec::optional(element, "expires", "dateTime")?,
            },
            "unregisterSniffer" => {
                Self::Unregister { node: codec::node(element)?, sniffer: required_text(element, "snifferId")? }
            }
            _ => return Ok(None),
        }))
    }

    pub(super) fn encode(&self, ns: &'static str) -> Element {
        let mut element = Element::new(ns, self.name());
        match self {
            Self::Register { node, expires } => {
                codec::set_node(&mut element, node);
                element.with_attr_opt("expires", expires.map(|at| at.to_string()))
            }
            Self::Unregister { node, sniffer } => {
                codec::set_node(&mut element, node);
                element.with_attr("snifferId", sniffer)
            }
        }
    }
}

impl Sniff {
    /// Children that are not known are left out.
    pub(super) fn decode(element: &Element) -> Result<Self, DecodeError> {
        let own = element.children().filter(|child| child.namespace() == element.namespace());
        let seen = own.map(Sniffed::decode).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            sniffer: required_text(element, "snifferId")?,
            at: codec::parsed(element, "timestamp", "dateTime")?,
            seen: seen.into_iter().flatten().collect(),
        })
    }

    pub(super) fn encode(&self, ns: &'static str) -> Element {
        Element::new(ns, "sniff")
            .with_attr("snifferId", &self.sniffer)
            .with_attr("timestamp", self.at.to_string())
            .with_children(self.seen.iter().map(|seen| seen.encode(ns)))
    }
}

impl Sniffed {
    fn decode(element: &Element) -> Result<Option<Self>, DecodeError> {
        let text = || element.text().into_owned();
        Ok(Some(match element.name() {
            "error" => Self::Error(text()),
            "exception" => Self::Exception(text()),
            "expired" => Self::Expired,
            "info" => Self::Information(text()),
            "rx" => Self::ReceivedText(text()),
            "rxBin" => Self::ReceivedBytes(decode_bytes(element)?),
            "tx" => Self::SentText(text()),
            "txBin" => Self::SentBytes(decode_bytes(element)?),
            "warning" => Self::Warning(text()),
            _ => return Ok(None),
        }))
    }

    fn encode(&self, ns: &'static str) -> Element {
        let text = |name: &'static str, text: &str| Element::new(ns, name).with_text(text);
        match self {
            Self::Error(remark) => text("error", remark),
            Self::Exception(remark) => text("exception", remark),
            Self::Expired => Element::new(ns, "expired"),
            Self::Information(remark) => text("info", remark),
            Self::ReceivedBytes(bytes) => text("rxBin", &STANDARD.encode(bytes)),
            Self::ReceivedText(line) => text("rx", line),
            Self::SentBytes(bytes) => text("txBin", &STANDARD.encode(bytes)),
            Self::SentText(line) => text("tx", line),
            Self::Warning(remark) => text("warning", remark),
        }
    }
}

/// Base64 in the text of an element; white space between its characters is allowed (XML Schema, base64Binary).
pub(super) fn decode_bytes(element: &Element) -> Result<Vec<u8>, DecodeError> {
    let text: String = element.text().chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    STANDARD.decode(text).map_err(|_| codec::invalid(element, "text", "base64"))
}
