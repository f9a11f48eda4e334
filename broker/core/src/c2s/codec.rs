//! What may lie between the bytes of a connection and the stream's machine: nothing on TCP, a WebSocket on the web listeners.
//!
//! A codec has no input or output of its own; the connection's loop, with its limits and deadlines, is the same for all.

use std::io;
use std::time::Instant;

use torg_wire::stream::ServerStream;

/// Turns received bytes into what the machine takes, and what the machine writes into bytes to send.
pub trait Codec: Send + 'static {
    /// Bytes came from the peer.
    fn receive(&mut self, machine: &mut ServerStream, bytes: &[u8]);

    /// Brings the machine the next whole thing that was received; `false` if there is none. Its outputs are taken before the next call.
    fn advance(&mut self, machine: &mut ServerStream) -> bool;

    /// Whether it has something to send although the machine has not.
    fn owes(&self) -> bool;

    /// Replaces what the machine wrote by what goes over the connection.
    ///
    /// # Errors
    /// The connection cannot be written to any more.
    fn encode(&mut self, out: &mut Vec<u8>) -> io::Result<()>;

    /// The stream is over: appends what the peer is told below it.
    fn farewell(&mut self, out: &mut Vec<u8>);

    /// When to call [`Codec::wake`].
    fn deadline(&self) -> Option<Instant>;

    /// The clock says `now`.
    fn wake(&mut self, now: Instant);
}

/// Nothing in between: the stream's bytes are the connection's.
#[derive(Debug)]
pub(super) struct Plain;

impl Codec for Plain {
    fn receive(&mut self, machine: &mut ServerStream, bytes: &[u8]) {
        machine.receive(bytes);
    }

    fn advance(&mut self, _: &mut ServerStream) -> bool {
        false
    }

    fn owes(&self) -> bool {
        false
    }

    fn encode(&mut self, _: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }

    fn farewell(&mut self, _: &mut Vec<u8>) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn wake(&mut self, _: Instant) {}
}
