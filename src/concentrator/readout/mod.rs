//! Sensor data request and response (nfi SensorData): who may read which nodes, and when it runs.
//!
//! A request is answered at once if the nodes are quick, else with `started` and messages; one that has to wait is
//! answered with `accepted`. Every readout that was accepted ends with a completion, whatever happens to the nodes.
//!
//! # Why
//! Readers of the same fields do not share one read that is under way: who has just set a value, here or at the device,
//! would be told what was there before. Requests that wait for the same line are merged by its bridge, which knows what
//! was asked when.

mod delivery;
mod registry;
mod run;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use torg_provisioning::{Operation, Scope};
use torg_thing::{NodeRef, Selection, Timestamp};
use torg_wire::iot::sensor_data::{Request, Response};
use torg_wire::iot::{Generation, SensorData, xep};
use torg_wire::jid::Jid;
use torg_wire::stanza::Stanza;
use torg_wire::xml::Element;

pub(super) use delivery::Delivery;
use registry::Full;
pub(super) use registry::Readouts;
#[cfg(test)]
pub(super) use registry::{OPEN_PER_CALLER_MAX, RUNNING_MAX};
use run::Run;
pub(super) use run::Target;

use super::refusal;
use super::shared::{Caller, Shared};

/// How far ahead a readout may be scheduled. It lives in memory only, so a longer promise would be a false one.
const AHEAD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Answers a request of the sensor data interface.
pub(super) async fn handle(shared: &Arc<Shared>, iq: Stanza, caller: Caller, payload: &Element) {
    match SensorData::decode(payload) {
        Ok((SensorData::Request(request), generation)) => open(shared, iq, caller, request, generation).await,
        Ok((SensorData::Cancel(id), generation)) => {
            shared.readouts.cancel(&caller.jid, &id);
            shared.reply(&iq, (generation == Generation::Xmpp).then(|| xep::cancelled(&id))).await;
        }
        Ok(_) => shared.refuse(&iq, refusal::not_implemented()).await,
        Err(problem) => {
            let error = shared.unreadable(&caller, &problem);
            shared.refuse(&iq, error).await;
        }
    }
}

async fn open(shared: &Arc<Shared>, iq: Stanza, caller: Caller, request: Request, generation: Generation) {
    let asked = (request.nodes.as_slice(), request.fields.as_slice(), request.categories);
    let Some(scope) = shared.decide(&caller, &request.tokens, Operation::Read, asked) else {
        return shared.refuse(&iq, refusal::forbidden()).await;
    };
    if request.nodes.is_empty() {
        return no_node(shared, &iq, &request.id, generation).await;
    }
    let Some(mut targets) = targets(shared, &request.nodes) else {
        return shared.refuse(&iq, refusal::node_not_found()).await;
    };
    targets.retain(|target| scope.nodes.contains(&target.address));
    if targets.is_empty() {
        return shared.refuse(&iq, refusal::forbidden()).await;
    }
    let now = shared.clock.now();
    let wait = request.when.filter(|when| *when > now);
    if wait.is_some_and(|when| when.since(now) > AHEAD_MAX) {
        return shared.refuse(&iq, refusal::bad_request("The readout is scheduled too far ahead.")).await;
    }
    let ticket = match shared.readouts.open(&caller.jid, &request.id) {
        Ok(ticket) => ticket,
        Err(Full::Duplicate) => return shared.refuse(&iq, refusal::conflict()).await,
        Err(Full::TooMany) => return shared.refuse(&iq, refusal::busy("Too many readouts are open.")).await,
    };
    let selection = selection(&request, &scope);
    let reader = caller.jid.clone();
    let delivery = Delivery::answering(Arc::clone(shared), iq, caller.jid, generation, request.id);
    let run = Run { shared: Arc::clone(shared), reader, ticket, targets, selection: Arc::new(selection), delivery };
    shared.tasks.spawn(run.from(wait));
}

/// The readout that a subscription asks for when it begins; the data goes out under the subscription's id. If the
/// subscriber has a readout of that id, that one has to do.
pub(super) fn now(
    shared: &Arc<Shared>,
    to: Jid,
    generation: Generation,
    id: String,
    targets: Vec<Target>,
    selection: Selection,
) {
    let Ok(ticket) = shared.readouts.open(&to, &id) else { return };
    let delivery = Delivery::in_messages(Arc::clone(shared), to.clone(), generation, id);
    let run = Run { shared: Arc::clone(shared), reader: to, ticket, targets, selection: Arc::new(selection), delivery };
    shared.tasks.spawn(run.from(None));
}

/// A concentrator has no fields of its own: without a node there is nothing to read, and the reader is told so.
async fn no_node(shared: &Shared, iq: &Stanza, id: &str, generation: Generation) {
    let mut response = Response::empty(id);
    response.push_error(None, shared.clock.now(), "No node was named.");
    shared.reply(iq, Some(SensorData::Response(response).encode(generation))).await;
}

/// The nodes asked for, each once; `None` if one does not exist.
pub(super) fn targets(shared: &Shared, nodes: &[NodeRef]) -> Option<Vec<Target>> {
    let mut seen = BTreeSet::new();
    let mut targets = Vec::with_capacity(nodes.len());
    for asked in nodes {
        let found = shared.tree.find(asked)?;
        if seen.insert(found.about.node.clone()) {
            targets.push(Target {
                asked: asked.clone(),
                address: found.about.node.clone(),
                readable: !found.about.fields.is_empty(),
                node: found.node,
            });
        }
    }
    Some(targets)
}

fn selection(request: &Request, scope: &Scope) -> Selection {
    let asked = (!request.fields.is_empty()).then(|| request.fields.iter().cloned().collect::<BTreeSet<_>>());
    let fields = match (asked, &scope.names) {
        (asked, torg_provisioning::Extent::All) => asked,
        (None, torg_provisioning::Extent::Only(names)) => Some(names.clone()),
        (Some(asked), torg_provisioning::Extent::Only(names)) => Some(asked.intersection(names).cloned().collect()),
    };
    Selection { fields, categories: scope.categories, from: request.from, to: request.to }
}

/// Waits until the clock shows `when`, also if the clock is set meanwhile.
async fn until(shared: &Shared, when: Timestamp) {
    /// How often a set clock is noticed.
    const LOOK: Duration = Duration::from_secs(60);
    loop {
        let left = when.since(shared.clock.now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK)).await;
    }
}
