//! CPU time and memory of a process, from `/proc` (proc(5)).

use std::{
    fs,
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// Clock ticks of `/proc/PID/stat` per second; 100 on every Linux that has a `/proc`.
const TICKS_PER_SECOND: u64 = 100;

/// A running process, by its id.
pub(crate) struct Process(u32);

/// What something cost.
pub(crate) struct Cost {
    /// User and system time that the process spent.
    pub(crate) cpu: Duration,
    /// Time that passed.
    pub(crate) wall: Duration,
}

impl Process {
    /// The process `pid`; whether it runs shows at the first question.
    pub(crate) fn of(pid: u32) -> Self {
        Self(pid)
    }

    /// Physical memory in use, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0))?;
        let line = rollup.lines().find(|line| line.starts_with("Rss:")).context("no Rss in smaps_rollup")?;
        let kibibytes: u64 = line.split_whitespace().nth(1).context("no number in Rss")?.parse()?;
        Ok(kibibytes * 1024)
    }

    /// Runs `work` and says what the process spent meanwhile.
    pub(crate) async fn cost_of<T>(&self, work: impl Future<Output = T>) -> Result<(Cost, T)> {
        Self::cost_of_all(std::slice::from_ref(self), work).await
    }

    /// Runs `work` and says what these processes spent together.
    pub(crate) async fn cost_of_all<T>(all: &[Self], work: impl Future<Output = T>) -> Result<(Cost, T)> {
        let cpu = || all.iter().map(Self::cpu).sum::<Result<Duration>>();
        let (before, start) = (cpu()?, Instant::now());
        let done = work.await;
        Ok((Cost { cpu: cpu()?.saturating_sub(before), wall: start.elapsed() }, done))
    }

    /// User and system time of all its threads so far.
    fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The second field is the name in parentheses and may contain anything.
        let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
        let ticks = |index: usize| -> Result<u64> {
            rest.split_whitespace().nth(index).context("stat is short")?.parse().context("stat is no number")
        };
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 1000 / TICKS_PER_SECOND))
    }
}
