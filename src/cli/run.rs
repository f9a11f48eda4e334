//! `torg run`: the appliance until it is told to end, with what a service manager wants to know.

use std::future::Future;
use std::io;
use std::path::Path;
use std::process;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::args::Run;
use super::check::tell;
use super::{Failure, Terminal};
use crate::app::bridges::Applied;
use crate::app::sockets::Sockets;
use crate::app::{Appliance, SelfNames, notify};
use crate::{catalog, config, telemetry};

/// How often the certificate is looked at: whoever puts a new one in its place sees it served within a minute.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(60);

/// How often the watchdog's branch runs when no service manager watches: never mind, but a timer needs a period.
const NO_WATCHDOG: Duration = Duration::from_secs(3600);

/// Runs a future on a new runtime.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("The runtime cannot start: {error}.")))?;
    let result = runtime.block_on(future);
    // Nothing that was left behind may hold up the end.
    runtime.shutdown_background();
    result
}

pub(super) fn run(arguments: &Run, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let file = arguments.config.config.as_path();
    let config = match config::load(file, catalog::BRIDGES) {
        Ok(config) => config,
        Err(errors) => return Err(tell(&errors, "configuration", terminal)?),
    };
    telemetry::start(config.settings.log);
    let sockets = Sockets::inherited().map_err(|error| Failure::failed(error.to_string()))?;
    block_on(async {
        // Signals are caught before anything is started, so that none is lost.
        let mut signals = Signals::new()?;
        let mut appliance = Appliance::start_with(config, SelfNames::DomainOnly, sockets).await?;
        // An appliance does not end because nobody reads its standard output.
        let _ = announce(&appliance, arguments.print_addresses, terminal);
        info!("{}", appliance.status());
        notify::ready(&appliance.status());
        serve(&mut appliance, file, &mut signals).await;
        stop(appliance, signals).await
    })
}

/// Says on standard output that the appliance is ready, and where it listens if that is wanted.
fn announce(appliance: &Appliance, addresses: bool, terminal: &mut Terminal<'_>) -> io::Result<()> {
    terminal.line("READY")?;
    if addresses {
        for (kind, address) in appliance.addresses().each() {
            terminal.line(&format!("ADDRESS {kind} {address}"))?;
        }
    }
    terminal.out.flush()
}

/// The signals the appliance obeys.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let catch = |kind| signal(kind).map_err(|error| Failure::failed(format!("Signals cannot be caught: {error}.")));
        Ok(Self {
            hangup: catch(SignalKind::hangup())?,
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
        })
    }

    /// Waits for the order to end. Cancellation safe: a signal that comes is kept.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Serves until the order to end comes.
async fn serve(appliance: &mut Appliance, file: &Path, signals: &mut Signals) {
    let mut alive = interval(notify::watchdog_interval().unwrap_or(NO_WATCHDOG));
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut certificate = interval(CERTIFICATE_CHECK);
    certificate.tick().await;
    loop {
        tokio::select! {
            // Every branch is cancellation safe: signals and timers.
            _ = signals.interrupt.recv() => return,
            _ = signals.terminate.recv() => return,
            _ = signals.hangup.recv() => {
                notify::reloading();
                let remark = reload(appliance, file).await;
                notify::ready(&format!("{}{remark}", appliance.status()));
            }
            _ = alive.tick() => {
                if appliance.is_healthy() {
                    notify::alive();
                } else {
                    error!("A part of the appliance has ended; the service manager will start it again.");
                }
            }
            _ = certificate.tick() => appliance.look_after_certificate().await,
        }
    }
}

/// Reads the configuration again and takes it into use, or says why not. Answers what the service manager should show.
async fn reload(appliance: &mut Appliance, file: &Path) -> &'static str {
    info!(file = %file.display(), "Reading the configuration again.");
    let config = match config::load(file, catalog::BRIDGES) {
        Ok(config) => config,
        Err(errors) => {
            for error in &errors {
                error!("{error}");
            }
            error!(errors = errors.len(), "The new configuration has errors; the old one stays.");
            return " The configuration file has errors; the one before it is in use.";
        }
    };
    match appliance.reload(config).await {
        Ok(done) => {
            let Applied { kept, replaced, started, stopped } = done.lines;
            info!(kept, replaced, started, stopped, "The new configuration is in use.");
            if done.restart_needed.is_empty() { "" } else { " Some changes wait for a restart." }
        }
        Err(error) => {
            error!(%error, "The new configuration cannot be used; the old one stays.");
            " The new configuration cannot be used; the one before it is in use."
        }
    }
}

/// Drains the appliance; a second order ends it at once.
async fn stop(appliance: Appliance, mut signals: Signals) -> Result<(), Failure> {
    notify::stopping();
    info!("Stopping.");
    // Watched beside the draining, which must not be given up half way by accident.
    let impatient = tokio::spawn(async move {
        signals.end().await;
        warn!("Told to end a second time: ending at once.");
        process::exit(1);
    });
    let in_time = appliance.stop().await;
    impatient.abort();
    if in_time {
        info!("Stopped.");
        Ok(())
    } else {
        Err(Failure::failed("Not everything came to its end in time; what was left was cut off."))
    }
}
