//! The exchange of stanzas on one logged-in stream: requests and their answers, and an inbox for everything else.
//!
//! RFC 6120 §8.2.3 (iq semantics). No sockets here: the connection feeds a [`Driver`] and drains it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use torg_wire::jid::{FullJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::{IqType, Stanza, StanzaCondition, StanzaError, StanzaKind};
use torg_wire::xml::Element;

/// Stanzas waiting to be written. A client asks little; a full queue makes the asker wait.
const OUTGOING_STANZAS_MAX: usize = 64;

/// Requests without an answer yet. The gateway client has a handful; more is a mistake of the caller.
const PENDING_REQUESTS_MAX: usize = 1024;

/// Messages and presences kept for a slow reader; beyond this the oldest are lost and the reader is told.
pub const INBOX_STANZAS_MAX: usize = 4096;

/// A logged-in stream. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Session {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Stanza>,
}

/// The connection's side of a [`Session`].
#[derive(Debug)]
pub struct Driver {
    shared: Arc<Shared>,
    outgoing: mpsc::Receiver<Stanza>,
}

/// Messages, presences and pushes as they come.
pub type Inbox = broadcast::Receiver<Arc<Stanza>>;

#[derive(Debug)]
struct Shared {
    jid: FullJid,
    pending: Mutex<HashMap<String, Pending>>,
    inbox: broadcast::Sender<Arc<Stanza>>,
    next: AtomicU64,
    /// Cancelled when the stream is over; the reason is beside it.
    closed: CancellationToken,
    reason: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Pending {
    to: Option<Jid>,
    answer: oneshot::Sender<Stanza>,
}

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The stream ended first.
    #[error("The connection ended: {0}")]
    PeerGone(String),
    /// The other side answered with an error.
    #[error("{to} refused: {}", text(.error))]
    PeerRefused {
        /// Who was asked.
        to: String,
        /// The answer.
        error: Box<StanzaError>,
    },
    /// The other side did not answer.
    #[error("{to} did not answer within {} s.", .within.as_secs())]
    PeerSilent {
        /// Who was asked.
        to: String,
        /// How long we waited.
        within: Duration,
    },
    /// More requests at once than this client keeps track of.
    #[error("Too many requests wait for an answer.")]
    TooMany,
}

/// An error as people read it: its condition, and its text if it has one.
fn text(error: &StanzaError) -> String {
    match error.text() {
        Some(text) => format!("{} ({})", text, error.condition().name()),
        None => error.condition().name().to_owned(),
    }
}

impl RequestError {
    /// The condition with which the other side refused, if it did.
    #[must_use]
    pub fn condition(&self) -> Option<StanzaCondition> {
        match self {
            Self::PeerRefused { error, .. } => Some(error.condition()),
            _ => None,
        }
    }
}

impl Session {
    /// A session of `jid` and the end that a connection drives.
    #[must_use]
    pub fn new(jid: FullJid) -> (Self, Driver) {
        let (outgoing, queue) = mpsc::channel(OUTGOING_STANZAS_MAX);
        let shared = Arc::new(Shared {
            jid,
            pending: Mutex::default(),
            inbox: broadcast::channel(INBOX_STANZAS_MAX).0,
            next: AtomicU64::new(1),
            closed: CancellationToken::new(),
            reason: Mutex::default(),
        });
        (Self { shared: Arc::clone(&shared), outgoing }, Driver { shared, outgoing: queue })
    }

    /// The address this session is bound to.
    #[must_use]
    pub fn jid(&self) -> &FullJid {
        &self.shared.jid
    }

    /// Everything that comes from now on and is no answer to a request.
    #[must_use]
    pub fn inbox(&self) -> Inbox {
        self.shared.inbox.subscribe()
    }

    /// Waits until the stream is over, and says why it is.
    pub async fn closed(&self) -> String {
        self.shared.closed.cancelled().await;
        self.shared.reason()
    }

    /// A name that no other request of this session has.
    #[must_use]
    pub fn fresh_id(&self) -> String {
        format!("t{}", self.shared.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends a stanza that expects no answer.
    ///
    /// # Errors
    /// The stream is over.
    pub async fn send(&self, stanza: Stanza) -> Result<(), RequestError> {
        tokio::select! {
            // A stanza that was not queued is given up with the stream it was for.
            sent = self.outgoing.send(stanza) => sent.map_err(|_| self.gone()),
            () = self.shared.closed.cancelled() => Err(self.gone()),
        }
    }

    /// Asks `to` (the account's own server if none) and waits for the result's payload.
    ///
    /// # Errors
    /// As [`RequestError`].
    pub async fn get(
        &self,
        to: Option<&Jid>,
        payload: Element,
        within: Duration,
    ) -> Result<Option<Element>, RequestError> {
        self.request(IqType::Get, to, payload, within).await
    }

    /// Like [`get`](Self::get), for what changes something.
    ///
    /// # Errors
    /// As [`RequestError`].
    pub async fn set(
        &self,
        to: Option<&Jid>,
        payload: Element,
        within: Duration,
    ) -> Result<Option<Element>, RequestError> {
        self.request(IqType::Set, to, payload, within).await
    }

    async fn request(
        &self,
        kind: IqType,
        to: Option<&Jid>,
        payload: Element,
        within: Duration,
    ) -> Result<Option<Element>, RequestError> {
        let id = self.fresh_id();
        let (sender, receiver) = oneshot::channel();
        {
            let mut pending = self.shared.pending();
            if pending.len() >= PENDING_REQUESTS_MAX {
                return Err(RequestError::TooMany);
            }
            pending.insert(id.clone(), Pending { to: to.cloned(), answer: sender });
        }
        // Whatever happens below, also if this future is dropped, the entry goes.
        let _guard = Forget { shared: &self.shared, id: &id };
        let mut stanza = Stanza::new(StanzaKind::Iq(kind)).with_id(&id).with_child(payload);
        stanza.set_to(to.cloned());
        let asked = || to.map_or_else(|| self.shared.jid.domain().to_owned(), ToString::to_string);
        let exchange = async {
            self.send(stanza).await?;
            receiver.await.map_err(|_| self.gone())
        };
        let answer = tokio::time::timeout(within, exchange)
            .await
            .map_err(|_| RequestError::PeerSilent { to: asked(), within })??;
        match answer.error() {
            Some(error) => Err(RequestError::PeerRefused { to: asked(), error: Box::new(error) }),
            None => Ok(answer.payload().cloned()),
        }
    }

    fn gone(&self) -> RequestError {
        RequestError::PeerGone(self.shared.reason())
    }
}

/// Forgets a request when its asker has gone.
struct Forget<'a> {
    shared: &'a Shared,
    id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.pending().remove(self.id);
    }
}

impl Shared {
    /// A panic while the map is held leaves a valid map, so poisoning carries no meaning.
    fn pending(&self) -> std::sync::MutexGuard<'_, HashMap<String, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reason(&self) -> String {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
        reason.unwrap_or_else(|| "it was closed.".to_owned())
    }

    /// True if `from` may answer a request to `to`: the one asked; for requests without address our own account or
    /// its server (RFC 6120 §8.1.2.1, §10.3.3).
    fn may_answer(&self, to: Option<&Jid>, from: Option<&Jid>) -> bool {
        let own = |from: &Jid| {
            from.as_str() == self.jid.bare_str()
                || from.as_str() == self.jid.as_str()
                || from.as_str() == self.jid.domain()
        };
        match (to, from) {
            (Some(to), Some(from)) => to == from,
            (None, Some(from)) => own(from),
            (None, None) => true,
            (Some(to), None) => own(to),
        }
    }
}

impl Driver {
    /// The next stanza to write; none when every [`Session`] has been dropped. Cancellation safe.
    pub async fn outgoing(&mut self) -> Option<Stanza> {
        self.outgoing.recv().await
    }

    /// Takes a stanza that came in; gives back what is to be answered to it at once.
    #[must_use]
    pub fn incoming(&self, stanza: Stanza) -> Option<Stanza> {
        match stanza.kind() {
            StanzaKind::Iq(IqType::Result | IqType::Error) => {
                self.answered(stanza);
                None
            }
            StanzaKind::Iq(IqType::Get | IqType::Set) => self.asked(stanza),
            StanzaKind::Message(_) | StanzaKind::Presence(_) => {
                // Nobody listens: nobody wants it.
                let _ = self.shared.inbox.send(Arc::new(stanza));
                None
            }
        }
    }

    /// Ends the session; everyone who waits is told `reason`.
    pub fn close(&self, reason: impl Into<String>) {
        self.shared.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| reason.into());
        self.shared.closed.cancel();
        self.shared.pending().clear();
    }

    fn answered(&self, stanza: Stanza) {
        let mut pending = self.shared.pending();
        let Some(id) = stanza.id() else { return };
        // An answer of somebody else is no answer: the asker goes on waiting for the right one.
        let fits = pending.get(id).is_some_and(|request| self.shared.may_answer(request.to.as_ref(), stanza.from()));
        if fits && let Some(request) = pending.remove(id) {
            // The asker may have given up in this very moment.
            let _ = request.answer.send(stanza);
        }
    }

    /// Requests of others: roster pushes of our own account are taken, a ping is answered, the rest is not for us.
    fn asked(&self, stanza: Stanza) -> Option<Stanza> {
        let payload = stanza.payload();
        let push = payload.is_some_and(|payload| payload.is(ns::ROSTER, "query"));
        if push && self.shared.may_answer(None, stanza.from()) {
            let answer = Stanza::result_for(&stanza);
            let _ = self.shared.inbox.send(Arc::new(stanza));
            return Some(answer);
        }
        if payload.is_some_and(|payload| payload.is(ns::PING, "ping")) {
            return Some(Stanza::result_for(&stanza));
        }
        Some(Stanza::error_for(&stanza, StanzaCondition::ServiceUnavailable))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.close("it was dropped.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(10);

    fn session() -> (Session, Driver) {
        Session::new(FullJid::parse("anna@site.example/desk").unwrap())
    }

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn ping() -> Element {
        Element::new(ns::PING, "ping")
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_gets_the_answer_with_its_id_from_the_one_asked() {
        let (session, mut driver) = session();
        let gateway = jid("gateway@site.example/torg");
        let (result, ()) = tokio::join!(session.get(Some(&gateway), ping(), WITHIN), async {
            let request = driver.outgoing().await.unwrap();
            let mut forged = Stanza::error_for(&request, StanzaCondition::Forbidden);
            forged.set_from(Some(jid("mallory@site.example/x")));
            assert_eq!(driver.incoming(forged), None);
            assert_eq!(driver.incoming(Stanza::result_for(&request).with_child(ping())), None);
        });
        assert!(result.unwrap().unwrap().is(ns::PING, "ping"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_refused_says_who_refused_and_why() {
        let (session, mut driver) = session();
        let gateway = jid("gateway@site.example/torg");
        let (result, _) = tokio::join!(session.get(Some(&gateway), ping(), WITHIN), async {
            let request = driver.outgoing().await.unwrap();
            driver.incoming(Stanza::error_for(&request, StanzaCondition::Forbidden))
        });
        let error = result.unwrap_err();
        assert_eq!(error.condition(), Some(StanzaCondition::Forbidden));
        assert_eq!(error.to_string(), "gateway@site.example/torg refused: forbidden");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_ends_at_its_deadline_and_is_forgotten() {
        let (session, _driver) = session();
        let error = session.get(None, ping(), WITHIN).await.unwrap_err();
        assert_eq!(error.to_string(), "site.example did not answer within 10 s.");
        assert!(session.shared.pending().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn everyone_who_waits_is_told_when_the_stream_ends() {
        let (session, driver) = session();
        let (result, ()) = tokio::join!(session.get(None, ping(), WITHIN), async {
            tokio::task::yield_now().await;
            driver.close("the server was stopped.");
        });
        assert_eq!(result.unwrap_err().to_string(), "The connection ended: the server was stopped.");
        assert_eq!(session.closed().await, "the server was stopped.");
    }

    #[tokio::test]
    async fn a_ping_is_answered_and_anything_else_is_not_for_us() {
        let (_session, driver) = session();
        let from = jid("site.example");
        let pong = driver.incoming(Stanza::iq_get("1", ping()).with_from(from.clone())).unwrap();
        assert_eq!(pong.kind(), StanzaKind::Iq(IqType::Result));
        let other = driver.incoming(Stanza::iq_get("2", Element::new("urn:x", "y")).with_from(from)).unwrap();
        assert_eq!(other.error().unwrap().condition(), StanzaCondition::ServiceUnavailable);
    }

    #[tokio::test]
    async fn a_roster_push_of_a_stranger_is_refused() {
        let (session, driver) = session();
        let mut inbox = session.inbox();
        let push = || Stanza::iq_set("1", Element::new(ns::ROSTER, "query"));
        let refused = driver.incoming(push().with_from(jid("mallory@site.example/x"))).unwrap();
        assert!(refused.error().is_some());
        assert!(inbox.try_recv().is_err());
        let taken = driver.incoming(push().with_from(jid("anna@site.example"))).unwrap();
        assert!(taken.error().is_none());
        assert!(inbox.try_recv().is_ok());
    }

    #[tokio::test]
    async fn messages_and_presences_go_to_whoever_listens() {
        use torg_wire::stanza::{MessageType, PresenceType};
        let (session, driver) = session();
        let mut inbox = session.inbox();
        assert_eq!(driver.incoming(Stanza::message(MessageType::Normal)), None);
        assert_eq!(driver.incoming(Stanza::presence(PresenceType::Available)), None);
        assert!(matches!(inbox.recv().await.unwrap().kind(), StanzaKind::Message(_)));
        assert!(matches!(inbox.recv().await.unwrap().kind(), StanzaKind::Presence(_)));
    }
}
