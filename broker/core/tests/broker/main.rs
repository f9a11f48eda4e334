//! Whole brokers in memory: scripts of whole stories, logins, limits, faults of the store.

mod client;
mod script;
mod scripts;
mod world;
