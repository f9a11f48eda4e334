//! Commands of nodes and their queries (nfi Concentrator, "Commands" and "Queries"): what there is, the form for it, and
//! running it on one node or on several.
//!
//! A command is a node's own, except one: messages of a node are acknowledged by a command that the concentrator offers
//! while there is something to acknowledge.

mod form;
mod query;

use std::sync::Arc;

use tokio::time::timeout;
use torg_provisioning::Operation as Access;
use torg_thing::{Assignment, Categories, CommandKind, CommandSummary, Invocation, Node, NodeError, NodeRef, reports};
use torg_wire::iot::concentrator::{Answer, CommandInfo, Commands, Method, Nodes, Operation};
use torg_wire::iot::{Generation, Tokens};
use torg_wire::stanza::{ErrorType, IqType, Stanza, StanzaCondition, StanzaError, StanzaKind};
use torg_wire::xep::data_forms::DataForm;
use tracing::info;

pub(super) use query::Queries;
#[cfg(test)]
pub(super) use query::RUNNING_PER_CALLER_MAX;

use super::control::CONFIRM;
use super::refusal;
use super::shared::{Caller, Shared};
use super::tree::Found;

/// The command by which a person says that the messages of a node were seen.
const ACKNOWLEDGE: &str = "AcknowledgeMessages";

/// Nodes of one operation: each may take a place of a line.
const NODES_MAX: usize = 64;

/// A node and what is to be run on it.
struct Order {
    /// As the caller wrote the address; answers repeat it.
    asked: NodeRef,
    address: NodeRef,
    node: Arc<dyn Node>,
    invocation: Invocation,
}

/// Answers a request about commands.
pub(super) async fn handle(
    shared: &Arc<Shared>,
    iq: &Stanza,
    caller: &Caller,
    tokens: &Tokens,
    operation: Commands,
    generation: Generation,
) {
    let nodes = match permitted(shared, iq, caller, tokens, &operation) {
        Ok(nodes) => nodes,
        Err(error) => return shared.refuse(iq, error).await,
    };
    match operation {
        Commands::List(_) => {
            let answer = Answer::Commands(common(&nodes).iter().map(listed).collect());
            shared.reply(iq, Some(answer.encode(generation))).await;
        }
        Commands::Parameters { command, .. } => match find(&nodes, &command) {
            Ok(command) if command.kind == CommandKind::Simple => {
                shared.refuse(iq, refusal::bad_request("The command has no parameters.")).await;
            }
            Ok(command) => shared.reply(iq, Some(form::empty(&command).encode())).await,
            Err(error) => shared.refuse(iq, error).await,
        },
        Commands::Execute { nodes: asked, command, form } => {
            let orders = orders(&asked, nodes, &command, form.as_ref(), |kind| kind != CommandKind::Query);
            execute(shared, iq, caller, (&asked, orders), generation).await;
        }
        Commands::Query { nodes: asked, command, query, form } => {
            let orders = orders(&asked, nodes, &command, form.as_ref(), |kind| kind == CommandKind::Query);
            let started = orders.and_then(|orders| query::start(shared, caller, &asked, orders, &query, generation));
            match (started, asked) {
                (Ok(run), Nodes::One(_)) => {
                    shared.reply(iq, None).await;
                    run.into_iter().for_each(|run| run.spawn());
                }
                (Ok(run), Nodes::Several(_)) => {
                    let answer = Answer::PartialExecution(run.iter().map(|_| Ok(())).collect());
                    shared.reply(iq, Some(answer.encode(generation))).await;
                    run.into_iter().for_each(|run| run.spawn());
                }
                (Err(error), _) => shared.refuse(iq, error).await,
            }
        }
        Commands::Abort { command, query, .. } => {
            let running = nodes.iter().filter(|found| {
                // An id names one query of a node, whatever its command; one of another command is another query.
                shared.queries.abort(&caller.jid, &found.about.node, &command, &query)
            });
            match running.count() {
                0 => shared.refuse(iq, refusal::not_found("There is no such query.")).await,
                _ => shared.reply(iq, None).await,
            }
        }
    }
}

/// The nodes that the operation names, all of which the caller may command.
fn permitted(
    shared: &Shared,
    iq: &Stanza,
    caller: &Caller,
    tokens: &Tokens,
    operation: &Commands,
) -> Result<Vec<Found>, StanzaError> {
    let nodes = operation.nodes().as_slice();
    let forbidden = || refusal::forbidden().with_type(ErrorType::Auth);
    let asked = (nodes, [].as_slice(), Categories::ALL);
    let scope = shared.decide(caller, tokens, Access::Control, asked).ok_or_else(forbidden)?;
    let kind = iq.kind();
    match Operation::Commands(operation.clone()).method() {
        Method::Get if kind != StanzaKind::Iq(IqType::Get) => {
            return Err(refusal::bad_request("This is an iq of type get."));
        }
        Method::Set if kind != StanzaKind::Iq(IqType::Set) => {
            return Err(refusal::bad_request("This is an iq of type set."));
        }
        _ => {}
    }
    if nodes.is_empty() {
        return Err(refusal::bad_request("No node was named."));
    }
    if nodes.len() > NODES_MAX {
        return Err(refusal::busy("Too many nodes for one command."));
    }
    let found = nodes.iter().map(|node| {
        let found = shared.tree.find(node).filter(|found| scope.nodes.contains(&found.about.node));
        found.ok_or_else(refusal::node_not_found)
    });
    found.collect()
}

/// The commands of a node, with the concentrator's own.
pub(super) fn of(found: &Found) -> Vec<CommandSummary> {
    let mut all = found.about.commands.clone();
    if found.needs_acknowledgement() && all.iter().all(|command| *command.id != *ACKNOWLEDGE) {
        let own = CommandSummary::new(ACKNOWLEDGE, "Acknowledge messages", CommandKind::Simple);
        all.push(CommandSummary { category: Arc::from("Node"), ..own });
    }
    all
}

/// The commands that all nodes have with the same meaning, in the order of the first.
fn common(nodes: &[Found]) -> Vec<CommandSummary> {
    let mut lists = nodes.iter().map(of);
    let Some(first) = lists.next() else { return Vec::new() };
    let others: Vec<_> = lists.collect();
    let is_shared = |command: &CommandSummary| others.iter().all(|other| other.contains(command));
    first.into_iter().filter(is_shared).collect()
}

fn find(nodes: &[Found], id: &str) -> Result<CommandSummary, StanzaError> {
    let found = common(nodes).into_iter().find(|command| &*command.id == id);
    found.ok_or_else(|| refusal::not_found("There is no such command."))
}

fn listed(command: &CommandSummary) -> CommandInfo {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    CommandInfo {
        category: text(&command.category),
        confirmation: text(&command.confirmation),
        ..CommandInfo::new(&*command.id, &*command.name, command.kind)
    }
}

/// What is to be run on each node, checked: nothing has been run so far.
fn orders(
    asked: &Nodes,
    nodes: Vec<Found>,
    id: &str,
    form: Option<&DataForm>,
    is_meant: impl Fn(CommandKind) -> bool,
) -> Result<Vec<Order>, StanzaError> {
    let command = find(&nodes, id)?;
    if !is_meant(command.kind) {
        return Err(refusal::bad_request("The command is of another kind."));
    }
    let parameters = parameters(&command, form)?;
    let orders = asked.as_slice().iter().zip(nodes).map(|(asked, found)| Order {
        asked: asked.clone(),
        address: found.about.node.clone(),
        node: found.node,
        invocation: Invocation { id: Arc::clone(&command.id), parameters: parameters.clone() },
    });
    Ok(orders.collect())
}

fn parameters(command: &CommandSummary, form: Option<&DataForm>) -> Result<Vec<Assignment>, StanzaError> {
    match form {
        Some(_) if command.kind == CommandKind::Simple => Err(refusal::bad_request("The command takes no form.")),
        Some(form) => form::read(command, form).map_err(|form| refusal::bad_form(&form)),
        None if command.parameters.is_empty() => Ok(Vec::new()),
        None => Err(refusal::bad_request("The command needs its form.")),
    }
}

/// Runs a command and answers when it is done, on several nodes with what came of each.
async fn execute(
    shared: &Arc<Shared>,
    iq: &Stanza,
    caller: &Caller,
    (asked, orders): (&Nodes, Result<Vec<Order>, StanzaError>),
    generation: Generation,
) {
    let orders = match orders {
        Ok(orders) => orders,
        Err(error) => return shared.refuse(iq, error).await,
    };
    let Some(place) = shared.orders.place() else {
        return shared.refuse(iq, refusal::busy("Too many commands are under way.")).await;
    };
    info!(account = %caller.account, nodes = orders.len(), "A command is being run.");
    let is_one = matches!(asked, Nodes::One(_));
    let (shared, iq) = (Arc::clone(shared), iq.clone());
    // The work is a task of its own: it goes on when its sender is told that it takes too long.
    let work = shared.tasks.spawn({
        let shared = Arc::clone(&shared);
        async move {
            let mut outcomes = Vec::with_capacity(orders.len());
            for order in &orders {
                outcomes.push(run(&shared, order).await);
            }
            drop(place);
            outcomes
        }
    });
    shared.clone().tasks.spawn(async move {
        match timeout(CONFIRM, work).await {
            Ok(Ok(outcomes)) if is_one => match outcomes.first() {
                Some(Err(error)) => shared.refuse(&iq, refusal::not_executed(error)).await,
                _ => shared.reply(&iq, None).await,
            },
            Ok(Ok(outcomes)) => {
                let outcome =
                    |outcome: Result<(), NodeError>| outcome.map_err(|error| refusal::sentence(&error.to_string()));
                let answer = Answer::PartialExecution(outcomes.into_iter().map(outcome).collect());
                shared.reply(&iq, Some(answer.encode(generation))).await;
            }
            Ok(Err(_)) => shared.refuse(&iq, StanzaCondition::InternalServerError).await,
            Err(_) => shared.refuse(&iq, unconfirmed()).await,
        }
    });
}

async fn run(shared: &Shared, order: &Order) -> Result<(), NodeError> {
    if *order.invocation.id == *ACKNOWLEDGE && !knows(&*order.node, ACKNOWLEDGE) {
        shared.tree.acknowledge(&order.address);
        return Ok(());
    }
    // A command that is no query has nobody to tell a report.
    let (sender, parts) = reports();
    drop(parts);
    order.node.execute(order.invocation.clone(), sender).await
}

fn knows(node: &dyn Node, command: &str) -> bool {
    node.about().commands.iter().any(|known| &*known.id == command)
}

fn unconfirmed() -> StanzaError {
    StanzaError::new(StanzaCondition::RemoteServerTimeout)
        .with_type(ErrorType::Wait)
        .with_text("The command has not ended yet; it may still be carried out.")
}
