//! The Torg appliance: where bridges and broker meet.
//!
//! Bridges know devices, the broker knows identities; this crate puts a concentrator between them, reads the
//! configuration, and is the command `torg`.

pub mod acme;
pub mod app;
pub mod backup;
pub mod catalog;
pub mod cli;
pub mod client;
pub mod concentrator;
pub mod config;
pub mod console;
pub mod demo;
pub mod telemetry;
