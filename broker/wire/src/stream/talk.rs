//! What a machine wants to say and ask: bytes first, then at most one question.

use super::framing::Framing;
use crate::reader::StreamHeader;
use crate::stanza::Stanza;
use crate::stream_error::StreamError;
use crate::xml::{Element, Scope};

/// Outgoing bytes and one outgoing event of kind `E`.
#[derive(Debug)]
pub(super) struct Talk<E> {
    out: Vec<u8>,
    event: Option<E>,
    framing: Framing,
    /// Our header of the stream in force is out, so an end tag is due.
    open: bool,
}

impl<E> Talk<E> {
    pub(super) const fn new(framing: Framing) -> Talk<E> {
        Talk { out: Vec::new(), event: None, framing, open: false }
    }

    pub(super) const fn framing(&self) -> Framing {
        self.framing
    }

    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn open(&mut self, header: &StreamHeader) {
        self.open = true;
        self.framing.put_header(&mut self.out, header);
    }

    /// The stream starts anew: the next thing to say is a header.
    pub(super) const fn restart(&mut self) {
        self.open = false;
    }

    pub(super) fn element(&mut self, element: &Element) {
        match self.framing {
            Framing::Stream => element.write_to(&mut self.out, &Scope::CLIENT),
            Framing::Messages => self.framing.put(&mut self.out, &element.to_bytes(&Scope::CLIENT)),
        }
    }

    pub(super) fn stanza(&mut self, stanza: &Stanza) {
        match self.framing {
            Framing::Stream => stanza.write_to(&mut self.out, &Scope::CLIENT),
            Framing::Messages => {
                let mut written = Vec::new();
                stanza.write_to(&mut written, &Scope::CLIENT);
                self.framing.put(&mut self.out, &written);
            }
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.framing.put(&mut self.out, bytes);
    }

    pub(super) fn error(&mut self, error: &StreamError) {
        self.element(&error.to_element());
    }

    pub(super) fn end(&mut self) {
        if self.open {
            self.open = false;
            self.framing.put_end(&mut self.out);
        }
    }

    /// Asks. A machine asks once and then waits, so nothing is ever overwritten.
    pub(super) fn ask(&mut self, event: E) {
        self.event = Some(event);
    }

    /// Bytes to write, if any; the buffer goes with them.
    pub(super) fn take_bytes(&mut self) -> Option<Vec<u8>> {
        if self.out.is_empty() { None } else { Some(std::mem::take(&mut self.out)) }
    }

    pub(super) fn take_event(&mut self) -> Option<E> {
        self.event.take()
    }
}
