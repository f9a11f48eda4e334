//! What the broker has done since its start, as numbers for operators. Nothing here names an address of anybody.
//!
//! # Why
//! Relaxed atomics: each is one instruction beside a system call or a stanza, and nobody decides anything by them, so their order
//! does not matter.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The broker's own counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: Count,
    pub(crate) refused: Count,
    pub(crate) bound: Count,
    pub(crate) stanzas_received: Count,
    pub(crate) stanzas_sent: Count,
    pub(crate) bytes_received: Count,
    pub(crate) bytes_sent: Count,
}

/// The counters and gauges of the broker at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Numbers {
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Connections turned away at once, because too many had not logged in.
    pub refused: u64,
    /// Sessions bound since the start.
    pub bound: u64,
    /// Stanzas that clients sent.
    pub stanzas_received: u64,
    /// Stanzas written to clients.
    pub stanzas_sent: u64,
    /// Bytes that clients sent, without TLS.
    pub bytes_received: u64,
    /// Bytes written to clients, without TLS.
    pub bytes_sent: u64,
    /// Sessions bound now, those inside the process included.
    pub sessions: usize,
    /// Stanzas that wait to be written, in all sessions.
    pub waiting: usize,
    /// Connections that have not logged in now.
    pub unauthenticated: usize,
}

impl Counters {
    /// The counters; the gauges are left at zero.
    pub(crate) fn numbers(&self) -> Numbers {
        Numbers {
            accepted: self.accepted.get(),
            refused: self.refused.get(),
            bound: self.bound.get(),
            stanzas_received: self.stanzas_received.get(),
            stanzas_sent: self.stanzas_sent.get(),
            bytes_received: self.bytes_received.get(),
            bytes_sent: self.bytes_sent.get(),
            ..Numbers::default()
        }
    }
}
