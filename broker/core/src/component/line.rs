//! What waits to be sent to one component, and which connection takes it. Pure but for the notification.
//!
//! # Why
//! Nothing waits for a component that is away: senders hear at once, as XMPP has it for a server that does not answer, and no payload
//! of a device is kept for a program that may never come back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use torg_wire::stanza::{Stanza, StanzaCondition};

use crate::transit::Passage;

/// Stanzas that wait for one component: some seconds of a busy one. Above: `resource-constraint` to the sender.
pub const COMPONENT_STANZAS: usize = 1_024;
/// Bytes that wait for one component: a few of the longest stanzas. Above: `resource-constraint` to the sender.
pub const COMPONENT_BYTES: usize = 2 * 1024 * 1024;

/// A stanza on its way to a component: as bytes for its stream, and what is needed to answer it if it does not get there.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) header: Stanza,
    pub(super) text: Bytes,
    /// Ends when the stanza was written, or its sender has been told that it was not.
    pub(super) passage: Option<Passage>,
}

/// The queue of one component.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Parcel>,
    bytes: usize,
    /// The connection that takes it; told of new stanzas, and of another one in its place.
    holder: Option<Arc<Notify>>,
}

impl Line {
    /// Puts a stanza at the end; why not, if it cannot.
    pub(super) fn push(&self, parcel: Parcel) -> Result<(), StanzaCondition> {
        let mut inner = self.lock();
        // RFC 6120 §8.3.3.16: the domain is known, and there is no connection to it.
        let Some(holder) = inner.holder.clone() else { return Err(StanzaCondition::RemoteServerTimeout) };
        let bytes = inner.bytes.saturating_add(parcel.text.len());
        if inner.waiting.len() >= COMPONENT_STANZAS || bytes > COMPONENT_BYTES {
            return Err(StanzaCondition::ResourceConstraint);
        }
        inner.bytes = bytes;
        inner.waiting.push_back(parcel);
        holder.notify_one();
        Ok(())
    }

    /// The connection takes over, from another one if there is one.
    pub(super) fn hold(&self, holder: &Arc<Notify>) {
        let mut inner = self.lock();
        if let Some(older) = inner.holder.replace(Arc::clone(holder)) {
            older.notify_one();
        }
        holder.notify_one(); // stanzas may wait that the older one has not taken
    }

    /// Whether it is this connection that takes what waits.
    pub(super) fn is_held_by(&self, holder: &Arc<Notify>) -> bool {
        self.lock().holder.as_ref().is_some_and(|held| Arc::ptr_eq(held, holder))
    }

    /// Whether any connection does.
    pub(super) fn is_held(&self) -> bool {
        self.lock().holder.is_some()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// The oldest stanzas, about `bytes` bytes of them; none if another connection has taken over.
    pub(super) fn take(&self, holder: &Arc<Notify>, bytes: usize) -> Vec<Parcel> {
        let mut inner = self.lock();
        let mut parcels = Vec::new();
        if inner.holder.as_ref().is_none_or(|held| !Arc::ptr_eq(held, holder)) {
            return parcels;
        }
        let mut taken: usize = 0;
        while taken < bytes
            && let Some(parcel) = inner.waiting.pop_front()
        {
            taken = taken.saturating_add(parcel.text.len());
            parcels.push(parcel);
        }
        inner.bytes = inner.bytes.saturating_sub(taken);
        if inner.waiting.is_empty() {
            inner.waiting = VecDeque::new(); // an idle line keeps no memory for it
        }
        parcels
    }

    /// The connection is over: gives what waits, to be answered. Nothing if another one has taken over.
    pub(super) fn let_go(&self, holder: &Arc<Notify>) -> VecDeque<Parcel> {
        let mut inner = self.lock();
        if inner.holder.as_ref().is_none_or(|held| !Arc::ptr_eq(held, holder)) {
            return VecDeque::new();
        }
        inner.holder = None;
        inner.bytes = 0;
        std::mem::take(&mut inner.waiting)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(size: usize) -> Parcel {
        Parcel {
            header: Stanza::message(torg_wire::stanza::MessageType::Chat),
            text: vec![b' '; size].into(),
            passage: None,
        }
    }

    fn held() -> (Line, Arc<Notify>) {
        let (line, holder) = (Line::default(), Arc::default());
        line.hold(&holder);
        (line, holder)
    }

    #[test]
    fn nothing_waits_for_a_component_that_is_away() {
        let (line, holder) = held();
        assert_eq!(line.push(parcel(1)), Ok(()));
        assert_eq!(line.let_go(&holder).len(), 1);
        assert_eq!(line.push(parcel(1)), Err(StanzaCondition::RemoteServerTimeout));
        assert_eq!(Line::default().push(parcel(1)), Err(StanzaCondition::RemoteServerTimeout));
    }

    #[test]
    fn stanzas_that_wait_are_bounded() {
        let (line, holder) = held();
        for n in 0..COMPONENT_STANZAS {
            assert_eq!(line.push(parcel(1)), Ok(()), "{n}");
        }
        assert_eq!(line.push(parcel(1)), Err(StanzaCondition::ResourceConstraint));
        assert_eq!(line.take(&holder, 1).len(), 1);
        assert_eq!(line.push(parcel(1)), Ok(()));
    }

    #[test]
    fn bytes_that_wait_are_bounded() {
        let (line, holder) = held();
        assert_eq!(line.push(parcel(COMPONENT_BYTES - 1)), Ok(()));
        assert_eq!(line.push(parcel(2)), Err(StanzaCondition::ResourceConstraint));
        assert_eq!(line.push(parcel(1)), Ok(()));
        assert_eq!(line.take(&holder, COMPONENT_BYTES).len(), 2);
        assert_eq!(line.push(parcel(COMPONENT_BYTES)), Ok(()));
    }

    #[test]
    fn the_newest_connection_takes_what_waits_and_the_older_one_nothing_more() {
        let (line, older) = held();
        line.push(parcel(1)).unwrap();
        let newer = Arc::default();
        line.hold(&newer);
        assert!(!line.is_held_by(&older) && line.is_held_by(&newer));
        assert!(line.take(&older, 1).is_empty());
        assert!(line.let_go(&older).is_empty(), "its end takes nothing with it");
        assert_eq!(line.take(&newer, 1).len(), 1);
    }

    #[tokio::test]
    async fn an_older_connection_is_told_of_the_newer_one() {
        let (line, older) = held();
        older.notified().await;
        let newer = Arc::default();
        line.hold(&newer);
        tokio::join!(older.notified(), newer.notified());
    }
}
