//! The session of a connection and what has been taken from its queue but not yet written. However the connection ends, even by a
//! panic, both go back to the router.

use std::sync::Arc;
use std::time::Instant;

use torg_wire::stream::{Framing, Why};
use torg_wire::stream_error::StreamCondition;

use super::managed::Management;
use crate::router::Router;
use crate::session::{Parcel, Session};

#[derive(Debug)]
pub(super) struct Bound {
    router: Router,
    pub(super) session: Arc<Session>,
    /// Being written. Kept until the socket has taken them, so that a dying connection loses none.
    pub(super) in_flight: Vec<Parcel>,
    /// Of a managed stream, whose queue keeps what was written.
    pub(super) management: Option<Box<Management>>,
    /// The session ends with its connection, even if it could be resumed.
    ends: bool,
}

impl Bound {
    pub(super) fn new(router: Router, session: Arc<Session>) -> Self {
        Bound { router, session, in_flight: Vec::new(), management: None, ends: false }
    }

    /// Takes the next stanzas, about `bytes` of them, as text to write. Answers whether the client is to be asked for an
    /// acknowledgement behind them.
    pub(super) fn take(&mut self, out: &mut Vec<u8>, bytes: usize, framing: Framing, now: Instant) -> bool {
        if let Some(management) = &mut self.management {
            return management.take(&self.session, out, bytes, framing, now);
        }
        let from = self.in_flight.len();
        if self.session.queue.pop_some(&mut self.in_flight, bytes) {
            out.reserve(self.in_flight.iter().skip(from).map(|parcel| parcel.text.len()).sum());
            for parcel in self.in_flight.iter().skip(from) {
                framing.put(out, &parcel.text);
            }
        }
        false
    }

    /// Everything taken has been written.
    pub(super) fn written(&mut self) {
        for parcel in self.in_flight.drain(..) {
            if let Some(receipt) = parcel.receipt {
                let _ = receipt.send(()); // nobody may be waiting any more
            }
        }
        self.in_flight = Vec::new(); // an idle session keeps no memory for it
        self.router.carry_on_introduction(&self.session);
        if self.session.queue.is_idle() && self.session.queue.take_overflow() {
            self.router.drain_offline(&self.session);
        }
    }

    /// The stream has ended. A lost one may be resumed, and so may one that ended because we stop, or because nothing was heard.
    pub(super) fn ended(&mut self, why: &Why) {
        self.ends = match why {
            Why::Lost | Why::Slow => false,
            Why::Fault(error) => {
                !matches!(error.condition(), StreamCondition::ConnectionTimeout | StreamCondition::SystemShutdown)
            }
            _ => true,
        };
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.session.queue.restore(std::mem::take(&mut self.in_flight));
        match self.management.take() {
            None => self.router.abandon_session(&self.session),
            Some(management) => {
                let connection = management.connection();
                // Before the session is anybody else's: nothing of this connection speaks for it any more.
                drop(management);
                if self.ends && self.session.queue.is_connection(connection) {
                    self.router.abandon_session(&self.session);
                } else if !self.ends {
                    self.router.detach(&self.session, connection);
                }
            }
        }
    }
}
