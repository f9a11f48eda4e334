use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;
use torg_thing::SystemClock;
use torg_wire::secret::Secret;

use super::write::hex;
use super::*;
use crate::config::{self, Settings};
use crate::{app, catalog};

/// A folder with a configuration of a domain, and its store if it has accounts.
struct Site {
    folder: TempDir,
    settings: Settings,
}

impl Site {
    fn empty(domain: &str) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("torg.toml");
        fs::write(&file, format!("[broker]\ndomain = \"{domain}\"\n[broker.listen]\nc2s = [\"127.0.0.1:0\"]\n"))
            .unwrap();
        let settings = config::load(&file, catalog::BRIDGES).unwrap().settings;
        Site { folder, settings }
    }

    async fn with_accounts(names: &[&str]) -> Site {
        let site = Site::empty("site.example");
        let (_store, accounts) = app::open_accounts(&site.settings).await.unwrap();
        for name in names {
            accounts.create(&accounts.parse_new(name).unwrap(), Secret::new("pencil".into())).await.unwrap();
        }
        for name in ["ca.pem", "ca.key", "leaf.pem", "leaf.key", app::tokens::FILE] {
            fs::write(site.path(name), format!("{name} of this site")).unwrap();
        }
        fs::create_dir(site.path("acme")).unwrap();
        fs::write(site.path("acme/account.json"), "{}").unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn save(&self) -> PathBuf {
        let file = self.path("backup.tar");
        backup(&self.settings, &file, true, "2026-03-01T10:15:00Z".parse().unwrap()).unwrap();
        file
    }

    async fn restore(&self, file: &Path, replace: bool) -> Result<Restored, BackupError> {
        restore(file, &self.settings, replace, Arc::new(SystemClock)).await
    }

    async fn accounts(&self) -> Vec<String> {
        let (_store, accounts) = app::open_accounts(&self.settings).await.unwrap();
        accounts.names_after("").await.unwrap().iter().map(ToString::to_string).collect()
    }

    /// Names of all files but configuration, lock and backup.
    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !["torg.toml", "torg.db.lock", "backup.tar"].contains(&name.as_str()))
            .collect();
        names.sort();
        names
    }
}

/// A tar archive of these members; a path is written as it is given.
fn archive(members: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for (name, kind, content) in members {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_entry_type(*kind);
        header.set_cksum();
        archive.append(&header, Cursor::new(content)).unwrap();
    }
    archive.into_inner().unwrap()
}

/// A backup whose manifest is this, with the right digest of it.
fn with_manifest(manifest: &serde_json::Value, members: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let text = serde_json::to_vec(manifest).unwrap();
    let digest = format!("{}  manifest.json\n", hex(&Sha256::digest(&text)));
    let mut all: Vec<(&str, EntryType, &[u8])> =
        vec![("manifest.json", EntryType::Regular, &text), ("manifest.sha256", EntryType::Regular, digest.as_bytes())];
    all.extend(members);
    archive(&all)
}

fn manifest_of(members: &[(&str, &[u8])]) -> serde_json::Value {
    let member = |(name, content): &(&str, &[u8])| json!({"name": name, "bytes": content.len(), "sha256": hex(&Sha256::digest(content))});
    json!({"kind": "torg-backup", "format": 1, "torg": "0.1.0", "domain": "site.example", "made": "2026-03-01T10:15:00Z",
        "schemas": {"account": 1}, "members": members.iter().map(member).collect::<Vec<_>>()})
}

async fn refusal(bytes: &[u8]) -> BackupError {
    let site = Site::empty("site.example");
    let file = site.path("backup.tar");
    fs::write(&file, bytes).unwrap();
    let error = site.restore(&file, false).await.unwrap_err();
    assert_eq!(site.files(), Vec::<String>::new(), "nothing is left behind");
    error
}

#[tokio::test]
async fn accounts_and_keys_come_back_and_the_secret_of_tokens_does_not() {
    let old = Site::with_accounts(&["anna", "bob"]).await;
    let file = old.save();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let new = Site::empty("site.example");
    let restored = new.restore(&file, false).await.unwrap();
    assert_eq!((restored.accounts, restored.aside, restored.is_open_to_others), (2, None, false));
    assert_eq!(new.files(), ["acme", "ca.key", "ca.pem", "leaf.key", "leaf.pem", "torg.db"]);
    assert_eq!(fs::read_to_string(new.path("ca.key")).unwrap(), "ca.key of this site");
    assert_eq!(fs::metadata(new.path("ca.key")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(new.path("acme/account.json")).unwrap(), "{}");
    assert_eq!(new.accounts().await, ["anna@site.example", "bob@site.example"]);
}

#[tokio::test]
async fn an_existing_file_is_overwritten_only_if_told() {
    let site = Site::with_accounts(&[]).await;
    let file = site.save();
    let again = |overwrite| backup(&site.settings, &file, overwrite, "2026-03-02T00:00:00Z".parse().unwrap());
    assert!(matches!(again(false), Err(BackupError::ConfigTargetExists { .. })));
    assert_eq!(again(true).unwrap().manifest.made, "2026-03-02T00:00:00Z");
    assert!(!site.files().iter().any(|name| name.contains("part")), "{:?}", site.files());
}

#[tokio::test]
async fn what_a_power_cut_left_of_a_backup_goes_with_the_next() {
    let site = Site::with_accounts(&[]).await;
    for name in ["backup.tar.part-0123", "backup.tar.part-0123.db"] {
        fs::write(site.path(name), "half").unwrap();
    }
    site.save();
    assert!(!site.files().iter().any(|name| name.contains("part")), "{:?}", site.files());
}

#[tokio::test]
async fn a_state_is_replaced_only_if_told_and_kept_aside() {
    let old = Site::with_accounts(&["anna"]).await;
    let new = Site::with_accounts(&["carl"]).await;
    let file = old.save();
    assert!(matches!(new.restore(&file, false).await, Err(BackupError::ConfigStateExists { .. })));
    assert_eq!(new.accounts().await, ["carl@site.example"]);
    let aside = new.restore(&file, true).await.unwrap().aside.unwrap();
    assert_eq!(new.accounts().await, ["anna@site.example"]);
    assert!(!new.path(app::tokens::FILE).exists(), "the old secret would make old tokens good");
    assert!(aside.join("torg.db").exists() && aside.join(app::tokens::FILE).exists() && aside.join("acme").is_dir());
    assert_eq!(fs::metadata(&aside).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_backup_of_another_domain_is_refused() {
    let file = Site::with_accounts(&["anna"]).await;
    let other = Site::empty("other.example");
    let error = other.restore(&file.save(), false).await.unwrap_err();
    assert!(matches!(error, BackupError::ConfigOtherDomain { .. }), "{error}");
}

#[tokio::test]
async fn a_running_appliance_is_not_restored_under_its_feet() {
    let site = Site::with_accounts(&["anna"]).await;
    let file = site.save();
    let _lock = app::lock::Lock::take(&site.settings.store).unwrap();
    let error = site.restore(&file, true).await.unwrap_err();
    assert!(matches!(error, BackupError::ConfigLock(_)), "{error}");
    assert!(error.to_string().contains("Stop it first"), "{error}");
}

#[tokio::test]
async fn a_byte_that_is_not_as_it_was_written_is_found_wherever_it_is() {
    let good = fs::read(Site::with_accounts(&["anna"]).await.save()).unwrap();
    let into = tempfile::tempdir().unwrap();
    let state = State::new(&Site::empty("site.example").settings);
    let read = |bytes: &[u8], name: &str| {
        let (file, to) = (into.path().join("file"), into.path().join(name));
        fs::write(&file, bytes).unwrap();
        fs::create_dir(&to).unwrap();
        let done =
            super::read::unpack(&file, &to, &state, "site.example", &app::tables()).map(|(manifest, _)| manifest);
        let mut found: Vec<(String, Vec<u8>)> = done
            .iter()
            .flat_map(|manifest| &manifest.members)
            .map(|member| (member.name.clone(), fs::read(to.join(&member.name)).unwrap()))
            .collect();
        found.sort();
        fs::remove_dir_all(&to).unwrap();
        done.map(|manifest| (manifest, found))
    };
    let whole = read(&good, "whole").unwrap();
    let (mut refused, mut positions) = (0, 0);
    // All of the first headers and the manifest, and places all over the rest.
    for position in (0..4096).step_by(7).chain((4096..good.len()).step_by(1499)) {
        let mut bad = good.clone();
        bad[position] ^= 0x10;
        positions += 1;
        match read(&bad, "bad") {
            Err(_) => refused += 1,
            // Padding between members says nothing.
            Ok(same) => assert!(same == whole, "byte {position} went unnoticed"),
        }
    }
    assert!(refused * 2 > positions, "{refused} of {positions}");
}

#[tokio::test]
async fn a_backup_that_ends_too_early_is_refused_wherever_it_ends() {
    let good = fs::read(Site::with_accounts(&["anna"]).await.save()).unwrap();
    // The last two blocks of an archive are empty, and nothing is lost with them.
    for length in (1..good.len() - 1024).step_by(good.len() / 40) {
        let error = refusal(&good[..length]).await;
        let expected = matches!(error, BackupError::FileTruncated { .. } | BackupError::FileForeign { .. });
        assert!(expected, "{length}: {error}");
        assert!(length < 1024 || matches!(error, BackupError::FileTruncated { .. }), "{length}: {error}");
    }
}

#[tokio::test]
async fn files_of_others_are_no_backups() {
    let letter = b"Dear Torg, this is a letter and no archive. ".repeat(40);
    let tar = archive(&[("notes.txt", EntryType::Regular, b"hello")]);
    for bytes in [&b""[..], b"x", &letter, &tar, &archive(&[]), b"SQLite format 3\0"] {
        let error = refusal(bytes).await;
        assert!(matches!(error, BackupError::FileForeign { .. }), "{error}");
    }
    let site = Site::empty("site.example");
    assert!(matches!(site.restore(site.folder.path(), false).await, Err(BackupError::FileForeign { .. })));
    assert!(matches!(site.restore(&site.path("absent"), false).await, Err(BackupError::Read { .. })));
}

#[tokio::test]
async fn a_newer_backup_says_which_torg_is_needed() {
    let store: &[u8] = b"a store";
    let member = [("torg.db", EntryType::Regular, store)];
    let mut format = manifest_of(&[("torg.db", store)]);
    (format["format"], format["torg"], format["novelty"]) = (json!(2), json!("7.3.0"), json!(true));
    let mut version = manifest_of(&[("torg.db", store)]);
    version["schemas"]["account"] = json!(4_000_000);
    let mut service = manifest_of(&[("torg.db", store)]);
    service["schemas"]["registry"] = json!(1);
    for manifest in [&format, &version, &service] {
        let error = refusal(&with_manifest(manifest, &member)).await;
        assert!(matches!(error, BackupError::FileNewer { .. }), "{error}");
        assert!(error.to_string().contains("Install that version or a later one"), "{error}");
    }
    let text = serde_json::to_vec(&format).unwrap();
    let other_digest =
        archive(&[("manifest.json", EntryType::Regular, &text), ("manifest.sha256", EntryType::Regular, b"?")]);
    let error = refusal(&other_digest).await;
    assert!(error.to_string().contains("made by Torg 7.3.0"), "{error}");
}

#[tokio::test]
async fn members_that_lead_elsewhere_or_are_no_files_are_refused() {
    let evil: &[u8] = b"evil";
    for name in ["../torg.db", "/etc/passwd", "acme/../../x", "tokens.key", "torg.toml", ""] {
        let error = refusal(&with_manifest(&manifest_of(&[(name, evil)]), &[(name, EntryType::Regular, evil)])).await;
        assert!(matches!(error, BackupError::FileDamaged { .. }), "{name}: {error}");
        let both = [("torg.db", evil), (name, evil)];
        let members = both.map(|(name, content)| (name, EntryType::Regular, content));
        let error = refusal(&with_manifest(&manifest_of(&both), &members)).await;
        assert!(matches!(error, BackupError::FileDamaged { .. }), "{name}: {error}");
    }
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Directory,
        EntryType::Fifo,
        EntryType::GNULongName,
        EntryType::XHeader,
    ] {
        let error = refusal(&with_manifest(&manifest_of(&[("torg.db", evil)]), &[("torg.db", kind, evil)])).await;
        assert!(matches!(error, BackupError::FileDamaged { .. }), "{kind:?}: {error}");
    }
}

#[tokio::test]
async fn members_twice_too_many_or_too_large_are_refused() {
    let store: &[u8] = b"a store";
    let twice = [("torg.db", store), ("torg.db", store)];
    let member = ("torg.db", EntryType::Regular, store);
    let error = refusal(&with_manifest(&manifest_of(&twice), &[member, member])).await;
    assert!(error.to_string().contains("twice"), "{error}");
    let error =
        refusal(&with_manifest(&manifest_of(&twice[..1]), &[member, ("ca.pem", EntryType::Regular, b"x")])).await;
    assert!(error.to_string().contains("more follows"), "{error}");
    let large = vec![b'x'; 1024 * 1024 + 1];
    let both = [("torg.db", store), ("ca.pem", large.as_slice())];
    let error = refusal(&with_manifest(&manifest_of(&both), &[member, ("ca.pem", EntryType::Regular, &large)])).await;
    assert!(error.to_string().contains("ca.pem has 1048577 bytes"), "{error}");
}

#[tokio::test]
async fn a_member_that_is_no_store_is_told_as_such_and_nothing_changes() {
    let store: &[u8] = b"this is no database, although its digest is right, and it is longer than a header";
    let error =
        refusal(&with_manifest(&manifest_of(&[("torg.db", store)]), &[("torg.db", EntryType::Regular, store)])).await;
    assert!(matches!(error, BackupError::StoreOpen(torg_store::OpenError::NotADatabase { .. })), "{error}");
}

#[tokio::test]
async fn a_restore_cut_short_anywhere_is_finished_by_whoever_comes_next() {
    let now = "2026-03-01T10:15:00Z".parse().unwrap();
    let names = ["ca.key", "tokens.key", "torg.db"];
    for done in 0..=5 {
        let site = Site::empty("site.example");
        let restored = site.path("torg.db.restored");
        fs::create_dir_all(restored.join("new")).unwrap();
        for name in names {
            fs::write(restored.join("new").join(name), "new").unwrap();
            // Of the old files so many were moved before the crash.
            let moved = names.iter().position(|other| other == &name).unwrap() < done;
            fs::write(if moved { restored.join(name) } else { site.path(name) }, "old").unwrap();
        }
        if done > 3 {
            let placing = site.path("torg.db.placing");
            fs::rename(&restored, &placing).unwrap();
            for name in &names[..done - 3] {
                fs::rename(placing.join("new").join(name), site.path(name)).unwrap();
            }
        }
        assert!(matches!(app::open_accounts(&site.settings).await, Err(app::StartError::StoreHalfRestored { .. })));
        let aside = swap::finish(&State::new(&site.settings), now).unwrap().unwrap();
        assert_eq!(aside, site.path("torg.db.before-restore-20260301T101500Z"));
        for name in names {
            assert_eq!(fs::read_to_string(site.path(name)).unwrap(), "new", "{done} {name}");
            assert_eq!(fs::read_to_string(aside.join(name)).unwrap(), "old", "{done} {name}");
        }
        assert!(!swap::is_pending(&site.settings.store));
    }
}

#[tokio::test]
async fn a_folder_that_only_looks_like_a_restore_moves_nothing_away() {
    let site = Site::with_accounts(&["anna"]).await;
    fs::create_dir_all(site.path("torg.db.restored/new")).unwrap();
    let before = site.files();
    assert!(swap::finish(&State::new(&site.settings), "2026-03-01T10:15:00Z".parse().unwrap()).is_err());
    assert_eq!(site.files(), before);
}

#[tokio::test]
async fn a_restore_that_was_not_decided_leaves_nothing() {
    let site = Site::with_accounts(&["anna"]).await;
    let before = site.files();
    fs::create_dir_all(site.path("torg.db.restoring/new")).unwrap();
    fs::write(site.path("torg.db.restoring/new/torg.db"), "half").unwrap();
    assert_eq!(swap::finish(&State::new(&site.settings), "2026-03-01T10:15:00Z".parse().unwrap()).unwrap(), None);
    assert_eq!(site.files(), before);
}
