//! A store that cannot be opened says why and what to do, and the exit code is 3: one test for each cause, through the command.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use crate::backup::as_nobody;
use crate::world::Place;

fn torg(arguments: &[&str], place: &Place) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_torg"));
    command.args(arguments).arg("--config").arg(place.file());
    command
}

/// The command ends with 3 and says cause and remedy, whether it runs the appliance or looks at its accounts.
fn assert_told(place: &Place, cause: &str, remedy: &str) {
    for arguments in [&["run"][..], &["account", "list"]] {
        assert_says(&torg(arguments, place).output().unwrap(), cause, remedy);
    }
}

fn assert_says(output: &Output, cause: &str, remedy: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    let told = text.lines().last().unwrap_or_default();
    assert!(told.starts_with("torg: ") && told.contains(cause) && told.contains(remedy), "{text}");
}

fn store(place: &Place) -> std::path::PathBuf {
    place.file().with_file_name("torg.db")
}

#[test]
fn a_file_that_is_no_database() {
    let place = Place::new("", &[]);
    fs::write(store(&place), "a letter that is longer than the header of a database. ".repeat(20)).unwrap();
    assert_told(&place, "is no database.", "restore a backup: torg restore FILE");
}

#[test]
fn a_folder_in_its_place() {
    let place = Place::new("", &[]);
    fs::create_dir(store(&place)).unwrap();
    assert_told(&place, "is no file", "Correct [store] path.");
}

#[tokio::test]
async fn a_damaged_database() {
    let place = Place::new("", &[]);
    for name in ["anna", "bob"] {
        place.account(name).await;
    }
    let mut bytes = fs::read(store(&place)).unwrap();
    // Some page in the middle of the tables: its header says what it cannot be.
    let page = bytes.len() / 4096 / 2 * 4096;
    bytes[page..page + 32].fill(0xA5);
    fs::write(store(&place), bytes).unwrap();
    assert_told(&place, "is damaged: ", "torg restore FILE --replace");
}

#[tokio::test]
async fn a_database_of_a_newer_torg() {
    let place = Place::new("", &[]);
    place.account("anna").await;
    let engine = torg_store::Sqlite::open(&store(&place)).unwrap();
    let newer = torg_store::Batch::new().run("UPDATE torg_schema SET version = 99 WHERE service = 'roster'", []);
    torg_store::Engine::write(&engine, newer).await.unwrap();
    drop(engine);
    assert_told(
        &place,
        "the tables of 'roster' are at version 99",
        "run the newer Torg, or restore the copy made before it",
    );
}

#[tokio::test]
async fn a_database_that_this_user_may_not_open() {
    let place = Place::new("", &[]);
    place.account("anna").await;
    fs::set_permissions(store(&place), fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = torg(&["account", "list"], &place);
    as_nobody(&mut command, &[&place.file()]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_says(&output, "This user may not read and write the store", "Run as the user they belong to");
}

#[tokio::test]
async fn a_folder_that_this_user_may_not_write() {
    let place = Place::new("", &[]);
    place.account("anna").await;
    fs::set_permissions(store(&place), fs::Permissions::from_mode(0o666)).unwrap();
    let mut command = torg(&["account", "list"], &place);
    as_nobody(&mut command, &[&place.file()]);
    fs::set_permissions(place.file().parent().unwrap(), fs::Permissions::from_mode(0o555)).unwrap();
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    fs::set_permissions(place.file().parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_says(&output, "This user may not read and write the store", "and its folder");
}

#[test]
fn a_folder_that_is_not_there() {
    let place = Place::new("[store]\npath = \"absent/torg.db\"\n", &[]);
    let output = torg(&["account", "list"], &place).output().unwrap();
    assert_says(&output, "absent of the store does not exist.", "Mount its disk, make the folder");
    // The first start of a new machine makes it, unless it cannot.
    fs::write(place.file().with_file_name("absent"), "a file").unwrap();
    let output = torg(&["run"], &place).output().unwrap();
    assert_says(&output, "absent of the store does not exist.", "Mount its disk, make the folder");
}

#[tokio::test]
async fn a_store_that_another_torg_runs_on() {
    let place = Place::new("", &[]);
    let appliance = place.start().await.unwrap();
    let mut command = torg(&["run"], &place);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_says(&output, "Another torg (process ", "Stop it first");
    assert!(appliance.stop().await);
}

/// Runs a shell with a file system of its own on the store's folder, as root of a user namespace if this is not root already.
fn with_mount(place: &Place, script: &str) -> Output {
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let script = format!("set -e; mkdir \"$DISK\"; {script}");
    unshare
        .args(["--mount", "sh", "-c", &script])
        .env("DISK", place.file().with_file_name("disk"))
        .env("CONFIG", place.file())
        .env("TORG", env!("CARGO_BIN_EXE_torg"))
        .output()
        .unwrap()
}

const ON_A_DISK: &str = "[store]\npath = \"disk/torg.db\"\n";

#[test]
fn a_file_system_that_is_mounted_read_only() {
    let place = Place::new(ON_A_DISK, &[]);
    let output = with_mount(
        &place,
        "mount -t tmpfs -o size=4m tmpfs \"$DISK\"; \"$TORG\" account list --config \"$CONFIG\"; \
         mount -o remount,ro \"$DISK\"; \"$TORG\" run --config \"$CONFIG\"",
    );
    assert_says(&output, "on a file system that is mounted read-only.", "look at the kernel's log");
}

#[test]
fn a_disk_that_is_full() {
    let place = Place::new(ON_A_DISK, &[]);
    let output = with_mount(
        &place,
        "mount -t tmpfs -o size=1m tmpfs \"$DISK\"; dd if=/dev/zero of=\"$DISK/ballast\" bs=4k 2> /dev/null || true; \
         \"$TORG\" account list --config \"$CONFIG\"",
    );
    assert_says(&output, " is full: ", "Free some space there; nothing in the store is lost.");
}
