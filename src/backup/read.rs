//! Reads a backup, checks every byte of it, and puts it in the place of the state.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tar::{Archive, Entry, EntryType};
use torg_store::Migrations;
use torg_thing::{Clock, Timestamp};

use super::manifest::{MANIFEST_BYTES_MAX, Manifest, Member};
use super::members::{STORE, State, bytes_max, with_suffix};
use super::swap::{self, Staging};
use super::write::{MODE, hex};
use super::{BackupError, app_folder};
use crate::app::{self, lock::Lock};
use crate::config::Settings;

/// Name of the first member.
pub(super) const MANIFEST: &str = "manifest.json";
/// Name of the second: the digest of the first, as `sha256sum` writes and checks it.
pub(super) const DIGEST: &str = "manifest.sha256";
/// Bytes of [`DIGEST`].
const DIGEST_BYTES_MAX: u64 = 256;
/// Bytes read at once.
pub(super) const CHUNK: usize = 64 * 1024;

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// Accounts in it.
    pub accounts: u64,
    /// Messages of resumable sessions that now wait as offline messages.
    pub buried: u64,
    /// Where the state before it was moved; `None` if there was none.
    pub aside: Option<PathBuf>,
    /// Others on this machine may read the backup.
    pub is_open_to_others: bool,
}

/// Puts the state in the backup `file` in the place of that of this configuration, whose appliance must not run.
///
/// # Errors
/// The appliance runs, there is a state already and `replace` is not set, or the backup cannot be used; then nothing has changed.
pub async fn restore(
    file: &Path,
    settings: &Settings,
    replace: bool,
    clock: std::sync::Arc<dyn Clock>,
) -> Result<Restored, BackupError> {
    let moved = |(path, error)| BackupError::Write { path, error };
    app::make_store_directory(&settings.store);
    let _lock = Lock::take(&settings.store)?;
    let state = State::new(settings);
    give_to_owner_of(&state.folder(), &with_suffix(&state.store, ".lock")).map_err(moved)?;
    swap::finish(&state, clock.now()).map_err(moved)?;
    if !replace && let Some(path) = state.first_existing() {
        return Err(BackupError::ConfigStateExists { path });
    }
    let staging = Staging::begin(&state).map_err(moved)?;
    let into = staging.new_state();
    let unpacking = {
        let (file, into, state) = (file.to_owned(), into.clone(), state.clone());
        let domain = settings.broker.domain.to_string();
        tokio::task::spawn_blocking(move || unpack(&file, &into, &state, &domain, &app::tables()))
    };
    let unpacked = unpacking.await.map_err(|error| BackupError::write(file)(io::Error::other(error)))?;
    let (manifest, is_open_to_others) = unpacked?;
    let made = manifest.made.parse().unwrap_or_else(|_| clock.now());
    let (accounts, buried) = prepare(settings, &into.join(state.name_of(STORE)), made, clock.now()).await?;
    give_to_owner_of(&state.folder(), &into).map_err(moved)?;
    staging.decide(&state).map_err(moved)?;
    let aside = swap::finish(&state, clock.now()).map_err(moved)?;
    Ok(Restored { manifest, accounts, buried, aside, is_open_to_others })
}

/// Brings the restored store up to date, and takes out of it what must not come back. Answers accounts and buried messages.
async fn prepare(
    settings: &Settings,
    store: &Path,
    made: Timestamp,
    now: Timestamp,
) -> Result<(u64, u64), BackupError> {
    let settings = Settings { store: store.to_owned(), ..settings.clone() };
    let (engine, accounts) = app::open_accounts(&settings).await?;
    accounts.forget_tokens().await.map_err(|error| BackupError::from(app::StartError::from(error)))?;
    let mut last = String::new();
    loop {
        let names =
            accounts.names_after(&last).await.map_err(|error| BackupError::from(app::StartError::from(error)))?;
        let Some(name) = names.last() else { break };
        last = name.to_string();
        torg_core::begin_rosters(&*engine, &names).await?;
    }
    let buried = torg_core::after_restore(&*engine, &settings.broker.domain, made, now).await?;
    let count = accounts.count().await.map_err(|error| BackupError::from(app::StartError::from(error)))?;
    drop(accounts);
    // Its writer is waited for, which blocks; the log is folded in.
    let closed = tokio::task::spawn_blocking(move || drop(engine)).await;
    closed.map_err(|error| BackupError::write(store)(io::Error::other(error)))?;
    match fs::remove_file(with_suffix(store, ".before-migration")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::write(store)(error)),
        _ => Ok((count, buried)),
    }
}

/// Writes the members into a folder and checks them. Answers also whether others may read the backup.
pub(super) fn unpack(
    file: &Path,
    into: &Path,
    state: &State,
    domain: &str,
    known: &[Migrations],
) -> Result<(Manifest, bool), BackupError> {
    let failed = BackupError::read(file);
    let found = fs::metadata(file).map_err(&failed)?;
    let foreign = |text: &str| BackupError::FileForeign { path: file.to_owned(), text: text.to_owned() };
    if !found.is_file() {
        return Err(foreign("it is no file"));
    }
    let mut archive = Archive::new(BufReader::with_capacity(CHUNK, File::open(file).map_err(&failed)?));
    // Raw: extensions of the format, which make the crate collect names and sizes, are members that we do not know.
    let mut entries = archive.entries().map_err(&failed)?.raw(true);
    let mut source = Source { file, entries: &mut entries };

    let mut first = source.next(MANIFEST)?.ok_or_else(|| foreign("it is empty"))?;
    let text = source.small(&mut first, MANIFEST, MANIFEST_BYTES_MAX)?;
    let mut second = source.next(DIGEST)?.ok_or_else(|| source.truncated(DIGEST))?;
    let digest = source.small(&mut second, DIGEST, DIGEST_BYTES_MAX)?;
    let manifest = Manifest::parse(&text, file, known);
    if digest != format!("{}  {MANIFEST}\n", hex(&Sha256::digest(&text))).as_bytes() {
        // A newer one may do this in another way.
        return Err(match manifest {
            Err(newer @ BackupError::FileNewer { .. }) => newer,
            _ => source.damaged("its manifest is not as it was written".to_owned()),
        });
    }
    let manifest = manifest?;
    if manifest.domain != domain {
        return Err(BackupError::ConfigOtherDomain { expected: domain.to_owned(), found: manifest.domain });
    }
    for member in &manifest.members {
        let mut entry = source.next(&member.name)?.ok_or_else(|| source.truncated(&member.name))?;
        source.extract(&mut entry, member, &into.join(state.name_of(&member.name)))?;
    }
    if source.next_any()?.is_some() {
        return Err(source.damaged("more follows than its manifest names".to_owned()));
    }
    Ok((manifest, found.mode() & 0o077 != 0))
}

/// The members of a backup one after the other.
struct Source<'a, 'b, R: Read> {
    file: &'a Path,
    entries: &'a mut tar::Entries<'b, R>,
}

impl<'b, R: Read> Source<'_, 'b, R> {
    fn damaged(&self, text: String) -> BackupError {
        BackupError::FileDamaged { path: self.file.to_owned(), text }
    }

    fn truncated(&self, member: &str) -> BackupError {
        BackupError::FileTruncated { path: self.file.to_owned(), member: member.to_owned() }
    }

    fn next_any(&mut self) -> Result<Option<Entry<'b, R>>, BackupError> {
        let next = self.entries.next().transpose();
        next.map_err(|error| {
            let text = error.to_string();
            // The crate tells an end inside of padding or of a header by its words alone.
            let is_end = error.kind() == io::ErrorKind::UnexpectedEof
                || ["EOF", "failed to read entire block"].iter().any(|words| text.contains(words));
            match is_end {
                true => self.truncated("a header or the space before it"),
                false => self.damaged(format!("a header: {text}")),
            }
        })
    }

    /// The next member, which must have this name and be a plain file.
    fn next(&mut self, name: &str) -> Result<Option<Entry<'b, R>>, BackupError> {
        let is_first = name == MANIFEST;
        let foreign = |text: String| BackupError::FileForeign { path: self.file.to_owned(), text };
        let entry = match self.next_any() {
            Err(BackupError::FileDamaged { text, .. }) if is_first => return Err(foreign(text)),
            Err(BackupError::FileTruncated { .. }) if is_first => return Err(foreign("it is too short".to_owned())),
            other => other?,
        };
        let Some(entry) = entry else { return Ok(None) };
        let is_expected = entry.path_bytes().as_ref() == name.as_bytes();
        let is_file = entry.header().entry_type() == EntryType::Regular;
        match (is_expected && is_file, is_first) {
            (true, _) => Ok(Some(entry)),
            (false, true) => Err(foreign("it does not begin with a manifest".to_owned())),
            (false, false) => Err(self.damaged(format!("{name} is not where it should be"))),
        }
    }

    /// All bytes of a member that is small.
    fn small(&self, entry: &mut Entry<'_, R>, name: &str, most: u64) -> Result<Vec<u8>, BackupError> {
        let size = entry.size();
        if size > most {
            return Err(self.damaged(format!("{name} has {size} bytes")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(BackupError::read(self.file))?;
        if bytes.len() as u64 == size { Ok(bytes) } else { Err(self.truncated(name)) }
    }

    /// Writes a member to a new file, and checks its size and digest.
    fn extract(&self, entry: &mut Entry<'_, R>, member: &Member, to: &Path) -> Result<(), BackupError> {
        let Member { name, bytes, sha256 } = member;
        if entry.size() != *bytes || *bytes > bytes_max(name) {
            return Err(self.damaged(format!("{name} has {} bytes instead of {bytes}", entry.size())));
        }
        let failed = BackupError::write(to);
        let folder = app_folder(to);
        if !folder.exists() {
            swap::make(&folder).map_err(|(path, error)| BackupError::Write { path, error })?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(to).map_err(&failed)?;
        let (mut hash, mut read) = (Sha256::new(), 0u64);
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = entry.read(&mut chunk).map_err(BackupError::read(self.file))?;
            let Some(some) = chunk.get(..length).filter(|some| !some.is_empty()) else { break };
            hash.update(some);
            file.write_all(some).map_err(&failed)?;
            read = read.saturating_add(some.len() as u64);
        }
        match (read == *bytes, hex(&hash.finalize()) == *sha256) {
            (true, true) => Ok(()),
            (false, _) => Err(self.truncated(name)),
            (true, false) => Err(self.damaged(format!("{name} is not as it was written"))),
        }
    }
}

/// Files that root restores belong to whom the folder belongs to: the appliance does not run as root.
fn give_to_owner_of(folder: &Path, tree: &Path) -> Result<(), swap::Failed> {
    if !rustix::process::geteuid().is_root() {
        return Ok(()); // only root can
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| (path.clone(), error)
    };
    let owner = fs::metadata(folder).map_err(failed(folder))?;
    let mut waiting = vec![tree.to_owned()];
    while let Some(path) = waiting.pop() {
        let found = fs::symlink_metadata(&path).map_err(failed(&path))?;
        if (found.uid(), found.gid()) != (owner.uid(), owner.gid()) {
            std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid())).map_err(failed(&path))?;
        }
        if found.is_dir() {
            let entries = fs::read_dir(&path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
            waiting.extend(entries.map_err(failed(&path))?.iter().map(fs::DirEntry::path));
        }
    }
    Ok(())
}
