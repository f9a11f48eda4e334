//! A copy of a store at one moment, while others go on writing to it.
//!
//! # Why
//! `VACUUM INTO` reads everything in one transaction, which the write-ahead log keeps out of the writers' way, and writes only what is
//! there: pages of deleted messages do not come along, as they would with a copy of the file or with the backup interface. It needs
//! as much room beside the target as the copy itself.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::OpenError;
use crate::sqlite::{BUSY, MODE};

/// How far the tables of each service have come.
pub type Schemas = BTreeMap<String, u32>;

/// Copies the store at `store`, which may be in use by others and is not changed, into the new file `to` (mode 0600). Blocks.
///
/// # Errors
/// The store cannot be read, is damaged or is none of ours, or there is no room for the copy, which may then be left behind in part.
pub fn snapshot(store: &Path, to: &Path) -> Result<Schemas, OpenError> {
    match std::fs::metadata(store) {
        Ok(found) if !found.is_file() => return Err(OpenError::NotAFile { path: store.to_owned() }),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(OpenError::Missing { path: store.to_owned() });
        }
        Err(error) => return Err(OpenError::of_io(store, &error)),
    }
    let refused = |error| OpenError::of_sqlite(store, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(store, flags).map_err(refused)?;
    connection.busy_timeout(BUSY).map_err(refused)?;
    // Made beforehand, so that it is nobody else's to read from the first byte on.
    let made = OpenOptions::new().write(true).create_new(true).mode(MODE).open(to);
    drop(made.map_err(|error| OpenError::of_io(to, &error))?);
    let name =
        to.to_str().ok_or_else(|| OpenError::Other { path: to.to_owned(), text: "it is no UTF-8 path".into() })?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(|error| match OpenError::of_sqlite(store, &error) {
        // Of the two files only the new one needs room.
        OpenError::DiskFull { text, .. } => OpenError::DiskFull { path: to.to_owned(), text },
        other => other,
    })?;
    schemas(to)
}

/// Reads from a database that nobody else uses how far its tables have come.
fn schemas(path: &Path) -> Result<Schemas, OpenError> {
    let foreign = |error: rusqlite::Error| OpenError::Other {
        path: path.to_owned(),
        text: format!("it is no store of Torg ({error})"),
    };
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(foreign)?;
    let mut versions = connection.prepare("SELECT service, version FROM torg_schema").map_err(foreign)?;
    let rows = versions.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(foreign)?;
    rows.collect::<Result<Schemas, _>>().map_err(foreign)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::{Batch, Engine as _, Migration, Migrations, Sqlite, Value, migrate};

    const LAMP: Migrations = Migrations {
        service: "lamp",
        steps: &[Migration {
            number: 1,
            about: "Lamps",
            sqlite: &["CREATE TABLE lamp_state (name TEXT NOT NULL PRIMARY KEY)"],
        }],
    };

    #[tokio::test]
    async fn a_copy_is_of_one_moment_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let (store, to) = (folder.path().join("torg.db"), folder.path().join("copy"));
        let engine = Sqlite::open(&store).unwrap();
        migrate(&engine, &[LAMP]).await.unwrap();
        engine
            .write(Batch::new().run("INSERT INTO lamp_state (name) VALUES (?1)", [Value::from("hall")]))
            .await
            .unwrap();
        assert_eq!(snapshot(&store, &to), Ok(Schemas::from([("lamp".to_owned(), 1)])));
        engine.write(Batch::new().run("DELETE FROM lamp_state", [])).await.unwrap();
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        let copy = Sqlite::open(&to).unwrap();
        assert_eq!(copy.query("SELECT name FROM lamp_state", vec![]).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_was_deleted_is_not_in_the_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (store, to) = (folder.path().join("torg.db"), folder.path().join("copy"));
        let engine = Sqlite::open(&store).unwrap();
        migrate(&engine, &[LAMP]).await.unwrap();
        let name = Value::from("a-name-that-was-taken-back");
        engine.write(Batch::new().run("INSERT INTO lamp_state (name) VALUES (?1)", [name])).await.unwrap();
        engine.write(Batch::new().run("DELETE FROM lamp_state", [])).await.unwrap();
        snapshot(&store, &to).unwrap();
        let bytes = std::fs::read(&to).unwrap();
        assert!(!bytes.windows(26).any(|window| window == b"a-name-that-was-taken-back"));
    }

    #[test]
    fn a_store_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let (store, to) = (folder.path().join("torg.db"), folder.path().join("copy"));
        assert_eq!(snapshot(&store, &to), Err(OpenError::Missing { path: store.clone() }));
        assert!(!store.exists() && !to.exists());
    }

    #[test]
    fn a_database_of_somebody_else_is_no_store() {
        let folder = tempfile::tempdir().unwrap();
        let (store, to) = (folder.path().join("torg.db"), folder.path().join("copy"));
        Connection::open(&store).unwrap().execute("CREATE TABLE t (k TEXT)", []).unwrap();
        assert!(matches!(snapshot(&store, &to), Err(OpenError::Other { .. })));
    }
}
