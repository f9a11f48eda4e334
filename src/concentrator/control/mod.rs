//! Setting control parameters (nfi ControlParameters): everything is checked before anything is set.
//!
//! Nodes are set one after the other, values in the order given; the first failure ends it. What a device was told is
//! never taken back, so the error says how far it went.

pub(super) mod form;
pub(super) mod values;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use torg_provisioning::{Operation, Scope};
use torg_thing::{Assignment, Categories, FieldName, NodeError, NodeRef};
use torg_wire::iot::control::{FormRequest, Response, Set, Values};
use torg_wire::iot::{Control, Generation};
use torg_wire::jid::Jid;
use torg_wire::stanza::{ErrorType, IqType, Stanza, StanzaCondition, StanzaError, StanzaKind};
use torg_wire::xml::Element;
use tracing::info;

use super::readout::{Target, targets};
use super::refusal;
use super::shared::{Caller, Shared};

/// Orders that wait or are carried out at a time; as many as one line has places.
pub(super) const ORDERS_MAX: usize = 64;

/// How long the order may take until its sender is told that nothing is certain. Deployed clients give up after 15 s.
/// The write itself goes on.
pub(super) const CONFIRM: Duration = Duration::from_secs(14);

/// Orders under way. Those of one sender are carried out in the order they came.
#[derive(Debug)]
pub(super) struct Orders {
    places: Arc<Semaphore>,
    /// The end of the last order of each sender that has one under way.
    last: Mutex<HashMap<Jid, oneshot::Receiver<()>>>,
}

/// A checked order for one node.
struct Order {
    target: Target,
    values: Vec<Assignment>,
}

impl Orders {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(ORDERS_MAX)), last: Mutex::default() }
    }

    /// A place for an order; `None` if all are taken.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// The end of the sender's order before this one, and the means to tell its own end.
    fn line_up(&self, caller: &Jid) -> (Option<oneshot::Receiver<()>>, oneshot::Sender<()>) {
        let (end, ended) = oneshot::channel();
        // A panic while holding this lock leaves a valid map, so poisoning carries no meaning.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.insert(caller.clone(), ended);
        // Senders whose orders have ended are forgotten, so the map is never larger than the places.
        last.retain(|_, ended| matches!(ended.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        (before, end)
    }
}

/// Answers a request of the control interface.
pub(super) async fn handle(shared: &Arc<Shared>, iq: Stanza, caller: Caller, payload: &Element) {
    // An order in a message was let in for being one.
    let is_set = matches!(iq.kind(), StanzaKind::Iq(IqType::Set) | StanzaKind::Message(_));
    match Control::decode(payload) {
        Ok((Control::Set(set), generation)) if is_set => order(shared, iq, caller, set, generation).await,
        Ok((Control::FormRequest(request), _)) => ask_form(shared, iq, caller, request).await,
        Ok((Control::Set(_), _)) => {
            let error = if shared.is_friend(&caller) {
                refusal::bad_request("Setting needs an iq of type set.")
            } else {
                refusal::forbidden()
            };
            shared.refuse(&iq, error).await;
        }
        Ok((Control::Response(_), _)) => shared.refuse(&iq, refusal::not_implemented()).await,
        Err(problem) => {
            let error = shared.unreadable(&caller, &problem);
            shared.refuse(&iq, error).await;
        }
    }
}

/// The nodes that the caller may control; the error if it may none or one does not exist.
fn permitted(
    shared: &Shared,
    caller: &Caller,
    nodes: &[NodeRef],
    tokens: &torg_wire::iot::Tokens,
    names: &[FieldName],
) -> Result<(Vec<Target>, Scope), StanzaError> {
    let asked = (nodes, names, Categories::ALL);
    let scope = shared.decide(caller, tokens, Operation::Control, asked).ok_or_else(refusal::forbidden)?;
    if nodes.is_empty() {
        return Err(refusal::bad_request("No node was named."));
    }
    let mut targets = targets(shared, nodes).ok_or_else(refusal::node_not_found)?;
    targets.retain(|target| scope.nodes.contains(&target.address));
    if targets.is_empty() { Err(refusal::forbidden()) } else { Ok((targets, scope)) }
}

async fn ask_form(shared: &Arc<Shared>, iq: Stanza, caller: Caller, request: FormRequest) {
    let (targets, scope) = match permitted(shared, &caller, &request.nodes, &request.tokens, &[]) {
        Ok(permitted) => permitted,
        Err(error) => return shared.refuse(&iq, error).await,
    };
    let Some(place) = shared.orders.place() else {
        return shared.refuse(&iq, refusal::busy("Too many requests are under way.")).await;
    };
    let shared = Arc::clone(shared);
    shared.clone().tasks.spawn(async move {
        // The form is told in its own namespace, the same for every generation.
        match form::build(targets, &scope).await {
            Some(form) => shared.reply(&iq, Some(form.encode())).await,
            None => shared.refuse(&iq, refusal::not_found("There are no parameters in common.")).await,
        }
        drop(place);
    });
}

async fn order(shared: &Arc<Shared>, iq: Stanza, caller: Caller, set: Set, generation: Generation) {
    let names = match &set.values {
        Values::Form(form) => form.fields.iter().filter_map(|field| FieldName::parse(&field.var).ok()).collect(),
        Values::Simple(values) => values.iter().map(|value| value.parameter.clone()).collect::<Vec<_>>(),
    };
    let checked = permitted(shared, &caller, &set.nodes, &set.tokens, &names)
        .and_then(|(targets, scope)| check(targets, &set.values, &scope, generation));
    let orders = match checked {
        Ok(orders) => orders,
        Err(error) => return shared.refuse(&iq, error).await,
    };
    let Some(place) = shared.orders.place() else {
        return shared.refuse(&iq, refusal::busy("Too many orders are under way.")).await;
    };
    let (before, end) = shared.orders.line_up(&caller.jid);
    info!(account = %caller.account, nodes = orders.len(), "Control parameters are being set.");
    let answer = answer(&orders, generation);
    // The work goes on when its sender is no longer waiting: a write that has begun is not cut off.
    let (report, outcome) = oneshot::channel();
    shared.tasks.spawn(async move {
        if let Some(before) = before {
            // Either way, the order before has ended.
            let _ = before.await;
        }
        let result = carry_out(&orders).await;
        let _ = report.send(result.map_err(|(done, node, error)| {
            refusal::not_set(generation, &error, progress(done, orders.len(), &node, &error))
        }));
        let _ = end.send(());
        drop(place);
    });
    let shared = Arc::clone(shared);
    shared.clone().tasks.spawn(async move {
        match timeout(CONFIRM, outcome).await {
            Ok(Ok(Ok(()))) => shared.reply(&iq, Some(answer)).await,
            Ok(Ok(Err(error))) => shared.refuse(&iq, error).await,
            Ok(Err(_)) => shared.refuse(&iq, StanzaCondition::InternalServerError).await,
            Err(_) => shared.refuse(&iq, unconfirmed()).await,
        }
    });
}

/// All values for all nodes, or the first reason why not. Nothing has been set so far.
fn check(
    targets: Vec<Target>,
    values: &Values,
    scope: &Scope,
    generation: Generation,
) -> Result<Vec<Order>, StanzaError> {
    let mut orders = Vec::with_capacity(targets.len());
    for target in targets {
        let about = target.node.about();
        let mut assignments = values::assignments(&about, values).map_err(|problem| problem.refusal(generation))?;
        assignments.retain(|assignment| scope.names.contains(&assignment.parameter));
        if !assignments.is_empty() {
            orders.push(Order { target, values: assignments });
        }
    }
    if orders.is_empty() {
        return Err(refusal::bad_request("Nothing is to be set."));
    }
    Ok(orders)
}

/// What will have been operated on if all goes well.
fn answer(orders: &[Order], generation: Generation) -> Element {
    let mut response = Response::default();
    for order in orders {
        response.nodes.push(order.target.asked.clone());
        for assignment in &order.values {
            if !response.parameters.contains(&assignment.parameter) {
                response.parameters.push(assignment.parameter.clone());
            }
        }
    }
    Control::Response(response).encode(generation)
}

/// Sets node after node. On failure: how many nodes were set, which failed, and why.
async fn carry_out(orders: &[Order]) -> Result<(), (usize, NodeRef, NodeError)> {
    for (done, order) in orders.iter().enumerate() {
        let set = order.target.node.set(&order.values).await;
        set.map_err(|error| (done, order.target.asked.clone(), error))?;
    }
    Ok(())
}

fn progress(done: usize, all: usize, node: &NodeRef, error: &NodeError) -> String {
    if all == 1 {
        return refusal::sentence(&error.to_string());
    }
    format!("{node}: {error}; {done} of {all} nodes were set.")
}

fn unconfirmed() -> StanzaError {
    StanzaError::new(StanzaCondition::RemoteServerTimeout)
        .with_type(ErrorType::Wait)
        .with_text("The device has not confirmed yet; the value may still be set.")
}
