//! Event subscriptions (nfi EventSubscription): standing wishes for sensor data.
//!
//! A lane checks the request and hands it to the one task that owns all subscriptions. A subscription lives until it is
//! removed, its subscriber goes or is no friend any more, or an event cannot be delivered; after a restart subscribers
//! ask again when they see the presence.

mod table;
mod trigger;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc};
use torg_provisioning::Operation;
use torg_thing::{Categories, Field, NodeRef};
use torg_wire::iot::events::Subscribe;
use torg_wire::iot::{Events, Generation, Tokens};
use torg_wire::jid::Jid;
use torg_wire::stanza::{ErrorType, Stanza};
use torg_wire::xml::Element;

pub(super) use table::serve;

use super::readout::{Target, targets};
use super::refusal;
use super::shared::{Caller, Shared};

/// Subscriptions at a time; each costs a few kilobytes and its share of the lines.
const SUBSCRIPTIONS_MAX: usize = 2048;

/// Subscriptions at a time for one account.
pub(super) const PER_ACCOUNT_MAX: usize = 64;

/// Nodes of one subscription.
const NODES_MAX: usize = 256;

/// Requests and readings that wait for the task. When it is full, requests are told so, and readings of others do not
/// reach subscriptions: they come with the next poll.
const WAITING_MAX: usize = 256;

/// The way to the task that owns all subscriptions.
pub(super) struct Subscriptions {
    requests: mpsc::Sender<Request>,
    gone: Mutex<Vec<Jid>>,
    someone_gone: Notify,
    count: AtomicUsize,
}

/// What the task is asked.
pub(super) enum Request {
    /// Somebody read a node.
    Read {
        /// Who; its own subscriptions are not concerned.
        reader: Jid,
        /// The node's address.
        node: NodeRef,
        /// Momentary values.
        fields: Vec<Field>,
    },
    /// A new subscription; the task answers.
    Subscribe(Box<Wish>),
    /// The end of one; the task answers.
    Unsubscribe {
        /// The request to answer.
        iq: Stanza,
        /// Whose.
        caller: Jid,
        /// Which.
        id: String,
    },
}

/// A checked request for a subscription.
pub(super) struct Wish {
    iq: Stanza,
    caller: Caller,
    generation: Generation,
    targets: Vec<Target>,
    subscribe: Subscribe,
}

impl Subscriptions {
    /// The way in, and the end the task takes requests from.
    pub(super) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, waiting) = mpsc::channel(WAITING_MAX);
        let subscriptions =
            Self { requests, gone: Mutex::default(), someone_gone: Notify::new(), count: AtomicUsize::new(0) };
        (subscriptions, waiting)
    }

    /// Tells that one address, or all of an account, is gone. Never waits.
    pub(super) fn gone(&self, who: &Jid) {
        if self.count.load(Ordering::Relaxed) > 0 {
            // A panic while holding this lock leaves a valid list, so poisoning carries no meaning.
            self.gone.lock().unwrap_or_else(PoisonError::into_inner).push(who.clone());
            self.someone_gone.notify_one();
        }
    }

    /// Tells what somebody read. Never waits.
    pub(super) fn read(&self, reader: &Jid, node: &NodeRef, fields: &[Field]) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let momentary = fields.iter().filter(|field| field.categories.contains(Categories::MOMENTARY));
        let fields: Vec<_> = momentary.cloned().collect();
        if !fields.is_empty() {
            // Full: see WAITING_MAX.
            let _ = self.requests.try_send(Request::Read { reader: reader.clone(), node: node.clone(), fields });
        }
    }
}

/// Answers a request of the events interface.
pub(super) async fn handle(shared: &Arc<Shared>, iq: Stanza, caller: Caller, payload: &Element) {
    let request = match Events::decode(payload) {
        Ok((Events::Subscribe(subscribe), generation)) => match wish(shared, &iq, &caller, subscribe, generation) {
            Ok(wish) => Request::Subscribe(Box::new(wish)),
            Err(error) => return shared.refuse(&iq, error).await,
        },
        Ok((Events::Unsubscribe(id), _)) => {
            if shared.decide(&caller, &Tokens::default(), Operation::Read, (&[], &[], Categories::ALL)).is_none() {
                return shared.refuse(&iq, refusal::forbidden()).await;
            }
            Request::Unsubscribe { iq, caller: caller.jid, id }
        }
        Err(problem) => {
            let error = shared.unreadable(&caller, &problem);
            return shared.refuse(&iq, error).await;
        }
    };
    if let Err(full) = shared.subscriptions.requests.try_send(request) {
        let iq = match full.into_inner() {
            Request::Subscribe(wish) => wish.iq,
            Request::Unsubscribe { iq, .. } => iq,
            Request::Read { .. } => return,
        };
        shared.refuse(&iq, refusal::busy("Too many subscriptions are being changed.")).await;
    }
}

fn wish(
    shared: &Shared,
    iq: &Stanza,
    caller: &Caller,
    mut subscribe: Subscribe,
    generation: Generation,
) -> Result<Wish, torg_wire::stanza::StanzaError> {
    let names: Vec<_> = subscribe.rules.iter().map(|rule| rule.name.clone()).collect();
    let asked = (subscribe.nodes.as_slice(), names.as_slice(), subscribe.categories);
    let scope = shared.decide(caller, &subscribe.tokens, Operation::Read, asked).ok_or_else(refusal::forbidden)?;
    if subscribe.nodes.is_empty() {
        return Err(refusal::bad_request("No node was named."));
    }
    if subscribe.nodes.len() > NODES_MAX {
        return Err(refusal::busy("Too many nodes for one subscription."));
    }
    let mut targets = targets(shared, &subscribe.nodes).ok_or_else(refusal::node_not_found)?;
    targets.retain(|target| scope.nodes.contains(&target.address));
    if targets.is_empty() {
        return Err(refusal::forbidden());
    }
    subscribe.categories = scope.categories;
    subscribe.rules.retain(|rule| scope.names.contains(&rule.name));
    if subscribe.rules.is_empty() && !names.is_empty() {
        return Err(refusal::forbidden());
    }
    Ok(Wish { iq: iq.clone(), caller: caller.clone(), generation, targets, subscribe })
}

/// Deployed clients expect `modify` for a subscription that does not exist.
fn unknown() -> torg_wire::stanza::StanzaError {
    refusal::not_found("There is no such subscription.").with_type(ErrorType::Modify)
}
