//! Whole appliances in this process, with simulated devices and clients on the loopback: start, reload, stop, demo.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod backup;
mod command;
mod demo;
mod full;
mod lifecycle;
mod reload;
mod remote;
mod status;
mod store;
mod transfer;
mod world;
