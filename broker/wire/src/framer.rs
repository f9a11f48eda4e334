//! Cuts the bytes of a stream into its header, complete first-level elements and its end (RFC 6120 §4.2, §11).
//! Bytes are fed in as they come and frames taken out whole; how the bytes were split makes no difference. Parses nothing.
//!
//! # Why
//! A reader that is dropped in the middle of a token must not lose bytes, and a peer must not decide how much we hold. So the
//! framer keeps at most one unfinished element, bounded by [`Limits`] from its first byte on, and gives its memory back as soon
//! as it is empty: a session with nothing to say holds no buffer. A parse error is final; there is no finding back into a stream
//! whose place is unknown (CVE-2019-1000007). `memchr`, which quick-xml brings along anyway, jumps over long texts.
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use compact_str::CompactString;

use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::{Limits, check_declaration, exceeded, malformed, restricted};

/// A complete piece of the stream, as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The start tag of the stream.
    Header(&'a [u8]),
    /// One first-level element, from its `<` to its last `>`.
    Element(&'a [u8]),
    /// The stream was closed in order.
    Close,
}

/// The push framer of one stream.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    buffer: Vec<u8>,
    /// Where the unfinished construct begins in `buffer`; everything before was taken.
    start: usize,
    /// The first byte not looked at yet.
    next: usize,
    place: Place,
    /// Open elements below the stream element.
    depth: usize,
    /// Elements of the unfinished first-level element.
    elements: usize,
    stage: Stage,
    /// This is not the first stream on the connection.
    restarted: bool,
}

/// How far the stream has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing seen: an XML declaration may come.
    Fresh,
    /// The stream header must come.
    Prolog,
    /// Open, with the name the end tag must repeat.
    Open(CompactString),
    /// The header was an empty-element tag: the end follows at once.
    OpenedAndClosed,
    /// Ended in order.
    Closed,
    /// Ended by an error, which every further call repeats.
    Failed(StreamError),
}

/// What the byte at `next` is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between first-level elements, or before the header.
    Between,
    /// Inside an element, outside of tags.
    Content,
    /// Just after `<`.
    Opened,
    /// Inside a start tag.
    StartTag,
    /// Inside an attribute value.
    Quoted(u8),
    /// Inside an end tag.
    EndTag,
    /// After `<!` and so many bytes of `[CDATA[`.
    Bang(usize),
    /// Inside a CDATA section, after so many `]` (2 means two or more).
    Cdata(u8),
    /// Inside the XML declaration; `question` if the byte before was a `?`.
    Declaration { question: bool },
}

/// What a step over one byte completed.
enum Step {
    Nothing,
    DeclarationEnd,
    HeaderEnd { empty: bool },
    ElementEnd,
    StreamEnd,
}

impl Framer {
    /// A framer for a new stream.
    pub const fn new(limits: Limits) -> Self {
        Framer::at(Stage::Fresh, limits)
    }

    const fn at(stage: Stage, limits: Limits) -> Self {
        Framer {
            limits,
            buffer: Vec::new(),
            start: 0,
            next: 0,
            place: Place::Between,
            depth: 0,
            elements: 0,
            stage,
            restarted: false,
        }
    }

    /// A framer for elements that come one by one, without a stream element around them.
    pub const fn elements(limits: Limits) -> Self {
        // Only `</>` fits this name, and it is as little an element as any other end tag.
        Framer::at(Stage::Open(CompactString::const_new("")), limits)
    }

    /// Other limits from the next byte on: after authentication.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The limits in force.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Appends received bytes. Take all frames before feeding again: then at most one unfinished element is held.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.release();
        if !matches!(self.stage, Stage::Closed | Stage::Failed(_)) {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// True if no byte is waiting: neither an unfinished element nor anything behind the last frame taken.
    ///
    pub fn is_empty(&self) -> bool {
        self.start >= self.buffer.len()
    }

    /// True if no byte is waiting that means anything: nothing, or white space between elements.
    ///
    /// Ask after taking `<starttls/>` or `<proceed/>`: bytes that are already here came unprotected (CVE-2011-0411). White
    /// space is forbidden there too (RFC 6120 §5.3.3), but common clients send a line break, and it can carry no attack.
    pub fn is_blank(&self) -> bool {
        self.buffer.get(self.start..).unwrap_or_default().iter().all(u8::is_ascii_whitespace)
    }

    /// Bytes that wait behind the last frame taken.
    pub(crate) fn waiting(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Expects a new stream header, as after TLS or SASL negotiation (RFC 6120 §4.3.3). Waiting bytes stay.
    ///
    /// A stream that has failed stays failed.
    pub fn restart(&mut self) {
        if !matches!(self.stage, Stage::Failed(_)) {
            self.stage = Stage::Fresh;
            self.restarted = true;
            self.next = self.start;
            self.place = Place::Between;
            self.depth = 0;
            self.elements = 0;
        }
    }

    /// The next complete frame, or `None` until more bytes are fed.
    ///
    /// # Errors
    /// What the peer did wrong. It is final: further calls repeat it.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, StreamError> {
        match self.advance() {
            Ok(None) => {
                self.release();
                Ok(None)
            }
            Ok(Some((kind, from, to))) => {
                let bytes = self.buffer.get(from..to).unwrap_or_default();
                Ok(Some(match kind {
                    Kind::Header => Frame::Header(bytes),
                    Kind::Element => Frame::Element(bytes),
                    Kind::Close => Frame::Close,
                }))
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Ends the stream with an error found elsewhere, so that the framer lets nothing more through.
    pub fn fail(&mut self, error: StreamError) -> StreamError {
        self.stage = Stage::Failed(error.clone());
        self.buffer = Vec::new();
        (self.start, self.next) = (0, 0);
        error
    }

    fn advance(&mut self) -> Result<Option<(Kind, usize, usize)>, StreamError> {
        match &self.stage {
            Stage::Closed => {
                self.start = self.buffer.len();
                return Ok(None);
            }
            Stage::Failed(error) => return Err(error.clone()),
            Stage::OpenedAndClosed => {
                self.stage = Stage::Closed;
                return Ok(Some((Kind::Close, self.start, self.start)));
            }
            _ => {}
        }
        while let Some(byte) = self.buffer.get(self.next).copied() {
            let step = self.step(byte)?;
            self.next = self.next.saturating_add(1);
            if self.place == Place::Between && matches!(step, Step::Nothing) {
                // White space between elements is a keep-alive (RFC 6120 §4.6.1); it is not held.
                self.start = self.next;
                continue;
            }
            if self.next.saturating_sub(self.start) > self.limits.bytes {
                return Err(exceeded("Too many bytes in one element."));
            }
            if let Some(kind) = self.finish(step)? {
                let from = self.start;
                self.start = self.next;
                return Ok(Some((kind, from, self.next)));
            }
            self.skip_plain();
        }
        Ok(None)
    }

    /// Looks at one byte and moves to the next place.
    fn step(&mut self, byte: u8) -> Result<Step, StreamError> {
        self.place = match (self.place, byte) {
            (Place::Between, b'<') => Place::Opened,
            (Place::Between, b' ' | b'\t' | b'\r' | b'\n') => {
                // White space between two streams is the end of the old one: common clients send a line break after
                // `<starttls/>` and after each SASL message. Before the first stream it breaks the XML declaration.
                if self.stage == Stage::Fresh && !self.restarted {
                    self.stage = Stage::Prolog;
                }
                Place::Between
            }
            (Place::Between, other) => return Err(self.stray(other)),
            (Place::Content, b'<') => Place::Opened,
            (Place::Content, _) => Place::Content,
            (Place::Opened, b'/') => Place::EndTag,
            (Place::Opened, b'!') => Place::Bang(0),
            (Place::Opened, b'?') if self.stage == Stage::Fresh => Place::Declaration { question: false },
            (Place::Opened, b'?') => return Err(restricted("Processing instruction.")),
            (Place::Opened, _) => {
                self.count_element()?;
                return self.in_start_tag(byte);
            }
            (Place::StartTag, _) => return self.in_start_tag(byte),
            (Place::Quoted(quote), _) if byte == quote => Place::StartTag,
            (Place::Quoted(quote), _) => Place::Quoted(quote),
            (Place::EndTag, b'>') => return self.end_tag(),
            (Place::EndTag, b'<') => return Err(malformed("< in a tag.")),
            (Place::EndTag, _) => Place::EndTag,
            (Place::Bang(seen), _) => self.bang(seen, byte)?,
            (Place::Cdata(2), b'>') => Place::Content,
            (Place::Cdata(seen), b']') => Place::Cdata(seen.saturating_add(1).min(2)),
            (Place::Cdata(_), _) => Place::Cdata(0),
            (Place::Declaration { question: true }, b'>') => {
                self.place = Place::Between;
                return Ok(Step::DeclarationEnd);
            }
            (Place::Declaration { .. }, _) => {
                self.check_declaration_start(byte)?;
                Place::Declaration { question: byte == b'?' }
            }
        };
        Ok(Step::Nothing)
    }

    fn in_start_tag(&mut self, byte: u8) -> Result<Step, StreamError> {
        self.place = match byte {
            b'>' => {
                let before = self.next.checked_sub(1).and_then(|at| self.buffer.get(at));
                return self.start_tag_end(before == Some(&b'/'));
            }
            b'<' => return Err(malformed("< in a tag.")),
            b'\'' | b'"' => Place::Quoted(byte),
            _ => Place::StartTag,
        };
        Ok(Step::Nothing)
    }

    fn start_tag_end(&mut self, empty: bool) -> Result<Step, StreamError> {
        if !self.is_open() {
            self.place = Place::Between;
            return Ok(Step::HeaderEnd { empty });
        }
        if empty && self.depth == 0 {
            self.place = Place::Between;
            return Ok(Step::ElementEnd);
        }
        if self.depth == 0 && self.is_header_again() {
            // Else it would be an element without end, and everything after it would be swallowed (CVE-2018-10847).
            return Err(StreamError::new(StreamCondition::BadFormat).with_text("A second stream header."));
        }
        self.place = Place::Content;
        if !empty {
            self.depth = self.depth.saturating_add(1);
        }
        Ok(Step::Nothing)
    }

    fn end_tag(&mut self) -> Result<Step, StreamError> {
        match self.depth {
            0 if self.is_open() => {
                self.place = Place::Between;
                return Ok(Step::StreamEnd);
            }
            0 => return Err(malformed("End tag before the stream header.")),
            1 => {
                self.depth = 0;
                self.place = Place::Between;
                return Ok(Step::ElementEnd);
            }
            _ => self.depth = self.depth.saturating_sub(1),
        }
        self.place = Place::Content;
        Ok(Step::Nothing)
    }

    fn bang(&self, seen: usize, byte: u8) -> Result<Place, StreamError> {
        match (seen, byte) {
            (0, b'-') => return Err(restricted("Comment.")),
            (0, b'D') => return Err(restricted("Document type declaration.")),
            _ => {}
        }
        if CDATA.get(seen) != Some(&byte) {
            return Err(malformed("Broken markup."));
        }
        if self.depth == 0 {
            return Err(self.stray(byte));
        }
        let seen = seen.saturating_add(1);
        Ok(if seen == CDATA.len() { Place::Cdata(0) } else { Place::Bang(seen) })
    }

    /// `<?` may only begin `<?xml `; anything else is a processing instruction.
    fn check_declaration_start(&self, byte: u8) -> Result<(), StreamError> {
        let seen = self.next.saturating_sub(self.start);
        let fits = match DECLARATION.get(seen) {
            Some(expected) => byte == *expected,
            None => seen > DECLARATION.len() || matches!(byte, b' ' | b'\t' | b'\r' | b'\n'),
        };
        if fits { Ok(()) } else { Err(restricted("Processing instruction.")) }
    }

    fn finish(&mut self, step: Step) -> Result<Option<Kind>, StreamError> {
        match step {
            Step::Nothing => Ok(None),
            Step::DeclarationEnd => {
                check_declaration(self.current())?;
                self.stage = Stage::Prolog;
                self.start = self.next;
                Ok(None)
            }
            Step::HeaderEnd { empty } => {
                self.elements = 0;
                self.stage = if empty { Stage::OpenedAndClosed } else { Stage::Open(self.header_name()) };
                Ok(Some(Kind::Header))
            }
            Step::ElementEnd => {
                self.elements = 0;
                Ok(Some(Kind::Element))
            }
            Step::StreamEnd => {
                let written = self.current().get(2..).and_then(|tag| tag.strip_suffix(b">")).unwrap_or_default();
                let fits = matches!(&self.stage, Stage::Open(name) if written.trim_ascii_end() == name.as_bytes());
                if !fits {
                    return Err(malformed("End tag without its start tag."));
                }
                self.stage = Stage::Closed;
                Ok(Some(Kind::Close))
            }
        }
    }

    /// The unfinished construct as far as it was looked at.
    fn current(&self) -> &[u8] {
        self.buffer.get(self.start..self.next).unwrap_or_default()
    }

    /// Whether the start tag at hand has the name of the stream element itself.
    fn is_header_again(&self) -> bool {
        let Stage::Open(name) = &self.stage else { return false };
        let tag = self.current().get(1..).unwrap_or_default();
        let rest = tag.strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')))
    }

    /// The name in the stream header as written, prefix included. Not UTF-8 yet checked; the filter does that.
    fn header_name(&self) -> CompactString {
        let tag = self.current().get(1..).unwrap_or_default();
        let ends = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b'>');
        let name = tag.split(ends).next().unwrap_or_default();
        CompactString::from_utf8_lossy(name)
    }

    fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    fn count_element(&mut self) -> Result<(), StreamError> {
        self.elements = self.elements.saturating_add(1);
        if self.elements > self.limits.elements {
            return Err(exceeded("Too many elements."));
        }
        if self.depth >= self.limits.depth {
            return Err(exceeded("Elements nested too deeply."));
        }
        Ok(())
    }

    /// Something that is no tag where only tags may stand.
    fn stray(&self, byte: u8) -> StreamError {
        match self.stage {
            // A byte order mark or a zero byte: UTF-16 or UTF-32 (RFC 6120 §11.6).
            Stage::Fresh if byte == 0 || !byte.is_ascii() => StreamError::new(StreamCondition::UnsupportedEncoding),
            Stage::Fresh | Stage::Prolog => malformed("Text before the stream header."),
            _ => StreamError::new(StreamCondition::BadFormat).with_text("Text between stanzas."),
        }
    }

    /// Jumps over bytes that complete nothing, which are most.
    fn skip_plain(&mut self) {
        // Never past the first byte that would be one too many.
        let end = self.start.saturating_add(self.limits.bytes).min(self.buffer.len());
        let Some(ahead) = self.buffer.get(self.next..end) else { return };
        let mut quote = match self.place {
            Place::Quoted(quote) => Some(quote),
            _ => None,
        };
        let skipped = match self.place {
            Place::Content => memchr::memchr(b'<', ahead),
            Place::EndTag => ahead.iter().position(|b| matches!(b, b'>' | b'<')),
            Place::StartTag | Place::Quoted(_) => ahead.iter().position(|b| match quote {
                None if matches!(b, b'\'' | b'"') => {
                    quote = Some(*b);
                    false
                }
                None => matches!(b, b'>' | b'<'),
                Some(open) => {
                    quote = quote.filter(|_| *b != open);
                    false
                }
            }),
            _ => return,
        };
        if matches!(self.place, Place::StartTag | Place::Quoted(_)) {
            self.place = quote.map_or(Place::StartTag, Place::Quoted);
        }
        self.next = self.next.saturating_add(skipped.unwrap_or(ahead.len()));
    }

    /// Forgets taken bytes; gives the memory back if nothing is left.
    fn release(&mut self) {
        if self.is_empty() {
            self.buffer = Vec::new();
        } else if self.start > 0 {
            self.buffer.drain(..self.start);
        }
        self.next = self.next.saturating_sub(self.start);
        self.start = 0;
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Header,
    Element,
    Close,
}

const CDATA: &[u8] = b"[CDATA[";
const DECLARATION: &[u8] = b"<?xml";

#[cfg(test)]
mod tests;
