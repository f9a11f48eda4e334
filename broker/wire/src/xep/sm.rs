//! Stream management (XEP-0198): what client and server say to each other about their stanzas, and how the counts are compared.
//! Keeping the counts and the stanzas is the broker's.

use std::fmt;

use crate::ns;
use crate::stanza::StanzaCondition;
use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::Element;

/// Longest id of a stream that is read (§5 "SHOULD NOT be longer than 4000 bytes"; ours are far shorter).
const ID_BYTES_MAX: usize = 4_000;

/// The stream feature (§2), also what SASL2 lists as capable of being inlined (§9.2).
pub fn feature() -> Element {
    Element::new(ns::STREAM_MANAGEMENT, "sm")
}

/// `<enable/>`: the client wants its stanzas acknowledged (§3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enable {
    /// It also wants to be able to resume.
    pub resume: bool,
    /// Seconds the client would like its session to be kept.
    pub max: Option<u32>,
}

/// `<resume/>`: the client goes on with a former stream (§5).
#[derive(Clone, PartialEq, Eq)]
pub struct Resume {
    /// The id the server gave to the former stream.
    pub previd: String,
    /// Stanzas of the server that the client has handled.
    pub h: u32,
}

/// The id opens a session, so logs do not show it.
impl fmt::Debug for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resume").field("h", &self.h).finish_non_exhaustive()
    }
}

/// Whatever a client says about its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `<a/>`: so many stanzas of the server have been handled (§4).
    Ack(u32),
    /// See [`Enable`].
    Enable(Enable),
    /// `<r/>`: the server is asked to acknowledge (§4).
    Request,
    /// See [`Resume`].
    Resume(Resume),
}

/// The element is of stream management but says nothing that could be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream management element is not understood")]
pub struct BadCommand;

impl Enable {
    /// From an `<enable/>`; `None` if it is another element. A `max` that is no number counts as absent.
    pub fn from_element(element: &Element) -> Option<Enable> {
        element.is(ns::STREAM_MANAGEMENT, "enable").then(|| Enable {
            resume: matches!(element.attr("resume"), Some("true" | "1")),
            max: number(element, "max"),
        })
    }

    /// As the element to send.
    pub fn to_element(self) -> Element {
        let element = Element::new(ns::STREAM_MANAGEMENT, "enable");
        let element = if self.resume { element.with_attr("resume", "true") } else { element };
        element.with_attr_opt("max", self.max.map(|max| max.to_string()))
    }
}

impl Resume {
    /// From a `<resume/>`; `None` if it is another element.
    ///
    /// # Errors
    /// If `previd` or `h` is missing or senseless.
    pub fn from_element(element: &Element) -> Option<Result<Resume, BadCommand>> {
        if !element.is(ns::STREAM_MANAGEMENT, "resume") {
            return None;
        }
        let previd = element.attr("previd").filter(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX);
        let resume = previd.zip(number(element, "h")).map(|(previd, h)| Resume { previd: previd.to_owned(), h });
        Some(resume.ok_or(BadCommand))
    }

    /// As the element to send.
    pub fn to_element(&self) -> Element {
        Element::new(ns::STREAM_MANAGEMENT, "resume")
            .with_attr("previd", &self.previd)
            .with_attr("h", self.h.to_string())
    }
}

impl Command {
    /// From any element of the namespace; `None` if it is of another.
    ///
    /// # Errors
    /// For an unknown name, or a count that is missing or no number.
    pub fn from_element(element: &Element) -> Option<Result<Command, BadCommand>> {
        if element.namespace() != ns::STREAM_MANAGEMENT {
            return None;
        }
        if let Some(resume) = Resume::from_element(element) {
            return Some(resume.map(Command::Resume));
        }
        if let Some(enable) = Enable::from_element(element) {
            return Some(Ok(Command::Enable(enable)));
        }
        Some(match element.name() {
            "r" => Ok(Command::Request),
            "a" => number(element, "h").map(Command::Ack).ok_or(BadCommand),
            _ => Err(BadCommand),
        })
    }
}

/// `<enabled/>`: the stream is managed from now on (§3).
#[derive(Clone, PartialEq, Eq)]
pub struct Enabled {
    /// By which the session can be resumed; `None` if it cannot.
    pub id: Option<String>,
    /// Seconds a lost session is kept.
    pub max: Option<u32>,
}

/// The id opens a session, so logs do not show it.
impl fmt::Debug for Enabled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enabled").field("resume", &self.id.is_some()).field("max", &self.max).finish()
    }
}

impl Enabled {
    /// From an `<enabled/>`; `None` if it is another element.
    pub fn from_element(element: &Element) -> Option<Enabled> {
        element.is(ns::STREAM_MANAGEMENT, "enabled").then(|| Enabled {
            id: element.attr("id").filter(|_| matches!(element.attr("resume"), Some("true" | "1"))).map(str::to_owned),
            max: number(element, "max"),
        })
    }

    /// As the element to send.
    pub fn to_element(&self) -> Element {
        let element = Element::new(ns::STREAM_MANAGEMENT, "enabled");
        match &self.id {
            Some(id) => element
                .with_attr("resume", "true")
                .with_attr("id", id)
                .with_attr_opt("max", self.max.map(|max| max.to_string())),
            None => element,
        }
    }
}

/// `<resumed/>` (§5).
pub fn resumed(previd: &str, h: u32) -> Element {
    Element::new(ns::STREAM_MANAGEMENT, "resumed").with_attr("previd", previd).with_attr("h", h.to_string())
}

/// `<failed/>`: no management, no resumption; the stream goes on (§6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub condition: StanzaCondition,
    /// Stanzas of the client that were handled on the stream it could not resume, if that is still known (§5).
    pub h: Option<u32>,
}

impl Failed {
    /// Without a count.
    pub const fn new(condition: StanzaCondition) -> Failed {
        Failed { condition, h: None }
    }

    /// As the element to send.
    pub fn to_element(&self) -> Element {
        Element::new(ns::STREAM_MANAGEMENT, "failed")
            .with_attr_opt("h", self.h.map(|h| h.to_string()))
            .with_child(Element::new(ns::STANZA_ERRORS, self.condition.name()))
    }
}

/// `<a/>`: so many stanzas have been handled (§4).
pub fn ack(h: u32) -> Element {
    Element::new(ns::STREAM_MANAGEMENT, "a").with_attr("h", h.to_string())
}

/// `<r/>`: acknowledge, please (§4).
pub fn request() -> Element {
    Element::new(ns::STREAM_MANAGEMENT, "r")
}

/// The stream error for a peer that acknowledges what was never sent (§6).
pub fn too_high(h: u32, sent: u32) -> StreamError {
    let element = Element::new(ns::STREAM_MANAGEMENT, "handled-count-too-high")
        .with_attr("h", h.to_string())
        .with_attr("send-count", sent.to_string());
    StreamError::new(StreamCondition::UndefinedCondition)
        .with_text("More stanzas are acknowledged than were sent.")
        .with_application(element)
}

/// A count on the wire: it starts again at 0 after 2^32 - 1 (§4).
pub fn on_the_wire(count: u64) -> u32 {
    u32::try_from(count & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// The full count behind an `h`, knowing that it lies from `known` to `most`; `None` if it does not.
pub fn full_count(h: u32, known: u64, most: u64) -> Option<u64> {
    let ahead = h.wrapping_sub(on_the_wire(known));
    known.checked_add(u64::from(ahead)).filter(|count| *count <= most)
}

fn number(element: &Element, attribute: &str) -> Option<u32> {
    element.attr(attribute)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse_document};

    fn read(text: &str) -> Element {
        parse_document(text, &Limits::CLIENT).expect("well-formed")
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        let command = |text: &str| Command::from_element(&read(text)).expect("of this namespace");
        let enable = command("<enable xmlns='urn:xmpp:sm:3' resume='true' max='600'/>");
        assert_eq!(enable, Ok(Command::Enable(Enable { resume: true, max: Some(600) })));
        assert_eq!(command("<enable xmlns='urn:xmpp:sm:3'/>"), Ok(Command::Enable(Enable::default())));
        assert_eq!(command("<r xmlns='urn:xmpp:sm:3'/>"), Ok(Command::Request));
        assert_eq!(command("<a xmlns='urn:xmpp:sm:3' h='1'/>"), Ok(Command::Ack(1)));
        let resume = command("<resume xmlns='urn:xmpp:sm:3' h='7' previd='some-long-sm-id'/>");
        assert_eq!(resume, Ok(Command::Resume(Resume { previd: "some-long-sm-id".into(), h: 7 })));
        assert_eq!(Command::from_element(&read("<a xmlns='urn:xmpp:sm:2' h='1'/>")), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            "<a xmlns='urn:xmpp:sm:3'/>",
            "<a xmlns='urn:xmpp:sm:3' h='-1'/>",
            "<a xmlns='urn:xmpp:sm:3' h='4294967296'/>",
            "<resume xmlns='urn:xmpp:sm:3' h='1'/>",
            "<resume xmlns='urn:xmpp:sm:3' h='1' previd=''/>",
            "<resume xmlns='urn:xmpp:sm:3' previd='x'/>",
            "<resumed xmlns='urn:xmpp:sm:3' previd='x' h='1'/>",
        ] {
            assert_eq!(Command::from_element(&read(bad)), Some(Err(BadCommand)), "{bad}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let enable = Enable { resume: true, max: Some(60) };
        assert_eq!(Enable::from_element(&enable.to_element()), Some(enable));
        let resume = Resume { previd: "x".into(), h: u32::MAX };
        assert_eq!(Resume::from_element(&resume.to_element()), Some(Ok(resume)));
        for id in [Some("x".to_owned()), None] {
            let enabled = Enabled { max: id.as_ref().map(|_| 600), id };
            assert_eq!(Enabled::from_element(&enabled.to_element()), Some(enabled));
        }
    }

    #[test]
    fn counts_go_on_after_two_to_the_thirty_second() {
        let most = u64::from(u32::MAX);
        assert_eq!(on_the_wire(most), u32::MAX);
        assert_eq!(on_the_wire(most + 1), 0);
        assert_eq!(full_count(1, most, most + 2), Some(most + 2));
        assert_eq!(full_count(2, most, most + 2), None, "too high");
        assert_eq!(full_count(4, 5, 9), None, "less than was acknowledged before");
        assert_eq!(full_count(5, 5, 9), Some(5));
        assert_eq!(full_count(9, 5, 9), Some(9));
        assert_eq!(full_count(10, 5, 9), None);
    }
}
