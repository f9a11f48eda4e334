//! `torg backup` beside an appliance under load, `torg restore` on another machine, and what the commands say.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use torg::client::Connection;
use torg_wire::jid::Jid;
use torg_wire::stanza::{MessageType, PresenceType, Stanza};

use crate::world::{Place, WITHIN};

/// Runs `torg COMMAND FILE --config ...` beside whatever this process does.
async fn torg(command: &'static str, file: &Path, place: &Place, more: &'static [&'static str]) -> Output {
    let (file, config) = (file.to_owned(), place.file());
    let run = move || {
        let mut torg = Command::new(env!("CARGO_BIN_EXE_torg"));
        torg.arg(command).arg(file).arg("--config").arg(config).args(more).output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn chat(to: &str, number: usize) -> Stanza {
    Stanza::message(MessageType::Chat).with_to(Jid::parse(to).unwrap()).with_body(number.to_string())
}

async fn ping(connection: &Connection) {
    let server = Jid::parse("localhost").unwrap();
    connection.session.get(Some(&server), torg_wire::xep::ping::request(), WITHIN).await.unwrap();
}

/// Sends messages until told to stop; answers how many were taken.
async fn send_until(stop: &AtomicBool, anna: &Connection) -> usize {
    let mut sent = 0;
    // As many as an absent account may have waiting.
    while !stop.load(Ordering::SeqCst) && sent < 900 {
        anna.session.send(chat("bob@localhost", sent)).await.unwrap();
        ping(anna).await;
        sent += 1;
    }
    sent
}

#[tokio::test]
async fn a_backup_made_under_load_is_of_one_moment_and_starts_elsewhere() {
    let here = Place::new("", &[]);
    here.account("anna").await;
    here.account("bob").await;
    let appliance = here.start().await.unwrap();
    let authority = fs::read(appliance.authority().unwrap()).unwrap();
    let anna = here.log_in(&appliance, "anna", "anna", false).await.unwrap();
    for number in 0..10 {
        anna.session.send(chat("bob@localhost", number)).await.unwrap();
    }
    ping(&anna).await;
    let file = here.file().with_file_name("torg.tar");
    let stop = Arc::new(AtomicBool::new(false));
    let saving = async {
        let saved = torg("backup", &file, &here, &[]).await;
        stop.store(true, Ordering::SeqCst);
        saved
    };
    let (saved, more) = tokio::join!(saving, send_until(&stop, &anna));
    assert!(saved.status.success(), "{}", told(&saved));
    assert!(more > 0, "nothing was written meanwhile");
    anna.leave().await;
    assert!(appliance.stop().await);

    let there = Place::new("", &[]);
    let restored = torg("restore", &file, &there, &[]).await;
    assert!(restored.status.success(), "{}", told(&restored));
    assert!(told(&restored).contains("with 2 accounts."), "{}", told(&restored));
    let appliance = there.start().await.unwrap();
    assert_eq!(fs::read(appliance.authority().unwrap()).unwrap(), authority, "clients trust it already");
    there.log_in(&appliance, "anna", "anna", false).await.unwrap().leave().await;
    let bob = there.log_in(&appliance, "bob", "bob", false).await.unwrap();
    let mut inbox = bob.session.inbox();
    bob.session.send(Stanza::presence(PresenceType::Available)).await.unwrap();
    let mut bodies: Vec<usize> = Vec::new();
    while bodies.len() < 10 {
        let stanza = tokio::time::timeout(WITHIN, inbox.recv()).await.expect("the messages come").unwrap();
        bodies.extend(stanza.body().and_then(|body| body.parse::<usize>().ok()));
    }
    assert_eq!(bodies, (0..10).collect::<Vec<_>>(), "what was acknowledged before the backup began is in it");
    bob.leave().await;
    assert!(appliance.stop().await);
}

#[tokio::test]
async fn the_commands_say_what_is_in_the_way() {
    let place = Place::new("", &[]);
    let (store, file) = (place.file().with_file_name("torg.db"), place.file().with_file_name("torg.tar"));
    let none = torg("backup", &file, &place, &[]).await;
    assert_eq!(none.status.code(), Some(3));
    assert!(told(&none).starts_with("torg: There is no store at "), "{}", told(&none));
    assert!(!store.exists(), "a backup makes no store");

    place.account("anna").await;
    let saved = torg("backup", &file, &place, &["--json"]).await;
    assert!(saved.status.success(), "{}", told(&saved));
    let json: serde_json::Value = serde_json::from_slice(&saved.stdout).unwrap();
    assert_eq!((&json["domain"], &json["format"]), (&"localhost".into(), &1.into()));
    let again = torg("backup", &file, &place, &[]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(told(&again).contains("exists already"), "{}", told(&again));

    let over = torg("restore", &file, &place, &[]).await;
    assert_eq!(over.status.code(), Some(1));
    assert!(told(&over).contains("There is a state already") && told(&over).contains("--replace"), "{}", told(&over));

    let appliance = place.start().await.unwrap();
    let running = torg("restore", &file, &place, &["--replace"]).await;
    assert_eq!(running.status.code(), Some(3));
    assert!(told(&running).contains("Stop it first"), "{}", told(&running));
    assert!(appliance.stop().await);

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let open = torg("restore", &file, &place, &["--replace"]).await;
    assert!(open.status.success(), "{}", told(&open));
    assert!(
        told(&open).contains("Others on this machine may read") && told(&open).contains("The state before it is in")
    );

    fs::write(&file, "no backup").unwrap();
    let foreign = torg("restore", &file, &place, &["--replace"]).await;
    assert_eq!(foreign.status.code(), Some(1));
    assert!(told(&foreign).contains("is no backup of Torg"), "{}", told(&foreign));
}

#[tokio::test]
async fn a_backup_that_may_not_be_read_is_told_as_such() {
    let place = Place::new("", &[]);
    place.account("anna").await;
    let file = place.file().with_file_name("torg.tar");
    assert!(torg("backup", &file, &place, &[]).await.status.success());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    let other = Place::new("", &[]);
    let mut restore = Command::new(env!("CARGO_BIN_EXE_torg"));
    restore.arg("restore").arg(&file).arg("--config").arg(other.file());
    as_nobody(&mut restore, &[&file, &other.file()]);
    let refused = tokio::task::spawn_blocking(move || restore.output().unwrap()).await.unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    assert!(told(&refused).contains("cannot be read: Permission denied"), "{}", told(&refused));
    assert!(told(&refused).contains("Run as a user who may"), "{}", told(&refused));
}

/// Root may read everything, so as root the command runs as somebody else, who may enter the folders of these files.
pub(crate) fn as_nobody(command: &mut Command, files: &[&Path]) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for folder in files.iter().filter_map(|file| file.parent()) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    command.uid(NOBODY).gid(NOBODY);
}

/// A user who owns nothing.
const NOBODY: u32 = 65_534;
