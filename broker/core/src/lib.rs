//! The broker: router, sessions, client connections, roster, presence, offline messages.

pub mod tls;
