//! Puts a prepared state in the place of another, so that a crash at any moment leaves the old one or leads to the new one.
//!
//! A folder beside the store goes through three names, each change one rename of the file system:
//! `.restoring` (being filled; thrown away if found), `.restored` (whole: what stands in the way is moved into it),
//! `.placing` (nothing stands in the way: what it holds under `new` is moved out). Whoever finds the second or the third, the next start
//! or the next restore, goes on from there. In the end it is called `.before-restore-` and the time, and holds the old state.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use torg_thing::Timestamp;

use super::members::{STORE, State, with_suffix};

const RESTORING: &str = ".restoring";
const RESTORED: &str = ".restored";
const PLACING: &str = ".placing";
const ASIDE: &str = ".before-restore-";
/// Inside of it: the new state.
const NEW: &str = "new";
/// States set aside within one second.
const SAME_SECOND_MAX: u32 = 100;

/// What failed: a file, and the system's words.
pub type Failed = (PathBuf, io::Error);

/// Whether a restore into the store at this path was cut short after it was decided.
#[must_use]
pub fn is_pending(store: &Path) -> bool {
    [RESTORED, PLACING].iter().any(|suffix| with_suffix(store, suffix).exists())
}

/// A new state being prepared; dropping it throws it away.
pub(super) struct Staging {
    folder: PathBuf,
    is_kept: bool,
}

impl Staging {
    /// An empty folder beside the store, for us only.
    pub(super) fn begin(state: &State) -> Result<Self, Failed> {
        let folder = with_suffix(&state.store, RESTORING);
        remove(&folder)?;
        let staging = Staging { folder, is_kept: false };
        make(&staging.folder)?;
        make(&staging.new_state())?;
        Ok(staging)
    }

    /// Where the new state is to be put.
    pub(super) fn new_state(&self) -> PathBuf {
        self.folder.join(NEW)
    }

    /// From here on the new state holds, whatever happens. [`finish`] has to follow.
    pub(super) fn decide(mut self, state: &State) -> Result<(), Failed> {
        sync_tree(&self.folder)?;
        rename(&self.folder, &with_suffix(&state.store, RESTORED))?;
        self.is_kept = true;
        sync(&state.folder())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_dir_all(&self.folder); // the next restore or start removes it
        }
    }
}

/// Does what is left to do of a restore that was decided, and removes what is left of one that was not. Answers where the old state is, if
/// one was moved. To be called with the store's lock held.
///
/// # Errors
/// What cannot be moved, and why; nothing is lost, and the next call goes on.
pub fn finish(state: &State, now: Timestamp) -> Result<Option<PathBuf>, Failed> {
    let [restoring, restored, placing] = [RESTORING, RESTORED, PLACING].map(|suffix| with_suffix(&state.store, suffix));
    remove(&restoring)?;
    if restored.exists() {
        // Nothing is moved away unless there is something to take its place.
        let store = restored.join(NEW).join(state.name_of(STORE));
        if !store.is_file() {
            return Err((store, io::ErrorKind::NotFound.into()));
        }
        for path in state.existing() {
            if let Some(name) = path.file_name() {
                rename(&path, &restored.join(name))?;
            }
        }
        sync(&restored)?;
        sync(&state.folder())?;
        rename(&restored, &placing)?;
        sync(&state.folder())?;
    }
    if !placing.exists() {
        return Ok(None);
    }
    let new = placing.join(NEW);
    if new.exists() {
        for path in list(&new)? {
            if let Some(name) = path.file_name() {
                rename(&path, &state.folder().join(name))?;
            }
        }
        sync(&state.folder())?;
        fs::remove_dir(&new).map_err(|error| (new.clone(), error))?;
    }
    let aside = if list(&placing)?.is_empty() {
        fs::remove_dir(&placing).map_err(|error| (placing.clone(), error))?;
        None
    } else {
        Some(set_aside(&placing, state, now)?)
    };
    sync(&state.folder())?;
    Ok(aside)
}

fn set_aside(placing: &Path, state: &State, now: Timestamp) -> Result<PathBuf, Failed> {
    let time: String = now.whole_seconds().to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    let free = (1..=SAME_SECOND_MAX).map(|number| match number {
        1 => with_suffix(&state.store, &format!("{ASIDE}{time}")),
        number => with_suffix(&state.store, &format!("{ASIDE}{time}-{number}")),
    });
    let aside = free.filter(|path| path.symlink_metadata().is_err()).take(1).next();
    let aside = aside.ok_or_else(|| (placing.to_owned(), io::ErrorKind::AlreadyExists.into()))?;
    rename(placing, &aside)?;
    Ok(aside)
}

pub(super) fn make(folder: &Path) -> Result<(), Failed> {
    DirBuilder::new().mode(0o700).create(folder).map_err(|error| (folder.to_owned(), error))
}

fn remove(folder: &Path) -> Result<(), Failed> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err((folder.to_owned(), error)),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), Failed> {
    fs::rename(from, to).map_err(|error| (from.to_owned(), error))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(|error| (folder.to_owned(), error))
}

fn sync(path: &Path) -> Result<(), Failed> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| (path.to_owned(), error))
}

/// All files below a folder, then the folder.
fn sync_tree(folder: &Path) -> Result<(), Failed> {
    for path in list(folder)? {
        if path.is_dir() { sync_tree(&path)? } else { sync(&path)? }
    }
    sync(folder)
}
