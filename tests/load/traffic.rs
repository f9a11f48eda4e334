//! Messages between sessions: a closed loop, where a sender waits for its messages to arrive, and an open one, where messages come
//! at their own rate, whether the server keeps up or not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{sync::Semaphore, task::JoinSet, time::sleep_until};

use crate::client::{Batch, Reader, Session, Writer};

/// A reading as a sensor data message has about so many bytes.
const CLOSED_BODY: usize = 100;
const OPEN_BODY: usize = 200;
/// Messages of one pair that may be under way at a time in the closed loop.
const WINDOW: usize = 8;
/// With stream management, a sender asks for an acknowledgement after so many messages.
const ASK_EVERY: usize = 10;
/// A message that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the open loop sends what is due.
const TICK: Duration = Duration::from_millis(1);

/// Sends from each session of the first half to one of the second for this long; returns how many messages arrived.
pub(crate) async fn closed(sessions: Vec<Session>, acks: bool, length: Duration) -> Result<usize> {
    let mut senders = sessions;
    let receivers = senders.split_off(senders.len() / 2);
    let end = Instant::now() + length;
    let mut tasks = JoinSet::new();
    for (sender, receiver) in senders.into_iter().zip(receivers) {
        tasks.spawn(pair(sender, receiver, acks, end));
    }
    let mut delivered = 0;
    while let Some(count) = tasks.join_next().await {
        delivered += count??;
    }
    Ok(delivered)
}

async fn pair(sender: Session, receiver: Session, acks: bool, end: Instant) -> Result<usize> {
    let to = receiver.jid.clone();
    let (unread, out) = sender.split();
    let (input, answers) = receiver.split();
    let window = Arc::new(Semaphore::new(WINDOW));
    let unread = tokio::spawn(unread.drain());
    let sending = tokio::spawn(send(out, to, Arc::clone(&window), acks, end));
    let mut input = Receiver { input, answers, received: 0 };
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        // The time may be over while nothing is under way.
        let Ok(count) = tokio::time::timeout(left, input.next()).await else { break };
        window.add_permits(count?);
    }
    window.close();
    let (out, sent) = sending.await??;
    // What was under way arrives, too.
    while input.received < sent {
        input.next().await.with_context(|| format!("{} of {sent} came", input.received))?;
    }
    unread.abort();
    drop(out);
    Ok(input.received)
}

async fn send(
    mut out: Writer,
    to: String,
    window: Arc<Semaphore>,
    acks: bool,
    end: Instant,
) -> Result<(Writer, usize)> {
    let message = format!("<message to='{to}' type='chat' id='m'><body>{}</body></message>", "x".repeat(CLOSED_BODY));
    let mut sent = 0;
    while Instant::now() < end {
        let Ok(permit) = tokio::time::timeout(PATIENCE, window.acquire()).await.context("a message was lost")? else {
            break;
        };
        permit.forget();
        // One write for each: a device does not save up its readings either.
        out.send(&message).await?;
        sent += 1;
        if acks && sent % ASK_EVERY == 0 {
            out.send("<r xmlns='urn:xmpp:sm:3'/>").await?;
        }
    }
    Ok((out, sent))
}

/// The receiving end of a pair.
struct Receiver {
    input: Reader,
    answers: Writer,
    received: usize,
}

impl Receiver {
    /// Waits for the next messages; how many came.
    async fn next(&mut self) -> Result<usize> {
        let batch = self.input.messages(PATIENCE).await?.context("a message was lost")?;
        self.received += batch.count;
        acknowledge(&batch, self.received, &mut self.answers).await?;
        Ok(batch.count)
    }
}

async fn acknowledge(batch: &Batch, received: usize, answers: &mut Writer) -> Result<()> {
    if batch.asked {
        answers.send(&format!("<a xmlns='urn:xmpp:sm:3' h='{received}'/>")).await?;
    }
    Ok(())
}

/// What the open loop saw.
pub(crate) struct Delivered {
    pub(crate) count: usize,
    pub(crate) sent: usize,
    /// Half of the messages took no longer.
    pub(crate) p50: Duration,
    /// All but a hundredth took no longer.
    pub(crate) p99: Duration,
}

/// How an open loop sends.
#[derive(Clone, Copy)]
pub(crate) struct Open {
    pub(crate) acks: bool,
    /// Messages per second.
    pub(crate) rate: usize,
    pub(crate) length: Duration,
    /// From the first half of the sessions to the second, instead of between any two.
    pub(crate) across: bool,
}

/// Sends messages between random pairs. A delay counts from the moment at which a message was due, not from when it could be sent.
pub(crate) async fn open(sessions: Vec<Session>, how: Open) -> Result<Delivered> {
    let start = Instant::now();
    let addresses: Vec<String> = sessions.iter().map(|session| session.jid.clone()).collect();
    let (mut readers, mut writers) = (JoinSet::new(), Vec::new());
    let received = Arc::new(AtomicUsize::new(0));
    for session in sessions {
        let (reader, writer) = session.split();
        let writer = Arc::new(tokio::sync::Mutex::new(writer));
        readers.spawn(measure(reader, Arc::clone(&writer), Arc::clone(&received), start));
        writers.push(writer);
    }
    let sent = pour(&writers, &addresses, how, start).await?;
    let end = Instant::now() + PATIENCE;
    while received.load(Ordering::Relaxed) < sent && Instant::now() < end {
        tokio::time::sleep(TICK * 50).await;
    }
    let count = received.load(Ordering::Relaxed);
    drop(writers);
    // The readers wait for more; what they have seen is asked for by closing their streams.
    STOP.store(1, Ordering::Relaxed);
    let mut delays = Vec::with_capacity(count);
    while let Some(seen) = readers.join_next().await {
        delays.extend(seen??);
    }
    STOP.store(0, Ordering::Relaxed);
    delays.sort_unstable();
    let at = |part: usize| delays.get(delays.len() * part / 100).copied().unwrap_or_default();
    Ok(Delivered { count, sent, p50: at(50), p99: at(99) })
}

/// Tells the readers of the open loop that it is over; they look every second.
static STOP: AtomicUsize = AtomicUsize::new(0);

async fn pour(
    writers: &[Arc<tokio::sync::Mutex<Writer>>],
    addresses: &[String],
    how: Open,
    start: Instant,
) -> Result<usize> {
    let Open { acks, rate, length, across } = how;
    let (senders, receivers) = if across {
        (0..writers.len() / 2, writers.len() / 2..writers.len())
    } else {
        (0..writers.len(), 0..writers.len())
    };
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut one_of = |range: &std::ops::Range<usize>| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        range.start + usize::try_from(random % range.len() as u64).unwrap_or_default()
    };
    let filler = "x".repeat(OPEN_BODY - 20);
    let total = rate * usize::try_from(length.as_secs()).unwrap_or_default();
    let mut counts = vec![0_usize; writers.len()];
    let mut next = Instant::now();
    let begun = next;
    let mut sent = 0;
    while sent < total {
        let due = (begun.elapsed().as_nanos() * rate as u128 / 1_000_000_000).min(total as u128) as usize;
        while sent < due {
            let stamp = begun + Duration::from_nanos(sent as u64 * 1_000_000_000 / rate as u64);
            let nanos = stamp.duration_since(start).as_nanos();
            let (from, to) = (one_of(&senders), one_of(&receivers));
            let to = &addresses[to];
            let mut text = format!("<message to='{to}' type='chat' id='m'><body>{nanos:020}{filler}</body></message>");
            counts[from] += 1;
            if acks && counts[from].is_multiple_of(ASK_EVERY) {
                text.push_str("<r xmlns='urn:xmpp:sm:3'/>");
            }
            writers[from].lock().await.send(&text).await?;
            sent += 1;
        }
        next += TICK;
        sleep_until(next.into()).await;
    }
    Ok(sent)
}

async fn measure(
    mut reader: Reader,
    writer: Arc<tokio::sync::Mutex<Writer>>,
    all: Arc<AtomicUsize>,
    start: Instant,
) -> Result<Vec<Duration>> {
    const START: &[u8] = b"<body>";
    let (mut delays, mut received) = (Vec::new(), 0);
    while STOP.load(Ordering::Relaxed) == 0 {
        let Some(batch) = reader.messages(Duration::from_secs(1)).await? else { continue };
        let now = start.elapsed();
        let mut rest = &batch.messages[..];
        while let Some(at) = rest.windows(START.len()).position(|window| window == START) {
            rest = &rest[at + START.len()..];
            let stamp =
                rest.get(..20).and_then(|digits| std::str::from_utf8(digits).ok()).context("no time in a body")?;
            delays.push(now.saturating_sub(Duration::from_nanos(stamp.parse()?)));
        }
        received += batch.count;
        all.fetch_add(batch.count, Ordering::Relaxed);
        acknowledge(&batch, received, &mut *writer.lock().await).await?;
    }
    Ok(delays)
}
