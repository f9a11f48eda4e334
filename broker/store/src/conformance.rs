//! What every engine must do, as one function that its tests call.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "called by the tests of engines only; failing is how it reports"
)]

use std::sync::Arc;

use crate::{Batch, Engine, ROWS_MAX, STATEMENTS_MAX, StoreError, Value};

/// Runs the suite on an empty database; leaves tables called `conformance_*` behind.
///
/// # Panics
/// At the first promise of [`Engine`] that does not hold.
pub async fn check(engine: Arc<dyn Engine>) {
    values_come_back_as_they_went_in(&*engine).await;
    a_batch_is_atomic(&*engine).await;
    a_guard_undoes_the_whole_batch(&*engine).await;
    counts_are_per_statement(&*engine).await;
    text_is_compared_as_bytes(&*engine).await;
    queries_cannot_write(&*engine).await;
    wrong_statements_are_typed_errors(&*engine).await;
    limits_hold(&*engine).await;
    quotas_hold_under_concurrency(Arc::clone(&engine)).await;
    rows_by_key_are_read_as_by_any_query(engine).await;
}

/// With more askers than an engine can have readers, and each after a write of its own.
async fn rows_by_key_are_read_as_by_any_query(engine: Arc<dyn Engine>) {
    let table = "CREATE TABLE conformance_read (k INTEGER NOT NULL PRIMARY KEY, v INTEGER NOT NULL)";
    engine.write(Batch::new().run(table, [])).await.unwrap();
    let askers: Vec<_> = (0..40)
        .map(|key: i64| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                let insert = "INSERT INTO conformance_read (k, v) VALUES (?1, ?1)";
                engine.write(Batch::new().run(insert, [Value::from(key)])).await.unwrap();
                let select = "SELECT v FROM conformance_read WHERE k = ?1";
                let found = engine.query_key(select, vec![Value::from(key)]).await.unwrap();
                assert_eq!(found.first().unwrap().integer(0), Ok(key));
                assert!(engine.query_key("DELETE FROM conformance_read", vec![]).await.is_err());
            })
        })
        .collect();
    for asker in askers {
        asker.await.unwrap();
    }
    // More than a few are all there too.
    let all = engine.query_key("SELECT k FROM conformance_read ORDER BY k", vec![]).await.unwrap();
    let keys: Vec<_> = all.iter().map(|row| row.integer(0).unwrap()).collect();
    assert_eq!(keys, (0..40).collect::<Vec<_>>());
}

async fn values_come_back_as_they_went_in(engine: &dyn Engine) {
    let table = "CREATE TABLE conformance_value (k INTEGER NOT NULL PRIMARY KEY, i INTEGER, t TEXT, b BLOB)";
    let insert = "INSERT INTO conformance_value (k, i, t, b) VALUES (?1, ?2, ?3, ?4)";
    let rows = [
        [Value::from(1), Value::from(i64::MIN), Value::from(""), Value::from(Vec::new())],
        [Value::from(2), Value::from(i64::MAX), Value::from("å\u{1F50C}'\"\\%_"), Value::from(vec![0, 255, 39])],
        [Value::from(3), Value::Null, Value::Null, Value::Null],
    ];
    engine.write(Batch::new().run(table, [])).await.unwrap();
    for row in &rows {
        assert_eq!(engine.write(Batch::new().guard(1, insert, row.to_vec())).await.unwrap(), [1]);
    }
    let found = engine.query("SELECT k, i, t, b FROM conformance_value ORDER BY k", vec![]).await.unwrap();
    assert_eq!(found.len(), rows.len());
    for (found, wanted) in found.iter().zip(&rows) {
        for (column, wanted) in wanted.iter().enumerate() {
            assert_eq!(found.value(column).unwrap(), wanted);
        }
    }
}

async fn a_batch_is_atomic(engine: &dyn Engine) {
    let insert = "INSERT INTO conformance_key (k, n) VALUES (?1, 0)";
    engine
        .write(Batch::new().run("CREATE TABLE conformance_key (k TEXT NOT NULL PRIMARY KEY, n INTEGER NOT NULL)", []))
        .await
        .unwrap();
    engine.write(Batch::new().run(insert, [Value::from("taken")])).await.unwrap();
    let refused =
        engine.write(Batch::new().run(insert, [Value::from("new")]).run(insert, [Value::from("taken")])).await;
    assert!(matches!(refused, Err(StoreError::Constraint { statement: 1, .. })), "{refused:?}");
    assert_eq!(count(engine).await, 1, "the first statement of the refused batch is undone");
    assert_eq!(engine.write(Batch::new()).await, Ok(Vec::new()), "an empty batch is no error");
}

async fn a_guard_undoes_the_whole_batch(engine: &dyn Engine) {
    let batch = Batch::new().run("INSERT INTO conformance_key (k, n) VALUES ('guarded', 0)", []).guard(
        1,
        "UPDATE conformance_key SET n = 1 WHERE k = ?1",
        [Value::from("nobody")],
    );
    let refused = engine.write(batch).await;
    assert_eq!(refused, Err(StoreError::Conflict { statement: 1, expected: 1, found: 0 }));
    assert_eq!(count(engine).await, 1);
}

async fn counts_are_per_statement(engine: &dyn Engine) {
    let batch = Batch::new()
        .run("INSERT INTO conformance_key (k, n) VALUES ('b', 0), ('c', 0)", [])
        .run("UPDATE conformance_key SET n = 5", [])
        .run("INSERT INTO conformance_key (k, n) VALUES ('b', 9) ON CONFLICT (k) DO NOTHING", [])
        .run("DELETE FROM conformance_key WHERE k = 'b' OR k = 'c'", []);
    assert_eq!(engine.write(batch).await, Ok(vec![2, 3, 0, 2]));
}

async fn text_is_compared_as_bytes(engine: &dyn Engine) {
    let insert = "INSERT INTO conformance_key (k, n) VALUES ('a', 0), ('A', 0), ('ä', 0), ('z', 0)";
    engine.write(Batch::new().run(insert, [])).await.unwrap();
    let rows = engine.query("SELECT k FROM conformance_key WHERE k <> 'taken' ORDER BY k", vec![]).await.unwrap();
    let keys: Vec<&str> = rows.iter().map(|row| row.text(0).unwrap()).collect();
    assert_eq!(keys, ["A", "a", "z", "ä"]);
}

async fn queries_cannot_write(engine: &dyn Engine) {
    assert!(engine.query("DELETE FROM conformance_key", vec![]).await.is_err());
    assert!(count(engine).await > 0);
}

async fn wrong_statements_are_typed_errors(engine: &dyn Engine) {
    let refused = engine.query("SELECT nothing FROM nowhere", vec![]).await;
    assert!(matches!(refused, Err(StoreError::Sql { .. })), "{refused:?}");
    let refused = engine.write(Batch::new().run("DELETE FROM nowhere", [])).await;
    assert!(matches!(refused, Err(StoreError::Sql { .. })), "{refused:?}");
}

async fn limits_hold(engine: &dyn Engine) {
    let delete = "DELETE FROM conformance_key WHERE k = 'nobody'";
    let batch = |size: usize| (0..size).fold(Batch::new(), |batch, _| batch.run(delete, []));
    assert!(engine.write(batch(STATEMENTS_MAX)).await.is_ok());
    let refused = engine.write(batch(STATEMENTS_MAX + 1)).await;
    assert_eq!(refused, Err(StoreError::TooMany { what: "statements", limit: STATEMENTS_MAX }));

    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) SELECT i FROM n";
    let most = i64::try_from(ROWS_MAX).unwrap();
    assert_eq!(engine.query(many, vec![Value::from(most)]).await.unwrap().len(), ROWS_MAX);
    let refused = engine.query(many, vec![Value::from(most + 1)]).await;
    assert_eq!(refused, Err(StoreError::TooMany { what: "rows", limit: ROWS_MAX }));
}

async fn quotas_hold_under_concurrency(engine: Arc<dyn Engine>) {
    engine
        .write(
            Batch::new()
                .run("CREATE TABLE conformance_quota (k TEXT NOT NULL PRIMARY KEY, used INTEGER NOT NULL)", [])
                .run("INSERT INTO conformance_quota (k, used) VALUES ('q', 0)", []),
        )
        .await
        .unwrap();
    let take = "UPDATE conformance_quota SET used = used + 1 WHERE k = 'q' AND used < 10";
    let takers: Vec<_> = (0..40)
        .map(|_| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move { engine.write(Batch::new().guard(1, take, [])).await })
        })
        .collect();
    let mut taken = 0;
    for taker in takers {
        match taker.await.unwrap() {
            Ok(_) => taken += 1,
            Err(StoreError::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(taken, 10);
    let rows = engine.query("SELECT used FROM conformance_quota", vec![]).await.unwrap();
    assert_eq!(rows.first().unwrap().integer(0), Ok(10));
}

async fn count(engine: &dyn Engine) -> i64 {
    let rows = engine.query("SELECT COUNT(*) FROM conformance_key", vec![]).await.unwrap();
    rows.first().unwrap().integer(0).unwrap()
}
