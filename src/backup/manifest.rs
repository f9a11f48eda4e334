//! What a backup says of itself, first of all in it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use torg_store::{Migrations, Schemas};

use super::BackupError;
use super::members::{STORE, is_known};

/// Version of the format that this Torg writes, and the newest it reads. It grows when an older Torg would misunderstand a backup.
pub const FORMAT: u32 = 1;
/// What every manifest says it is.
const KIND: &str = "torg-backup";
/// Bytes of a manifest: ours have some 2 KiB.
pub(super) const MANIFEST_BYTES_MAX: u64 = 256 * 1024;

/// What is in a backup, and what it is of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    kind: String,
    /// Version of the format, see [`FORMAT`].
    pub format: u32,
    /// The version of Torg that wrote it.
    pub torg: String,
    /// Domain of the broker.
    pub domain: String,
    /// When the copy was made, as of UTC.
    pub made: String,
    /// How far the tables of each service had come.
    pub schemas: Schemas,
    /// The members in their order.
    pub members: Vec<Member>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name, one of a fixed list.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, as hexadecimal digits.
    pub sha256: String,
}

/// What can be read of a manifest of any version.
#[derive(Deserialize)]
struct Head {
    kind: String,
    format: u32,
    torg: String,
}

impl Manifest {
    pub(super) fn new(domain: &str, made: String, schemas: Schemas, members: Vec<Member>) -> Self {
        let torg = env!("CARGO_PKG_VERSION").to_owned();
        Manifest { kind: KIND.to_owned(), format: FORMAT, torg, domain: domain.to_owned(), made, schemas, members }
    }

    /// Reads the manifest of the backup at `path`, and judges whether this Torg understands what it announces.
    pub(super) fn parse(bytes: &[u8], path: &Path, known: &[Migrations]) -> Result<Manifest, BackupError> {
        let path = path.to_owned();
        let head: Head = serde_json::from_slice(bytes)
            .map_err(|error| BackupError::FileForeign { path: path.clone(), text: format!("its manifest: {error}") })?;
        if head.kind != KIND {
            return Err(BackupError::FileForeign { path, text: format!("its manifest is of {:?}", head.kind) });
        }
        if head.format > FORMAT {
            let text = format!("format {}, and this one knows {FORMAT}", head.format);
            return Err(BackupError::FileNewer { path, torg: head.torg, text });
        }
        let manifest: Manifest = serde_json::from_slice(bytes)
            .map_err(|error| BackupError::FileDamaged { path: path.clone(), text: format!("its manifest: {error}") })?;
        if let Some(text) = manifest.newer_tables(known) {
            return Err(BackupError::FileNewer { path, torg: manifest.torg, text });
        }
        match manifest.fault() {
            Some(text) => Err(BackupError::FileDamaged { path, text }),
            None => Ok(manifest),
        }
    }

    /// Tables that this Torg does not know, in words.
    fn newer_tables(&self, known: &[Migrations]) -> Option<String> {
        self.schemas.iter().find_map(|(service, version)| {
            let known = known.iter().find(|known| known.service == service);
            match known.map(|known| known.steps.iter().map(|step| step.number).max().unwrap_or(0)) {
                None => Some(format!("tables of '{service}', and this one knows none")),
                Some(newest) if *version > newest => {
                    Some(format!("tables of '{service}' at version {version}, and this one knows {newest}"))
                }
                Some(_) => None,
            }
        })
    }

    /// What the list of members lacks or has too much, in words.
    fn fault(&self) -> Option<String> {
        let names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        if !names.contains(&STORE) {
            return Some("its manifest names no store".to_owned());
        }
        if let Some(name) = names.iter().find(|name| !is_known(name)) {
            return Some(format!("its manifest names {name:?}"));
        }
        let twice = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|before| before == *name));
        twice.map(|(_, name)| format!("its manifest names {name:?} twice"))
    }
}
