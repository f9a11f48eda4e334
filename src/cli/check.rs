//! `torg check`: every mistake of a configuration, before it matters; and `torg config`, its sample and schema.

use serde::Serialize;
use torg_thing::config::ConfigError;

use super::args::{Check, ConfigCommand};
use super::{Failure, Terminal};
use crate::{catalog, config};

/// What `torg check --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    errors: &'a [ConfigError],
}

pub(super) fn check(arguments: &Check, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let file = &arguments.config.config;
    let checked = config::load(file, catalog::BRIDGES);
    let errors = checked.as_ref().err().map(Vec::as_slice).unwrap_or_default();
    if arguments.json {
        terminal.json(&Report { ok: errors.is_empty(), errors })?;
    }
    match &checked {
        Ok(config) if !arguments.json => {
            let lines: usize = config.bridges.iter().map(|bridge| bridge.lines.len()).sum();
            let nodes: usize =
                config.bridges.iter().flat_map(|bridge| &bridge.lines).map(|line| line.nodes.len()).sum();
            terminal.line(&format!(
                "{} is right: {}, {}, {}.",
                file.display(),
                count(config.bridges.len(), "bridge"),
                count(lines, "line"),
                count(nodes, "node"),
            ))?;
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(_) if arguments.json => Err(Failure::Reported),
        Err(errors) => Err(tell(errors, "configuration", terminal)?),
    }
}

/// Prints the errors of a configuration or profile, one a line, and their number.
pub(super) fn tell(errors: &[ConfigError], what: &str, terminal: &mut Terminal<'_>) -> Result<Failure, Failure> {
    for error in errors {
        terminal.note(&super::printable(&error.to_string()))?;
    }
    Ok(Failure::failed(format!("The {what} has {}.", count(errors.len(), "error"))))
}

/// `1 line`, `2 lines`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

pub(super) fn config(command: &ConfigCommand, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    match command {
        ConfigCommand::Sample => write!(terminal.out, "{}", config::SAMPLE)?,
        ConfigCommand::Schema => terminal.json(&config::schema())?,
    }
    Ok(())
}
