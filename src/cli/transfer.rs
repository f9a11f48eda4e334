//! `torg account export` and `import`: accounts in the file format that servers share (XEP-0227), one after the other.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};

use serde::Serialize;
use torg_accounts::Transfer;
use torg_wire::jid::BareJid;
use torg_wire::xep::pie::{self, Event};

use super::account::{Opened, failure};
use super::args::{AccountExport, AccountImport};
use super::check::count;
use super::{Failure, Terminal, printable};
use crate::backup::{BackupError, Part};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

pub(super) async fn export(arguments: &AccountExport, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let opened = Opened::new(&arguments.config, terminal).await?;
    let to = arguments.file.as_path();
    if to.symlink_metadata().is_ok() && !arguments.overwrite {
        return Err(told(BackupError::ConfigTargetExists { path: to.to_owned() }));
    }
    let wanted = arguments.accounts.iter().map(|jid| opened.accounts.parse(jid).map_err(failure));
    let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
    let mut part = Part::new(to).map_err(told)?;
    let failed = |error: io::Error| told(BackupError::Write { path: to.to_owned(), error });
    part.file.write_all(&pie::begin(opened.settings.broker.domain.as_str())).map_err(failed)?;
    let mut written = 0usize;
    let mut page =
        if wanted.is_empty() { opened.accounts.names_after("").await.map_err(failure)? } else { wanted.clone() };
    while let Some(last) = page.last().map(BareJid::to_string) {
        for account in &page {
            match opened.accounts.export(account).await.map_err(failure)? {
                Some(user) => part.file.write_all(&pie::user(&user)).map_err(failed)?,
                None if wanted.is_empty() => continue, // removed meanwhile
                None => return Err(Failure::failed(format!("There is no account '{account}'."))),
            }
            written = written.saturating_add(1);
        }
        page = if wanted.is_empty() { opened.accounts.names_after(&last).await.map_err(failure)? } else { Vec::new() };
    }
    part.file.write_all(pie::END).and_then(|()| part.file.sync_all()).map_err(failed)?;
    part.place(to, arguments.overwrite).map_err(told)?;
    Ok(terminal.line(&format!("{} written to {}.", count(written, "account"), to.display()))?)
}

/// What `torg account import --json` prints.
#[derive(Default, Serialize)]
struct Report {
    imported: Vec<Imported>,
    existing: Vec<String>,
    refused: Vec<Refused>,
    /// Domains in the file whose accounts are not ours.
    other_domains: BTreeSet<String>,
    /// Parts of the file that are not understood.
    left_out: BTreeSet<String>,
}

#[derive(Serialize)]
struct Imported {
    jid: String,
    contacts: usize,
    requests: usize,
    messages: usize,
    documents: usize,
    blocked: usize,
    nodes: usize,
    items: usize,
    left_out: Vec<String>,
}

#[derive(Serialize)]
struct Refused {
    name: String,
    why: String,
}

pub(super) async fn import(arguments: &AccountImport, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let opened = Opened::new(&arguments.config, terminal).await?;
    let name = arguments.file.display();
    let unread = |error: io::Error| Failure::failed(format!("{name} cannot be read: {error}."));
    let mut file = File::open(&arguments.file).map_err(unread)?;
    let (mut reader, mut report) = (pie::Reader::default(), Report::default());
    let (mut is_ours, mut is_whole) = (false, false);
    let mut chunk = vec![0; CHUNK];
    let outcome: Result<(), Failure> = loop {
        let length = file.read(&mut chunk).map_err(unread)?;
        let Some(some) = chunk.get(..length).filter(|some| !some.is_empty()) else { break Ok(()) };
        reader.feed(some);
        let stopped = loop {
            match reader.next_event() {
                Ok(None) => break None,
                Ok(Some(Event::Host(host))) => {
                    is_ours = BareJid::parse(&host).is_ok_and(|host| host == opened.settings.broker.domain);
                    if !is_ours {
                        report.other_domains.insert(host);
                    }
                }
                Ok(Some(Event::User(user))) if is_ours => {
                    let transfer = take_over(&opened, &user, arguments.replace).await;
                    match transfer {
                        Ok(transfer) => report.note(transfer),
                        Err(error) => break Some(error),
                    }
                }
                Ok(Some(Event::User(_))) => {}
                Ok(Some(Event::Other(what))) => drop(report.left_out.insert(what)),
                Ok(Some(Event::End)) => is_whole = true,
                Err(error) => {
                    let text = error.text().unwrap_or_default();
                    let text = format!(
                        "{name} is not a file of accounts, or damaged: {text} What is listed was imported before that."
                    );
                    break Some(Failure::failed(text));
                }
            }
        };
        if let Some(error) = stopped {
            break Err(error);
        }
    };
    report.tell(arguments.json, terminal)?;
    outcome?;
    if !is_whole {
        return Err(Failure::failed(format!(
            "{name} ends too early. What is listed was imported; take another copy of it."
        )));
    }
    if report.existing.is_empty() && report.refused.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

async fn take_over(opened: &Opened, user: &torg_wire::xml::Element, replace: bool) -> Result<Transfer, Failure> {
    let name = user.attr("name").unwrap_or_default();
    let own = opened.settings.concentrator.as_ref().filter(|own| own.remote.is_none());
    if own.is_some_and(|own| opened.accounts.parse(name).is_ok_and(|jid| jid == own.jid)) {
        let why = "it is the appliance's own concentrator, which needs no account".to_owned();
        return Ok(Transfer::Refused(name.to_owned(), why));
    }
    opened.accounts.import(user, replace).await.map_err(failure)
}

impl Report {
    fn note(&mut self, transfer: Transfer) {
        match transfer {
            Transfer::Imported(jid, done) => self.imported.push(Imported {
                jid: jid.to_string(),
                contacts: done.contacts,
                requests: done.requests,
                messages: done.messages,
                documents: done.documents,
                blocked: done.blocked,
                nodes: done.nodes,
                items: done.items,
                left_out: done.left_out,
            }),
            Transfer::Exists(jid) => self.existing.push(jid.to_string()),
            Transfer::Refused(name, why) => self.refused.push(Refused { name, why }),
            _ => {}
        }
    }

    fn tell(&self, json: bool, terminal: &mut Terminal<'_>) -> io::Result<()> {
        if json {
            return terminal.json(self);
        }
        for done in &self.imported {
            terminal.line(&printable(&format!(
                "{}: {}, {}, {}, {}, {} blocked, {} with {}",
                done.jid,
                count(done.contacts, "contact"),
                count(done.requests, "request"),
                count(done.messages, "message"),
                count(done.documents, "document"),
                done.blocked,
                count(done.nodes, "node"),
                count(done.items, "item"),
            )))?;
            for what in &done.left_out {
                terminal.line(&printable(&format!("  left out: {what}")))?;
            }
        }
        for jid in &self.existing {
            terminal.note(&printable(&format!(
                "{jid} exists already and stays as it is; --replace would import over it."
            )))?;
        }
        for refused in &self.refused {
            terminal.note(&printable(&format!("{:?} was not imported: {}.", refused.name, refused.why)))?;
        }
        for domain in &self.other_domains {
            terminal.note(&printable(&format!("Accounts of {domain:?} are not of this server.")))?;
        }
        for what in &self.left_out {
            terminal.note(&printable(&format!("Not understood, and left out: {what}.")))?;
        }
        Ok(())
    }
}

fn told(error: BackupError) -> Failure {
    Failure::failed(error.to_string())
}
