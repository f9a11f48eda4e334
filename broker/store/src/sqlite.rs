//! The embedded engine: SQLite in WAL mode, one writing thread with group commit, a pool of reading connections.
//!
//! # Why
//!
//! A commit waits for the disk (`synchronous=FULL`: what was answered survives a power cut). One transaction therefore carries every
//! batch that is waiting, each in its own savepoint, and all are answered after the one commit.
//!
//! A query goes to a thread that may block: a long list must not hold back everybody's stanzas. A few rows by their key are read on the
//! asking thread: that touches a handful of pages, no reader waits for a writer (write-ahead log), and the way to another thread and
//! back costs ten times as much as the answer.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params_from_iter};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::open::folder;
use crate::{Batch, Engine, Health, OpenError, ROWS_MAX, Row, Rows, STATEMENTS_MAX, StoreError, Value};

/// Batches waiting for the writer; above it writers wait their turn.
const WAITING_MAX: usize = 1024;
/// Batches in one transaction: bounds how long the first of them waits for the last.
const GROUP_MAX: usize = 256;
/// Reading connections: two cores are the machine this is built for, and one may be held by a long list.
const READERS: usize = 3;
/// How long to wait for another process (`torg account add`) that is writing.
pub(crate) const BUSY: Duration = Duration::from_secs(10);
/// Rows that are read on the asking thread; an answer with more is begun anew on one that may block. Sixteen rows are some ten
/// microseconds, where the way to the other thread and back costs fifty.
const FEW_ROWS: usize = 16;
/// Bytes of a database that is checked page by page when it is opened: a slow card reads as many in some seconds. A larger one shows its
/// damage where it is read, and in `torg backup`, which reads everything.
const CHECKED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Prepared statements kept per connection; all services together have fewer.
const PREPARED_MAX: usize = 128;
/// Page cache per connection in KiB (SQLite takes a negative number for KiB); the operating system caches the file anyway.
const CACHE_KIB: i64 = -1024;
/// The database belongs to one user: it holds keys, addresses and messages.
pub(crate) const MODE: u32 = 0o600;

/// A SQLite database, in a file or in memory. Dropping it waits for the writes that were already handed over.
pub struct Sqlite {
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    /// Absent for a database in memory: the writer's connection is the only one that sees it.
    readers: Option<Readers>,
    path: Option<PathBuf>,
    health: Arc<Mutex<Health>>,
}

struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

enum Job {
    Query { sql: &'static str, args: Vec<Value>, answer: oneshot::Sender<Result<Rows, StoreError>> },
    Write { batch: Batch, answer: oneshot::Sender<Result<Vec<u64>, StoreError>> },
    Copy { to: PathBuf, answer: oneshot::Sender<Result<(), StoreError>> },
}

impl Sqlite {
    /// Opens the file, or makes it (mode 0600). A second process may have it open too.
    ///
    /// # Errors
    /// What is wrong with the file or its disk, and what to do.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_within(path, BUSY)
    }

    fn open_within(path: &Path, busy: Duration) -> Result<Self, OpenError> {
        make(path)?;
        let refused = |error| OpenError::of_sqlite(path, &error);
        let writer = connect(path, busy).map_err(refused)?;
        let begin = || {
            // The journal mode is written in the file; readers opened later find it there.
            writer.pragma_update(None, "journal_mode", "WAL")?;
            writer.pragma_update(None, "synchronous", "FULL")
        };
        begin().map_err(refused)?;
        check(&writer, path)?;
        let readers = (0..READERS)
            .map(|_| {
                let reader = connect(path, busy)?;
                reader.pragma_update(None, "query_only", true)?;
                Ok(reader)
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(refused)?;
        let readers = Readers { idle: Arc::new(Mutex::new(readers)), permits: Arc::new(Semaphore::new(READERS)) };
        Self::start(writer, Some(readers), Some(path.to_owned()))
            .map_err(|error| OpenError::Other { path: path.to_owned(), text: error.to_string() })
    }

    /// A database that lives as long as this value; for tests and demonstrations.
    ///
    /// # Errors
    /// Only if the system gives no memory or thread.
    pub fn in_memory() -> Result<Self, StoreError> {
        let connection = Connection::open_in_memory().map_err(failure)?;
        configure(&connection, BUSY).map_err(failure)?;
        Self::start(connection, None, None)
    }

    fn start(connection: Connection, readers: Option<Readers>, path: Option<PathBuf>) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let health = Arc::<Mutex<Health>>::default();
        let noted = Arc::clone(&health);
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || serve(connection, waiting, &noted))
            .map_err(|error| StoreError::Disk { message: error.to_string() })?;
        Ok(Sqlite { jobs: Some(jobs), writer: Some(writer), readers, path, health })
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job(answer)).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.jobs = None; // the writer ends once its queue is empty
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("The store's writer ended in a panic.");
        }
    }
}

#[async_trait]
impl Engine for Sqlite {
    async fn query(&self, sql: &'static str, args: Vec<Value>) -> Result<Rows, StoreError> {
        let Some(readers) = &self.readers else {
            return self.ask(|answer| Job::Query { sql, args, answer }).await;
        };
        let permit = Arc::clone(&readers.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let idle = Arc::clone(&readers.idle);
        // Runs to its end even if the asker has gone, so the connection always comes back.
        let reading = tokio::task::spawn_blocking(move || {
            let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = taken.ok_or(StoreError::Closed)?;
            let rows = read(&connection, sql, &args, ROWS_MAX);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            drop(permit);
            rows
        });
        reading.await.map_err(|_| StoreError::Closed)?
    }

    async fn query_key(&self, sql: &'static str, args: Vec<Value>) -> Result<Rows, StoreError> {
        let free = self.readers.as_ref().and_then(|readers| Some((readers, readers.permits.try_acquire().ok()?)));
        let Some((readers, permit)) = free else { return self.query(sql, args).await };
        let taken = readers.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = taken.ok_or(StoreError::Closed)?;
        let rows = read(&connection, sql, &args, FEW_ROWS);
        readers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        drop(permit);
        match rows {
            Err(StoreError::TooMany { limit: FEW_ROWS, .. }) => self.query(sql, args).await,
            rows => rows,
        }
    }

    async fn write(&self, batch: Batch) -> Result<Vec<u64>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        if batch.statements().len() > STATEMENTS_MAX {
            return Err(StoreError::TooMany { what: "statements", limit: STATEMENTS_MAX });
        }
        self.ask(|answer| Job::Write { batch, answer }).await
    }

    fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn copy(&self, label: &str) -> Result<Option<PathBuf>, StoreError> {
        let Some(path) = &self.path else {
            return Ok(None);
        };
        let mut to = path.clone().into_os_string();
        to.push(".");
        to.push(label);
        let to = PathBuf::from(to);
        self.ask(|answer| Job::Copy { to: to.clone(), answer }).await?;
        Ok(Some(to))
    }
}

/// Makes the file if there is none; says what is wrong before SQLite does, which has fewer words for it.
fn make(path: &Path) -> Result<(), OpenError> {
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(OpenError::NotAFile { path: path.to_owned() });
    }
    let opened = OpenOptions::new().create(true).append(true).mode(MODE).open(path);
    match opened {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(OpenError::FolderMissing { folder: folder(path) })
        }
        Err(error) => Err(OpenError::of_io(path, &error)),
    }
}

/// Reads a database page by page, unless it is too large for that; finds damage before anything is decided on it.
fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let refused = |error| OpenError::of_sqlite(path, &error);
    let size = std::fs::metadata(path).map_err(|error| OpenError::of_io(path, &error))?.len();
    if size > CHECKED_BYTES_MAX {
        return Ok(());
    }
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(refused)?;
    match found.as_str() {
        "ok" => Ok(()),
        text => Err(OpenError::Damaged { path: path.to_owned(), text: text.replace('\n', " ") }),
    }
}

fn connect(path: &Path, busy: Duration) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection, busy)?;
    Ok(connection)
}

fn configure(connection: &Connection, busy: Duration) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(busy)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_MAX);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // Without it SQLite looks at the values it is given, and prepares a statement anew for each new `LIMIT`: ten times the answer's cost.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// The writer's thread: takes whatever waits, commits it together, answers.
fn serve(mut connection: Connection, mut waiting: mpsc::Receiver<Job>, health: &Mutex<Health>) {
    while let Some(job) = waiting.blocking_recv() {
        let mut next = Some(job);
        let mut group = Vec::new();
        while let Some(job) = next.take() {
            match job {
                Job::Write { batch, answer } => group.push((batch, answer)),
                other => {
                    // Answers in order: what was written before is seen.
                    commit_group(&mut connection, &mut group, health);
                    serve_other(&connection, other);
                }
            }
            if group.len() < GROUP_MAX {
                next = waiting.try_recv().ok();
            }
        }
        commit_group(&mut connection, &mut group, health);
    }
}

fn serve_other(connection: &Connection, job: Job) {
    // A refused send means that the asker has gone; nobody is left to tell.
    match job {
        Job::Query { sql, args, answer } => drop(answer.send(read(connection, sql, &args, ROWS_MAX))),
        Job::Copy { to, answer } => drop(answer.send(copy(connection, &to))),
        Job::Write { answer, .. } => drop(answer.send(Err(StoreError::Closed))),
    }
}

type Waiting = (Batch, oneshot::Sender<Result<Vec<u64>, StoreError>>);

fn commit_group(connection: &mut Connection, group: &mut Vec<Waiting>, health: &Mutex<Health>) {
    if group.is_empty() {
        return;
    }
    let (batches, answers): (Vec<Batch>, Vec<_>) = group.drain(..).unzip();
    let results = write_group(connection, &batches);
    note(health, &results);
    for (position, answer) in answers.into_iter().enumerate() {
        let result = match &results {
            Ok(results) => results.get(position).cloned().unwrap_or(Err(StoreError::Closed)),
            Err(error) => Err(error.clone()),
        };
        drop(answer.send(result));
    }
}

/// The outer error is of the whole group (nothing is kept), the inner ones are of one batch each.
type Written = Result<Vec<Result<Vec<u64>, StoreError>>, StoreError>;

/// Notes whether the disk takes writes, and tells the operator when that changes: once, not for each message.
fn note(health: &Mutex<Health>, results: &Written) {
    let mut health = health.lock().unwrap_or_else(PoisonError::into_inner);
    match results {
        Err(StoreError::Disk { message }) => {
            health.refusals = health.refusals.saturating_add(1);
            if health.refused.is_none() {
                tracing::error!(%message, "The disk of the store refuses writes: nothing new is kept, what is live goes on.");
            }
            health.refused = Some(message.clone());
        }
        // One that was undone for another reason says nothing of the disk.
        Ok(written) if written.iter().any(Result::is_ok) && health.refused.take().is_some() => {
            tracing::info!("The disk of the store takes writes again.");
        }
        _ => {}
    }
}

fn write_group(connection: &mut Connection, batches: &[Batch]) -> Written {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failure)?;
    let mut results = Vec::with_capacity(batches.len());
    for batch in batches {
        let savepoint = transaction.savepoint().map_err(failure)?;
        let written = write_batch(&savepoint, batch);
        if written.is_ok() {
            savepoint.commit().map_err(failure)?;
        } else if let Err(full @ StoreError::Disk { .. }) = written {
            // SQLite may have undone everything by itself, savepoints and all.
            return Err(full);
        } else {
            savepoint.finish().map_err(failure)?; // a savepoint's default is to undo
        }
        results.push(written);
    }
    transaction.commit().map_err(failure)?;
    Ok(results)
}

fn write_batch(connection: &Connection, batch: &Batch) -> Result<Vec<u64>, StoreError> {
    let mut changed = Vec::with_capacity(batch.statements().len());
    for (position, statement) in batch.statements().iter().enumerate() {
        let refused = |error| failure_at(position, error);
        let mut prepared = connection.prepare_cached(statement.sql).map_err(refused)?;
        let found = prepared.execute(params_from_iter(statement.args.iter().map(bind))).map_err(refused)?;
        let found = u64::try_from(found).unwrap_or(u64::MAX);
        if let Some(expected) = statement.rows
            && expected != found
        {
            return Err(StoreError::Conflict { statement: position, expected, found });
        }
        changed.push(found);
    }
    Ok(changed)
}

/// At most `most` rows.
fn read(connection: &Connection, sql: &'static str, args: &[Value], most: usize) -> Result<Rows, StoreError> {
    let mut prepared = connection.prepare_cached(sql).map_err(failure)?;
    if !prepared.readonly() {
        return Err(StoreError::Sql { message: "a query may not write".to_owned() });
    }
    let columns = prepared.column_count();
    let mut found = prepared.query(params_from_iter(args.iter().map(bind))).map_err(failure)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(failure)? {
        if rows.len() == most {
            return Err(StoreError::TooMany { what: "rows", limit: most });
        }
        let values =
            (0..columns).map(|column| value(row.get_ref(column).map_err(failure)?)).collect::<Result<_, _>>()?;
        rows.push(Row::new(values));
    }
    Ok(Rows::new(rows))
}

/// First beside the target, then renamed: a copy cut short by a power loss never looks like a whole one.
fn copy(connection: &Connection, to: &Path) -> Result<(), StoreError> {
    let disk = |error: std::io::Error| StoreError::Disk { message: format!("{}: {error}", to.display()) };
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(disk(error)),
        _ => {}
    }
    let name =
        part.to_str().ok_or_else(|| StoreError::Disk { message: format!("{} is no UTF-8 path", to.display()) })?;
    // Made beforehand, so that it is nobody else's to read from the first byte on.
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&part).map_err(disk)?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(failure)?;
    file.sync_all().map_err(disk)?;
    std::fs::rename(&part, to).map_err(disk)?;
    std::fs::File::open(folder(to)).and_then(|folder| folder.sync_all()).map_err(disk)
}

fn bind(value: &Value) -> rusqlite::types::ToSqlOutput<'_> {
    rusqlite::types::ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Integer(number) => ValueRef::Integer(*number),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(bytes) => ValueRef::Blob(bytes),
    })
}

fn value(found: ValueRef<'_>) -> Result<Value, StoreError> {
    Ok(match found {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Text(bytes) => Value::Text(
            String::from_utf8(bytes.to_vec())
                .map_err(|_| StoreError::Sql { message: "text that is no UTF-8".to_owned() })?,
        ),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        ValueRef::Real(_) => {
            return Err(StoreError::Sql { message: "a floating point column".to_owned() });
        }
    })
}

fn failure(error: rusqlite::Error) -> StoreError {
    failure_at(0, error)
}

fn failure_at(statement: usize, error: rusqlite::Error) -> StoreError {
    let message = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => StoreError::Constraint { statement, message },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged { message },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            StoreError::Disk { message }
        }
        _ => StoreError::Sql { message },
    }
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
