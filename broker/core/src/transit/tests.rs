use torg_store::testing::{Fault, Flaky};
use torg_store::{Sqlite, migrate};
use torg_thing::SystemClock;
use torg_wire::jid::Jid;
use torg_wire::stanza::MessageType;

use super::*;

const AT_ONCE: Duration = Duration::ZERO;

async fn transit(bounds: Bounds) -> Arc<Transit> {
    let engine = Arc::new(Sqlite::in_memory().unwrap());
    migrate(&*engine, &[MIGRATIONS]).await.unwrap();
    Transit::bounded(engine, Arc::new(SystemClock), bounds).await.unwrap()
}

fn begin(transit: &Arc<Transit>) -> Passage {
    let [from, to] = ["anna@site.example/x", "eve@far.example"].map(|text| Jid::parse(text).unwrap());
    let stanza = Arc::new(Stanza::message(MessageType::Chat).with_from(from).with_to(to).with_body("hello"));
    transit.enter(None, Entry { since: now(), stage: Stage::Memory { stanza, origin: None }, ticket: None })
}

/// Rows in the table, and as they are counted.
async fn rows(transit: &Transit) -> usize {
    let extent = table::extent(&*transit.engine).await.unwrap();
    let inner = transit.lock();
    assert_eq!((extent.rows, extent.bytes), (inner.rows, inner.bytes));
    extent.rows
}

#[tokio::test]
async fn what_arrives_soon_is_never_written() {
    let transit = transit(BOUNDS).await;
    let passage = begin(&transit);
    transit.save(SAVE_AFTER).await.unwrap();
    drop(passage.clone());
    assert_eq!(transit.len(), 1, "somebody has it still");
    drop(passage);
    transit.save(AT_ONCE).await.unwrap();
    assert_eq!((transit.len(), rows(&transit).await), (0, 0));
    assert!(!transit.has_work());
}

#[tokio::test]
async fn a_row_goes_when_its_message_has_arrived() {
    let transit = transit(BOUNDS).await;
    let [first, second] = [(); 2].map(|()| begin(&transit));
    transit.save(AT_ONCE).await.unwrap();
    assert_eq!(rows(&transit).await, 2);
    drop(first);
    transit.save(AT_ONCE).await.unwrap();
    assert_eq!(rows(&transit).await, 1);
    let left = table::after(&*transit.engine, 0, i64::MAX, 10).await.unwrap();
    assert_eq!(left[0].number, second.0.number);
}

#[tokio::test]
async fn as_many_rows_as_the_limit_are_written_and_the_next_when_there_is_room() {
    let transit = transit(Bounds { rows: 3, bytes: 1_000_000 }).await;
    let mut passages: Vec<_> = (0..2).map(|_| begin(&transit)).collect();
    transit.save(AT_ONCE).await.unwrap();
    assert_eq!(rows(&transit).await, 2);
    passages.extend((0..2).map(|_| begin(&transit)));
    transit.save(AT_ONCE).await.unwrap();
    assert_eq!(rows(&transit).await, 3);
    transit.save(AT_ONCE).await.unwrap();
    assert!(transit.has_work(), "one waits for room");
    passages.remove(0);
    transit.save(AT_ONCE).await.unwrap(); // which deletes
    transit.save(AT_ONCE).await.unwrap();
    assert_eq!(rows(&transit).await, 3);
    assert!(!transit.has_work());
}

#[tokio::test]
async fn bytes_are_bounded_too() {
    let transit = transit(Bounds { rows: 100, bytes: 1 }).await;
    let _first = begin(&transit);
    transit.save(AT_ONCE).await.unwrap();
    let _second = begin(&transit);
    transit.save(AT_ONCE).await.unwrap();
    assert_eq!(rows(&transit).await, 1);
}

#[tokio::test]
async fn a_store_that_fails_or_whose_answer_is_lost_is_asked_again() {
    for fault in [Fault::Refused, Fault::AnswerLost] {
        let engine = Arc::new(Flaky::new(Arc::new(Sqlite::in_memory().unwrap()), fault));
        migrate(&*engine, &[MIGRATIONS]).await.unwrap();
        let transit = Transit::open(engine.clone(), Arc::new(SystemClock)).await.unwrap();
        let [arrived, waits] = [(); 2].map(|()| begin(&transit));
        transit.save(AT_ONCE).await.unwrap();
        drop(arrived);
        let more = begin(&transit);
        engine.fail_at(1);
        transit.save(AT_ONCE).await.unwrap_err();
        assert!(transit.has_work());
        transit.save(AT_ONCE).await.unwrap();
        assert_eq!(rows(&transit).await, 2);
        drop((waits, more));
        transit.save(AT_ONCE).await.unwrap();
        assert_eq!(rows(&transit).await, 0);
    }
}

#[tokio::test]
async fn what_is_dropped_after_the_end_is_for_the_next_process() {
    let transit = transit(BOUNDS).await;
    let passage = begin(&transit);
    transit.finish().await;
    drop(passage);
    assert_eq!(rows(&transit).await, 1);
    let next = Transit::open(Arc::clone(&transit.engine), Arc::new(SystemClock)).await.unwrap();
    assert_eq!(next.lock().last, 1, "numbers go on");
}
