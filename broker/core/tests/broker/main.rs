//! Whole brokers in memory: scripts of whole stories, logins, limits, faults of the store.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod abuse;
mod administration;
mod client;
mod components;
mod events;
mod faults;
mod full;
mod generations;
mod hostile;
mod limits;
mod logins;
mod managed;
mod privacy;
mod races;
mod raw;
mod registration;
mod restart;
mod script;
mod scripts;
mod services;
mod shutdown;
mod transit;
mod world;
