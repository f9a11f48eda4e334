//! `torg backup` and `torg restore`: what they did, in words.

use std::sync::Arc;

use serde::Serialize;
use torg_thing::{Clock as _, SystemClock};

use super::args;
use super::check::{count, tell};
use super::run::block_on;
use super::{Failure, Terminal};
use crate::backup::{self, BackupError, Manifest};
use crate::config::Settings;
use crate::{catalog, config};

/// What `torg backup --json` prints.
#[derive(Serialize)]
struct Saved<'a> {
    bytes: u64,
    #[serde(flatten)]
    manifest: &'a Manifest,
}

pub(super) fn backup(arguments: &args::Backup, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let settings = settings(&arguments.config, terminal)?;
    let written =
        backup::backup(&settings, &arguments.file, arguments.overwrite, SystemClock.now()).map_err(failure)?;
    let file = arguments.file.display();
    if written.is_open_to_others {
        terminal.note(&format!(
            "The file system of {file} keeps no permissions: others on this machine may read the keys in it."
        ))?;
    }
    if arguments.json {
        return Ok(terminal.json(&Saved { bytes: written.bytes, manifest: &written.manifest })?);
    }
    let members = count(written.manifest.members.len(), "member");
    Ok(terminal
        .line(&format!("{} was saved to {file}: {members}, {} bytes.", settings.broker.domain, written.bytes))?)
}

pub(super) fn restore(arguments: &args::Restore, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let settings = settings(&arguments.config, terminal)?;
    let (file, clock) = (arguments.file.as_path(), Arc::new(SystemClock));
    let restoring = async { backup::restore(file, &settings, arguments.replace, clock).await.map_err(failure) };
    let restored = block_on(restoring)?;
    let Manifest { domain, made, torg, .. } = &restored.manifest;
    let accounts = count(usize::try_from(restored.accounts).unwrap_or(usize::MAX), "account");
    terminal.line(&format!("{domain} is as it was at {made} (saved by Torg {torg}), with {accounts}."))?;
    if restored.buried > 0 {
        terminal.line(&format!("{} messages of open sessions wait for their accounts.", restored.buried))?;
    }
    if let Some(aside) = &restored.aside {
        terminal.line(&format!("The state before it is in {}; remove it when all is well.", aside.display()))?;
    }
    if restored.is_open_to_others {
        terminal
            .note(&format!("Others on this machine may read {}, which holds keys: chmod 600 it.", file.display()))?;
    }
    Ok(())
}

fn settings(file: &args::ConfigFile, terminal: &mut Terminal<'_>) -> Result<Settings, Failure> {
    match config::load(&file.config, catalog::BRIDGES) {
        Ok(config) => Ok(config.settings),
        Err(errors) => Err(tell(&errors, "configuration", terminal)?),
    }
}

fn failure(error: BackupError) -> Failure {
    if error.is_of_the_store() { Failure::Store(error.to_string()) } else { Failure::failed(error.to_string()) }
}
