//! The files an appliance's state is made of: beside the store, by name.

use std::path::{Path, PathBuf};

use crate::app;
use crate::config::Settings;

/// Name of the store in a backup, whatever it is called on the disk.
pub(super) const STORE: &str = "torg.db";
/// Bytes of the store: far more than accounts and messages of one site come to, and what a small machine can copy in a night.
pub(super) const STORE_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Bytes of any other member: keys and certificates have some kilobytes.
pub(super) const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Files beside the store that a backup takes along, as far as they are there. All are secret; the secret of the tokens is left out.
pub(super) const FILES: [&str; 7] =
    ["ca.pem", "ca.key", "leaf.pem", "leaf.key", "acme/account.json", "acme/certificate.pem", "acme/certificate.key"];
/// What belongs to a state beside the store, and goes with it when another takes its place.
const BESIDE: [&str; 6] = ["ca.pem", "ca.key", "leaf.pem", "leaf.key", "acme", app::tokens::FILE];
/// What SQLite puts beside a database.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

pub(super) fn is_known(name: &str) -> bool {
    name == STORE || FILES.contains(&name)
}

/// Most bytes of a member.
pub(super) fn bytes_max(name: &str) -> u64 {
    if name == STORE { STORE_BYTES_MAX } else { FILE_BYTES_MAX }
}

/// Where the state of a configuration is.
#[derive(Clone, Debug)]
pub struct State {
    /// The database.
    pub store: PathBuf,
    /// Files of the operator's that may stand under a name of ours; they are no state.
    foreign: Vec<PathBuf>,
}

impl State {
    /// The state of a configuration.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let tls = settings.broker.tls.iter().flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]);
        State { store: settings.store.clone(), foreign: tls.chain(settings.broker.client_ca.clone()).collect() }
    }

    /// The folder it is in.
    pub(super) fn folder(&self) -> PathBuf {
        app::authority_directory(&self.store)
    }

    /// The files of [`FILES`] that are there, by name.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        let folder = self.folder();
        let files = FILES.into_iter().map(move |name| (name, folder.join(name)));
        files.filter(|(_, path)| path.exists() && !self.is_foreign(path))
    }

    /// Everything that is moved aside for another state, as far as it is there.
    pub(super) fn existing(&self) -> Vec<PathBuf> {
        let folder = self.folder();
        let store = SUFFIXES.iter().map(|suffix| with_suffix(&self.store, suffix));
        let beside = BESIDE.iter().map(|name| folder.join(name));
        store.chain(beside).filter(|path| path.symlink_metadata().is_ok() && !self.is_foreign(path)).collect()
    }

    /// Whether there is anything that counts as a state: SQLite's own files alone do not.
    pub(super) fn first_existing(&self) -> Option<PathBuf> {
        self.existing().into_iter().next()
    }

    /// Where a member of a backup belongs, relative to the folder.
    pub(super) fn name_of(&self, member: &str) -> PathBuf {
        match member {
            STORE => self.store.file_name().map_or_else(|| PathBuf::from(STORE), PathBuf::from),
            other => PathBuf::from(other),
        }
    }

    fn is_foreign(&self, path: &Path) -> bool {
        let Ok(real) = path.canonicalize() else { return false };
        self.foreign.iter().any(|foreign| foreign.canonicalize().is_ok_and(|foreign| foreign == real))
    }
}

/// The path with more at the end of its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
