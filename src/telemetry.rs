//! Logging: how it is set up, and the names of the fields that events carry.
//!
//! Logs are for operators; they never hold secrets, and sensor values only at level trace. Metrics and health come
//! with the admin listener and are not here yet.
//!
//! # Why
//! `tracing-subscriber` writes the lines and filters them by target; without its colours, since a log is mostly read
//! from a journal or a file.

use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// Name of the field with a node's reference.
pub const NODE: &str = "node";
/// Name of the field with a bridge's name, which is also its data source.
pub const BRIDGE: &str = "bridge";
/// Name of the field with the name of a line of a bridge.
pub const LINE: &str = "line";
/// Name of the field with the address of the other end of a connection.
pub const PEER: &str = "peer";
/// Name of the field with an account.
pub const JID: &str = "jid";

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Level {
    /// Only what an operator must act on.
    Error,
    /// Also what is degraded and handled.
    Warn,
    /// Also the lifecycle: starts, stops, reloads.
    #[default]
    Info,
    /// Also every request.
    Debug,
    /// Also bytes on the wire.
    Trace,
}

impl Level {
    /// Every level with its name, from least to most.
    pub const ALL: [(&'static str, Self); 5] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];

    /// The level of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
    }

    /// The level's name in configuration and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// Time, level, message, fields: for a terminal or a file.
    #[default]
    Full,
    /// Without time: for a journal, which adds its own.
    Journal,
}

impl Format {
    /// Every format with its name.
    pub const ALL: [(&'static str, Self); 2] = [("full", Self::Full), ("journal", Self::Journal)];

    /// The format of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }
}

/// What the log shows and how.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Log {
    /// Events above this are dropped.
    pub level: Level,
    /// Shape of a line.
    pub format: Format,
}

/// Environment variable that overrides the level, in the syntax of `tracing` (`torg_modbus=trace,info`).
pub const LEVEL_VARIABLE: &str = "TORG_LOG";

/// The filter in force, so that a reload can change its level.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging to standard error, once per process; later calls change nothing.
///
/// Standard error is taken because standard output carries READY and the results of commands.
pub fn start(log: Log) {
    let (filter, handle) = reload::Layer::new(filter(log.level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match log.format {
        Format::Full => registry.with(lines).try_init(),
        Format::Journal => registry.with(lines.without_time()).try_init(),
    };
    // A second start in one process (a demo inside a test) keeps the first.
    if started.is_ok() {
        let _ = FILTER.set(handle);
    }
}

/// Changes the level of the running log. The environment variable, if set, stays in force.
pub fn set_level(level: Level) {
    if let Some(handle) = FILTER.get() {
        // It fails only if logging has ended.
        let _ = handle.reload(filter(level));
    }
}

fn filter(level: Level) -> EnvFilter {
    EnvFilter::try_from_env(LEVEL_VARIABLE).unwrap_or_else(|_| EnvFilter::new(level.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_known_by_its_own_name() {
        for (name, level) in Level::ALL {
            assert_eq!((level.name(), Level::parse(name)), (name, Some(level)));
        }
    }
}
