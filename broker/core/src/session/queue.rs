//! What waits to be written to one session: bounded in stanzas and bytes, with a rule for each kind of stanza when it is full.
//! What a managed stream adds is in `managed`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use torg_wire::stanza::{PresenceType, Stanza, StanzaKind};
use torg_wire::stream_error::StreamError;

use super::managed::Managed;
use crate::limits::{QUEUE_BYTES, QUEUE_STANZAS};
use crate::offline::{can_wait, is_storable};
use crate::sm::Care;
use crate::transit::Passage;

/// A stanza on its way to one session.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) stanza: Arc<Stanza>,
    /// The stanza as bytes for a client stream, written once for all who get it. Empty for sessions inside the process.
    pub(crate) text: Bytes,
    /// Told when the stanza has been written; dropped with the parcel if it never is.
    pub(crate) receipt: Option<oneshot::Sender<()>>,
    /// The stanza must be on disk before it is written, and whose it is until then.
    pub(crate) care: Option<Box<Care>>,
    /// Its sender, or a former process, counts on it until it is written.
    pub(crate) passage: Option<Passage>,
}

/// Why a parcel was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// There is no room; what now is for the router to say.
    Full,
    /// The session has ended: as if the resource were not there.
    Gone,
}

/// How a session ends.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// With this stream error, at once.
    Now(StreamError),
    /// With this stream error, after what is waiting has been written.
    Drained(StreamError),
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    ready: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) parcels: VecDeque<Parcel>,
    /// Of the parcels, and of what a managed stream keeps.
    pub(super) bytes: usize,
    /// Nothing more is taken.
    pub(super) gone: bool,
    ending: Option<Ending>,
    /// A message went to the offline store because the queue was full; fetch it once there is room.
    overflowed: bool,
    /// Messages of the account are in the offline store: newer ones go behind them, to keep their order (RFC 6120 §10.1).
    behind: bool,
    /// What a managed stream keeps until the client has acknowledged it (XEP-0198).
    pub(super) managed: Option<Box<Managed>>,
    /// Nobody looks at the client: what can wait waits (XEP-0352).
    pub(super) inactive: bool,
    /// Among the parcels is one that cannot wait.
    pub(super) urgent: bool,
}

impl Queue {
    pub(crate) fn push(&self, parcel: Parcel) -> Result<(), Rejected> {
        let mut inner = self.lock();
        if inner.gone {
            return Err(Rejected::Gone);
        }
        if inner.behind && parcel.receipt.is_none() && is_storable(&parcel.stanza) {
            return Err(Rejected::Full);
        }
        let size = parcel.text.len();
        if !inner.has_room(size) {
            inner.urgent = true; // better early than lost
            if !inner.replace_older_presence(&parcel) || !inner.has_room(size) {
                return Err(Rejected::Full);
            }
        } else if inner.inactive && can_wait(&parcel.stanza) {
            inner.replace_older_presence(&parcel);
        } else {
            inner.urgent = true;
        }
        inner.bytes += size;
        inner.parcels.push_back(parcel);
        let holds_back = inner.holds_back();
        drop(inner);
        if !holds_back {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Takes the oldest parcel.
    pub(crate) fn pop(&self) -> Option<Parcel> {
        self.lock().pop()
    }

    /// Takes the oldest parcels into `out`, until about `bytes` bytes have been taken. Answers whether there was any.
    pub(crate) fn pop_some(&self, out: &mut Vec<Parcel>, bytes: usize) -> bool {
        let mut inner = self.lock();
        let mut taken = 0;
        if inner.holds_back() {
            return false;
        }
        while taken < bytes
            && let Some(parcel) = inner.pop()
        {
            taken += parcel.text.len();
            out.push(parcel);
        }
        inner.forget_if_empty();
        !out.is_empty()
    }

    /// Whether somebody looks at the client (XEP-0352). What was held back goes out when somebody does.
    pub(crate) fn set_inactive(&self, inactive: bool) {
        let mut inner = self.lock();
        inner.inactive = inactive;
        inner.urgent = inner.parcels.iter().any(|parcel| !can_wait(&parcel.stanza));
    }

    /// Waits until something has been pushed or the session is to end. May wake without reason.
    pub(crate) async fn ready(&self) {
        self.ready.notified().await;
    }

    /// Asks the session to end. The first reason stays.
    pub(crate) fn end(&self, ending: Ending) {
        let mut inner = self.lock();
        if inner.ending.is_none() {
            inner.gone = true;
            inner.ending = Some(ending);
            inner.inactive = false; // there is no later to hold anything back for
        }
        drop(inner);
        self.ready.notify_one();
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        self.lock().ending.clone()
    }

    /// Nothing more is taken from now on.
    pub(crate) fn refuse(&self) {
        self.lock().gone = true;
    }

    /// Whether nothing more is taken: the session ends, or has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.lock().gone
    }

    /// The session has ended: nothing more is taken, and what was left is answered.
    pub(crate) fn close(&self) -> VecDeque<Parcel> {
        let mut inner = self.lock();
        inner.gone = true;
        inner.bytes = 0;
        let waiting = std::mem::take(&mut inner.parcels);
        match inner.managed.as_deref_mut() {
            Some(managed) => managed.give_back().chain(waiting).collect(),
            None => waiting,
        }
    }

    /// Gives back what was taken but not written; it is first in line again, or is found by [`Queue::close`].
    pub(crate) fn restore(&self, parcels: Vec<Parcel>) {
        let mut inner = self.lock();
        for parcel in parcels.into_iter().rev() {
            inner.bytes += parcel.text.len();
            inner.parcels.push_front(parcel);
        }
    }

    /// Whether at most half of it is taken: what can wait leaves the rest to what cannot.
    pub(crate) fn is_half_free(&self) -> bool {
        let inner = self.lock();
        inner.count() <= QUEUE_STANZAS / 2 && inner.bytes <= QUEUE_BYTES / 2
    }

    /// Stanzas that wait to be written, or are kept for want of an acknowledgement.
    pub(crate) fn len(&self) -> usize {
        self.lock().count()
    }

    /// Nothing waits but what may wait until somebody looks at the client, and nothing is kept for want of an acknowledgement.
    pub(crate) fn is_idle(&self) -> bool {
        let inner = self.lock();
        inner.count() == 0 || inner.holds_back() && inner.managed.as_deref().is_none_or(|managed| managed.len() == 0)
    }

    /// Nothing waits to be written.
    pub(crate) fn is_written(&self) -> bool {
        let inner = self.lock();
        inner.parcels.is_empty() && inner.managed.as_deref().is_none_or(Managed::is_written)
    }

    pub(super) fn wake(&self) {
        self.ready.notify_one();
    }

    pub(crate) fn mark_overflow(&self) {
        let mut inner = self.lock();
        inner.overflowed = true;
        inner.behind = true;
    }

    /// Whether messages are in the offline store that must come before newer ones.
    pub(crate) fn set_behind(&self, behind: bool) {
        self.lock().behind = behind;
    }

    /// Whether messages went past the queue since the last time of asking.
    pub(crate) fn take_overflow(&self) -> bool {
        std::mem::take(&mut self.lock().overflowed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places a queue keeps while it is empty: enough for the trickle of an ordinary session.
const KEPT_CAPACITY: usize = 4;

impl Inner {
    fn count(&self) -> usize {
        self.parcels.len() + self.managed.as_deref().map_or(0, Managed::len)
    }

    fn has_room(&self, size: usize) -> bool {
        let (stanzas, bytes) = self.managed.as_deref().map_or((QUEUE_STANZAS, QUEUE_BYTES), Managed::room);
        self.count() < stanzas && self.bytes + size <= bytes
    }

    /// Everything that waits can wait.
    pub(super) fn holds_back(&self) -> bool {
        self.inactive && !self.urgent
    }

    /// An idle session keeps no memory for its queue.
    pub(super) fn forget_if_empty(&mut self) {
        if self.parcels.is_empty() {
            self.urgent = false;
            if self.parcels.capacity() > KEPT_CAPACITY {
                self.parcels = VecDeque::new();
            }
        }
    }

    fn pop(&mut self) -> Option<Parcel> {
        let parcel = self.parcels.pop_front()?;
        self.bytes = self.bytes.saturating_sub(parcel.text.len());
        Some(parcel)
    }

    /// Presence says what is so now: an older one of the same sender is worth nothing. Makes room for `parcel` that way.
    fn replace_older_presence(&mut self, parcel: &Parcel) -> bool {
        if !is_state(&parcel.stanza) {
            return false;
        }
        let older = |waiting: &Parcel| is_state(&waiting.stanza) && waiting.stanza.from() == parcel.stanza.from();
        // What is being written to disk has its number already.
        let numbered = self.managed.as_deref().map_or(0, Managed::staging);
        let position = self.parcels.iter().skip(numbered).position(older);
        let Some(position) = position.map(|position| position + numbered) else { return false };
        if let Some(removed) = self.parcels.remove(position) {
            self.bytes = self.bytes.saturating_sub(removed.text.len());
        }
        true
    }
}

fn is_state(stanza: &Stanza) -> bool {
    matches!(stanza.kind(), StanzaKind::Presence(PresenceType::Available | PresenceType::Unavailable))
}

#[cfg(test)]
mod tests {
    use torg_wire::jid::Jid;
    use torg_wire::stanza::MessageType;

    use super::*;

    fn parcel(stanza: Stanza, size: usize) -> Parcel {
        Parcel { stanza: Arc::new(stanza), text: Bytes::from(vec![0; size]), receipt: None, care: None, passage: None }
    }

    fn message(size: usize) -> Parcel {
        parcel(Stanza::message(MessageType::Chat), size)
    }

    fn presence(from: &str, id: &str) -> Parcel {
        let stanza = Stanza::presence(PresenceType::Available).with_id(id).with_from(Jid::parse(from).unwrap());
        parcel(stanza, 1)
    }

    #[test]
    fn takes_as_many_stanzas_as_the_limit_and_no_more() {
        let queue = Queue::default();
        for _ in 0..QUEUE_STANZAS {
            queue.push(message(1)).unwrap();
        }
        assert!(matches!(queue.push(message(1)), Err(Rejected::Full)));
        queue.pop().unwrap();
        queue.push(message(1)).unwrap();
    }

    #[test]
    fn takes_as_many_bytes_as_the_limit_and_no_more() {
        let queue = Queue::default();
        queue.push(message(QUEUE_BYTES - 1)).unwrap();
        queue.push(message(1)).unwrap();
        assert!(matches!(queue.push(message(1)), Err(Rejected::Full)));
    }

    #[test]
    fn in_a_full_queue_the_newest_presence_of_a_sender_wins() {
        let queue = Queue::default();
        queue.push(presence("a@x/r", "old")).unwrap();
        while queue.push(message(1)).is_ok() {}
        assert!(matches!(queue.push(presence("b@x/r", "other")), Err(Rejected::Full)));
        queue.push(presence("a@x/r", "new")).unwrap();
        let left: Vec<_> = queue.close().into_iter().filter_map(|p| p.stanza.id().map(str::to_owned)).collect();
        assert_eq!(left, ["new"]);
    }

    #[test]
    fn while_nobody_looks_what_can_wait_waits_and_of_each_sender_the_newest_presence_is_kept() {
        let queue = Queue::default();
        queue.set_inactive(true);
        for (from, id) in [("a@x/r", "1"), ("b@x/r", "2"), ("a@x/r", "3")] {
            queue.push(presence(from, id)).unwrap();
        }
        let mut out = Vec::new();
        assert!(!queue.pop_some(&mut out, usize::MAX));
        queue.push(message(1)).unwrap();
        assert!(queue.pop_some(&mut out, usize::MAX));
        let ids: Vec<_> = out.iter().filter_map(|parcel| parcel.stanza.id()).collect();
        assert_eq!((ids, out.len()), (vec!["2", "3"], 3));
        queue.push(presence("a@x/r", "4")).unwrap();
        assert!(!queue.pop_some(&mut Vec::new(), usize::MAX));
        queue.set_inactive(false);
        assert!(queue.pop_some(&mut Vec::new(), usize::MAX));
    }

    #[test]
    fn a_closed_queue_takes_nothing() {
        let queue = Queue::default();
        queue.push(message(1)).unwrap();
        assert_eq!(queue.close().len(), 1);
        assert!(matches!(queue.push(message(1)), Err(Rejected::Gone)));
    }
}
