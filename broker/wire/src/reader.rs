//! The receiving half of a stream: bytes in, header, elements and end out (RFC 6120 §4).
//! Joins the framer and the strict filter; negotiation and meaning are elsewhere.
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use crate::framer::{Frame, Framer};
use crate::ns;
use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::{
    Declarations, Element, Limits, Namespace, Sink, checked_text, parse_element, parse_open_tag, write_attribute,
};

/// What a peer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// It opened the stream.
    Open(StreamHeader),
    /// A complete first-level element.
    Element(Element),
    /// It closed the stream.
    Close,
}

/// Turns the bytes of one stream into events. Feed, then take events until there is none.
///
/// ```
/// use torg_wire::reader::{StreamEvent, StreamReader};
/// use torg_wire::xml::Limits;
///
/// let mut reader = StreamReader::new(Limits::BEFORE_LOGIN);
/// reader.feed(b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>");
/// reader.feed(b"<presence/><message><bo");
/// assert!(matches!(reader.next_event()?, Some(StreamEvent::Open(_))));
/// assert!(matches!(reader.next_event()?, Some(StreamEvent::Element(_))));
/// assert_eq!(reader.next_event()?, None);
/// # Ok::<(), torg_wire::stream_error::StreamError>(())
/// ```
#[derive(Debug)]
pub struct StreamReader {
    framer: Framer,
    /// Declarations of the stream header, in force for every element.
    scope: Declarations,
    /// Where messages come instead of bytes: how far they have.
    messages: Option<Messages>,
}

/// A stream of messages (RFC 7395 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Messages {
    /// `<open/>` must come.
    AwaitOpen,
    /// Elements may come.
    Open,
}

impl StreamReader {
    /// A reader for a new stream.
    pub const fn new(limits: Limits) -> Self {
        StreamReader { framer: Framer::new(limits), scope: Declarations::new(), messages: None }
    }

    /// A reader for a stream in which each message is one element and declares its namespaces itself (RFC 7395 §3.3.3).
    pub const fn messages(limits: Limits) -> Self {
        let messages = Some(Messages::AwaitOpen);
        StreamReader { framer: Framer::elements(limits), scope: Declarations::new(), messages }
    }

    /// The limits in force.
    pub const fn limits(&self) -> &Limits {
        self.framer.limits()
    }

    /// A whole message. Take its event before feeding another.
    pub fn feed_message(&mut self, message: &[u8]) {
        self.framer.feed(message);
        if message.first() != Some(&b'<') {
            self.framer.fail(bad_format("A message begins with its element."));
        }
    }

    /// Other limits from the next byte on: after authentication.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.framer.set_limits(limits);
    }

    /// Appends received bytes. Take all events before feeding again: then at most one unfinished element is held.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.framer.feed(bytes);
    }

    /// The next event, or `None` until more bytes are fed.
    ///
    /// # Errors
    /// The stream error to answer with. It is final: further calls repeat it.
    pub fn next_event(&mut self) -> Result<Option<StreamEvent>, StreamError> {
        if let Some(stage) = self.messages {
            return self.next_message(stage);
        }
        let limits = *self.framer.limits();
        let parsed = match self.framer.next_frame()? {
            None => return Ok(None),
            Some(Frame::Close) => return Ok(Some(StreamEvent::Close)),
            Some(Frame::Element(bytes)) => {
                checked_text(bytes).and_then(|text| parse_element(text, &self.scope, &limits)).map(StreamEvent::Element)
            }
            Some(Frame::Header(bytes)) => read_header(bytes, &limits).map(|(header, scope)| {
                self.scope = scope;
                StreamEvent::Open(header)
            }),
        };
        parsed.map(Some).map_err(|error| self.framer.fail(error))
    }

    fn next_message(&mut self, stage: Messages) -> Result<Option<StreamEvent>, StreamError> {
        let is_idle = self.framer.is_blank();
        let limits = *self.framer.limits();
        let element = match self.framer.next_frame()? {
            Some(Frame::Element(bytes)) => {
                checked_text(bytes).and_then(|text| parse_element(text, &Declarations::new(), &limits))
            }
            Some(_) => Err(bad_format("A message is one element.")),
            None if is_idle => return Ok(None),
            None => Err(bad_format("A message is one complete element.")),
        };
        let event = element.and_then(|element| {
            if !self.framer.is_blank() {
                return Err(bad_format("A message is one element."));
            }
            match (stage, element.is(ns::FRAMING, "open"), element.is(ns::FRAMING, "close")) {
                (_, _, true) => Ok(StreamEvent::Close),
                (Messages::AwaitOpen, true, _) => {
                    self.messages = Some(Messages::Open);
                    Ok(StreamEvent::Open(StreamHeader::from_element(&element, ns::CLIENT.into())))
                }
                (Messages::Open, false, _) => Ok(StreamEvent::Element(element)),
                (Messages::AwaitOpen, false, _) => Err(bad_format("The stream begins with an open element.")),
                (Messages::Open, true, _) => Err(bad_format("The stream is open already.")),
            }
        });
        event.map(Some).map_err(|error| self.framer.fail(error))
    }

    /// True if no received byte is waiting.
    pub fn is_empty(&self) -> bool {
        self.framer.is_empty()
    }

    /// True if at most white space is waiting. Ask before starting TLS: bytes already here came unprotected.
    pub fn is_blank(&self) -> bool {
        self.framer.is_blank()
    }

    /// Expects a new stream header, as after TLS or SASL negotiation (RFC 6120 §4.3.3). Waiting bytes stay.
    pub fn restart(&mut self) {
        match &mut self.messages {
            Some(stage) => *stage = Messages::AwaitOpen,
            None => self.framer.restart(),
        }
        self.scope = Declarations::new();
    }
}

fn read_header(bytes: &[u8], limits: &Limits) -> Result<(StreamHeader, Declarations), StreamError> {
    let (element, scope) = parse_open_tag(checked_text(bytes)?, limits)?;
    let content = scope.default_namespace();
    if element.namespace() != ns::STREAMS || ![ns::CLIENT, ns::SERVER, ns::COMPONENT].contains(&content.as_str()) {
        return Err(StreamError::new(StreamCondition::InvalidNamespace));
    }
    if element.name() != "stream" {
        return Err(StreamError::new(StreamCondition::BadFormat).with_text("Not a stream header."));
    }
    Ok((StreamHeader::from_element(&element, content), scope))
}

fn bad_format(text: &'static str) -> StreamError {
    StreamError::new(StreamCondition::BadFormat).with_text(text)
}

/// The attributes of a stream header, as written (RFC 6120 §4.7). Addresses are checked where they are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamHeader {
    /// Namespace of the stanzas: [`ns::CLIENT`], [`ns::SERVER`] or [`ns::COMPONENT`].
    pub content: Namespace,
    /// Who opens the stream.
    pub from: Option<String>,
    /// Whom the stream is for.
    pub to: Option<String>,
    /// Name of the stream, given by the side that answers.
    pub id: Option<String>,
    /// `1.0`, or absent from ancient peers.
    pub version: Option<String>,
    /// Default language of texts.
    pub lang: Option<String>,
}

impl StreamHeader {
    /// A header of version 1.0 for stanzas of that namespace.
    pub fn new(content: impl Into<Namespace>) -> Self {
        let version = Some(String::from("1.0"));
        StreamHeader { content: content.into(), from: None, to: None, id: None, version, lang: None }
    }

    fn from_element(element: &Element, content: Namespace) -> Self {
        let attribute = |name| element.attr(name).map(String::from);
        StreamHeader {
            content,
            from: attribute("from"),
            to: attribute("to"),
            id: attribute("id"),
            version: attribute("version"),
            lang: element.lang().map(String::from),
        }
    }

    /// Major and minor version; absent means 0.9 (RFC 6120 §4.7.5). `None` if it is not two numbers.
    pub fn version_numbers(&self) -> Option<(u32, u32)> {
        let Some(version) = &self.version else { return Some((0, 9)) };
        let (major, minor) = version.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }

    /// Writes the XML declaration and the start tag.
    pub fn write_to(&self, out: &mut impl Sink) {
        out.put("<?xml version='1.0'?><stream:stream");
        write_attribute(out, "xmlns", self.content.as_str());
        write_attribute(out, "xmlns:stream", ns::STREAMS);
        if self.content == ns::SERVER {
            write_attribute(out, "xmlns:db", ns::DIALBACK);
        }
        let attributes = [
            ("from", &self.from),
            ("to", &self.to),
            ("id", &self.id),
            ("version", &self.version),
            ("xml:lang", &self.lang),
        ];
        for (name, value) in attributes {
            if let Some(value) = value {
                write_attribute(out, name, value);
            }
        }
        out.put(">");
    }
}

/// The end tag of a stream that began with a [`StreamHeader`].
pub const STREAM_END: &str = "</stream:stream>";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_document;

    const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' to='site.example' \
                          xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en'>";

    fn events(reader: &mut StreamReader) -> Vec<StreamEvent> {
        std::iter::from_fn(|| reader.next_event().unwrap()).collect()
    }

    fn element(xml: &str) -> StreamEvent {
        StreamEvent::Element(parse_document(xml, &Limits::CLIENT).unwrap())
    }

    #[test]
    fn reads_a_stream_from_header_to_end() {
        let mut reader = StreamReader::new(Limits::CLIENT);
        reader.feed(format!("{HEADER} <presence/>\n<message><body>Hi</body></message></stream:stream >").as_bytes());

        let mut header = StreamHeader::new(ns::CLIENT);
        (header.to, header.lang) = (Some("site.example".into()), Some("en".into()));
        assert_eq!(
            events(&mut reader),
            [
                StreamEvent::Open(header),
                element("<presence xmlns='jabber:client'/>"),
                element("<message xmlns='jabber:client'><body>Hi</body></message>"),
                StreamEvent::Close,
            ]
        );
        assert!(reader.is_empty());
    }

    #[test]
    fn prefixes_of_the_header_are_in_scope_of_every_element() {
        let mut reader = StreamReader::new(Limits::CLIENT);
        reader.feed(format!("{HEADER}<stream:features/>").as_bytes());

        let features = element("<features xmlns='http://etherx.jabber.org/streams'/>");
        assert_eq!(events(&mut reader).last(), Some(&features));
    }

    #[test]
    fn a_written_header_is_read_back() {
        let mut header = StreamHeader::new(ns::SERVER);
        header.from = Some("a'b<c>&d".into());
        header.id = Some("1".into());
        let mut text = String::new();
        header.write_to(&mut text);
        let mut reader = StreamReader::new(Limits::BEFORE_LOGIN);
        reader.feed(text.as_bytes());

        assert_eq!(events(&mut reader), [StreamEvent::Open(header)]);
    }

    #[test]
    fn a_restarted_stream_begins_with_a_header_again() {
        let mut reader = StreamReader::new(Limits::CLIENT);
        reader.feed(format!("{HEADER}<presence/>").as_bytes());
        assert_eq!(events(&mut reader).len(), 2);

        reader.restart();
        reader.feed(format!("{HEADER}<presence/>").as_bytes());

        assert_eq!(events(&mut reader).len(), 2);
    }

    #[test]
    fn white_space_between_two_streams_belongs_to_neither() {
        let mut reader = StreamReader::new(Limits::CLIENT);
        reader.feed(format!("{HEADER}<presence/>\r\n").as_bytes());
        assert!(reader.next_event().unwrap().is_some() && reader.next_event().unwrap().is_some());
        reader.restart();
        reader.feed(b"\n");
        reader.feed(HEADER.as_bytes());

        assert_eq!(events(&mut reader).len(), 1);
    }

    #[test]
    fn white_space_before_the_first_stream_breaks_its_declaration() {
        let mut reader = StreamReader::new(Limits::CLIENT);
        reader.feed(format!("\n{HEADER}").as_bytes());

        assert!(reader.next_event().is_err());
    }

    #[test]
    fn white_space_behind_starttls_is_no_injection_but_anything_else_is() {
        for (behind, blank) in [("", true), (" \r\n\t", true), ("\n<", false), ("x", false), ("\0", false)] {
            let mut reader = StreamReader::new(Limits::CLIENT);
            reader.feed(format!("{HEADER}<starttls xmlns='{}'/>{behind}", ns::TLS).as_bytes());
            reader.next_event().unwrap();
            reader.next_event().unwrap();

            assert_eq!(reader.is_blank(), blank, "{behind:?}");
        }
    }

    #[test]
    fn bytes_behind_starttls_are_seen() {
        let mut reader = StreamReader::new(Limits::CLIENT);
        reader.feed(format!("{HEADER}<starttls xmlns='{}'/>", ns::TLS).as_bytes());
        events(&mut reader);
        assert!(reader.is_empty());

        reader.feed(b"<presence/> <");
        reader.next_event().unwrap();

        assert!(!reader.is_empty());
    }

    #[test]
    fn an_error_is_final() {
        let mut reader = StreamReader::new(Limits::CLIENT);
        reader.feed(format!("{HEADER}<a></b><presence/>").as_bytes());
        reader.next_event().unwrap();
        let error = reader.next_event().unwrap_err();
        assert_eq!(error.condition(), StreamCondition::NotWellFormed);

        reader.restart();
        reader.feed(HEADER.as_bytes());

        assert_eq!(reader.next_event(), Err(error));
    }

    #[test]
    fn a_header_of_another_namespace_is_refused() {
        for header in [
            "<stream:stream xmlns='jabber:client' xmlns:stream='urn:other' version='1.0'>",
            "<stream:stream xmlns='urn:other' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
            "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
        ] {
            let mut reader = StreamReader::new(Limits::CLIENT);
            reader.feed(header.as_bytes());
            let error = reader.next_event().unwrap_err();
            assert_eq!(error.condition(), StreamCondition::InvalidNamespace, "{header}");
        }
    }

    #[test]
    fn version_is_two_numbers_not_a_decimal() {
        let version = |text: &str| {
            let mut header = StreamHeader::new(ns::CLIENT);
            header.version = Some(text.into());
            header.version_numbers()
        };
        assert_eq!(version("1.10"), Some((1, 10)));
        assert_eq!(version("1"), None);
    }
}
