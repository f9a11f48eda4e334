//! The seam between the services and a database.

use std::path::PathBuf;

use async_trait::async_trait;
use thiserror::Error;

use crate::{Batch, RowError, Rows, Value};

/// Most rows one query may answer: an answer lives in memory, so longer lists are paged by their service.
pub const ROWS_MAX: usize = 65_536;

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A guard found another state than the one the decision was made on: read again, decide again.
    #[error("statement {statement} changed {found} rows, its guard wants {expected}")]
    Conflict {
        /// Position in the batch, from 0.
        statement: usize,
        /// What the guard wants.
        expected: u64,
        /// What happened.
        found: u64,
    },
    /// A key already exists, or a NOT NULL, CHECK or foreign key rule is broken.
    #[error("a constraint refused statement {statement}: {message}")]
    Constraint {
        /// Position in the batch, from 0.
        statement: usize,
        /// The database's words; for logs, not for peers.
        message: String,
    },
    /// Another process held the database longer than the engine waits.
    #[error("the database is busy: another process holds it")]
    Busy,
    /// There is no room on the disk, or the disk fails. Nothing of the batch was kept.
    #[error("the disk refused: {message}")]
    Disk {
        /// The database's words.
        message: String,
    },
    /// More statements or rows than the limits of this crate allow.
    #[error("more than {limit} {what}")]
    TooMany {
        /// `rows` or `statements`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Pages of the database contradict each other: it was damaged by its disk, or by another program.
    #[error("the database is damaged: {message}; bring back a backup with `torg restore`")]
    Damaged {
        /// The database's words.
        message: String,
    },
    /// The engine has been shut down.
    #[error("the store is closed")]
    Closed,
    /// A row has not the expected shape.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The statement is wrong, or the file is no database of ours.
    #[error("the database refused: {message}")]
    Sql {
        /// The database's words.
        message: String,
    },
}

/// How writing goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why the disk refused the last write; `None` if it took it.
    pub refused: Option<String>,
    /// Groups of writes that the disk has refused since the start.
    pub refusals: u64,
}

const PROBE: &str = "UPDATE torg_schema SET version = version";

/// Tries whether the disk takes writes again, where it did not: without it nobody would know before the next message.
pub async fn probe(engine: &dyn Engine) -> Health {
    if engine.health().refused.is_some() {
        drop(engine.write(Batch::new().run(PROBE, [])).await); // the engine notes how it went
    }
    engine.health()
}

/// A database. Object safe: services hold an `Arc<dyn Engine>`.
///
/// What every engine promises, checked by [`conformance::check`](crate::conformance::check): a batch is atomic; a write that answered
/// `Ok` survives a power cut; a query sees every write that answered before the query began; a failed write left nothing behind,
/// except when its answer was lost with the engine itself.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Reads one consistent snapshot.
    ///
    /// # Errors
    /// [`StoreError::Sql`] for a wrong statement, [`StoreError::TooMany`] above [`ROWS_MAX`], and what the disk says.
    async fn query(&self, sql: &'static str, args: Vec<Value>) -> Result<Rows, StoreError>;

    /// As [`Engine::query`], for a statement that usually finds a few rows by their key: an engine may read them at once on the asking
    /// thread, where handing the question to another one would cost more than the answer.
    ///
    /// # Errors
    /// As [`Engine::query`].
    async fn query_key(&self, sql: &'static str, args: Vec<Value>) -> Result<Rows, StoreError> {
        self.query(sql, args).await
    }

    /// Writes all statements or none; answers how many rows each changed once all is durable.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a guard does not hold, [`StoreError::Constraint`], and what the disk says.
    async fn write(&self, batch: Batch) -> Result<Vec<u64>, StoreError>;

    /// How writing goes; engines that cannot tell say that all is well.
    fn health(&self) -> Health {
        Health::default()
    }

    /// Copies the whole database beside itself, `label` in the name; nothing to do (`None`) for engines without files.
    ///
    /// # Errors
    /// What the disk says.
    async fn copy(&self, label: &str) -> Result<Option<PathBuf>, StoreError>;
}
