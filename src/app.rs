//! The running appliance: builds its parts in order, spawns them, drains them in reverse.

pub mod backoff;
pub mod bridges;
pub mod lock;
pub mod notify;
