//! Accounts: who may log in here, kept as stored SCRAM keys and never as passwords (RFC 5802 §3).
//!
//! Creates, lists, removes, switches off, changes passwords, and answers the broker's question for keys at each login. It
//! knows nothing of rosters, sessions or permissions.
//!
//! # With the server running or stopped
//! Everything goes straight to the store, so `torg account` works on its own beside a running server (SQLite in WAL mode
//! takes two processes). The server keeps no copy: it reads the account at each login, so a new password, a new account or
//! a removed one holds from the next login on. Sessions opened before a removal or with an old password are ended by the
//! server within seconds: the change is noted in a log that it reads.
//!
//! # Why
//! - Keys for SCRAM-SHA-1 exist only where the operator switched it on: a stolen store must not be weaker than the logins.
//! - `getrandom`: salts come from the operating system.

mod administration;
mod error;
mod port;
mod service;
mod sql;
#[cfg(test)]
mod tests;
mod tokens;
#[cfg(test)]
mod tokens_tests;
mod transfer;

pub use error::AccountError;
pub use service::{Account, Accounts, NAMES_MAX};
pub use sql::MIGRATIONS;
pub use tokens::{TOKEN_CLIENTS_MAX, TOKEN_LIFE, TOKEN_LIFE_UNBOUND};
pub use transfer::Transfer;
