//! Payloads of XMPP extensions, without behaviour: types, reading and writing.

pub mod blocking;
pub mod caps;
pub mod carbons;
pub mod commands;
pub mod csi;
pub mod data_forms;
pub mod disco;
pub mod federation_info;
pub mod last;
pub mod pie;
pub mod ping;
pub mod pubsub;
pub mod register;
pub mod rsm;
pub mod server_info;
pub mod sm;
pub mod time;
pub mod version;
