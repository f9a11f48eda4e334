//! A line as those see it who ask: settings, requests, counters, and the handle.
//!
//! Requests wait in bounded places; the one task that serves them is in `owner.rs`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use torg_thing::Sniffed;

use super::owner::Owner;
use super::{Answer, Connect, Frames, Lane, LineError, Request, Timing};

/// Requests that wait for one line: a minute of work at 9600 baud is about 600; nobody waits that long for a readout.
const ASKED_MAX: usize = 48;
/// Polls that wait for one line; further pollers wait outside, which costs only their turn.
const POLLS_MAX: usize = 16;
/// Everything about a line but how it is opened.
#[derive(Debug, Clone)]
pub struct LineSettings {
    /// Name, for logs.
    pub name: Arc<str>,
    /// How frames look.
    pub frames: Frames,
    /// Times.
    pub timing: Timing,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Pause after a connection before the first request, for devices that need it.
    pub connect_delay: Duration,
}

/// A request with all the line has to know about it.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Unit id.
    pub unit: u8,
    /// What is asked.
    pub request: Request,
    /// Who waits.
    pub lane: Lane,
    /// When nobody is interested any more; a request is not begun after it.
    pub deadline: Instant,
    /// Timeout of this device, if it differs from the line's.
    pub timeout: Option<Duration>,
}

/// What a line has seen since the bridge started (compare Serial Line V1.02, 2.2.1 and V1.1b3, 6.8 on counters).
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests sent.
    pub requests: AtomicU64,
    /// Usable answers, exceptions included.
    pub answers: AtomicU64,
    /// Exceptions.
    pub exceptions: AtomicU64,
    /// Requests without an answer in time.
    pub silences: AtomicU64,
    /// Damaged, cut, foreign or doubtful answers.
    pub garbled: AtomicU64,
    /// Answers that came too late, recognised and dropped.
    pub late: AtomicU64,
    /// Connections opened.
    pub connections: AtomicU64,
    /// Requests refused because their unit is suspended.
    pub suspended: AtomicU64,
}

/// Shows what passes on the line, with the unit concerned.
pub type Trace = Arc<dyn Fn(u8, Sniffed<'_>) + Send + Sync>;

/// A request that waits.
pub(super) struct Job {
    pub(super) ask: Ask,
    pub(super) since: Instant,
    pub(super) answer: oneshot::Sender<Result<Answer, LineError>>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// A line as those see it who ask. Clones share the line.
#[derive(Debug, Clone)]
pub struct Line {
    jobs: mpsc::Sender<Job>,
    asked: Arc<Semaphore>,
    polls: Arc<Semaphore>,
    counters: Arc<Counters>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("ask", &self.ask).finish_non_exhaustive()
    }
}

impl Line {
    /// A line and its owner, which must [`run`](Owner::run).
    pub fn new(settings: LineSettings, connect: Arc<dyn Connect>, trace: Trace) -> (Self, Owner) {
        let (sender, jobs) = mpsc::channel(ASKED_MAX + POLLS_MAX);
        let counters = Arc::new(Counters::default());
        let line = Self {
            jobs: sender,
            asked: Arc::new(Semaphore::new(ASKED_MAX)),
            polls: Arc::new(Semaphore::new(POLLS_MAX)),
            counters: Arc::clone(&counters),
        };
        (line, Owner::new(settings, connect, trace, jobs, counters))
    }

    /// What the line has seen.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Asks a device. Dropping the future gives up the answer, never an exchange that has begun.
    ///
    /// # Errors
    /// [`LineError::LoadFull`] at once if too many wait; polls wait for a place instead. Otherwise what became of the request.
    pub async fn ask(&self, ask: Ask) -> Result<Answer, LineError> {
        let since = Instant::now();
        let permit = match ask.lane {
            Lane::Poll => timeout_at(ask.deadline, Arc::clone(&self.polls).acquire_owned())
                .await
                .map_err(|_| LineError::LoadLate { waited: since.elapsed() })?
                .map_err(|_| LineError::LoadStopping)?,
            Lane::Control | Lane::Readout => {
                Arc::clone(&self.asked).try_acquire_owned().map_err(|_| LineError::LoadFull)?
            }
        };
        let (answer, receiver) = oneshot::channel();
        let job = Job { ask, since, answer, _permit: permit };
        // There are as many places as permits, so this does not wait.
        self.jobs.send(job).await.map_err(|_| LineError::LoadStopping)?;
        receiver.await.map_err(|_| LineError::LoadStopping)?
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
