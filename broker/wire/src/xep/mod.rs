//! Payloads of XMPP extensions, without behaviour: types, reading and writing.

pub mod data_forms;
pub mod disco;
pub mod ping;
pub mod time;
pub mod version;
