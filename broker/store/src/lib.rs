//! Storage behind one portable SQL text: the [`Engine`] trait, the embedded SQLite engine, migrations.
//!
//! Every service keeps its rows here, and only here. The flow is always: read a snapshot, decide in pure code, write one
//! guarded [`Batch`], and start again on [`StoreError::Conflict`]. There are no interactive transactions.
//!
//! # The portable subset
//!
//! One SQL text serves every engine, so statements keep to what SQLite and PostgreSQL both understand alike:
//!
//! - parameters are `?1`, `?2`, ... (an engine rewrites them if it must); never assemble SQL from strings: the type
//!   `&'static str` of every statement forbids it;
//! - columns are `INTEGER` (64 bit, signed), `TEXT` and `BLOB`; true and false are 1 and 0; no floating point; NULL where a value is absent;
//! - text keys are compared as bytes; no `LIKE`, no `COLLATE`, no case folding in SQL: callers store the prepared form;
//! - `ORDER BY` never relies on where NULL sorts; `LIMIT` always goes with `ORDER BY`;
//! - `INSERT ... ON CONFLICT (..) DO UPDATE|NOTHING` and `INSERT ... SELECT` are allowed; `REPLACE`, `ROWID`,
//!   `AUTOINCREMENT`, triggers and date functions are not;
//! - quotas are counter columns updated in place: `SET used = used + 1 WHERE used < max`, with a guard;
//! - keys are given by the caller (or by `SELECT COALESCE(MAX(n), 0) + 1` inside the same statement).
//!
//! Only migrations may differ per engine.
//!
//! # Why
//!
//! rusqlite (SQLite bundled): one file that any tool can inspect, tested like no other database, no server to run on a gateway
//! that is forgotten for ten years. It is synchronous, so one thread owns the writing connection and commits whole groups.

mod batch;
pub mod conformance;
mod engine;
mod migrate;
mod open;
mod snapshot;
mod sqlite;
pub mod testing;
mod value;

pub use batch::{Batch, STATEMENTS_MAX, Statement};
pub use engine::{Engine, Health, ROWS_MAX, StoreError, probe};
pub use migrate::{MigrateError, Migration, Migrations, migrate};
pub use open::OpenError;
pub use snapshot::{Schemas, snapshot};
pub use sqlite::Sqlite;
pub use value::{Row, RowError, Rows, Value};
