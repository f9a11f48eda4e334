//! Commands under way: who began which, and until when it may go on (XEP-0050 §3.4).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use torg_wire::jid::Jid;
use torg_wire::xep::commands::Fault;

use crate::session::now;

/// Commands under way at the same time; administrators are few. A newer one takes the place of the oldest.
const RUNS_MAX: usize = 64;
/// Time to fill in a form.
const RUN_TIME: Duration = Duration::from_secs(15 * 60);
/// Random bytes of a run's name: not to be guessed.
const NAME_BYTES: usize = 16;

#[derive(Debug)]
struct Run {
    by: Jid,
    command: &'static str,
    since: Instant,
}

/// All commands under way.
#[derive(Debug, Default)]
pub(crate) struct Runs(Mutex<HashMap<String, Run>>);

impl Runs {
    /// A name for a run; empty if the system gives no randomness.
    pub(crate) fn name(&self) -> String {
        let mut bytes = [0; NAME_BYTES];
        if getrandom::fill(&mut bytes).is_err() {
            return String::new();
        }
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn begin(&self, by: &Jid, command: &'static str) -> Option<String> {
        let name = Some(self.name()).filter(|name| !name.is_empty())?;
        let mut runs = self.lock();
        if runs.len() >= RUNS_MAX
            && let Some(oldest) = runs.iter().min_by_key(|(_, run)| run.since).map(|(name, _)| name.clone())
        {
            runs.remove(&oldest);
        }
        runs.insert(name.clone(), Run { by: by.clone(), command, since: now() });
        Some(name)
    }

    /// Whether the run goes on, for its own beginner and with the same command.
    pub(crate) fn check(&self, name: &str, by: &Jid, command: &str) -> Result<(), Fault> {
        let mut runs = self.lock();
        let run = runs.get(name).filter(|run| run.by == *by && run.command == command).ok_or(Fault::BadSession)?;
        if now().saturating_duration_since(run.since) > RUN_TIME {
            runs.remove(name);
            return Err(Fault::SessionExpired);
        }
        Ok(())
    }

    pub(crate) fn end(&self, name: &str) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_its_beginners_until_it_ends_or_time_is_up() {
        let (runs, anna) = (Runs::default(), jid("anna@x/phone"));
        let name = runs.begin(&anna, "announce").unwrap();
        assert_eq!(runs.check(&name, &anna, "announce"), Ok(()));
        assert_eq!(runs.check(&name, &jid("bob@x/desk"), "announce"), Err(Fault::BadSession));
        assert_eq!(runs.check(&name, &anna, "add-user"), Err(Fault::BadSession));
        tokio::time::advance(RUN_TIME).await;
        assert_eq!(runs.check(&name, &anna, "announce"), Ok(()));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(runs.check(&name, &anna, "announce"), Err(Fault::SessionExpired));
        let other = runs.begin(&anna, "announce").unwrap();
        runs.end(&other);
        assert_eq!(runs.check(&other, &anna, "announce"), Err(Fault::BadSession));
    }

    #[tokio::test(start_paused = true)]
    async fn one_run_too_many_ends_the_oldest() {
        let (runs, anna) = (Runs::default(), jid("anna@x/phone"));
        let first = runs.begin(&anna, "announce").unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 1..RUNS_MAX {
            runs.begin(&anna, "announce").unwrap();
        }
        assert_eq!(runs.check(&first, &anna, "announce"), Ok(()));
        runs.begin(&anna, "announce").unwrap();
        assert_eq!(runs.check(&first, &anna, "announce"), Err(Fault::BadSession));
    }
}
