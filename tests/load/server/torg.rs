//! The binary of this build.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{DOMAIN, Server, certificate, free_address};
use crate::client::Account;

/// What its configuration says of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limits {
    /// Nothing: those it is delivered with.
    AsDelivered,
    /// Wide enough that only the machine limits the load.
    Wide,
}

/// With wide limits.
pub(crate) fn torg(folder: &Path, accounts: &[Account]) -> Result<Server> {
    torg_with(folder, accounts, Limits::Wide)
}

pub(crate) fn torg_with(folder: &Path, accounts: &[Account], limits: Limits) -> Result<Server> {
    let home = folder.join("torg");
    certificate(&home)?;
    let direct_tls = free_address()?;
    let starttls = free_address()?;
    let file = home.join("torg.toml");
    let limits = match limits {
        Limits::AsDelivered => "",
        Limits::Wide => {
            "[broker.limits]\nsessions_per_account = 1000\nunauthenticated = 100000\nunauthenticated_per_address = 100000\n\
             bytes_per_second = 1000000000\nburst_bytes = 1000000000\n"
        }
    };
    fs::write(
        &file,
        format!(
            "[broker]\ndomain = \"{DOMAIN}\"\n[broker.listen]\nc2s = [\"{starttls}\"]\nc2s_tls = [\"{direct_tls}\"]\n\
             [broker.tls]\ncertificate = \"leaf.pem\"\nkey = \"leaf.key\"\n{limits}[store]\npath = \"torg.db\"\n"
        ),
    )?;
    let binary = env!("CARGO_BIN_EXE_torg");
    for account in accounts {
        let mut add = Command::new(binary)
            .args(["account", "add", &format!("{}@{DOMAIN}", account.user), "--password-stdin", "--config"])
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        writeln!(add.stdin.take().context("no stdin")?, "{}", account.password)?;
        if !add.wait()?.success() {
            bail!("`torg account add {}` failed", account.user);
        }
    }
    let command = move || {
        let mut command = Command::new(binary);
        command.args(["run", "--config"]).arg(&file);
        command
    };
    let ready = Some("READY");
    Ok(Server { name: "Torg".to_owned(), home, command: Box::new(command), ready, child: None, direct_tls })
}
