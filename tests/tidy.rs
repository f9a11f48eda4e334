//! Keeps the house in the order that the README draws: who may import whom, what every source file has, which
//! standards the table names.
//!
//! It reads `cargo metadata` and the files themselves; what rustc and clippy can say, they say.

#![expect(clippy::expect_used, clippy::panic, reason = "tests fail by panicking and say why")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Folder of a crate, and the folders of ours that its code may import. Everything else about dependencies is cargo's.
const IMPORTS: &[(&str, &[&str])] = &[
    ("bridges/thing", &[]),
    ("broker/store", &[]),
    ("bridges/profile", &["bridges/thing"]),
    ("bridges/simulated", &["bridges/thing"]),
    ("broker/wire", &["bridges/thing"]),
    ("broker/core", &["bridges/thing", "broker/store", "broker/wire"]),
    ("broker/accounts", SERVICE),
    ("broker/provisioning", SERVICE),
    ("broker/registry", SERVICE),
    ("broker/contracts", &["bridges/thing", "broker/core", "broker/provisioning", "broker/store", "broker/wire"]),
];
/// What a bridge for a protocol may import: no XMPP, so it can neither forge nor leak an address.
const BRIDGE: &[&str] = &["bridges/profile", "bridges/thing"];
/// What a service of the broker may import: no bridge, so it cannot see a bus.
const SERVICE: &[&str] = &["bridges/thing", "broker/core", "broker/store", "broker/wire"];
/// What the tests of a bridge may import on top.
const BRIDGE_TESTS: &[&str] = &["bridges/simulated"];

/// What a row of the standards table may say.
const STATUSES: [&str; 4] = ["yes", "partial", "planned", "no"];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether it holds the tests of the file beside it, and so needs no purpose of its own.
fn is_tests_of_a_neighbour(file: &Path) -> bool {
    file.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name == "tests.rs" || name.ends_with("_tests.rs"))
}

/// Every file of the repository that is written by hand, below the top.
fn files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if [".git", "target", "node_modules", "__pycache__"].contains(&name) {
                continue;
            }
            if path.is_dir() {
                walk(&path, found);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(top(), &mut found);
    found
}

fn sources() -> Vec<PathBuf> {
    files().into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "rs")).collect()
}

fn name(file: &Path) -> String {
    file.strip_prefix(top()).unwrap_or(file).display().to_string()
}

/// Folder of each crate of ours, with the folders of ours that it imports: in its code, and in its tests on top.
fn imports() -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(top())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let folder = |path: &str| name(Path::new(path));
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let manifest = package["manifest_path"].as_str().expect("a manifest");
            let (mut code, mut tests) = (BTreeSet::new(), BTreeSet::new());
            for dependency in package["dependencies"].as_array().expect("dependencies") {
                if let Some(path) = dependency["path"].as_str() {
                    let into = if dependency["kind"] == "dev" { &mut tests } else { &mut code };
                    into.insert(folder(path));
                }
            }
            (folder(manifest.trim_end_matches("/Cargo.toml")), (code, tests))
        })
        .collect()
}

/// What the crate in `folder` may import in its code and, on top, in its tests; nothing for the appliance, which may
/// import everything.
fn allowed(folder: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    if let Some((_, code)) = IMPORTS.iter().find(|(name, _)| *name == folder) {
        return Some((code, &[]));
    }
    folder.starts_with("bridges/").then_some((BRIDGE, BRIDGE_TESTS))
}

#[test]
fn crates_import_only_what_the_architecture_allows() {
    let mut wrong = Vec::new();
    for (folder, (code, tests)) in imports() {
        let Some((may, tests_may)) = allowed(&folder) else {
            // Only the appliance at the top may see both worlds.
            assert!(folder == name(top()) || folder.is_empty(), "{folder} has no row in the table of imports");
            continue;
        };
        wrong.extend(
            code.iter().filter(|one| !may.contains(&one.as_str())).map(|one| format!("{folder} imports {one}")),
        );
        wrong.extend(
            tests
                .iter()
                .filter(|one| !may.contains(&one.as_str()) && !tests_may.contains(&one.as_str()))
                .map(|one| format!("tests of {folder} import {one}")),
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn nobody_imports_the_appliance() {
    let appliance = name(top());
    let wrong: Vec<_> = imports()
        .into_iter()
        .filter(|(_, (code, tests))| code.contains(&appliance) || tests.contains(&appliance))
        .collect();
    assert_eq!(wrong, Vec::new());
}

#[test]
fn every_source_file_says_first_what_it_is_for() {
    let silent: Vec<_> = sources()
        .iter()
        .filter(|file| !is_tests_of_a_neighbour(file))
        .filter(|file| !fs::read_to_string(file).expect("a text").trim_start().starts_with("//!"))
        .map(|file| name(file))
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn no_test_is_switched_off() {
    let mark = concat!("#[", "ignore");
    let off: Vec<_> = sources()
        .iter()
        .filter(|file| fs::read_to_string(file).expect("a text").contains(mark))
        .map(|file| name(file))
        .collect();
    assert_eq!(off, Vec::<String>::new());
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let places = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/tmp/", "t")];
    let wrong: Vec<_> = files()
        .iter()
        .filter_map(|file| Some((file, fs::read_to_string(file).ok()?)))
        .filter(|(_, text)| places.iter().any(|place| text.contains(place)))
        .map(|(file, _)| name(file))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

/// Numbers after `prefix` in the text, such as `XEP-0030` or `RFC 6120`.
fn references(text: &str, prefix: &str, digits: std::ops::RangeInclusive<usize>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        let number: String = text[at + prefix.len()..].chars().take_while(char::is_ascii_digit).collect();
        if digits.contains(&number.len()) {
            found.insert(format!("{prefix}{number}"));
        }
    }
    found
}

fn standards(text: &str) -> BTreeSet<String> {
    let mut found = references(text, "XEP-", 4..=4);
    found.append(&mut references(text, "RFC ", 3..=5));
    found
}

/// Rows of the README's table of standards: the standards that a row names, its status, and its remark.
fn table() -> Vec<(BTreeSet<String>, String, String)> {
    let readme = fs::read_to_string(top().join("README.md")).expect("README.md");
    let (_, section) = readme.split_once("\n## Standards\n").expect("README.md has a section `Standards`");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Standard"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [standard, _, status, remark] = cells[..] else { panic!("a row of the table has four cells: {row}") };
        (standards(standard), status.to_owned(), remark.to_owned())
    })
    .collect()
}

#[test]
fn every_standard_that_the_code_cites_is_in_the_table() {
    let known: BTreeSet<_> = table().into_iter().flat_map(|(names, ..)| names).collect();
    let mut missing = BTreeMap::new();
    for file in sources() {
        for one in standards(&fs::read_to_string(&file).expect("a text")) {
            if !known.contains(&one) {
                missing.entry(one).or_insert_with(|| name(&file));
            }
        }
    }
    assert_eq!(missing, BTreeMap::new());
}

#[test]
fn every_standard_that_the_table_claims_is_cited_by_the_code() {
    let cited: BTreeSet<_> =
        sources().iter().flat_map(|file| standards(&fs::read_to_string(file).expect("a text"))).collect();
    for (names, status, _) in table() {
        if ["yes", "partial"].contains(&status.as_str()) {
            assert!(names.iter().all(|one| cited.contains(one)), "{names:?} is said to be there, but nobody cites it");
        }
    }
}

#[test]
fn every_row_of_the_table_has_a_status_and_a_partial_one_names_its_gap() {
    for (names, status, remark) in table() {
        assert!(STATUSES.contains(&status.as_str()), "{names:?} has the status {status:?}");
        assert!(status != "partial" || !remark.is_empty(), "{names:?} is partial, but of what?");
    }
}
