//! Whole appliances in this process, with simulated devices and clients on the loopback: start, reload, stop, demo.

mod command;
mod demo;
mod lifecycle;
mod reload;
mod remote;
mod world;
