//! The configuration: `torg.toml` and `conf.d/*.toml`, from text to checked types, and what a change of it means.
//!
//! [`load`] tells every mistake at once, with file, line, key and suggestion. Secrets are never values in these files.

mod bridges;
mod checked;
mod components;
mod diff;
mod listen;
mod peers;
mod raw;
mod read;
mod secret;
#[cfg(test)]
mod tests;
mod web;

pub use checked::{
    BridgeConfig, BrokerConfig, ConcentratorConfig, Config, FederationConfig, RemoteConfig, Settings, TlsFiles,
};
pub use components::{COMPONENTS_MAX, ComponentConfig, ComponentsConfig};
pub use diff::{LineChange, LineKey, RestartNeeded, lines, needs_restart};
pub use peers::PEERS_MAX;
pub use read::{CONF_D_FILES_MAX, load, parse};
pub use secret::SECRET_CHARS_MIN;
pub use web::WebConfig;

/// A commented sample configuration, which loads as it is.
pub const SAMPLE: &str = include_str!("sample.toml");

/// The JSON Schema of the configuration file.
#[must_use]
pub fn schema() -> serde_json::Value {
    torg_thing::config::schema_of::<raw::Raw>()
}
