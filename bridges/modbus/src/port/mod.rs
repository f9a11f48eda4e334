//! The port: everything between a request and a line's bytes, for Modbus TCP, RTU and RTU over TCP.
//!
//! Implements the client side of the Modbus Application Protocol V1.1b3, Modbus over Serial Line V1.02 (RTU) and Modbus
//! Messaging on TCP/IP V1.0b. No ASCII, no UDP, no TLS, no broadcast, one request at a time on a connection.
//!
//! One task owns each line ([`Owner`]); others hold a [`Line`] and get their answer by a oneshot. A request that is on the
//! wire is never cancelled, whoever stops waiting for it.
//!
//! # Why
//!
//! The frames are our own and not those of tokio-modbus, which was the first choice and is kept in the tests for comparison.
//! The promise of this crate is that no value ever appears under a wrong name, and on top of tokio-modbus 0.17 it cannot be
//! kept: its RTU client takes whatever frame of unit and function comes next as the answer, checks its length only in debug builds,
//! and shows neither when a byte came nor that a checksum was wrong, because it searches on silently. What is needed to
//! refuse a late answer (how long the line was silent, which units still owe a reply, whether a second answer
//! followed) is therefore out of reach, and a checksum error cannot be told from silence. The same script of late replies
//! runs over both in `tests/late.rs`; `tests/faults.rs` adds every other kind of fault.

mod crc;
mod error;
mod line;
mod mbap;
mod owner;
mod pdu;
mod queue;
mod reconnect;
mod rtu;
mod timing;
mod transport;

pub use error::LineError;
pub use line::{Ask, Counters, Line, LineSettings, Trace};
pub use owner::Owner;
pub use pdu::{Answer, Exception, Reply, Request, read_max};
pub use queue::Lane;
pub use timing::Timing;
pub use torg_profile::Table;
pub use transport::{ByteStream, Connect, SerialConnect, SerialSettings, TcpConnect};

/// How frames look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frames {
    /// With checksum, told apart by silence: serial lines, and serial servers that pass bytes on over TCP.
    Rtu,
    /// With a header and a transaction id.
    Tcp,
}

/// What an exchange came to.
#[derive(Debug)]
struct Outcome {
    result: Result<Answer, LineError>,
    then: Then,
    /// Units of late replies to earlier requests, recognised and dropped.
    late: Vec<u8>,
    /// The request came back before the answer.
    echo: bool,
}

/// What the owner of the line has to do after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The answer is in doubt, but nothing is outstanding: a read can be done again at once.
    Again,
    /// Nothing: no reply is outstanding.
    Continue,
    /// The unit may still answer: do not ask it before that is out of the question.
    Hold,
    /// The stream is out of step.
    Reconnect,
}
