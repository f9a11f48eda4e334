//! Whole brokers in memory: scripts of whole stories, logins, limits, faults of the store.

mod client;
mod faults;
mod limits;
mod logins;
mod script;
mod scripts;
mod services;
mod shutdown;
mod world;
