use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::conformance;

const TABLE: &str = "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, n INTEGER NOT NULL)";
const INSERT: &str = "INSERT INTO t (k, n) VALUES (?1, ?2)";
const ALL: &str = "SELECT k, n FROM t ORDER BY k";

#[tokio::test]
async fn the_engine_in_memory_passes_the_conformance_suite() {
    conformance::check(Arc::new(Sqlite::in_memory().unwrap())).await;
}

#[tokio::test]
async fn the_engine_in_a_file_passes_the_conformance_suite() {
    let folder = tempfile::tempdir().unwrap();
    conformance::check(Arc::new(Sqlite::open(&folder.path().join("torg.db")).unwrap())).await;
}

#[tokio::test]
async fn what_was_answered_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torg.db");
    let engine = Sqlite::open(&path).unwrap();
    engine.write(Batch::new().run(TABLE, []).run(INSERT, [Value::from("a"), Value::from(1)])).await.unwrap();
    drop(engine);
    let engine = Sqlite::open(&path).unwrap();
    assert_eq!(engine.query(ALL, vec![]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_second_process_writes_while_the_first_has_it_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torg.db");
    let (server, tool) = (Sqlite::open(&path).unwrap(), Sqlite::open(&path).unwrap());
    server.write(Batch::new().run(TABLE, [])).await.unwrap();
    tool.write(Batch::new().run(INSERT, [Value::from("a"), Value::from(1)])).await.unwrap();
    server.write(Batch::new().run(INSERT, [Value::from("b"), Value::from(2)])).await.unwrap();
    assert_eq!(server.query(ALL, vec![]).await.unwrap().len(), 2);
    assert_eq!(tool.query(ALL, vec![]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Sqlite::open(&folder.path().join("torg.db")).unwrap();
    engine.write(Batch::new().run(TABLE, [])).await.unwrap();
    engine.copy("copy").await.unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.file_name());
        files += 1;
    }
    assert!(files >= 3, "the database, its journal and the copy");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torg.db");
    std::fs::write(&path, "this is a letter, not a database, and long enough to be read as a page header").unwrap();
    assert!(matches!(Sqlite::open(&path), Err(OpenError::NotADatabase { .. })));
}

#[tokio::test]
async fn a_folder_is_no_store_and_a_missing_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Sqlite::open(folder.path()), Err(OpenError::NotAFile { .. })));
    let absent = folder.path().join("absent");
    let refused = Sqlite::open(&absent.join("torg.db")).err().unwrap();
    assert_eq!(refused, OpenError::FolderMissing { folder: absent });
}

#[tokio::test]
async fn a_damaged_page_is_found_when_the_store_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torg.db");
    let engine = Sqlite::open(&path).unwrap();
    let rows = (0..500i64).map(|n| [Value::from(format!("{n:0>64}")), Value::from(n)]);
    let batch = rows.fold(Batch::new().run(TABLE, []), |batch, row| batch.run(INSERT, row));
    engine.write(batch).await.unwrap();
    drop(engine);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 64].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(Sqlite::open(&path), Err(OpenError::Damaged { .. })));
}

#[tokio::test]
async fn a_store_that_another_program_keeps_for_itself_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torg.db");
    drop(Sqlite::open(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "locking_mode", "EXCLUSIVE").unwrap();
    other.execute_batch("BEGIN EXCLUSIVE; CREATE TABLE x (k TEXT); COMMIT").unwrap();
    assert!(matches!(Sqlite::open_within(&path, Duration::ZERO), Err(OpenError::Busy { .. })));
}

#[tokio::test]
async fn a_refused_batch_in_a_group_does_not_hurt_its_neighbours() {
    let engine = Arc::new(Sqlite::in_memory().unwrap());
    engine.write(Batch::new().run(TABLE, []).run(INSERT, [Value::from("taken"), Value::from(0)])).await.unwrap();
    let writes = (0..100).map(|n: i64| {
        let engine = Arc::clone(&engine);
        let key = if n % 3 == 0 { "taken".to_owned() } else { format!("k{n}") };
        tokio::spawn(async move { engine.write(Batch::new().run(INSERT, [Value::from(key), Value::from(n)])).await })
    });
    let mut refused = 0;
    for write in writes.collect::<Vec<_>>() {
        match write.await.unwrap() {
            Ok(changed) => assert_eq!(changed, [1]),
            Err(StoreError::Constraint { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(refused, 34);
    assert_eq!(engine.query(ALL, vec![]).await.unwrap().len(), 1 + 66);
}

#[tokio::test]
async fn dropping_the_engine_finishes_what_was_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torg.db");
    let engine = Arc::new(Sqlite::open(&path).unwrap());
    engine.write(Batch::new().run(TABLE, [])).await.unwrap();
    let writes: Vec<_> = (0..50)
        .map(|n: i64| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                engine.write(Batch::new().run(INSERT, [Value::from(n.to_string()), Value::from(n)])).await
            })
        })
        .collect();
    drop(engine);
    for write in writes {
        write.await.unwrap().unwrap();
    }
    let engine = Sqlite::open(&path).unwrap();
    assert_eq!(engine.query(ALL, vec![]).await.unwrap().len(), 50);
}
