//! The one task that owns a line.
//!
//! It opens the line when it is first needed, keeps the silence before each request, gives each reply to whom it belongs and
//! reconnects with growing pauses. It knows no profile and no node.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use torg_thing::Sniffed;
use tracing::{debug, info, trace, warn};

use super::line::{Ask, Counters, Job, LineSettings, Trace};
use super::queue::Queue;
use super::reconnect::{PAUSE_MIN, Reconnect};
use super::{Answer, ByteStream, Connect, Exception, Frames, Lane, LineError, Outcome, Request, Table, Then, Timing};
use super::{crc, mbap, rtu};
use crate::breaker::{Breakers, Gate};

/// A line that babbles this long before a request is broken.
const NOISE_MAX: Duration = Duration::from_secs(1);
/// Silent requests in a row, without a single byte, after which a TCP connection is taken for dead.
const DEAD_AFTER: u32 = 2;
/// Control writes that wait when the bridge stops have this long to be done.
const FAREWELL: Duration = Duration::from_secs(5);
/// Bytes taken at a time; the longest frame has 260.
const CHUNK: usize = 512;

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// The owner of a line.
pub struct Owner {
    settings: LineSettings,
    connect: Arc<dyn Connect>,
    trace: Trace,
    jobs: mpsc::Receiver<Job>,
    counters: Arc<Counters>,
    queue: Queue<Job>,
    stream: Option<Box<dyn ByteStream>>,
    reconnect: Reconnect,
    overdue: rtu::Overdue,
    breakers: Breakers,
    /// Bytes that belong to no exchange, or the half frame after one.
    input: Vec<u8>,
    frame: Vec<u8>,
    last_activity: Instant,
    transaction: u16,
    silent_requests: u32,
    last_read: Option<(u8, Table, u16)>,
    /// The last exchange left a read to be done again.
    again: bool,
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Owner {
    pub(super) fn new(
        settings: LineSettings,
        connect: Arc<dyn Connect>,
        trace: Trace,
        jobs: mpsc::Receiver<Job>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            reconnect: Reconnect::new(&settings.name),
            settings,
            connect,
            trace,
            jobs,
            counters,
            queue: Queue::new(),
            stream: None,
            overdue: rtu::Overdue::default(),
            breakers: Breakers::default(),
            input: Vec::new(),
            frame: Vec::new(),
            last_activity: Instant::now(),
            transaction: 0,
            silent_requests: 0,
            last_read: None,
            again: false,
        }
    }

    /// Serves the line until `shutdown`; then finishes control writes that wait, refuses the rest and closes the line.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            while let Ok(job) = self.jobs.try_recv() {
                self.accept(job);
            }
            if let Some(job) = self.next() {
                self.serve(job).await;
            } else if !self.idle(&shutdown).await {
                break;
            }
        }
        self.finish().await;
    }

    fn accept(&mut self, job: Job) {
        self.queue.push(job.ask.lane, job.since, job.ask.unit, job);
    }

    fn next(&mut self) -> Option<Job> {
        let now = Instant::now();
        let (overdue, breakers) = (&self.overdue, &self.breakers);
        // A suspended unit is refused at once, also while its last reply is still owed.
        self.queue.take(now, |unit| {
            overdue.until(unit, now).is_none() || matches!(breakers.gate(unit, now), Gate::Shut { .. })
        })
    }

    /// Waits for a request, for a unit to be asked again, or for bytes nobody asked for. False when no request can come any more.
    async fn idle(&mut self, shutdown: &CancellationToken) -> bool {
        let now = Instant::now();
        let again = self.queue.units().filter_map(|unit| self.overdue.until(unit, now)).min();
        let mut chunk = [0_u8; CHUNK];
        // Cancellation safe: recv and read take nothing unless they complete, the others have no state.
        tokio::select! {
            () = shutdown.cancelled() => {}
            job = self.jobs.recv() => match job {
                Some(job) => self.accept(job),
                None => return false,
            },
            () = sleep_until(again.unwrap_or(now)), if again.is_some() => {}
            read = read(&mut self.stream, &mut chunk), if self.stream.is_some() => match read {
                Ok(count) if count > 0 => self.stray(chunk.get(..count).unwrap_or_default()),
                // Many devices close a connection that has been idle; that is no fault.
                _ => {
                    debug!(line = %self.settings.name, "The device closed the idle connection.");
                    self.close();
                }
            },
        }
        true
    }

    fn stray(&mut self, bytes: &[u8]) {
        self.last_activity = Instant::now();
        self.input.extend_from_slice(bytes);
        let late = match self.settings.frames {
            Frames::Rtu => self.overdue.stray(&mut self.input),
            Frames::Tcp => mbap::stray(&mut self.input),
        };
        self.late(&late, true);
    }

    /// Late answers of these units came; `certain` if nobody else can have sent them.
    fn late(&mut self, units: &[u8], certain: bool) {
        for unit in units {
            debug!(line = %self.settings.name, unit, "A late answer was dropped.");
            count(&self.counters.late, 1);
            if certain {
                self.overdue.arrived(*unit);
            }
            self.breakers.answered(*unit);
        }
    }

    fn close(&mut self) {
        self.stream = None;
        self.input.clear();
        // What a TCP device still owes goes down with the connection; a serial server may hand it to the next one.
        if self.settings.frames == Frames::Tcp {
            self.overdue.forget();
        }
    }

    async fn serve(&mut self, job: Job) {
        let Job { ask, since, answer, _permit } = job;
        if answer.is_closed() {
            return;
        }
        let now = Instant::now();
        let result = if now >= ask.deadline {
            Err(LineError::LoadLate { waited: now.duration_since(since) })
        } else {
            match self.breakers.gate(ask.unit, now) {
                Gate::Open => self.attempt(&ask).await,
                Gate::Shut { failures, next } => {
                    count(&self.counters.suspended, 1);
                    Err(LineError::DeviceSuspended { failures, next })
                }
                Gate::Probe => match self.attempt(&self.probe(&ask)).await {
                    Ok(_) => self.attempt(&ask).await,
                    Err(error) => Err(error),
                },
            }
        };
        // Nobody may be waiting any more; the exchange is done all the same.
        let _ = answer.send(result);
    }

    /// The shortest read that tells whether a unit is there.
    fn probe(&self, ask: &Ask) -> Ask {
        let (table, address) = match (&ask.request, self.last_read) {
            (Request::Read { table, address, .. }, _) => (*table, *address),
            (_, Some((unit, table, address))) if unit == ask.unit => (table, address),
            _ => (Table::Holding, 0),
        };
        Ask { request: Request::Read { table, address, count: 1 }, ..ask.clone() }
    }

    /// One exchange; a second one if a read was caught by the device closing an idle connection, or is to be done again.
    async fn attempt(&mut self, ask: &Ask) -> Result<Answer, LineError> {
        let reused = self.stream.is_some() && self.settings.frames == Frames::Tcp && !ask.request.is_write();
        self.again = false;
        match self.exchange(ask).await {
            Err(LineError::LineLost { .. }) if reused => self.exchange(ask).await,
            Err(LineError::DeviceAmbiguous) if self.again => self.exchange(ask).await,
            result => result,
        }
    }

    async fn exchange(&mut self, ask: &Ask) -> Result<Answer, LineError> {
        if self.settings.frames == Frames::Tcp && self.silent_requests >= DEAD_AFTER {
            debug!(line = %self.settings.name, "Nothing comes over this connection; a new one is made.");
            self.silent_requests = 0;
            self.close();
        }
        self.connected().await?;
        self.settle().await?;
        let timing = ask.timeout.map_or(self.settings.timing, |timeout| self.settings.timing.with_timeout(timeout));
        let began = Instant::now();
        let outcome = self.transact(ask, &timing, began).await;
        let now = Instant::now();
        count(&self.counters.requests, 1);
        // A frame of another unit is its late answer only if the unit asked has answered as well. If not, it may be the answer to
        // this request under a wrong address, and the other unit still owes its own.
        let certain = self.settings.frames == Frames::Tcp || outcome.result.is_ok();
        self.late(&outcome.late, certain);
        if outcome.echo && !self.settings.timing.echo {
            info!(line = %self.settings.name, "The line hears its own requests; they are taken out from now on.");
            self.settings.timing.echo = true;
        }
        match outcome.then {
            Then::Again => self.again = true,
            Then::Continue => {}
            Then::Hold => self.overdue.hold(ask.unit, now + timing.late),
            Then::Reconnect => self.close(),
        }
        if let Request::Read { table, address, .. } = ask.request {
            self.last_read = Some((ask.unit, table, address));
        }
        self.judge(ask.unit, began, now, &outcome.result);
        outcome.result
    }

    /// Counts the result and tells the breaker.
    fn judge(&mut self, unit: u8, began: Instant, now: Instant, result: &Result<Answer, LineError>) {
        let line = &self.settings.name;
        let silent = match result {
            // A gateway says so of a device behind it that is silent; its patience has cost line time too.
            Ok(Err(exception)) => {
                count(&self.counters.exceptions, 1);
                debug!(%line, unit, code = exception.0, "Device answered with exception.");
                *exception == Exception::GATEWAY_TARGET_SILENT
            }
            Ok(Ok(_)) => false,
            Err(LineError::DeviceSilent { .. }) => {
                count(&self.counters.silences, 1);
                self.silent_requests = self.silent_requests.saturating_add(1);
                true
            }
            Err(LineError::DeviceDamaged | LineError::DeviceAmbiguous | LineError::DeviceUnfit) => {
                count(&self.counters.garbled, 1);
                return;
            }
            Err(LineError::DeviceCut { .. } | LineError::DeviceWrongUnit { .. }) => {
                count(&self.counters.garbled, 1);
                true
            }
            Err(_) => return,
        };
        if result.is_ok() {
            count(&self.counters.answers, 1);
            self.silent_requests = 0;
        }
        if silent && self.breakers.silent(unit, began, now.duration_since(began)) {
            warn!(%line, unit, "Device does not answer; it is only probed from now on.");
        } else if !silent && self.breakers.answered(unit) {
            info!(%line, unit, "Device answers again.");
        }
    }

    /// Sends the request and listens until the exchange has an outcome.
    async fn transact(&mut self, ask: &Ask, timing: &Timing, began: Instant) -> Outcome {
        let lost = |reason: String| Outcome {
            result: Err(LineError::LineLost { reason }),
            then: Then::Reconnect,
            late: Vec::new(),
            echo: false,
        };
        self.frame.clear();
        match self.settings.frames {
            Frames::Rtu => {
                self.input.clear();
                self.frame.extend_from_slice(&[ask.unit, ask.request.function()]);
                ask.request.encode(&mut self.frame);
                crc::seal(&mut self.frame);
            }
            Frames::Tcp => {
                self.transaction = self.transaction.wrapping_add(1);
                mbap::wrap(self.transaction, ask.unit, &ask.request, &mut self.frame);
            }
        }
        let Some(stream) = &mut self.stream else { return lost("not connected".to_owned()) };
        (self.trace)(ask.unit, Sniffed::Sent(&self.frame));
        trace!(line = %self.settings.name, unit = ask.unit, frame = ?self.frame, "Sent.");
        // A peer that takes no bytes is as good as silent; a stuck write must not hold the line.
        match timeout(timing.timeout.max(PAUSE_MIN), stream.write_all(&self.frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return lost(error.to_string()),
            Err(_) => return lost("the peer takes no bytes".to_owned()),
        }
        let asked = (began + timing.characters(self.frame.len())).max(Instant::now());
        self.last_activity = asked;
        let reply = timing.characters(ask.request.reply_length().saturating_add(3));
        let deadline = asked + timing.timeout + reply;
        let mut exchange = match self.settings.frames {
            Frames::Rtu => Exchange::Rtu(rtu::Exchange::new(
                (ask.unit, &ask.request, &self.frame),
                timing,
                &self.overdue,
                asked,
                deadline,
            )),
            Frames::Tcp => Exchange::Tcp(mbap::Exchange::new(
                (self.transaction, ask.unit, &ask.request),
                &mut self.input,
                asked,
                deadline,
            )),
        };
        let mut chunk = [0_u8; CHUNK];
        loop {
            match timeout_at(exchange.deadline(), stream.read(&mut chunk)).await {
                Ok(Ok(0)) => return lost("closed by the device".to_owned()),
                Ok(Ok(length)) => {
                    let bytes = chunk.get(..length).unwrap_or_default();
                    (self.trace)(ask.unit, Sniffed::Received(bytes));
                    trace!(line = %self.settings.name, unit = ask.unit, ?bytes, "Received.");
                    let now = Instant::now();
                    exchange.receive(now, bytes);
                    self.last_activity = now;
                    self.silent_requests = 0;
                }
                Ok(Err(error)) => return lost(error.to_string()),
                Err(_) => {}
            }
            if let Some(outcome) = exchange.outcome(Instant::now()) {
                return outcome;
            }
        }
    }

    /// Opens the line if it is not open.
    async fn connected(&mut self) -> Result<(), LineError> {
        if self.stream.is_some() {
            return Ok(());
        }
        let line = &self.settings.name;
        if let Some(reason) = self.reconnect.refusal(Instant::now()) {
            return Err(LineError::LineDown { reason });
        }
        let opened = match timeout(self.settings.connect_timeout, self.connect.connect()).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no connection within {} ms", self.settings.connect_timeout.as_millis())),
        };
        match opened {
            Ok(stream) => {
                debug!(%line, "Line opened.");
                count(&self.counters.connections, 1);
                self.stream = Some(stream);
                self.input.clear();
                self.reconnect.succeeded();
                self.last_activity = Instant::now();
                tokio::time::sleep(self.settings.connect_delay).await;
                Ok(())
            }
            Err(reason) => {
                let pause = self.reconnect.failed(Instant::now(), &reason);
                warn!(%line, reason, pause_ms = pause.as_millis(), "Line cannot be opened.");
                Err(LineError::LineDown { reason })
            }
        }
    }

    /// Waits until an RTU line has been silent long enough, dropping what comes meanwhile.
    async fn settle(&mut self) -> Result<(), LineError> {
        if self.settings.frames == Frames::Tcp {
            return Ok(());
        }
        let give_up = Instant::now() + NOISE_MAX;
        let mut chunk = [0_u8; CHUNK];
        loop {
            // Bytes that came while nobody looked are older than our request and begin the silence anew.
            let read = match read(&mut self.stream, &mut chunk).now_or_never() {
                Some(read) => read,
                None => {
                    let silent = self.last_activity + self.settings.timing.silence();
                    if Instant::now() >= silent {
                        return Ok(());
                    }
                    match timeout_at(silent, read(&mut self.stream, &mut chunk)).await {
                        Ok(read) => read,
                        Err(_) => continue,
                    }
                }
            };
            match read {
                Ok(0) => {
                    self.close();
                    return self.connected().await;
                }
                Ok(count) => self.stray(chunk.get(..count).unwrap_or_default()),
                Err(error) => {
                    self.close();
                    return Err(LineError::LineLost { reason: error.to_string() });
                }
            }
            if Instant::now() >= give_up {
                return Err(LineError::LineNoisy);
            }
        }
    }

    async fn finish(&mut self) {
        self.jobs.close();
        while let Ok(job) = self.jobs.try_recv() {
            self.accept(job);
        }
        let give_up = Instant::now() + FAREWELL;
        let waiting: Vec<Job> = self.queue.drain().collect();
        for mut job in waiting {
            let now = Instant::now();
            let held = self.overdue.until(job.ask.unit, now);
            if job.ask.lane == Lane::Control && now < give_up && held.is_none() {
                job.ask.deadline = job.ask.deadline.min(give_up);
                self.serve(job).await;
            } else {
                let _ = job.answer.send(Err(LineError::LoadStopping));
            }
        }
    }
}

/// Reads from a stream that is there.
async fn read(stream: &mut Option<Box<dyn ByteStream>>, chunk: &mut [u8]) -> std::io::Result<usize> {
    match stream {
        Some(stream) => stream.read(chunk).await,
        None => std::future::pending().await,
    }
}

enum Exchange<'a> {
    Rtu(rtu::Exchange<'a>),
    Tcp(mbap::Exchange<'a>),
}

impl Exchange<'_> {
    fn receive(&mut self, now: Instant, bytes: &[u8]) {
        match self {
            Self::Rtu(exchange) => exchange.receive(now, bytes),
            Self::Tcp(exchange) => exchange.receive(bytes),
        }
    }

    fn deadline(&self) -> Instant {
        match self {
            Self::Rtu(exchange) => exchange.deadline(),
            Self::Tcp(exchange) => exchange.deadline(),
        }
    }

    fn outcome(&mut self, now: Instant) -> Option<Outcome> {
        match self {
            Self::Rtu(exchange) => exchange.wake(now),
            Self::Tcp(exchange) => exchange.outcome(now),
        }
    }
}
