//! Numbered, forward-only migrations, each service its own.
//!
//! Table `torg_schema` says how far each service has come. A database written by a newer Torg is refused, because its meaning is
//! unknown here; a database that holds data is copied before its tables are changed.

use thiserror::Error;

use crate::{Batch, Engine, Row, StoreError, Value};

/// One step from `number - 1` to `number`.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// From 1, without gaps.
    pub number: u32,
    /// What it does, for the log: "Offline messages get a size".
    pub about: &'static str,
    /// The statements for SQLite, done together or not at all.
    pub sqlite: &'static [&'static str],
}

/// The migrations of one service.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// The service; its tables are called `<service>_<name>`.
    pub service: &'static str,
    /// All steps since the first release.
    pub steps: &'static [Migration],
}

/// Why the database is not ready for use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A newer Torg has written this database.
    #[error(
        "the tables of '{service}' are at version {found}, this Torg knows {known}: run the newer Torg, or restore the copy made before it"
    )]
    Newer {
        /// Whose tables.
        service: &'static str,
        /// In the database.
        found: u32,
        /// In this binary.
        known: u32,
    },
    /// The list of a service has gaps or tables under a foreign name: a mistake in this binary.
    #[error("the migrations of '{service}' are not well formed at step {number}")]
    Malformed {
        /// Whose migrations.
        service: &'static str,
        /// Which step.
        number: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS torg_schema (service TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL)";
const VERSION: &str = "SELECT version FROM torg_schema WHERE service = ?1";
const BEGIN: &str = "INSERT INTO torg_schema (service, version) VALUES (?1, 0) ON CONFLICT (service) DO NOTHING";
const ADVANCE: &str = "UPDATE torg_schema SET version = ?2 WHERE service = ?1 AND version = ?2 - 1";

/// Brings the tables of all services to the state this binary knows.
///
/// Two processes may do this at once: every step is guarded by the version it starts from, and who comes second goes on from there.
///
/// # Errors
/// [`MigrateError::Newer`] for a database of a newer Torg; then nothing has been changed.
pub async fn migrate(engine: &dyn Engine, services: &[Migrations]) -> Result<(), MigrateError> {
    for service in services {
        well_formed(service)?;
    }
    engine.write(Batch::new().run(SCHEMA, [])).await?;
    let mut behind = false;
    for service in services {
        let found = version(engine, service.service).await?;
        let known = newest(service);
        if found > known {
            return Err(MigrateError::Newer { service: service.service, found, known });
        }
        behind |= 0 < found && found < known;
    }
    if behind && let Some(path) = engine.copy("before-migration").await? {
        tracing::info!(path = %path.display(), "Database copied before migrating.");
    }
    for service in services {
        advance(engine, service).await?;
    }
    Ok(())
}

async fn advance(engine: &dyn Engine, service: &Migrations) -> Result<(), MigrateError> {
    loop {
        let found = version(engine, service.service).await?;
        let Some(step) = service.steps.iter().find(|step| step.number == found + 1) else {
            return Ok(());
        };
        let name = Value::from(service.service);
        let mut batch = Batch::new().run(BEGIN, [name.clone()]).guard(1, ADVANCE, [name, Value::from(step.number)]);
        for sql in step.sqlite {
            batch = batch.run(sql, []);
        }
        match engine.write(batch).await {
            Ok(_) => {
                tracing::info!(service = service.service, version = step.number, about = step.about, "Tables migrated.")
            }
            Err(StoreError::Conflict { .. }) => {} // another process made this step first
            Err(error) => return Err(error.into()),
        }
    }
}

async fn version(engine: &dyn Engine, service: &str) -> Result<u32, StoreError> {
    let rows = engine.query(VERSION, vec![Value::from(service)]).await?;
    let version = rows.first().map(|row: &Row| row.integer(0)).transpose()?.unwrap_or(0);
    u32::try_from(version).map_err(|_| StoreError::Sql { message: format!("version {version} in torg_schema") })
}

fn newest(service: &Migrations) -> u32 {
    service.steps.iter().map(|step| step.number).max().unwrap_or(0)
}

fn well_formed(service: &Migrations) -> Result<(), MigrateError> {
    for (step, number) in service.steps.iter().zip(1u32..) {
        let named = step.sqlite.iter().all(|sql| {
            sql.strip_prefix("CREATE TABLE ")
                .is_none_or(|rest| rest.strip_prefix(service.service).is_some_and(|rest| rest.starts_with('_')))
        });
        if step.number != number || !named {
            return Err(MigrateError::Malformed { service: service.service, number });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sqlite;

    const FIRST: Migration =
        Migration { number: 1, about: "Lamps", sqlite: &["CREATE TABLE lamp_state (name TEXT NOT NULL PRIMARY KEY)"] };
    const SECOND: Migration = Migration {
        number: 2,
        about: "Lamps have colours",
        sqlite: &["ALTER TABLE lamp_state ADD COLUMN colour TEXT"],
    };
    const OLD: Migrations = Migrations { service: "lamp", steps: &[FIRST] };
    const NEW: Migrations = Migrations { service: "lamp", steps: &[FIRST, SECOND] };

    #[tokio::test]
    async fn migrating_twice_changes_nothing() {
        let engine = Sqlite::in_memory().unwrap();
        migrate(&engine, &[NEW]).await.unwrap();
        migrate(&engine, &[NEW]).await.unwrap();
        assert_eq!(version(&engine, "lamp").await, Ok(2));
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused() {
        let engine = Sqlite::in_memory().unwrap();
        migrate(&engine, &[NEW]).await.unwrap();
        let refused = migrate(&engine, &[OLD]).await;
        assert!(matches!(refused, Err(MigrateError::Newer { service: "lamp", found: 2, known: 1 })));
    }

    #[tokio::test]
    async fn a_database_with_data_is_copied_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("torg.db");
        let engine = Sqlite::open(&path).unwrap();
        migrate(&engine, &[OLD]).await.unwrap();
        engine.write(Batch::new().run("INSERT INTO lamp_state (name) VALUES ('hall')", [])).await.unwrap();
        migrate(&engine, &[NEW]).await.unwrap();

        let copy = Sqlite::open(&folder.path().join("torg.db.before-migration")).unwrap();
        assert_eq!(version(&copy, "lamp").await, Ok(1));
        assert_eq!(copy.query("SELECT name FROM lamp_state", vec![]).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_failing_step_leaves_the_version_before_it() {
        const BROKEN: Migration = Migration {
            number: 2,
            about: "Broken",
            sqlite: &["CREATE TABLE lamp_more (name TEXT)", "ALTER TABLE nowhere ADD COLUMN x TEXT"],
        };
        let engine = Sqlite::in_memory().unwrap();
        let broken = Migrations { service: "lamp", steps: &[FIRST, BROKEN] };
        assert!(matches!(migrate(&engine, &[broken]).await, Err(MigrateError::Store(_))));
        assert_eq!(version(&engine, "lamp").await, Ok(1));
        assert!(engine.query("SELECT name FROM lamp_more", vec![]).await.is_err());
    }

    #[tokio::test]
    async fn gaps_and_foreign_table_names_are_refused() {
        let engine = Sqlite::in_memory().unwrap();
        let gap = Migrations { service: "lamp", steps: &[SECOND] };
        assert!(matches!(migrate(&engine, &[gap]).await, Err(MigrateError::Malformed { number: 1, .. })));
        let foreign = Migrations { service: "door", steps: &[FIRST] };
        assert!(matches!(migrate(&engine, &[foreign]).await, Err(MigrateError::Malformed { service: "door", .. })));
    }
}
