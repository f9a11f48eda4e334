//! Writes a backup: copy and digests first, then one file that is whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};
use torg_store::{OpenError, snapshot};
use torg_thing::Timestamp;

use super::manifest::{Manifest, Member};
use super::members::{FILE_BYTES_MAX, STORE, State, with_suffix};
use super::read::{CHUNK, DIGEST, MANIFEST};
use super::{BackupError, app_folder};
use crate::config::Settings;

/// For us only.
pub(super) const MODE: u32 = 0o600;
/// Between a backup's name and what is random of a file on its way there.
const PART: &str = ".part-";

/// A backup that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// What is in it.
    pub manifest: Manifest,
    /// Its size.
    pub bytes: u64,
    /// Its file system keeps no permissions, so that others on this machine may read it.
    pub is_open_to_others: bool,
}

/// Writes a backup of the state of this configuration, whether its appliance runs or not. Blocks.
///
/// # Errors
/// What cannot be read or written; nothing is left behind.
pub fn backup(settings: &Settings, to: &Path, overwrite: bool, now: Timestamp) -> Result<Written, BackupError> {
    let exists = to.symlink_metadata().is_ok();
    if exists && !overwrite {
        return Err(BackupError::ConfigTargetExists { path: to.to_owned() });
    }
    if to.file_name().is_none() || to.is_dir() {
        return Err(BackupError::write(to)(io::ErrorKind::IsADirectory.into()));
    }
    let state = State::new(settings);
    let mut part = Part::new(to)?;
    let copy = Copy(with_suffix(&part.path, ".db"));
    let schemas = snapshot(&state.store, &copy.0).map_err(|error| match error {
        OpenError::DiskFull { path, .. } if path == copy.0 => BackupError::write(to)(io::ErrorKind::StorageFull.into()),
        other => BackupError::StoreOpen(other),
    })?;

    let mut store = File::open(&copy.0).map_err(BackupError::read(&copy.0))?;
    let mut members = vec![digest(STORE, &mut store).map_err(BackupError::read(&copy.0))?];
    store.rewind().map_err(BackupError::read(&copy.0))?;
    let mut files = Vec::new();
    for (name, path) in state.files() {
        let bytes = read_small(&path)?;
        members.push(digest(name, &mut bytes.as_slice()).map_err(BackupError::read(&path))?);
        files.push((name, bytes));
    }
    let manifest = Manifest::new(settings.broker.domain.as_str(), now.whole_seconds().to_string(), schemas, members);

    let mut write = || -> io::Result<u64> {
        let mut archive = Builder::new(BufWriter::new(&part.file));
        let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from)?;
        let hash = format!("{}  {MANIFEST}\n", hex(&Sha256::digest(&text)));
        append(&mut archive, MANIFEST, text.len() as u64, now, text.as_slice())?;
        append(&mut archive, DIGEST, hash.len() as u64, now, hash.as_bytes())?;
        let size = manifest.members.first().map_or(0, |member| member.bytes);
        append(&mut archive, STORE, size, now, BufReader::new(&mut store))?;
        for (name, bytes) in &files {
            append(&mut archive, name, bytes.len() as u64, now, bytes.as_slice())?;
        }
        archive.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        part.file.sync_all()?;
        Ok(part.file.metadata()?.len())
    };
    let bytes = write().map_err(BackupError::write(to))?;
    let mode = part.file.metadata().map_err(BackupError::write(to))?.permissions().mode();
    part.place(to, overwrite)?;
    Ok(Written { manifest, bytes, is_open_to_others: mode & 0o077 != 0 })
}

fn append(
    archive: &mut Builder<impl Write>,
    name: &str,
    size: u64,
    now: Timestamp,
    content: impl Read,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(MODE);
    header.set_mtime(u64::try_from(now.micros() / 1_000_000).unwrap_or(0));
    header.set_entry_type(EntryType::Regular);
    header.set_cksum();
    archive.append(&header, content)
}

fn digest(name: &str, content: &mut impl Read) -> io::Result<Member> {
    let (mut hash, mut bytes) = (Sha256::new(), 0u64);
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = content.read(&mut chunk)?;
        let Some(some) = chunk.get(..length).filter(|some| !some.is_empty()) else { break };
        hash.update(some);
        bytes = bytes.saturating_add(some.len() as u64);
    }
    Ok(Member { name: name.to_owned(), bytes, sha256: hex(&hash.finalize()) })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_small(path: &Path) -> Result<Vec<u8>, BackupError> {
    let failed = BackupError::read(path);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(&failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(&failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

/// The copy of the store; gone when the backup is whole, or is not to be.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // never made, or swept by the next backup
    }
}

/// A backup on its way: locked, so that the next one knows it from what a power cut left behind.
pub(crate) struct Part {
    path: PathBuf,
    pub(crate) file: File,
    is_placed: bool,
}

impl Part {
    /// A new file beside `to`, for us only; dropping it removes it.
    pub(crate) fn new(to: &Path) -> Result<Self, BackupError> {
        sweep(to);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| BackupError::write(to)(io::Error::other(error)))?;
        let path = with_suffix(to, &format!("{PART}{}", hex(&random)));
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path);
        let file = file.map_err(BackupError::write(to))?;
        let part = Part { path, file, is_placed: false };
        // A file system without locks loses nothing but the sweep.
        let _ = flock(&part.file, FlockOperation::NonBlockingLockExclusive);
        Ok(part)
    }

    /// Gives the file its name, and makes that last.
    pub(crate) fn place(&mut self, to: &Path, overwrite: bool) -> Result<(), BackupError> {
        let failed = BackupError::write(to);
        let flags = if overwrite { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        match renameat_with(CWD, &self.path, CWD, to, flags) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Err(BackupError::ConfigTargetExists { path: to.to_owned() }),
            // File systems of memory sticks know no such flag; whether the name is free was looked at before.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => fs::rename(&self.path, to).map_err(&failed)?,
            Err(error) => return Err(failed(error.into())),
        }
        self.is_placed = true;
        File::open(app_folder(to)).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_placed {
            let _ = fs::remove_file(&self.path); // swept by the next backup
        }
    }
}

/// Removes what earlier backups of this name, cut short by a power loss, have left. Those under way hold their lock.
fn sweep(to: &Path) {
    let Some(name) = to.file_name().and_then(|name| name.to_str()) else { return };
    let begin = format!("{name}{PART}");
    let Ok(entries) = fs::read_dir(app_folder(to)) else { return };
    for entry in entries.flatten() {
        let is_part = entry.file_name().to_str().is_some_and(|name| name.starts_with(&begin) && !name.ends_with(".db"));
        if !is_part {
            continue;
        }
        let path = entry.path();
        let free = File::open(&path).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok());
        if free {
            let _ = fs::remove_file(with_suffix(&path, ".db"));
            let _ = fs::remove_file(&path);
        }
    }
}
