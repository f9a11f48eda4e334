//! An engine that fails on purpose, for fault tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;

use crate::{Batch, Engine, Health, Rows, StoreError, Value};

/// How the chosen write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written, the caller gets an error.
    Refused,
    /// All is written, and yet the caller gets an error: the answer was lost.
    AnswerLost,
}

/// Passes everything on to another engine, except the n-th write since the last [`Flaky::fail_at`].
pub struct Flaky {
    inner: Arc<dyn Engine>,
    fault: Fault,
    /// Writes seen since the count was last set.
    seen: AtomicU64,
    /// The write to fail, from 1; 0 is never.
    failing: AtomicU64,
    /// Every write is refused, as on a full disk.
    full: AtomicBool,
}

impl Flaky {
    /// A wrapper that does not fail until told to.
    pub fn new(inner: Arc<dyn Engine>, fault: Fault) -> Self {
        Flaky { inner, fault, seen: AtomicU64::new(0), failing: AtomicU64::new(0), full: AtomicBool::new(false) }
    }

    /// Counts from now on, and fails the `nth` write (from 1). 0 fails none.
    pub fn fail_at(&self, nth: u64) {
        self.seen.store(0, Ordering::SeqCst);
        self.failing.store(nth, Ordering::SeqCst);
    }

    /// From now on every write is refused, as on a full disk, or none is.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// Writes since the count was last set: tells a test how many faults there are to try.
    pub fn writes(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Engine for Flaky {
    async fn query(&self, sql: &'static str, args: Vec<Value>) -> Result<Rows, StoreError> {
        self.inner.query(sql, args).await
    }

    async fn write(&self, batch: Batch) -> Result<Vec<u64>, StoreError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(StoreError::Disk { message: "database or disk is full".to_owned() });
        }
        let nth = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        let fails = nth == self.failing.load(Ordering::SeqCst);
        if fails && self.fault == Fault::Refused {
            return Err(StoreError::Disk { message: "a fault test refuses this write".to_owned() });
        }
        let written = self.inner.write(batch).await;
        if fails {
            return Err(StoreError::Disk { message: "a fault test lost this answer".to_owned() });
        }
        written
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    async fn copy(&self, label: &str) -> Result<Option<PathBuf>, StoreError> {
        self.inner.copy(label).await
    }
}
