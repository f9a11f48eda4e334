//! What is written at once.

use crate::Value;

/// Most statements in one batch: a batch holds the writer for its whole length, so bigger work is split by its service.
pub const STATEMENTS_MAX: usize = 4096;

/// One statement of a batch.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The SQL text, of the portable subset.
    pub sql: &'static str,
    /// The arguments for `?1`, `?2`, ...
    pub args: Vec<Value>,
    /// How many rows it must change; any number if absent.
    pub rows: Option<u64>,
}

/// Statements that happen together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    statements: Vec<Statement>,
}

impl Batch {
    /// An empty batch; writing it does nothing.
    pub fn new() -> Self {
        Batch::default()
    }

    /// Adds a statement that may change any number of rows.
    #[must_use]
    pub fn run(mut self, sql: &'static str, args: impl Into<Vec<Value>>) -> Self {
        self.statements.push(Statement { sql, args: args.into(), rows: None });
        self
    }

    /// Adds a guarded statement: unless it changes exactly `rows` rows, the whole batch is undone and the write answers
    /// [`StoreError::Conflict`](crate::StoreError::Conflict).
    #[must_use]
    pub fn guard(mut self, rows: u64, sql: &'static str, args: impl Into<Vec<Value>>) -> Self {
        self.statements.push(Statement { sql, args: args.into(), rows: Some(rows) });
        self
    }

    /// The statements in order.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Whether nothing would be written.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}
