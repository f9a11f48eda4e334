//! Readouts that are open: waiting for their time, waiting for their turn, or running.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use torg_wire::jid::Jid;

/// Readouts running at a time; one more waits and its reader is told that it is queued.
pub(in crate::concentrator) const RUNNING_MAX: usize = 256;

/// Readouts open at a time, those that wait included. Each costs a task and a few hundred bytes.
pub(in crate::concentrator) const OPEN_MAX: usize = 2048;

/// Readouts open at a time for one sender, so that one cannot take all places.
pub(in crate::concentrator) const OPEN_PER_CALLER_MAX: usize = 512;

/// All open readouts.
#[derive(Debug)]
pub(in crate::concentrator) struct Readouts {
    open: Arc<Mutex<Open>>,
    running: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Open {
    callers: HashMap<Jid, HashMap<String, Entry>>,
    count: usize,
    serial: u64,
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    cancel: CancellationToken,
}

/// A place among the open readouts, given back when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    open: Arc<Mutex<Open>>,
    caller: Jid,
    id: String,
    serial: u64,
    /// Cancelled when nobody wants the answer any more.
    pub(super) cancel: CancellationToken,
}

/// Why a readout cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The sender has one of this id.
    Duplicate,
    /// There are too many.
    TooMany,
}

impl Readouts {
    pub(in crate::concentrator) fn new() -> Self {
        Self { open: Arc::default(), running: Arc::new(Semaphore::new(RUNNING_MAX)) }
    }

    /// Permits to run.
    pub(super) fn running(&self) -> &Arc<Semaphore> {
        &self.running
    }

    /// Takes a place.
    pub(super) fn open(&self, caller: &Jid, id: &str) -> Result<Ticket, Full> {
        let mut open = lock(&self.open);
        let own = open.callers.get(caller);
        if own.is_some_and(|own| own.contains_key(id)) {
            return Err(Full::Duplicate);
        }
        if open.count >= OPEN_MAX || own.is_some_and(|own| own.len() >= OPEN_PER_CALLER_MAX) {
            return Err(Full::TooMany);
        }
        open.serial = open.serial.wrapping_add(1);
        open.count = open.count.saturating_add(1);
        let (serial, cancel) = (open.serial, CancellationToken::new());
        let entry = Entry { serial, cancel: cancel.clone() };
        open.callers.entry(caller.clone()).or_default().insert(id.to_owned(), entry);
        Ok(Ticket { open: Arc::clone(&self.open), caller: caller.clone(), id: id.to_owned(), serial, cancel })
    }

    /// Gives up a readout; unknown ones are ignored.
    pub(super) fn cancel(&self, caller: &Jid, id: &str) {
        let mut open = lock(&self.open);
        let serial = open.callers.get(caller).and_then(|own| own.get(id)).map(|entry| entry.serial);
        if let Some(serial) = serial {
            open.remove(caller, id, serial);
        }
    }

    /// Gives up all readouts of those for whom `gone` is true.
    pub(in crate::concentrator) fn cancel_of(&self, gone: impl Fn(&Jid) -> bool) {
        let mut open = lock(&self.open);
        let callers: Vec<Jid> = open.callers.keys().filter(|caller| gone(caller)).cloned().collect();
        for caller in callers {
            let own = open.callers.remove(&caller).unwrap_or_default();
            open.count = open.count.saturating_sub(own.len());
            own.values().for_each(|entry| entry.cancel.cancel());
        }
    }

    #[cfg(test)]
    pub(in crate::concentrator) fn count(&self) -> usize {
        lock(&self.open).count
    }
}

impl Open {
    fn remove(&mut self, caller: &Jid, id: &str, serial: u64) {
        let Some(own) = self.callers.get_mut(caller) else { return };
        if own.get(id).is_none_or(|entry| entry.serial != serial) {
            return;
        }
        if let Some(entry) = own.remove(id) {
            entry.cancel.cancel();
            self.count = self.count.saturating_sub(1);
        }
        if own.is_empty() {
            self.callers.remove(caller);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.caller, &self.id, self.serial);
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    // A panic while holding this lock leaves valid maps, so poisoning carries no meaning.
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anna() -> Jid {
        Jid::parse("anna@a.example/x").unwrap()
    }

    #[test]
    fn an_id_is_free_again_when_its_readout_ends() {
        let readouts = Readouts::new();
        let ticket = readouts.open(&anna(), "1").unwrap();
        assert_eq!(readouts.open(&anna(), "1").unwrap_err(), Full::Duplicate);
        drop(ticket);
        assert!(readouts.open(&anna(), "1").is_ok());
        assert_eq!(readouts.count(), 0);
    }

    #[test]
    fn the_end_of_a_cancelled_readout_leaves_its_successor_alone() {
        let readouts = Readouts::new();
        let first = readouts.open(&anna(), "1").unwrap();
        readouts.cancel(&anna(), "1");
        assert!(first.cancel.is_cancelled());
        let second = readouts.open(&anna(), "1").unwrap();
        drop(first);
        assert!(!second.cancel.is_cancelled());
        assert_eq!(readouts.count(), 1);
    }

    #[test]
    fn one_sender_may_fill_its_places_and_no_more() {
        let readouts = Readouts::new();
        let open = |index: usize| readouts.open(&anna(), &index.to_string());
        let tickets: Vec<_> = (0..OPEN_PER_CALLER_MAX).map(|index| open(index).unwrap()).collect();
        assert_eq!(open(tickets.len()).unwrap_err(), Full::TooMany);
        assert!(readouts.open(&Jid::parse("bob@a.example/x").unwrap(), "1").is_ok());
    }

    #[test]
    fn all_readouts_of_one_who_has_gone_are_given_up() {
        let readouts = Readouts::new();
        let bob = Jid::parse("bob@a.example/x").unwrap();
        let tickets = [readouts.open(&anna(), "1").unwrap(), readouts.open(&anna(), "2").unwrap()];
        let other = readouts.open(&bob, "1").unwrap();
        readouts.cancel_of(|caller| *caller == anna());
        assert!(tickets.iter().all(|ticket| ticket.cancel.is_cancelled()));
        assert!(!other.cancel.is_cancelled());
        assert_eq!(readouts.count(), 1);
    }
}
