//! What a session has asked for besides its roster: copies of messages, changes of the block list; and that it has proven a new password.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::Session;

#[derive(Debug, Default)]
pub(crate) struct Wishes {
    carbons: AtomicBool,
    blocklist: AtomicBool,
    pushes: AtomicU64,
    trusted: AtomicI64,
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

    /// Changes of its account up to this one do not end it: it made them itself.
    pub(crate) fn trust_until(&self, number: i64) {
        self.wishes.trusted.fetch_max(number, Ordering::Relaxed);
    }

    pub(crate) fn trusted_until(&self) -> i64 {
        self.wishes.trusted.load(Ordering::Relaxed)
    }

    /// A number for the id of a push, different for each of this session.
    pub(crate) fn next_push(&self) -> u64 {
        self.wishes.pushes.fetch_add(1, Ordering::Relaxed)
    }
}
