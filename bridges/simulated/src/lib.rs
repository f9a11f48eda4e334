//! Invented devices that speak real bytes, with faults and virtual serial lines: demo, tutorial and test double in one.
//!
//! Implements the slave side of the Modbus Application Protocol V1.1b3 (function codes 1-6, 15, 16, 22, 23) in the TCP, RTU and
//! RTU-over-TCP framings, on any byte stream: sockets, pseudo terminals, in-memory pipes. It is no product-grade
//! server: no authentication, and every fault it makes is one that was asked for.
//!
//! ```no_run
//! # async fn demo() -> std::io::Result<()> {
//! use torg_simulated::{Framing, Rack, Simulation, devices};
//! let rack = Rack::new().with(7, devices::sdm630());
//! let meter = torg_simulated::tcp(Simulation::new(rack, Framing::Tcp)).await?;
//! println!("a meter answers on {}", meter.address());
//! # Ok(()) }
//! ```
//!
//! # Why
//!
//! The framing and the PDU are written here a second time instead of being shared with the bridge: a simulator that
//! shared its code would agree with the bridge's mistakes.

pub mod crc;
pub mod devices;
pub mod fault;
pub mod framing;
mod line;
mod pty;
mod rack;
mod seed;
mod server;
mod unit;

pub use fault::{Fault, Script};
pub use framing::Framing;
pub use line::{Simulation, Timing, serve};
pub use pty::{PtyDevice, PtyPair};
pub use rack::Rack;
pub use seed::Seed;
pub use server::{Server, pty, tcp};
pub use unit::{Banks, Content, Table, Unit};
