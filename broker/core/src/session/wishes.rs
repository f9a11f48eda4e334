//! What a session has asked for besides its roster: copies of messages, changes of the block list.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Session;

#[derive(Debug, Default)]
pub(crate) struct Wishes {
    carbons: AtomicBool,
    blocklist: AtomicBool,
    pushes: AtomicU64,
}

impl Session {
    /// Whether it gets copies of what the other sessions of its account write and receive (XEP-0280).
    pub(crate) fn has_carbons(&self) -> bool {
        self.wishes.carbons.load(Ordering::Relaxed)
    }

    pub(crate) fn set_carbons(&self, on: bool) {
        self.wishes.carbons.store(on, Ordering::Relaxed);
    }

    /// Whether it has asked for the block list and so gets its changes (XEP-0191 §3.3).
    pub(crate) fn wants_blocklist(&self) -> bool {
        self.wishes.blocklist.load(Ordering::Relaxed)
    }

    pub(crate) fn want_blocklist(&self) {
        self.wishes.blocklist.store(true, Ordering::Relaxed);
    }

    /// A number for the id of a push, different for each of this session.
    pub(crate) fn next_push(&self) -> u64 {
        self.wishes.pushes.fetch_add(1, Ordering::Relaxed)
    }
}
