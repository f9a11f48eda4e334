//! A connection whose stream is managed (XEP-0198): when to ask the client for an acknowledgement and when to give one, and how its
//! session comes from another connection or goes to one.

use std::sync::Arc;
use std::time::Instant;

use torg_wire::sasl::Authenticated;
use torg_wire::stanza::{PresenceType, Stanza};
use torg_wire::stream::{Framing, Output};
use torg_wire::stream_error::{StreamCondition, StreamError};
use torg_wire::xep::csi::ClientState;
use torg_wire::xep::sm::{Enable, Resume};
use torg_wire::xml::Element;

use super::bound::Bound;
use super::codec::Codec;
use super::connection::Connection;
use crate::limits::{ANSWER_TIME, ASK_AFTER, ASK_DELAY, ASK_PAUSE};
use crate::session::{Session, now};
use crate::sm::{Lease, NotResumed, Responsible};

/// What a connection knows of its managed stream.
#[derive(Debug)]
pub(super) struct Management {
    lease: Lease,
    /// The client waits for an acknowledgement.
    owes: bool,
    /// Stanzas written since the client was asked for one.
    unasked: usize,
    /// When it will be asked, if nothing is written before that the question can go with.
    ask_at: Option<Instant>,
    /// No question goes with fewer stanzas until then.
    paused_until: Option<Instant>,
    /// Until when its answer is awaited.
    answer_until: Option<Instant>,
}

impl Management {
    fn new(lease: Lease) -> Self {
        Management { lease, owes: false, unasked: 0, ask_at: None, paused_until: None, answer_until: None }
    }

    pub(super) fn connection(&self) -> u64 {
        self.lease.connection
    }

    /// As [`Bound::take`]. What was taken stays in the queue.
    pub(super) fn take(
        &mut self,
        session: &Session,
        out: &mut Vec<u8>,
        bytes: usize,
        framing: Framing,
        now: Instant,
    ) -> bool {
        let mut texts = Vec::new();
        let stanzas = session.queue.take_managed(self.connection(), &mut texts, bytes);
        if stanzas == 0 {
            return false;
        }
        out.reserve(texts.iter().map(bytes::Bytes::len).sum());
        for text in texts {
            framing.put(out, &text);
        }
        self.unasked += stanzas;
        if self.ask_at.is_none() {
            self.ask_at = now.checked_add(ASK_DELAY);
        }
        let is_time = self.unasked >= ASK_AFTER || self.paused_until.is_none_or(|until| until <= now);
        self.ask_if(is_time, now)
    }

    /// Whether the client is to be asked now; from then on its answer is awaited.
    pub(super) fn asks(&mut self, now: Instant) -> bool {
        let is_time = self.unasked >= ASK_AFTER || self.ask_at.is_some_and(|at| at <= now);
        self.ask_if(is_time, now)
    }

    fn ask_if(&mut self, is_time: bool, now: Instant) -> bool {
        if !is_time || self.answer_until.is_some() {
            return false;
        }
        self.unasked = 0;
        self.ask_at = None;
        self.paused_until = now.checked_add(ASK_PAUSE);
        self.answer_until = now.checked_add(ANSWER_TIME);
        true
    }

    /// The client has answered, or said so without being asked.
    fn answered(&mut self, owes_more: bool, now: Instant) {
        self.answer_until = None;
        self.ask_at = if owes_more { now.checked_add(ASK_DELAY) } else { None };
        if !owes_more {
            self.unasked = 0;
        }
    }

    /// Asks as soon as possible, whatever was written: is the client still there?
    pub(super) fn probe(&mut self, now: Instant) {
        self.ask_at = Some(now);
    }

    /// When [`Management::asks`] or [`Management::is_dead`] may answer otherwise.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.answer_until.or(self.ask_at)
    }

    /// The client has not answered in time.
    pub(super) fn is_dead(&self, now: Instant) -> bool {
        self.answer_until.is_some_and(|until| until <= now)
    }

    pub(super) fn owes(&self) -> bool {
        self.owes
    }
}

impl<C: Codec> Connection<C> {
    /// Follows what the machine says of a managed stream, or of the client's state; gives back anything else.
    pub(super) async fn follow_managed(&mut self, output: Output) -> Option<Output> {
        match output {
            Output::Acked(h) => self.acked(h),
            Output::AckRequest => {
                if let Some(management) = self.management() {
                    management.owes = true;
                }
            }
            Output::ClientState(state) => {
                if let Some(bound) = &self.bound {
                    bound.session.queue.set_inactive(state == ClientState::Inactive);
                }
            }
            Output::Enable(wanted) => self.enable(wanted),
            Output::Resume { account, mechanism, class, request } => {
                self.resume(Authenticated { account, mechanism, class }, &request).await;
            }
            other => return Some(other),
        }
        None
    }

    fn management(&mut self) -> Option<&mut Management> {
        self.bound.as_mut()?.management.as_deref_mut()
    }

    fn enable(&mut self, wanted: Enable) {
        let Some(bound) = &mut self.bound else { return };
        match self.shell.router.enable(&bound.session, wanted) {
            Ok((enabled, lease)) => {
                bound.management = Some(Box::new(Management::new(lease)));
                self.machine.enabled(Ok(&enabled), now());
            }
            Err(failed) => self.machine.enabled(Err(&failed), now()),
        }
    }

    async fn resume(&mut self, who: Authenticated, request: &Resume) {
        match self.shell.router.resume(&who, request, self.since).await {
            Ok(resumption) => {
                let session = resumption.session;
                let mut bound = Bound::new(self.shell.router.clone(), Arc::clone(&session));
                bound.management = Some(Box::new(Management::new(resumption.lease)));
                self.bound = Some(bound);
                self.place = None;
                self.machine.resumed(Ok((session.jid.clone(), resumption.handled)), now());
                if let Some(priority) = resumption.returns {
                    // Its contacts saw it go with the process; the client was told not to say again that it is here (XEP-0198 §5).
                    let priority = Element::new(torg_wire::ns::CLIENT, "priority").with_text(priority.to_string());
                    let presence = Stanza::presence(PresenceType::Available).with_child(priority);
                    self.shell.router.accept_internal(&session, presence).await;
                }
            }
            Err(NotResumed::Failed(failed)) => self.machine.resumed(Err(failed), now()),
            Err(NotResumed::Fault(error)) => self.machine.close_with_error(error),
        }
    }

    fn acked(&mut self, h: u32) {
        let Some(bound) = &mut self.bound else { return };
        let Some(sm) = bound.session.sm() else { return };
        if let Err(error) = sm.acknowledged(&bound.session, h) {
            self.machine.close_with_error(error);
            return;
        }
        let owes_more = bound.session.queue.is_unacknowledged();
        if let Some(management) = &mut bound.management {
            management.answered(owes_more, now());
        }
    }

    /// A stanza of a client whose stanzas are counted. One that finds the session in other hands is not counted, and comes again.
    pub(super) async fn handle_counted(&mut self, stanza: Stanza) {
        let Some(bound) = &self.bound else { return };
        let session = Arc::clone(&bound.session);
        let Some(sm) = session.sm().filter(|_| !bound.is_taken_over()) else { return };
        if sm.must_settle(&stanza) {
            sm.settled(None).await;
        }
        let responsible = Responsible::new(&session, sm.next());
        match responsible.now(|| self.shell.router.accept(&session, stanza)) {
            Ok(None) => {}
            Ok(Some(work)) => responsible.during(work).await,
            Err(error) => return self.machine.close_with_error(error),
        }
        sm.handled();
    }

    /// Asks for an acknowledgement, or gives one, if it is time; answers whether it has.
    pub(super) async fn manage(&mut self) -> bool {
        let Some(bound) = &mut self.bound else { return false };
        let Some(management) = &mut bound.management else { return false };
        let now = now();
        if management.is_dead(now) {
            management.answer_until = None;
            self.machine.close_with_error(StreamError::new(StreamCondition::ConnectionTimeout));
            return true;
        }
        if management.asks(now) {
            self.machine.request_ack();
            return true;
        }
        let Some(sm) = bound.session.sm().filter(|sm| management.owes && sm.is_settled()) else { return false };
        management.owes = false;
        let handled = sm.tell(&bound.session).await;
        self.machine.acknowledge(handled);
        true
    }
}

impl Bound {
    /// Another connection has resumed the session.
    pub(super) fn is_taken_over(&self) -> bool {
        let connection = self.management.as_deref().map(Management::connection);
        connection.is_some_and(|connection| !self.session.queue.is_connection(connection))
    }

    /// Waits for that; for ever if the stream is not managed.
    pub(super) async fn taken_over(&self) {
        if self.management.is_none() {
            std::future::pending::<()>().await;
        }
        while !self.is_taken_over() {
            self.session.queue.ready().await;
        }
    }
}
