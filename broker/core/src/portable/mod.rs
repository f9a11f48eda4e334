//! What the broker keeps for one account, as it moves between servers (XEP-0227): roster, requests, offline messages, private data,
//! card, block list, personal nodes. Keys and class of the account are the accounts' business, the file is `torg_wire`'s.
//!
//! # Why
//! - An import is one batch: all of an account or nothing, and a reader never sees half of it.
//! - What our own limits or rules do not allow is left out and told, not silently cut: too many contacts, payload of devices (which is
//!   never written to disk, whoever brings it), documents in namespaces of the protocol.
//! - The block list has no place in the standard's list, so it goes as what XEP-0191 answers; others may ignore it.

mod export;
mod import;
mod nodes;
#[cfg(test)]
mod tests;

pub use export::export_account;
pub use import::{Imported, clearing, import_account};
