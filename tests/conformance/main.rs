//! Keeps the conformance table true: `tests/conformance.tsv` has one row for each element a thing, a concentrator or a
//! broker of IEEE P1451.99 handles, and says which are served, by what code, and which test would fail otherwise.
//!
//! Status: `done`, `partial` (read and written, but nothing behaves by it yet), `planned`.

#![expect(clippy::expect_used, clippy::panic, reason = "tests fail by panicking and say why")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

struct Row {
    id: String,
    status: String,
    code: String,
    test: String,
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rows() -> Vec<Row> {
    let table = fs::read_to_string(top().join("tests/conformance.tsv")).expect("the table is there");
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("id\tnamespace\telement\tstatus\tcode\ttest"));
    let row = |line: &str| {
        let cells: Vec<_> = line.split('\t').collect();
        let [id, _namespace, _element, status, code, test] = cells.as_slice() else { panic!("six cells: {line}") };
        Row { id: (*id).into(), status: (*status).into(), code: (*code).into(), test: (*test).into() }
    };
    lines.map(row).collect()
}

#[test]
fn every_row_has_its_own_id_and_a_known_status() {
    let mut ids = BTreeSet::new();
    for row in rows() {
        assert!(ids.insert(row.id.clone()), "{} occurs twice", row.id);
        assert!(["done", "partial", "planned"].contains(&row.status.as_str()), "{}: {}", row.id, row.status);
        assert_eq!(row.status == "planned", row.code.is_empty(), "{}: planned rows have no code, others do", row.id);
        assert_eq!(row.status == "planned", row.test.is_empty(), "{}: planned rows have no test, others do", row.id);
    }
    assert!(ids.len() > 450, "rows are missing");
}

#[test]
fn code_and_test_of_every_served_row_exist() {
    for row in rows().iter().filter(|row| row.status != "planned") {
        assert!(top().join(&row.code).is_file(), "{}: {} does not exist", row.id, row.code);
        let (file, name) = row.test.split_once('#').unwrap_or_else(|| panic!("{}: test is file#name", row.id));
        let text = fs::read_to_string(top().join(file)).unwrap_or_else(|_| panic!("{}: {file} does not exist", row.id));
        assert!(is_test(&text, name), "{}: {file} has no test {name}", row.id);
    }
}

/// Whether the file defines a test of this name: a function with a test attribute shortly before it, or one inside
/// `proptest!`, which has the same attribute.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    let defines = |line: &str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    let has_attribute = |at: usize| {
        let before = lines.iter().take(at).rev().take_while(|line| line.starts_with("#[") || line.starts_with("///"));
        before.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    };
    lines.iter().enumerate().any(|(at, line)| defines(line) && has_attribute(at))
}

#[test]
fn a_name_that_is_no_test_is_noticed() {
    let text = "#[test]\nfn good() {}\n\nfn helper() {}\n\n#[tokio::test(start_paused = true)]\nasync fn slow() {}\n";
    let found = ["good", "slow", "helper", "goo", "absent"].map(|name| is_test(text, name));
    assert_eq!(found, [true, true, false, false, false]);
}
