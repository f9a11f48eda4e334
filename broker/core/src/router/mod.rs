//! The router: a value shared by all sessions, not a task. `admit` stamps the sender, `routing` decides on a snapshot, `Letter::give`
//! enqueues. Whoever brings a stanza does the work, so stanzas of one sender stay in order and a slow store slows its sender only.

mod emit;
mod end;
mod iq;
mod letter;
mod message;
mod presence;
mod remote;
mod reserved;
mod routing;
mod subscription;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use torg_store::StoreError;
use torg_thing::Clock;
use torg_wire::jid::{BareJid, FullJid, Jid};
use torg_wire::sasl::AccountClass;
use torg_wire::stanza::{ErrorType, IqType, Stanza, StanzaCondition, StanzaError, StanzaKind};
use torg_wire::stream_error::{StreamCondition, StreamError};
use torg_wire::xep::data_forms::DataForm;

pub(crate) use letter::{Letter, Taken};

use crate::administration::{Administration, Runs};
use crate::allowance::{Allowance, Allowances};
use crate::blocking::Blocklists;
use crate::changes::Changes;
use crate::component::Components;
use crate::counters::Counters;
use crate::credentials::{Credentials, CredentialsUnavailable};
use crate::federation_info::Telling;
use crate::generations::Generations;
use crate::identity::{Envelope, Proof};
use crate::limits::Limits;
use crate::mesh::Mesh;
use crate::offline::Offline;
use crate::personal::Personal;
use crate::pubsub::Pubsub;
use crate::register::Registrar;
use crate::roster::Rosters;
use crate::s2s::Links;
use crate::service;
use crate::services::Services;
use crate::session::{self, Attached, BindError, Ending, Session, Table};
use crate::sm::Kept;
use crate::transit::Transit;

/// Delivers stanzas between sessions and services. Cheap to clone; all clones are the same router.
#[derive(Clone)]
pub struct Router(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) domain: BareJid,
    pub(crate) sessions: Table,
    pub(crate) services: Services,
    pub(crate) rosters: Rosters,
    pub(crate) offline: Offline,
    pub(crate) sm: Kept,
    /// Messages between two sockets.
    pub(crate) transit: Arc<Transit>,
    pub(crate) changes: Changes,
    pub(crate) counters: Counters,
    pub(crate) administration: Option<Arc<dyn Administration>>,
    pub(crate) allowances: Allowances,
    pub(crate) blocking: Blocklists,
    pub(crate) personal: Personal,
    pub(crate) pubsub: Pubsub,
    pub(crate) registrar: Registrar,
    /// Administration commands under way.
    pub(crate) runs: Runs,
    /// What the server says of itself to people, in its discovery information.
    pub(crate) about: Vec<DataForm>,
    pub(crate) credentials: Arc<dyn Credentials>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) admins: HashSet<BareJid>,
    pub(crate) mesh: Arc<dyn Mesh>,
    /// What the server tells of itself to strangers; `None` if it tells nothing.
    pub(crate) telling: Option<Arc<Telling>>,
    /// In which dialect services write to whom.
    pub(crate) generations: Generations,
    /// External components.
    pub(crate) components: Components,
    /// Other servers; `None` if the broker keeps to itself.
    pub(crate) links: Option<Links>,
    /// Accounts of parts of this process; they exist although the accounts service does not know them.
    pub(crate) internal: RwLock<HashSet<BareJid>>,
    /// Accounts whose offline messages are being delivered; `true` if more may have come meanwhile.
    pub(crate) draining: Mutex<HashMap<BareJid, bool>>,
    pub(crate) tasks: TaskTracker,
    /// No new work; sessions end in good order.
    pub(crate) stop: CancellationToken,
    /// Connections that have not ended are dropped.
    pub(crate) cut: CancellationToken,
    pub(crate) runtime: Handle,
}

/// Why a stanza could not be handled although it was in order; the sender gets `internal-server-error`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouteError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Credentials(#[from] CredentialsUnavailable),
}

impl RouteError {
    /// What its sender hears.
    pub(crate) fn answer(&self) -> StanzaError {
        match self {
            RouteError::Store(error) => store_error(error),
            RouteError::Credentials(_) => {
                StanzaError::new(StanzaCondition::InternalServerError).with_type(ErrorType::Wait)
            }
        }
    }
}

/// A store that fails is our fault and will be mended, so trying again later makes sense; which of our troubles it is concerns nobody but
/// the operator, except that a full disk is no reason to look for a bug.
pub(crate) fn store_error(error: &StoreError) -> StanzaError {
    match error {
        StoreError::Disk { .. } => StanzaError::new(StanzaCondition::ResourceConstraint)
            .with_text("The server cannot store anything at the moment."),
        _ => StanzaError::new(StanzaCondition::InternalServerError).with_type(ErrorType::Wait),
    }
}

impl Router {
    pub(crate) fn new(shared: Shared) -> Self {
        Router(Arc::new(shared))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    /// The domain this router serves.
    pub fn domain(&self) -> &BareJid {
        &self.0.domain
    }

    /// Whether the account is in the list of administrators.
    pub fn is_admin(&self, account: &BareJid) -> bool {
        self.0.admins.contains(account)
    }

    /// How many sessions are bound now.
    pub fn sessions(&self) -> usize {
        self.0.sessions.all().len()
    }

    /// Opens a session inside the process: on-line like a client, stamped with its full JID, without a socket. The account need not
    /// be known to the accounts service; from now on it exists. An older session of the same resource ends with a conflict.
    pub async fn attach(&self, jid: FullJid, part: &'static str) -> Attached {
        self.0.internal.write().unwrap_or_else(PoisonError::into_inner).insert(jid.to_bare());
        let allowance = self.0.allowances.of(&jid.to_bare(), &self.0.limits.service, session::now());
        let session = Arc::new(Session::new(jid, Proof::Internal(part), false, 0, allowance));
        // Internal accounts are few and ours: no limit of sessions.
        if let Ok(Some(older)) = self.0.sessions.bind(&session, usize::MAX) {
            self.end_older(&older).await;
        }
        Attached::new(self.clone(), session)
    }

    /// What the account may send and ask, all its sessions together.
    pub(crate) fn allowance(&self, account: &BareJid, class: AccountClass) -> Arc<Allowance> {
        let limits = match class {
            _ if self.is_admin(account) => &self.0.limits.admin,
            AccountClass::Person => &self.0.limits.person,
            AccountClass::Thing => &self.0.limits.thing,
        };
        self.0.allowances.of(account, limits, session::now())
    }

    /// Binds a session of a client.
    pub(crate) async fn bind(&self, session: &Arc<Session>) -> Result<(), BindError> {
        self.end_predecessors(session).await;
        let most = self.0.limits.sessions_per_account;
        self.sleeps_no_more(session).await;
        let older = match self.0.sessions.bind(session, most) {
            // One that waits for its client makes room for one whose client is here.
            Err(BindError::TooMany) if self.end_detached(&session.account).await => self.0.sessions.bind(session, most),
            other => other,
        };
        if let Some(older) = older? {
            self.end_older(&older).await;
        }
        self.0.mesh.advertise(&session.jid, true).await;
        Ok(())
    }

    /// Earlier sessions of the same installation have come to their end, even if nobody has noticed yet (XEP-0386 §3.2). Before the
    /// new one takes a place: a device that loses its link often would find all of them taken by its own ghosts.
    async fn end_predecessors(&self, session: &Arc<Session>) {
        if session.client.is_none() {
            return;
        }
        for older in self.0.sessions.of(session.account.as_str()).iter() {
            if older.client == session.client && older.jid != session.jid {
                self.end_older(older).await;
            }
        }
    }

    /// The older session of the same resource is gone for its contacts before the new one says anything (RFC 6120 §7.7.2.2).
    async fn end_older(&self, older: &Arc<Session>) {
        older.queue.end(Ending::Now(StreamError::new(StreamCondition::Conflict)));
        self.end_session(older).await;
    }

    /// Stamps the sender: the only place where an [`Envelope`] is made from what a session sends.
    ///
    /// # Errors
    /// `invalid-from` if the stanza claims another sender than this session (RFC 6120 §8.1.2.1).
    pub(crate) fn admit(&self, session: &Session, mut stanza: Stanza) -> Result<Envelope, StreamError> {
        if let Some(from) = stanza.from()
            && from.as_str() != session.jid.as_str()
            && from.as_str() != session.account.as_str()
        {
            return Err(StreamError::new(StreamCondition::InvalidFrom));
        }
        let from = if manages_subscription(stanza.kind()) {
            session.account.as_jid().clone()
        } else {
            session.jid.as_jid().clone()
        };
        stanza.set_from(Some(from));
        self.strip_reserved(&mut stanza);
        Ok(Envelope::new(session.identity(), stanza))
    }

    /// Takes off whatever only this server may put on a stanza; for everything that comes from outside.
    pub(crate) fn strip_reserved(&self, stanza: &mut Stanza) {
        reserved::strip(stanza, |jid| self.is_local(jid));
    }

    /// Handles one stanza of a session. What is done at once leaves nothing; else the work that is left is to be awaited before
    /// the session's next stanza. Then the stanza has reached its queue, its service or its table.
    ///
    /// The work is in a box of its own, so that an idle session's task keeps no room for it.
    ///
    /// # Errors
    /// The stream error that ends the session.
    pub(crate) fn accept(
        &self,
        session: &Arc<Session>,
        stanza: Stanza,
    ) -> Result<Option<BoxFuture<'static, ()>>, StreamError> {
        let mut envelope = self.admit(session, stanza)?;
        session.asks(envelope.stanza());
        let screened = self.passes_blocking(envelope.stanza());
        if screened {
            self.copy_sent(session, envelope.stanza());
            envelope = match self.hand_over(envelope) {
                Some(envelope) => envelope,
                None => return Ok(None),
            };
        }
        let (router, session) = (self.clone(), Arc::clone(session));
        Ok(Some(Box::pin(async move {
            if screened || router.may_pass(&session, &envelope).await {
                router.route(&session, envelope).await;
            }
        })))
    }

    /// Whether the block lists let it pass; what they stop has been answered.
    async fn may_pass(&self, session: &Session, envelope: &Envelope) -> bool {
        match self.screen(envelope.identity().jid(), envelope.stanza()).await {
            Ok(true) => {
                self.copy_sent(session, envelope.stanza());
                true
            }
            Ok(false) => false,
            Err(error) => {
                tracing::error!(%error, from = %session.jid, "A block list could not be read.");
                self.refuse_with(envelope.stanza(), store_error(&error));
                false
            }
        }
    }

    /// The usual case: an iq or a message for a session that is here and takes it. Gives back what is any other case.
    fn hand_over(&self, envelope: Envelope) -> Option<Envelope> {
        let stanza = envelope.stanza();
        if matches!(stanza.kind(), StanzaKind::Presence(_)) {
            return Some(envelope);
        }
        let target = stanza.to().and_then(|to| self.0.sessions.find(to.bare_str(), to.resource()?));
        let Some(target) = target else { return Some(envelope) };
        if !target.is_asked_for(stanza) {
            return None; // an answer nobody waits for
        }
        let (identity, stanza) = envelope.into_parts();
        let letter = Letter::new(stanza);
        match letter.give(&target) {
            Taken::Yes => {
                self.copy_received(letter.stanza(), target.account.as_str(), std::iter::once(&target));
                None
            }
            Taken::Full | Taken::Gone => Some(Envelope::new(identity, letter.into_stanza())),
        }
    }

    async fn route(&self, session: &Arc<Session>, envelope: Envelope) {
        let request = service::header(envelope.stanza());
        let handled = match envelope.stanza().kind() {
            StanzaKind::Iq(_) => self.route_iq(session, envelope).await,
            StanzaKind::Message(_) => self.route_message(envelope).await,
            StanzaKind::Presence(kind) => self.route_presence(session, kind, envelope.into_stanza()).await,
        };
        if let Err(error) = handled {
            tracing::error!(%error, from = %session.jid, "A stanza could not be handled.");
            self.refuse_with(&request, error.answer());
        }
    }

    /// As [`Router::accept`]; a part of this process that claims another sender only loses its stanza.
    pub(crate) async fn accept_internal(&self, session: &Arc<Session>, stanza: Stanza) {
        match self.accept(session, stanza) {
            Ok(None) => {}
            Ok(Some(work)) => work.await,
            Err(error) => {
                tracing::error!(%error, session = %session.jid, "An internal session sent a stanza that is not its own.");
            }
        }
    }

    /// Delivers the answer to a request. Never fails: an answer that finds nobody is dropped, as RFC 6121 §8.5.3.2.3 has it.
    pub(crate) fn answer(&self, answer: Stanza) {
        let Some(to) = answer.to() else { return };
        if !self.is_local(to) {
            return self.send_remote(&answer);
        }
        let Some(resource) = to.resource() else { return };
        let Some(session) = self.0.sessions.find(to.bare_str(), resource) else { return };
        session.is_asked_for(&answer); // our own answers always pass, and are waited for no longer
        if Letter::new(answer).give(&session) == Taken::Full {
            tracing::debug!(session = %session.jid, "An answer found the session's queue full.");
        }
    }

    /// Answers with an error, unless errors are not due (RFC 6120 §8.3.1).
    pub(crate) fn refuse(&self, stanza: &Stanza, condition: StanzaCondition) {
        self.refuse_with(stanza, condition);
    }

    /// As [`Router::refuse`], with a whole error.
    pub(crate) fn refuse_with(&self, stanza: &Stanza, error: impl Into<StanzaError>) {
        if stanza.kind().is_error() || stanza.kind() == StanzaKind::Iq(IqType::Result) {
            return;
        }
        self.answer(Stanza::error_for(stanza, error));
    }

    /// Whether the account is that of a part of this process.
    pub(crate) fn is_internal(&self, account: &str) -> bool {
        self.0.internal.read().unwrap_or_else(PoisonError::into_inner).contains(account)
    }

    /// Whether a local account exists.
    pub(crate) async fn exists(&self, account: &BareJid) -> Result<bool, CredentialsUnavailable> {
        if self.is_internal(account.as_str()) {
            return Ok(true);
        }
        self.0.credentials.exists(account).await
    }

    /// Whether the address is served here.
    pub(crate) fn is_local(&self, jid: &Jid) -> bool {
        self.serves_domain(jid.domain())
    }

    /// Starts work that outlives its cause but not the broker.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn_on(work, &self.0.runtime);
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("domain", &self.0.domain).finish_non_exhaustive()
    }
}

fn manages_subscription(kind: StanzaKind) -> bool {
    use torg_wire::stanza::PresenceType::{Subscribe, Subscribed, Unsubscribe, Unsubscribed};
    matches!(kind, StanzaKind::Presence(Subscribe | Subscribed | Unsubscribe | Unsubscribed))
}
