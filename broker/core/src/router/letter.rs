//! A stanza being delivered, written as bytes at most once however many sessions get it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::oneshot;
use torg_wire::stanza::Stanza;
use torg_wire::xml::Scope;

use crate::offline::is_storable;
use crate::session::{Parcel, Rejected, Session};
use crate::sm::{self, Sm};
use crate::transit::{self, Passage};

#[derive(Debug)]
pub(crate) struct Letter {
    stanza: Arc<Stanza>,
    text: OnceLock<Bytes>,
}

/// Whether a session took a stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Yes,
    /// The session's queue has no room.
    Full,
    /// The session has ended.
    Gone,
}

impl Letter {
    pub(crate) fn new(stanza: Stanza) -> Self {
        Letter { stanza: Arc::new(stanza), text: OnceLock::new() }
    }

    pub(crate) fn stanza(&self) -> &Stanza {
        &self.stanza
    }

    pub(crate) fn into_stanza(self) -> Stanza {
        Arc::unwrap_or_clone(self.stanza)
    }

    pub(crate) fn give(&self, session: &Arc<Session>) -> Taken {
        self.push(session, None, None)
    }

    /// As [`Letter::give`]; the receiver hears of it once the stanza has been written, or sees the sender dropped if it never is.
    ///
    /// `number` is the stanza's among the offline messages of the account. A session that can be resumed takes it out of that table
    /// itself, and any other managed session has it written when its client has acknowledged it.
    pub(crate) fn give_with_receipt(&self, session: &Arc<Session>, number: i64) -> (Taken, oneshot::Receiver<()>) {
        let (receipt, written) = oneshot::channel();
        (self.push(session, Some(receipt), Some(number)), written)
    }

    fn push(&self, session: &Arc<Session>, receipt: Option<oneshot::Sender<()>>, offline: Option<i64>) -> Taken {
        let text = if session.on_the_wire { self.text() } else { Bytes::new() };
        let is_durable = session.sm().is_some_and(Sm::is_resumable) && is_storable(&self.stanza);
        let care = is_durable.then(|| Box::new(sm::responsible(session, offline)));
        let claims = care.as_deref().is_some_and(|care| care.origin.is_some());
        let passage = if is_durable { transit::carried() } else { self.passage(session, offline) };
        let passes = passage.is_some();
        match session.queue.push(Parcel { stanza: Arc::clone(&self.stanza), text, receipt, care, passage }) {
            Ok(()) => {
                if is_durable {
                    sm::stage(session);
                }
                Taken::Yes
            }
            Err(rejected) => {
                if claims {
                    sm::release();
                }
                if passes {
                    sm::give_up_passage();
                }
                match rejected {
                    Rejected::Full => Taken::Full,
                    Rejected::Gone => Taken::Gone,
                }
            }
        }
    }

    /// A session that cannot be resumed has the message in memory until its socket takes it.
    fn passage(&self, session: &Arc<Session>, offline: Option<i64>) -> Option<Passage> {
        if offline.is_some() || !session.on_the_wire || !transit::is_wanted() || !is_storable(&self.stanza) {
            return None;
        }
        transit::passage(Arc::as_ptr(session).addr(), || Arc::clone(&self.stanza))
    }

    fn text(&self) -> Bytes {
        self.text.get_or_init(|| Bytes::from(self.stanza.to_bytes(&Scope::CLIENT))).clone()
    }
}
