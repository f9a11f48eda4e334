//! The appliance among strangers: the real binary, foreign XMPP clients, foreign Modbus devices, Debian's judge of units.
//!
//! Every peer is a program that other people wrote; `tests/peers/setup` installs it and its absence is a failure. All
//! traffic stays on the loopback. The scripts that drive the peers lie in `tests/peers`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and say why"
)]

#[allow(dead_code, reason = "each binary uses its own part of it")]
#[path = "../support/mod.rs"]
mod support;

mod acme;
mod clients;
mod components;
mod console;
mod events;
mod federation;
mod node_commands;
mod oldest;
mod operation;
mod other_clients;
mod plant;
mod plus;
mod quick;
mod resume;
mod systemd;
mod transfer;
mod websocket;
