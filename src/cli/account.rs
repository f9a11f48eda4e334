//! `torg account`: the accounts of the domain, straight in the store, whether the appliance runs or not.

use std::sync::Arc;

use serde::Serialize;
use torg_accounts::{AccountError, Accounts};
use torg_store::Engine;
use torg_wire::secret::Secret;

use super::args::{self, ConfigFile};
use super::check::tell;
use super::run::block_on;
use super::{Failure, Table, Terminal, password, transfer};
use crate::config::{self, Settings};
use crate::{app, catalog};

pub(super) fn run(command: &args::Account, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    match command {
        args::Account::Add(arguments) => block_on(add(arguments, terminal)),
        args::Account::Export(arguments) => block_on(transfer::export(arguments, terminal)),
        args::Account::Import(arguments) => block_on(transfer::import(arguments, terminal)),
        args::Account::List(arguments) => block_on(list(arguments, terminal)),
        args::Account::Passwd(arguments) => block_on(passwd(arguments, terminal)),
        args::Account::Remove(arguments) => block_on(remove(arguments, terminal)),
    }
}

async fn add(arguments: &args::AccountAdd, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let args::AccountAdd { class, account: arguments } = arguments;
    let opened = Opened::new(&arguments.config, terminal).await?;
    let jid = opened.accounts.parse_new(&arguments.jid).map_err(failure)?;
    // Whoever could log in as the concentrator could speak for every device behind it.
    if opened.settings.concentrator.as_ref().is_some_and(|own| own.jid == jid && own.remote.is_none()) {
        return Err(Failure::failed(format!("{jid} is the appliance's own concentrator; it needs no account.")));
    }
    let password = password::new(terminal, arguments.password_stdin, jid.as_str())?;
    let password = Secret::new(password.reveal().to_owned());
    opened.accounts.create_as(&jid, password, *class).await.map_err(failure)?;
    terminal.line(&format!("{jid} was created."))?;
    Ok(())
}

async fn passwd(arguments: &args::AccountPassword, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let opened = Opened::new(&arguments.config, terminal).await?;
    let jid = opened.accounts.parse(&arguments.jid).map_err(failure)?;
    let password = password::new(terminal, arguments.password_stdin, jid.as_str())?;
    opened.accounts.set_password(&jid, Secret::new(password.reveal().to_owned())).await.map_err(failure)?;
    terminal.line(&format!("{jid} has a new password; sessions opened with the old one end."))?;
    Ok(())
}

async fn remove(arguments: &args::AccountName, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let opened = Opened::new(&arguments.config, terminal).await?;
    let jid = opened.accounts.parse(&arguments.jid).map_err(failure)?;
    opened.accounts.remove(&jid).await.map_err(failure)?;
    torg_core::forget_account(&*opened.store, &jid).await.map_err(|error| {
        Failure::failed(format!("{jid} was removed, but its roster and messages could not be: {error}."))
    })?;
    terminal.line(&format!("{jid} was removed, with its roster and waiting messages."))?;
    Ok(())
}

/// What `torg account list --json` prints.
#[derive(Serialize)]
struct Listed {
    accounts: Vec<ListedAccount>,
}

#[derive(Serialize)]
struct ListedAccount {
    jid: String,
    class: &'static str,
    created: String,
    disabled: bool,
    admin: bool,
}

async fn list(arguments: &args::AccountList, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let opened = Opened::new(&arguments.config, terminal).await?;
    let accounts = opened.accounts.list().await.map_err(failure)?;
    let listed = accounts.into_iter().map(|account| ListedAccount {
        created: account.created.to_string(),
        class: account.class.name(),
        disabled: account.disabled,
        admin: opened.settings.broker.admins.contains(&account.jid),
        jid: account.jid.to_string(),
    });
    let listed = Listed { accounts: listed.collect() };
    if arguments.json {
        terminal.json(&listed)?;
        return Ok(());
    }
    let mut table = Table::new(&["account", "class", "created", "remarks"]);
    for account in &listed.accounts {
        let remarks = [(account.admin, "administrator"), (account.disabled, "disabled")];
        let remarks: Vec<&str> = remarks.iter().filter(|(is, _)| *is).map(|(_, remark)| *remark).collect();
        table.row([account.jid.as_str(), account.class, &account.created, &remarks.join(", ")]);
    }
    if table.is_empty() {
        terminal.note("There is no account yet: torg account add NAME")?;
    } else {
        write!(terminal.out, "{}", table.render())?;
    }
    Ok(())
}

/// The store of a configuration.
pub(super) struct Opened {
    pub(super) settings: Settings,
    store: Arc<dyn Engine>,
    pub(super) accounts: Accounts,
}

impl Opened {
    pub(super) async fn new(file: &ConfigFile, terminal: &mut Terminal<'_>) -> Result<Self, Failure> {
        let settings = match config::load(&file.config, catalog::BRIDGES) {
            Ok(config) => config.settings,
            Err(errors) => return Err(tell(&errors, "configuration", terminal)?),
        };
        let (store, accounts) = app::open_accounts(&settings).await?;
        Ok(Self { settings, store, accounts })
    }
}

/// An error of the accounts service as a sentence.
pub(super) fn failure(error: AccountError) -> Failure {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().collect::<String>()).unwrap_or_default();
    Failure::failed(format!("{first}{}.", letters.as_str()))
}
