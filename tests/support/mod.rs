//! What tests of the whole appliance share: child processes that cannot outlive their test, a running `torg`, and a
//! Modbus server that pymodbus plays.
//!
//! Nothing here sleeps to be in time: it waits for what a process says.

pub(crate) mod child;
pub(crate) mod devices;
pub(crate) mod dns;
pub(crate) mod site;
pub(crate) mod tls;

use std::path::{Path, PathBuf};

/// A file of the repository, by its path from the top.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program that `tests/peers/setup` puts into `target/peers`.
///
/// # Panics
/// With the name of the peer and how to get it, if it is not there: a missing peer is a failure, never a skipped test.
pub(crate) fn peer(path: &str) -> PathBuf {
    let file = repository("target/peers").join(path);
    assert!(file.exists(), "missing peer {path}: run `make test`, which installs it, or tests/peers/setup");
    file
}
