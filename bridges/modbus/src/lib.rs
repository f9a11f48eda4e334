//! Modbus bridge: devices on TCP, RTU and RTU-over-TCP lines as nodes.
//!
//! Implements the client side of the Modbus Application Protocol V1.1b3 with the framings of Modbus over Serial Line V1.02
//! (RTU) and Modbus Messaging on TCP/IP V1.0b. What the registers mean comes from profiles; nothing is read that nobody asked
//! for, and no value ever appears under another name.
//!
//! | file | concept |
//! |---|---|
//! | `config.rs` | the `[[bridge.line]]` sections, checked |
//! | `bridge.rs` | a line as the appliance runs it |
//! | `node.rs` | a device as a node: readouts and control |
//! | `poll.rs` | standing wishes, merged |
//! | `fetch.rs` | from points to readings, over holes that devices refuse |
//! | `plan.rs` | which requests read the wanted points in the least time |
//! | `breaker.rs` | silent units keep out of the way |
//! | `port/` | the bytes |

mod breaker;
mod bridge;
mod config;
mod fetch;
mod node;
pub mod plan;
mod poll;
pub mod port;

pub use bridge::BRIDGE;
