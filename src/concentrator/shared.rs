//! What all parts of the concentrator share: configuration, nodes, friends, the way out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use torg_provisioning::{Decision, Facts, Operation, Question, Scope, decide};
use torg_thing::{Categories, Clock, FieldName, NodeRef};
use torg_wire::iot::Tokens;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::stanza::{MessageType, Stanza, StanzaError, StanzaKind};
use torg_wire::xml::Element;
use tracing::debug;

use super::commands::Queries;
use super::control::Orders;
use super::friends::Friends;
use super::readout::Readouts;
use super::refusal;
use super::sniffers::Sniffers;
use super::source_events::Followers;
use super::subscription::Subscriptions;
use super::tree::Tree;
use super::uplink::Outlet;
use super::words;

/// How the concentrator behaves. The defaults are meant for everybody.
#[derive(Clone, Debug)]
pub struct Config {
    /// Accounts whose request to see the concentrator's presence is accepted at once.
    pub friends: BTreeSet<BareJid>,
    /// How long a readout may take to be answered at once; after that the reader is told that it has started.
    ///
    /// Deployed readers give up on an answer after 15 s; one second keeps fast devices to one exchange and lets a person
    /// see early that something goes on.
    pub quick_reply: Duration,
    /// Bytes of one response, cut between fields. Far below the 256 KiB that brokers let pass.
    pub fragment_bytes: usize,
    /// How long one node may take to be read. A 9600-baud line with a hundred requests waiting stays below.
    pub node_silence_max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            friends: BTreeSet::new(),
            quick_reply: Duration::from_secs(1),
            fragment_bytes: 64 * 1024,
            node_silence_max: Duration::from_secs(120),
        }
    }
}

/// Shared by all tasks of one concentrator.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) tree: Arc<Tree>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) friends: Friends,
    pub(super) readouts: Readouts,
    pub(super) orders: Orders,
    pub(super) queries: Queries,
    pub(super) followers: Followers,
    pub(super) sniffers: Sniffers,
    pub(super) subscriptions: Subscriptions,
    pub(super) outlet: Arc<dyn Outlet>,
    /// Cancelled when the concentrator has to stop.
    pub(super) shutdown: CancellationToken,
    /// Everything that runs beside the lanes.
    pub(super) tasks: TaskTracker,
}

/// Who asks: the sender as stamped by the broker.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The address to answer to.
    pub(super) jid: Jid,
    /// Its account, by which is decided.
    pub(super) account: BareJid,
}

impl Shared {
    /// The decision for a caller. It may narrow what was asked.
    pub(super) fn decide(
        &self,
        caller: &Caller,
        tokens: &Tokens,
        operation: Operation,
        (nodes, names, categories): (&[NodeRef], &[FieldName], Categories),
    ) -> Option<Scope> {
        let question = Question { caller: &caller.account, tokens, operation, nodes, names, categories };
        match decide(&question, &self.facts(caller)) {
            Decision::Allow(scope) => Some(scope),
            Decision::Forbid => None,
        }
    }

    /// Whether the caller is a friend.
    pub(super) fn is_friend(&self, caller: &Caller) -> bool {
        self.friends.is_friend(&caller.account)
    }

    fn facts(&self, caller: &Caller) -> Facts {
        Facts { friend: self.is_friend(caller) }
    }

    /// The answer to a request that cannot be read: only a friend learns what is wrong with it.
    pub(super) fn unreadable(&self, caller: &Caller, problem: &torg_wire::iot::DecodeError) -> StanzaError {
        if self.is_friend(caller) { refusal::unreadable(problem) } else { refusal::forbidden() }
    }

    /// Sends a stanza. When the uplink has gone there is nobody left to tell; the concentrator is about to end.
    pub(super) async fn send(&self, stanza: Stanza) {
        match words::lengthened(&stanza) {
            None => self.hand_over(stanza).await,
            Some(stanzas) => {
                for stanza in stanzas {
                    self.hand_over(stanza).await;
                }
            }
        }
    }

    async fn hand_over(&self, stanza: Stanza) {
        if self.outlet.send(stanza).await.is_err() {
            debug!("A stanza was not sent, since the uplink has gone.");
        }
    }

    /// Answers a request. An order in a message wants no answer.
    pub(super) async fn reply(&self, request: &Stanza, payload: Option<Element>) {
        if !is_iq(request) {
            return;
        }
        self.send(Stanza::result_for(request).with_children(payload)).await;
    }

    /// Refuses a request. An order in a message wants no answer, not even this.
    pub(super) async fn refuse(&self, request: &Stanza, error: impl Into<StanzaError>) {
        if !is_iq(request) {
            return;
        }
        self.send(Stanza::error_for(request, error)).await;
    }

    /// Tells somebody something that is not the answer to a request.
    pub(super) async fn tell(&self, to: &Jid, payload: Element) {
        self.send(Stanza::message(MessageType::Normal).with_to(to.clone()).with_child(payload)).await;
    }
}

fn is_iq(stanza: &Stanza) -> bool {
    matches!(stanza.kind(), StanzaKind::Iq(_))
}
