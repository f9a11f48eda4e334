//! A session inside the process: how the concentrator and other internal accounts are on-line.
//!
//! It behaves exactly like a bound client: it has a full JID, a roster and presence, and it speaks only stanzas, so whoever uses it
//! could as well log in over the network.

use std::sync::Arc;

use torg_wire::jid::FullJid;
use torg_wire::stanza::Stanza;

use super::Session;
use crate::router::Router;

/// An in-process session. Dropping it ends the session, as a lost connection does.
#[derive(Debug)]
pub struct Attached {
    router: Router,
    session: Arc<Session>,
}

/// Sends the stanzas of an [`Attached`] session; cheap to clone, may outlive it (then stanzas go nowhere).
#[derive(Clone, Debug)]
pub struct AttachedSender {
    router: Router,
    session: Arc<Session>,
}

impl Attached {
    pub(crate) fn new(router: Router, session: Arc<Session>) -> Self {
        Attached { router, session }
    }

    /// The session's address.
    pub fn jid(&self) -> &FullJid {
        &self.session.jid
    }

    /// For tasks that only send.
    pub fn sender(&self) -> AttachedSender {
        AttachedSender { router: self.router.clone(), session: Arc::clone(&self.session) }
    }

    /// The next stanza for this session, in order; `None` once the session has ended (another one has taken its resource, or the
    /// broker stops). Cancel safe.
    pub async fn recv(&mut self) -> Option<Stanza> {
        loop {
            if let Some(parcel) = self.session.queue.pop() {
                if let Some(receipt) = parcel.receipt {
                    let _ = receipt.send(()); // nobody may be waiting any more
                }
                if self.session.queue.is_idle() && self.session.queue.take_overflow() {
                    self.router.drain_offline(&self.session);
                }
                self.router.carry_on_introduction(&self.session);
                return Some(Arc::unwrap_or_clone(parcel.stanza));
            }
            if self.session.queue.ending().is_some() {
                return None;
            }
            self.session.queue.ready().await;
        }
    }

    /// See [`AttachedSender::send`].
    pub async fn send(&self, stanza: Stanza) {
        self.router.accept_internal(&self.session, stanza).await;
    }

    /// Ends the session in good order: its presence is taken back before this answers.
    pub async fn close(self) {
        self.router.end_session(&self.session).await;
    }
}

impl AttachedSender {
    /// Sends a stanza as this session. It has been routed when this answers; what goes wrong comes back as a stanza.
    pub async fn send(&self, stanza: Stanza) {
        self.router.accept_internal(&self.session, stanza).await;
    }

    /// The session's address.
    pub fn jid(&self) -> &FullJid {
        &self.session.jid
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.router.abandon_session(&self.session);
    }
}
