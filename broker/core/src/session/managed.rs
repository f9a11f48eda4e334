//! The queue of a managed stream (XEP-0198): every stanza gets a number when it may be written, and is kept until the client has
//! acknowledged it. A stanza that must be on disk first is numbered with those before it, and is written out once they are there.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use torg_wire::stanza::Stanza;
use torg_wire::xep::sm::on_the_wire;

use super::queue::{Inner, Parcel, Queue, Rejected};
use crate::limits::{DETACHED_BYTES, DETACHED_STANZAS, MANAGED_STANZAS, QUEUE_BYTES};
use crate::offline::is_storable;
use crate::sm::Origin;
use crate::transit::Passage;

/// Stanzas numbered at once while they are written to disk: bounds the batch, and how long its first waits for its last.
const STAGE_MAX: usize = 128;

/// What is kept until it is acknowledged.
#[derive(Debug, Default)]
pub(super) struct Managed {
    /// Numbered, oldest first: the first has the number `acked + 1`.
    kept: VecDeque<Kept>,
    /// How many of them have been handed to the connection.
    written: usize,
    /// Stanzas the client has acknowledged.
    acked: u64,
    /// So many of the waiting parcels have their numbers and are being written to disk.
    staging: usize,
    /// Grows with each connection; an older one gets nothing any more.
    connection: u64,
    detached: bool,
    /// Nothing more goes to the disk: the session has ended.
    sealed: bool,
}

#[derive(Debug)]
struct Kept {
    stanza: Arc<Stanza>,
    text: Bytes,
    receipt: Option<oneshot::Sender<()>>,
    /// As of its parcel, unless it has a row.
    passage: Option<Passage>,
    /// It has a row on the disk.
    stored: bool,
}

/// Numbered stanzas to be written to disk.
pub(crate) struct Stage {
    /// The number of the first stanza, whether it goes to disk or not.
    pub(crate) first: u64,
    pub(crate) rows: Vec<StagedRow>,
}

/// One of them.
pub(crate) struct StagedRow {
    pub(crate) number: u64,
    pub(crate) stanza: Arc<Stanza>,
    pub(crate) origin: Option<Origin>,
    /// Its number among the account's offline messages, which it leaves.
    pub(crate) offline: Option<i64>,
    /// As of its parcel: the row it may have among the messages under way goes.
    pub(crate) passage: Option<Passage>,
}

/// Whether a session had no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WasDetached(pub(crate) bool);

/// What an acknowledgement has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acked {
    /// The rows up to this number are not needed any more, if there are any.
    Until(Option<u64>),
    /// It says less than an earlier one.
    Old,
    /// It says more than was sent: so many.
    TooHigh(u32),
}

impl Managed {
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn is_written(&self) -> bool {
        self.written >= self.kept.len()
    }

    pub(super) fn staging(&self) -> usize {
        self.staging
    }

    /// Most stanzas and bytes.
    pub(super) fn room(&self) -> (usize, usize) {
        if self.detached { (DETACHED_STANZAS, DETACHED_BYTES) } else { (MANAGED_STANZAS, QUEUE_BYTES) }
    }

    /// Everything that was not acknowledged.
    pub(super) fn give_back(&mut self) -> impl Iterator<Item = Parcel> {
        self.written = 0;
        self.staging = 0;
        let kept = std::mem::take(&mut self.kept).into_iter();
        kept.map(|kept| Parcel {
            stanza: kept.stanza,
            text: kept.text,
            receipt: kept.receipt,
            care: None,
            passage: kept.passage,
        })
    }

    fn keep(&mut self, parcel: Parcel) {
        let stored = parcel.care.is_some();
        // A receipt is for the message to leave its table: now that it has a row, else once it is acknowledged.
        let receipt = match parcel.receipt {
            Some(receipt) if stored => {
                let _ = receipt.send(()); // nobody may be waiting any more
                None
            }
            other => other,
        };
        let passage = parcel.passage.filter(|_| !stored);
        self.kept.push_back(Kept { stanza: parcel.stanza, text: parcel.text, receipt, passage, stored });
    }
}

impl Queue {
    /// What is written from now on is numbered, from 1. If the session can be resumed, messages that came before it said so go to the
    /// disk, too.
    pub(crate) fn manage(&self, resumable: bool) {
        let mut inner = self.lock();
        inner.managed.get_or_insert_default();
        if resumable {
            for parcel in inner.parcels.iter_mut().filter(|parcel| parcel.receipt.is_none()) {
                parcel.care = is_storable(&parcel.stanza).then(Box::default);
            }
        }
    }

    /// As it was before the broker started anew: so many stanzas acknowledged, and those behind them, all of which have rows.
    pub(crate) fn manage_restored(&self, acked: u64, stanzas: impl Iterator<Item = (Arc<Stanza>, Bytes)>) {
        let mut inner = self.lock();
        let kept: VecDeque<Kept> =
            stanzas.map(|(stanza, text)| Kept { stanza, text, receipt: None, passage: None, stored: true }).collect();
        inner.bytes += kept.iter().map(|kept| kept.text.len()).sum::<usize>();
        inner.managed = Some(Box::new(Managed { kept, acked, ..Managed::default() }));
    }

    /// Takes what may be written by this connection into `out`, until about `bytes` bytes have been taken; answers how many stanzas.
    pub(crate) fn take_managed(&self, connection: u64, out: &mut Vec<Bytes>, bytes: usize) -> usize {
        let mut guard = self.lock();
        let inner: &mut Inner = &mut guard;
        let holds_back = inner.holds_back();
        let Some(managed) = inner.managed.as_deref_mut().filter(|managed| managed.connection == connection) else {
            return 0;
        };
        let (mut stanzas, mut taken) = (0, 0);
        while taken < bytes {
            if managed.is_written() {
                // The next one gets its number, unless it has to go to disk first.
                let waits = |parcel: &Parcel| managed.staging > 0 || parcel.care.is_some() || holds_back;
                match inner.parcels.front() {
                    Some(parcel) if !waits(parcel) => {}
                    _ => break,
                }
                let Some(parcel) = inner.parcels.pop_front() else { break };
                managed.keep(parcel);
            }
            let Some(kept) = managed.kept.get(managed.written) else { break };
            taken += kept.text.len();
            out.push(kept.text.clone());
            managed.written += 1;
            stanzas += 1;
        }
        inner.forget_if_empty();
        stanzas
    }

    /// The client has handled so many stanzas.
    pub(crate) fn acknowledge(&self, h: u32) -> Acked {
        let mut guard = self.lock();
        let inner: &mut Inner = &mut guard;
        let Some(managed) = inner.managed.as_deref_mut() else { return Acked::TooHigh(0) };
        let ahead = h.wrapping_sub(on_the_wire(managed.acked));
        if ahead > u32::MAX / 2 {
            return Acked::Old;
        }
        let ahead = usize::try_from(ahead).unwrap_or(usize::MAX);
        if ahead > managed.written {
            let sent = managed.acked + u64::try_from(managed.written).unwrap_or_default();
            return Acked::TooHigh(on_the_wire(sent));
        }
        let mut stored = None;
        for kept in managed.kept.drain(..ahead) {
            managed.acked += 1;
            managed.written -= 1;
            inner.bytes = inner.bytes.saturating_sub(kept.text.len());
            if kept.stored {
                stored = Some(managed.acked);
            }
            if let Some(receipt) = kept.receipt {
                let _ = receipt.send(()); // nobody may be waiting any more
            }
        }
        if managed.kept.is_empty() {
            managed.kept = VecDeque::new(); // an idle session keeps no memory for it
        }
        Acked::Until(stored)
    }

    /// Whether the client owes an acknowledgement.
    pub(crate) fn is_unacknowledged(&self) -> bool {
        self.lock().managed.as_deref().is_some_and(|managed| managed.written > 0)
    }

    /// Gives numbers to the next stanzas that must be on disk, and to those before them; `None` if there are none, or the session has
    /// ended. Until [`Queue::end_stage`] nothing else is numbered.
    pub(crate) fn begin_stage(&self) -> Option<Stage> {
        let mut guard = self.lock();
        let inner: &mut Inner = &mut guard;
        let managed = inner.managed.as_deref_mut()?;
        if managed.sealed || managed.staging > 0 {
            return None;
        }
        let batch = inner.parcels.iter().take(STAGE_MAX).enumerate();
        let last = batch.filter(|(_, parcel)| parcel.care.is_some()).map(|(position, _)| position).last();
        let Some(last) = last else {
            // Only others for a whole batch: they are numbered without waiting for a disk.
            if inner.parcels.iter().any(|parcel| parcel.care.is_some()) {
                for parcel in inner.parcels.drain(..STAGE_MAX) {
                    managed.keep(parcel);
                }
                return Some(Stage { first: 0, rows: Vec::new() });
            }
            return None;
        };
        managed.staging = last + 1;
        let before = managed.acked + u64::try_from(managed.kept.len()).unwrap_or_default();
        let numbered = inner.parcels.iter().take(last + 1).zip(before + 1..);
        let rows = numbered.filter_map(|(parcel, number)| {
            let care = parcel.care.as_deref()?;
            let (stanza, origin) = (Arc::clone(&parcel.stanza), care.origin.clone());
            Some(StagedRow { number, stanza, origin, offline: care.offline, passage: parcel.passage.clone() })
        });
        Some(Stage { first: before + 1, rows: rows.collect() })
    }

    /// The stage is on disk, or it is not: then what should have been is given back, and the others lose their numbers.
    pub(crate) fn end_stage(&self, on_disk: bool) -> Vec<Parcel> {
        let mut guard = self.lock();
        let inner: &mut Inner = &mut guard;
        let Some(managed) = inner.managed.as_deref_mut() else { return Vec::new() };
        let staged = std::mem::take(&mut managed.staging).min(inner.parcels.len());
        let mut refused = Vec::new();
        if on_disk {
            for parcel in inner.parcels.drain(..staged) {
                managed.keep(parcel);
            }
        } else {
            for position in (0..staged).rev() {
                if inner.parcels.get(position).is_some_and(|parcel| parcel.care.is_some()) {
                    refused.extend(inner.parcels.remove(position));
                }
            }
            refused.reverse();
            inner.bytes = inner.bytes.saturating_sub(refused.iter().map(|parcel| parcel.text.len()).sum());
        }
        drop(guard);
        self.wake();
        refused
    }

    /// The disk took nothing of the stage, but the client is there: what comes from senders goes to it all the same, with the numbers it
    /// was to have, and lives in memory until it is acknowledged. `false` if that cannot be: the client is away, or some of it comes out of
    /// the table of offline messages, where it stays; then [`Queue::end_stage`] has to follow.
    pub(crate) fn end_stage_in_memory(&self) -> bool {
        let mut guard = self.lock();
        let inner: &mut Inner = &mut guard;
        let Some(managed) = inner.managed.as_deref_mut() else { return false };
        let staged = managed.staging.min(inner.parcels.len());
        let is_stored = |parcel: &Parcel| parcel.care.as_deref().is_some_and(|care| care.offline.is_some());
        if managed.detached || inner.gone || inner.parcels.iter().take(staged).any(is_stored) {
            return false;
        }
        managed.staging = 0;
        for mut parcel in inner.parcels.drain(..staged) {
            parcel.care = None;
            managed.keep(parcel);
        }
        drop(guard);
        self.wake();
        true
    }

    /// Nothing goes to the disk any more.
    pub(crate) fn seal(&self) {
        if let Some(managed) = self.lock().managed.as_deref_mut() {
            managed.sealed = true;
        }
    }

    /// Whether something waits for the disk.
    pub(crate) fn needs_stage(&self) -> bool {
        let inner = self.lock();
        let is_open = inner.managed.as_deref().is_some_and(|managed| !managed.sealed);
        is_open && inner.parcels.iter().any(|parcel| parcel.care.is_some())
    }

    /// Another connection takes the place of the present one; answers its number. The present one is woken to notice.
    pub(crate) fn next_connection(&self) -> u64 {
        let mut inner = self.lock();
        let number = inner.managed.as_deref_mut().map_or(0, |managed| {
            managed.connection += 1;
            managed.connection
        });
        drop(inner);
        self.wake();
        number
    }

    pub(crate) fn is_connection(&self, number: u64) -> bool {
        self.lock().managed.as_deref().is_none_or(|managed| managed.connection == number)
    }

    /// A new connection goes on after what the client has acknowledged; it begins active (XEP-0352 §4.2).
    pub(crate) fn reattach(&self) -> Result<WasDetached, Rejected> {
        let mut inner = self.lock();
        if inner.gone {
            return Err(Rejected::Gone);
        }
        inner.inactive = false;
        let managed = inner.managed.as_deref_mut();
        Ok(WasDetached(managed.is_some_and(|managed| {
            managed.written = 0;
            std::mem::take(&mut managed.detached)
        })))
    }

    /// Nothing more is taken if the session waits for its client; it is no longer to be resumed then.
    pub(crate) fn refuse_detached(&self) -> bool {
        let mut inner = self.lock();
        let is_detached = !inner.gone && inner.managed.as_deref().is_some_and(|managed| managed.detached);
        inner.gone |= is_detached;
        is_detached
    }

    /// The session has ended: whether it was waiting for its client until now.
    pub(crate) fn end_wait(&self) -> WasDetached {
        let mut inner = self.lock();
        WasDetached(inner.managed.as_deref_mut().is_some_and(|managed| std::mem::take(&mut managed.detached)))
    }

    /// What has a row is for the next process: forgets it.
    pub(crate) fn leave_stored(&self) {
        if let Some(managed) = self.lock().managed.as_deref_mut() {
            managed.kept.retain(|kept| !kept.stored);
        }
    }

    /// This connection is lost; `false` if it is not the present one, or the session ends anyway.
    pub(crate) fn detach(&self, connection: u64) -> bool {
        let mut inner = self.lock();
        if inner.gone {
            return false;
        }
        let Some(managed) = inner.managed.as_deref_mut().filter(|managed| managed.connection == connection) else {
            return false;
        };
        managed.detached = true;
        inner.inactive = false;
        true
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.lock().managed.as_deref().is_some_and(|managed| managed.detached)
    }
}

#[cfg(test)]
mod tests {
    use torg_wire::stanza::MessageType;

    use super::*;
    use crate::sm::Care;

    fn parcel(id: &str, care: Option<Box<Care>>) -> Parcel {
        let stanza = Arc::new(Stanza::message(MessageType::Chat).with_id(id));
        Parcel { stanza, text: Bytes::from(id.to_owned()), receipt: None, care, passage: None }
    }

    fn durable(id: &str) -> Parcel {
        parcel(id, Some(Box::default()))
    }

    fn taken(queue: &Queue) -> Vec<String> {
        let mut out = Vec::new();
        queue.take_managed(0, &mut out, usize::MAX);
        out.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    }

    fn managed() -> Queue {
        let queue = Queue::default();
        queue.manage(true);
        queue
    }

    #[test]
    fn what_must_be_on_disk_holds_up_what_comes_behind_it_and_nothing_before_it() {
        let queue = managed();
        for parcel in [parcel("1", None), durable("2"), parcel("3", None)] {
            queue.push(parcel).unwrap();
        }
        assert_eq!(taken(&queue), ["1"]);
        let stage = queue.begin_stage().unwrap();
        assert_eq!((stage.first, stage.rows.len(), stage.rows[0].number), (2, 1, 2));
        assert!(taken(&queue).is_empty());
        assert!(queue.end_stage(true).is_empty());
        assert_eq!(taken(&queue), ["2", "3"]);
    }

    #[test]
    fn a_message_that_waits_when_the_session_becomes_resumable_goes_to_the_disk() {
        let queue = Queue::default();
        let message = Stanza::message(MessageType::Chat).with_body("hello");
        let waiting = Parcel { stanza: Arc::new(message), ..parcel("1", None) };
        queue.push(waiting).unwrap();
        queue.push(parcel("2", None)).unwrap();
        queue.manage(true);
        assert!(queue.needs_stage() && taken(&queue).is_empty());
        queue.begin_stage().unwrap();
        queue.end_stage(true);
        assert_eq!(taken(&queue), ["1", "2"]);
    }

    #[test]
    fn a_stage_that_fails_gives_back_what_is_durable_and_its_numbers() {
        let queue = managed();
        for parcel in [durable("1"), parcel("2", None), durable("3"), parcel("4", None)] {
            queue.push(parcel).unwrap();
        }
        assert_eq!(queue.begin_stage().unwrap().rows.iter().map(|row| row.number).collect::<Vec<_>>(), [1, 3]);
        let refused: Vec<_> =
            queue.end_stage(false).iter().map(|parcel| parcel.stanza.id().unwrap().to_owned()).collect();
        assert_eq!(refused, ["1", "3"]);
        assert_eq!(taken(&queue), ["2", "4"]);
        assert_eq!(queue.acknowledge(2), Acked::Until(None));
        assert_eq!(queue.acknowledge(3), Acked::TooHigh(2));
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn only_what_was_written_can_be_acknowledged_and_rows_go_with_it() {
        let queue = managed();
        queue.push(durable("1")).unwrap();
        queue.push(parcel("2", None)).unwrap();
        queue.begin_stage().unwrap();
        queue.end_stage(true);
        assert_eq!(queue.acknowledge(1), Acked::TooHigh(0));
        assert_eq!(taken(&queue), ["1", "2"]);
        assert_eq!(queue.acknowledge(2), Acked::Until(Some(1)));
        assert_eq!(queue.acknowledge(1), Acked::Old);
    }

    #[test]
    fn numbers_go_on_after_two_to_the_thirty_second() {
        let queue = Queue::default();
        let stanza = |id: &str| (Arc::new(Stanza::message(MessageType::Chat)), Bytes::from(id.to_owned()));
        queue.manage_restored(u64::from(u32::MAX) - 1, [stanza("a"), stanza("b"), stanza("c")].into_iter());
        assert_eq!(taken(&queue).len(), 3);
        assert_eq!(queue.acknowledge(u32::MAX), Acked::Until(Some(u64::from(u32::MAX))));
        assert_eq!(queue.acknowledge(2), Acked::TooHigh(1));
        assert_eq!(queue.acknowledge(1), Acked::Until(Some(u64::from(u32::MAX) + 2)));
    }

    #[test]
    fn another_connection_gets_again_what_was_not_acknowledged_and_the_old_one_nothing() {
        let queue = managed();
        queue.push(parcel("1", None)).unwrap();
        queue.push(parcel("2", None)).unwrap();
        assert_eq!(taken(&queue), ["1", "2"]);
        queue.acknowledge(1);
        assert!(queue.detach(0));
        let next = queue.next_connection();
        assert!(!queue.detach(0), "it is not its own any more");
        assert_eq!(queue.reattach(), Ok(WasDetached(true)));
        assert!(taken(&queue).is_empty());
        let mut out = Vec::new();
        assert_eq!(queue.take_managed(next, &mut out, usize::MAX), 1);
        assert_eq!(out, ["2"]);
    }

    #[test]
    fn as_many_stanzas_are_kept_as_the_limit_and_for_a_lost_session_fewer() {
        let queue = managed();
        for n in 0..MANAGED_STANZAS {
            queue.push(parcel(&n.to_string(), None)).unwrap();
        }
        assert_eq!(taken(&queue).len(), MANAGED_STANZAS, "written, and not acknowledged");
        assert_eq!(queue.push(parcel("more", None)), Err(Rejected::Full));
        queue.acknowledge(1);
        assert_eq!(queue.push(parcel("more", None)), Ok(()));
        queue.detach(0);
        let left = u32::try_from(MANAGED_STANZAS - DETACHED_STANZAS).unwrap();
        queue.acknowledge(1 + left);
        assert_eq!(queue.push(parcel("more", None)), Err(Rejected::Full));
        queue.acknowledge(2 + left);
        assert_eq!(queue.push(parcel("more", None)), Ok(()));
    }
}
