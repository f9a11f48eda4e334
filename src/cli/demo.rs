//! `torg demo`: prints what the demonstration reads, once or until Ctrl-C.

use std::io::IsTerminal as _;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::readings::table;
use super::run::block_on;
use super::{Failure, Terminal, args};
use crate::client::Readings;
use crate::demo::{Demo, DemoError};
use crate::telemetry::{self, Level, Log};

/// How often the readings are refreshed.
const REFRESH: Duration = Duration::from_secs(3);

/// Moves to the top left corner and clears the screen (ECMA-48 CUP, ED).
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        Self::failed(error.to_string())
    }
}

pub(super) fn run(arguments: &args::Demo, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    // The table is what people came for; TORG_LOG shows the rest.
    telemetry::start(Log { level: Level::Error, ..Log::default() });
    block_on(async {
        let demo = Demo::start(arguments.dir.as_deref()).await?;
        let shown = if arguments.once {
            once(&demo, arguments, terminal).await
        } else {
            stay(&demo, arguments, terminal).await
        };
        let in_time = demo.stop().await;
        shown?;
        if in_time { Ok(()) } else { Err(Failure::failed("The demonstration did not end in time.")) }
    })
}

async fn once(demo: &Demo, arguments: &args::Demo, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let readings = demo.read().await?;
    show(&readings, arguments, terminal)?;
    match (demo.is_complete(&readings), arguments.json) {
        (true, _) => Ok(()),
        (false, true) => Err(Failure::Reported),
        (false, false) => Err(Failure::failed("Not every node was read.")),
    }
}

fn show(readings: &Readings, arguments: &args::Demo, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    if arguments.json {
        terminal.json(readings)?;
    } else {
        write!(terminal.out, "{}", table(readings))?;
    }
    Ok(terminal.out.flush()?)
}

async fn stay(demo: &Demo, arguments: &args::Demo, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let screen = !arguments.json && std::io::stdout().is_terminal();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut refresh = interval(REFRESH);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut first = true;
    loop {
        tokio::select! {
            // Cancellation safe: a timer and signals.
            _ = refresh.tick() => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
        let readings = demo.read().await?;
        if screen {
            write!(terminal.out, "{CLEAR}")?;
        }
        if arguments.json {
            terminal.json_line(&readings)?;
        } else {
            show(&readings, arguments, terminal)?;
        }
        if screen || (first && !arguments.json) {
            terminal.line("")?;
            write!(terminal.out, "{}", demo.guide())?;
            terminal.out.flush()?;
        } else if first {
            terminal.note(&demo.guide())?;
        }
        first = false;
    }
}
