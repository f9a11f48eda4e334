//! Keeps a certificate fresh: orders it when there is none, renews it in time, waits longer after each failure.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use torg_core::tls::Loaded;
use torg_thing::{Clock, Timestamp};
use tracing::{error, info, warn};

use super::{Account, AcmeConfig, AcmeError, Challenges, files, renewal};

/// Wait after the first failure; doubled after each further one.
const RETRY_FIRST: Duration = Duration::from_secs(60);
/// Longest wait between two tries: authorities allow five failures in an hour, and a renewal has a month.
const RETRY_MAX: Duration = Duration::from_secs(6 * 3600);
/// Longest sleep: clocks jump on gateways without a battery, so the date is looked at again each hour.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// How it stands, for status and metrics; and the wish to try again at once.
#[derive(Debug, Default)]
pub struct Report {
    facts: Mutex<Facts>,
    again: Notify,
}

/// What a report says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// When the next order is due.
    pub due: Option<Timestamp>,
    /// Orders that failed since the last one that did not.
    pub failures: u32,
    /// Why the last one failed.
    pub error: Option<String>,
    /// Certificates received since the start.
    pub issued: u64,
}

impl Report {
    /// The facts of this moment.
    pub fn facts(&self) -> Facts {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the wait after a failure: an operator has mended something. Orders nothing that is not due.
    pub fn try_again(&self) {
        self.again.notify_one();
    }

    fn change(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Runs until it is dropped. `take` puts a certificate into use.
pub async fn run(
    config: AcmeConfig,
    folder: PathBuf,
    challenges: Arc<Challenges>,
    report: Arc<Report>,
    clock: Arc<dyn Clock>,
    take: impl Fn(&Loaded) -> Result<(), AcmeError> + Send,
) {
    let spread = spread();
    let mut failures: u32 = 0;
    loop {
        let now = clock.now();
        let due = due(&config, &folder, now, spread);
        report.change(|facts| facts.due = Some(due));
        let wait = if now < due {
            due.since(now).min(LOOK_AGAIN)
        } else {
            info!(directory = config.directory, domains = ?config.domains, "Ordering a certificate.");
            let ordered = order(&config, &folder, &challenges, &*clock).await;
            match ordered
                .and_then(|loaded| take(&loaded).map(|()| loaded))
                .and_then(|loaded| fresh(loaded, &*clock, spread))
            {
                Ok(loaded) => {
                    failures = 0;
                    report.change(|facts| {
                        (facts.failures, facts.error) = (0, None);
                        facts.issued = facts.issued.saturating_add(1);
                    });
                    info!(until = %loaded.until, "A new certificate is in use.");
                    continue;
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let wait = retry(failures);
                    report.change(|facts| (facts.failures, facts.error) = (failures, Some(error.to_string())));
                    error!(%error, failures, ?wait, "No certificate could be had; the one before stays in use.");
                    wait
                }
            }
        };
        tokio::select! {
            // Both are cancel safe.
            () = sleep(wait) => {}
            () = report.again.notified() => {}
        }
    }
}

async fn order(
    config: &AcmeConfig,
    folder: &std::path::Path,
    challenges: &Challenges,
    clock: &dyn Clock,
) -> Result<Loaded, AcmeError> {
    let account = Account::open(config, folder).await?;
    match account.order(config, challenges, || clock.now()).await {
        Err(error) if error.is_unknown_account() => {
            warn!(%error, "The authority does not know our account any more; a new one is made.");
            account.forget()?;
            Account::open(config, folder).await?.order(config, challenges, || clock.now()).await
        }
        done => done,
    }
}

/// Not due at once, which would order forever: a clock is wrong. It is in use all the same, for it is the best there is.
fn fresh(loaded: Loaded, clock: &dyn Clock, spread: u8) -> Result<Loaded, AcmeError> {
    if renewal(loaded.from, loaded.until, spread) <= clock.now() {
        return Err(AcmeError::Clock { from: loaded.from, until: loaded.until });
    }
    Ok(loaded)
}

/// When the next order is due: at once without a certificate for all names that is valid now.
fn due(config: &AcmeConfig, folder: &std::path::Path, now: Timestamp, spread: u8) -> Timestamp {
    let files = files(folder);
    let all = config.domains.iter().map(|domain| files.load(domain, now)).collect::<Result<Vec<_>, _>>();
    match all.as_deref() {
        Ok([first, ..]) => renewal(first.from, first.until, spread),
        _ => now,
    }
}

/// A minute, two, four... and never longer than [`RETRY_MAX`].
fn retry(failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    RETRY_FIRST.saturating_mul(factor).min(RETRY_MAX)
}

/// Drawn once for each start, so that sites that were installed together do not renew together.
fn spread() -> u8 {
    let mut byte = [0];
    // Without randomness nothing else would have started either.
    let _ = getrandom::fill(&mut byte);
    byte.first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_six_hours() {
        let minutes: Vec<u64> = (1..=11).map(|failures| retry(failures).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360]);
        assert_eq!(retry(u32::MAX), RETRY_MAX);
    }
}
