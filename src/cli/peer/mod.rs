//! `torg peer check`: the whole way to another server, step by step, and the one thing that fails with what to do about it. For our own
//! domain, what DNS must say of it.

use serde::Serialize;

mod records;
mod walk;

use self::walk::{Cause, Report};
use super::args;
use super::run::block_on;
use super::{Failure, Terminal, printable};
use crate::config::BrokerConfig;
use crate::{catalog, config};

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    domain: &'a str,
    ok: bool,
    #[serde(flatten)]
    report: &'a Report,
}

pub(super) fn run(command: &args::Peer, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let args::Peer::Check(arguments) = command;
    let file = &arguments.config.config;
    let config = config::load(file, catalog::BRIDGES);
    let settings = match config {
        Ok(config) => config.settings,
        Err(errors) => return Err(super::check::tell(&errors, "configuration", terminal)?),
    };
    if arguments.domain.eq_ignore_ascii_case(settings.broker.domain.domain()) {
        return tell_own(arguments, &settings.broker, terminal);
    }
    let report = block_on(async { Ok(walk::walk(&settings, &arguments.domain).await) })?;
    if arguments.json {
        terminal.json(&Printed { domain: &arguments.domain, ok: report.cause.is_none(), report: &report })?;
    } else {
        for step in &report.steps {
            terminal.line(&printable(step))?;
        }
    }
    match report.cause {
        None if arguments.json => Ok(()),
        None => Ok(terminal.line(&format!("{} can be talked to.", arguments.domain))?),
        Some(_) if arguments.json => Err(Failure::Reported),
        Some(cause) => Err(Failure::failed(printable(&format!("{} {}", report.text, cause.advice())))),
    }
}

/// Our own domain is not walked to, but it has to be found by others.
fn tell_own(arguments: &args::PeerCheck, broker: &BrokerConfig, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let wanted = records::wanted(broker);
    if arguments.json {
        return Ok(terminal.json(&wanted)?);
    }
    terminal.line(&format!("{} is this server. So that others find it, DNS must say:", broker.domain))?;
    for record in &wanted.records {
        terminal.line(record)?;
    }
    for remark in &wanted.remarks {
        terminal.line(remark)?;
    }
    Ok(())
}

impl Cause {
    /// What to do about it.
    fn advice(self) -> &'static str {
        match self {
            Cause::Authentication => "Its operator must offer SASL EXTERNAL or dialback to servers.",
            Cause::Certificate => {
                "Its operator must mend the certificate; or name its authority with ca, or its key with pin, in [[broker.peer]]."
            }
            Cause::Connection => "Is the server running there, and does a firewall let us out to that port?",
            Cause::Dns => {
                "Is the domain spelt right, and does DNS work here? A [[broker.peer]] with address needs no DNS."
            }
            Cause::Ours => "Mend our own certificate first; run the check as the user that runs torg.",
            Cause::Policy => {
                "Allow it in the configuration: [broker.listen] s2s, and a [[broker.peer]] for it or [broker.federation] others."
            }
            Cause::Stream => "Something answers there, but no XMPP server for this domain; is the port right?",
            Cause::Tls => "Its operator must offer TLS 1.2 or newer to servers, by STARTTLS or on a port of its own.",
        }
    }
}
