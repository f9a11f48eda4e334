//! What the machine wants to say and ask: bytes first, then events in order.

use std::collections::VecDeque;

use super::PeerOutput;
use crate::reader::{STREAM_END, StreamHeader};
use crate::xml::{Element, Scope, Sink as _};

#[derive(Debug, Default)]
pub(super) struct Voice {
    out: Vec<u8>,
    /// A step raises two events at most, and no step is taken before they are taken.
    events: VecDeque<PeerOutput>,
    /// Our header of the stream in force is out, so an end tag is due.
    open: bool,
}

impl Voice {
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn open(&mut self, header: &StreamHeader) {
        self.open = true;
        header.write_to(&mut self.out);
    }

    /// The stream starts anew: the next thing to say is a header.
    pub(super) const fn restart(&mut self) {
        self.open = false;
    }

    pub(super) fn element(&mut self, element: &Element) {
        element.write_to(&mut self.out, &Scope::SERVER);
    }

    pub(super) const fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    pub(super) fn end(&mut self) {
        if self.open {
            self.open = false;
            self.out.put(STREAM_END);
        }
    }

    pub(super) fn ask(&mut self, event: PeerOutput) {
        self.events.push_back(event);
    }

    pub(super) fn take_bytes(&mut self) -> Option<Vec<u8>> {
        if self.out.is_empty() { None } else { Some(std::mem::take(&mut self.out)) }
    }

    pub(super) fn take_event(&mut self) -> Option<PeerOutput> {
        self.events.pop_front()
    }
}
