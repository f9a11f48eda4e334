//! A stanza being delivered, written as bytes at most once however many sessions get it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::oneshot;
use torg_wire::stanza::Stanza;
use torg_wire::xml::Scope;

use crate::session::{Parcel, Rejected, Session};

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

    pub(crate) fn give(&self, session: &Session) -> Taken {
        self.push(session, None)
    }

    /// As [`Letter::give`]; the receiver hears of it once the stanza has been written, or sees the sender dropped if it never is.
    pub(crate) fn give_with_receipt(&self, session: &Session) -> (Taken, oneshot::Receiver<()>) {
        let (receipt, written) = oneshot::channel();
        (self.push(session, Some(receipt)), written)
    }

    fn push(&self, session: &Session, receipt: Option<oneshot::Sender<()>>) -> Taken {
        let text = if session.on_the_wire { self.text() } else { Bytes::new() };
        match session.queue.push(Parcel { stanza: Arc::clone(&self.stanza), text, receipt }) {
            Ok(()) => Taken::Yes,
            Err(Rejected::Full) => Taken::Full,
            Err(Rejected::Gone) => Taken::Gone,
        }
    }

    fn text(&self) -> Bytes {
        self.text.get_or_init(|| Bytes::from(self.stanza.to_bytes(&Scope::CLIENT))).clone()
    }
}
