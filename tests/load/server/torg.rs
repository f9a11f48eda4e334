//! The binary of this build.

use std::{fmt::Write as _, fs, path::Path, process::Command, sync::Arc};

use anyhow::{Context, Result, anyhow};
use torg::{app, catalog, config};
use torg_wire::secret::Secret;

use super::{Server, Setup, free_address};
use crate::client::Account;

/// Accounts made at a time: their keys keep two cores busy, and their rows share a commit.
const ACCOUNTS_AT_ONCE: usize = 32;

/// What its configuration says of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limits {
    /// Nothing: those it is delivered with.
    AsDelivered,
    /// Wide enough that only the machine limits the load.
    Wide,
}

const WIDE: &str = "\
[broker.limits]
sessions_per_account = 1000
unauthenticated = 100000
unauthenticated_per_address = 100000
bytes_per_second = 1000000000
burst_bytes = 1000000000
[broker.limits.peer]
bytes_per_second = 1000000000
burst_bytes = 1000000000
";

/// With wide limits.
pub(crate) fn torg(setup: &Setup<'_>) -> Result<Server> {
    torg_with(setup, Limits::Wide)
}

pub(crate) fn torg_with(setup: &Setup<'_>, limits: Limits) -> Result<Server> {
    let home = setup.home("torg")?;
    let direct_tls = free_address()?;
    let mut text = format!(
        "[broker]\ndomain = \"{}\"\n[broker.listen]\nc2s = [\"{}\"]\nc2s_tls = [\"{direct_tls}\"]\n",
        setup.domain,
        free_address()?,
    );
    if let Some(port) = setup.s2s_port()? {
        writeln!(text, "s2s = [\"127.0.0.1:{port}\"]")?;
    }
    text.push_str("[broker.tls]\ncertificate = \"leaf.pem\"\nkey = \"leaf.key\"\n[store]\npath = \"torg.db\"\n");
    if limits == Limits::Wide {
        text.push_str(WIDE);
    }
    if let Some(neighbour) = &setup.neighbour {
        let (dns, domain) = (neighbour.dns.address(), neighbour.domain);
        writeln!(text, "[broker.federation]\nothers = \"refuse\"\ndns = [\"{dns}\"]")?;
        writeln!(text, "[[broker.peer]]\ndomain = \"{domain}\"\nca = \"ca.pem\"")?;
    }
    let file = home.join("torg.toml");
    fs::write(&file, text)?;
    add_accounts(&file, setup.accounts)?;
    let command = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_torg"));
        command.args(["run", "--config"]).arg(&file);
        command
    };
    let (name, domain, ready) = ("Torg".to_owned(), setup.domain.to_owned(), Some("READY"));
    Ok(Server { name, domain, home, command: Box::new(command), ready, child: None, direct_tls })
}

/// As `torg account add` does, but twenty thousand processes would take their time.
fn add_accounts(file: &Path, accounts: &[Account]) -> Result<()> {
    let work = async {
        let config = config::load(file, catalog::BRIDGES).map_err(|errors| anyhow!("{errors:?}"))?;
        let (_store, service) = app::open_accounts(&config.settings).await?;
        let service = Arc::new(service);
        let mut tasks = tokio::task::JoinSet::new();
        for account in accounts {
            if tasks.len() >= ACCOUNTS_AT_ONCE {
                tasks.join_next().await.context("one was begun")???;
            }
            let (service, account) = (Arc::clone(&service), account.clone());
            tasks.spawn(async move {
                let jid = service.parse_new(&account.user)?;
                service.create(&jid, Secret::new(account.password)).await?;
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        anyhow::Ok(())
    };
    // On a thread of its own, since whoever wants a server may be on a runtime already.
    std::thread::scope(|scope| {
        let run = || tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work);
        scope.spawn(run).join().map_err(|_| anyhow!("accounts could not be made"))?
    })
}
