//! What there is behind the concentrator: data sources, nodes, their order and kind (nfi Concentrator), and the harmonized
//! interfaces of a node.
//!
//! Only what is implemented is told.

use std::collections::VecDeque;
use std::sync::Arc;

use torg_provisioning::{Operation as Access, Scope};
use torg_thing::{Categories, NodeRef, SourceId};
use torg_wire::iot::concentrator::{Answer, Browse, Commands, Detail, Operation, Question, Sniffers, SourceEvents};
use torg_wire::iot::{
    DataSource, DecodeError, Generation, Interface, Message, NodeInfo, Parameter, ParameterValue, Parent, Tokens,
    interfaces as harmonized, state_name,
};
use torg_wire::stanza::{ErrorType, IqType, Stanza, StanzaError, StanzaKind};
use torg_wire::xml::Element;

use super::shared::{Caller, Shared};
use super::tree::{Found, FoundSource};
use super::words;
use super::{commands, refusal, sniffers, source_events};

/// Elements in one answer. Brokers let 2,000 elements pass in a stanza; larger sources are browsed by their children.
const ELEMENTS_MAX: usize = 1800;

/// Bytes in one answer. Brokers let 256 KiB pass; the rest is for addresses and what a broker adds.
const BYTES_MAX: usize = 200 * 1024;

/// The type every node is derived from.
const ROOT_TYPE: &str = "torg.node";

/// Operations that are carried out, by the name of their element. The first generation has those that browse.
fn capabilities(generation: Generation) -> impl Iterator<Item = &'static str> {
    let later = [&Commands::NAMES[..], &Sniffers::NAMES, &SourceEvents::NAMES].into_iter().flatten().copied();
    Browse::NAMES.into_iter().chain(later.filter(move |_| generation != Generation::Xmpp))
}

/// Answers a request of the concentrator interface.
pub(super) async fn handle(shared: &Arc<Shared>, iq: &Stanza, caller: &Caller, payload: &Element) {
    let spoken = Interface::of_namespace(payload.namespace().as_str()).map(|(_, generation)| generation);
    let decoded = match spoken {
        Some(generation) if capabilities(generation).any(|name| name == payload.name()) => Question::decode(payload),
        // Also if it could not be read: what is wrong with it does not matter.
        _ => Err(DecodeError::Unknown { element: payload.name().to_owned() }),
    };
    let (question, generation) = match decoded {
        Ok(question) => question,
        Err(problem) => {
            let error = if shared.is_friend(caller) { refusal::unreadable(&problem) } else { forbidden() };
            return shared.refuse(iq, error).await;
        }
    };
    let answered = match &question.operation {
        Operation::Browse(operation) => answer(shared, iq, caller, (&question.tokens, generation), operation),
        Operation::Commands(operation) => {
            let (tokens, operation) = (&question.tokens, operation.clone());
            return commands::handle(shared, iq, caller, tokens, operation, generation).await;
        }
        Operation::SourceEvents(operation) => {
            return source_events::handle(shared, iq, caller, &question.tokens, operation, generation).await;
        }
        Operation::Sniffers(operation) => {
            return sniffers::handle(shared, iq, caller, &question.tokens, operation, generation).await;
        }
        Operation::Edit(_) => Err(refusal::not_implemented()),
    };
    let element = match generation {
        Generation::Xmpp => words::answer(question.operation.name(), answered.as_ref().map_err(Clone::clone)),
        _ => answered.map(|answer| answer.encode(generation)),
    };
    match element {
        Ok(element) => match fits(&element) {
            true => shared.reply(iq, Some(element)).await,
            false => shared.refuse(iq, refusal::busy("Too many nodes for one answer; ask for children.")).await,
        },
        Err(error) => shared.refuse(iq, error).await,
    }
}

/// Answers a request for harmonized interfaces, in either dialect.
pub(super) async fn interfaces(shared: &Shared, iq: &Stanza, caller: &Caller, payload: &Element) {
    let answer = harmonized::decode_request(payload).map_err(|problem| refusal::unreadable(&problem));
    let answer = scope(shared, caller, &Tokens::default(), &[]).and_then(|scope| {
        let (node, dialect) = answer?;
        let Some(node) = node else { return Ok(harmonized::answer(dialect, [])) };
        let about = visible(shared, &scope, &node)?.about;
        Ok(harmonized::answer(dialect, about.interfaces.iter().map(AsRef::as_ref)))
    });
    match answer {
        Ok(element) => shared.reply(iq, Some(element)).await,
        Err(error) => shared.refuse(iq, error).await,
    }
}

/// Deployed clients expect `auth` here, where sensor data and control say `cancel`.
fn forbidden() -> StanzaError {
    refusal::forbidden().with_type(ErrorType::Auth)
}

fn scope(shared: &Shared, caller: &Caller, tokens: &Tokens, nodes: &[NodeRef]) -> Result<Scope, StanzaError> {
    shared.decide(caller, tokens, Access::Browse, (nodes, &[], Categories::ALL)).ok_or_else(forbidden)
}

fn answer(
    shared: &Shared,
    iq: &Stanza,
    caller: &Caller,
    (tokens, generation): (&Tokens, Generation),
    operation: &Browse,
) -> Result<Answer, StanzaError> {
    let scope = scope(shared, caller, tokens, named(operation))?;
    if iq.kind() != StanzaKind::Iq(IqType::Get) {
        return Err(refusal::bad_request("This is an iq of type get."));
    }
    let tree = &shared.tree;
    let see = |node: &NodeRef| visible(shared, &scope, node);
    let list = |nodes: Vec<Found>, asked: Option<&NodeRef>, detail: &Detail| {
        let seen = nodes.into_iter().filter(|found| scope.nodes.contains(&found.about.node));
        Answer::NodeInfos(seen.map(|found| info(shared, &found, asked, *detail)).collect())
    };
    Ok(match operation {
        Browse::AllDataSources | Browse::RootDataSources => {
            Answer::DataSources(tree.sources().into_iter().map(data_source).collect())
        }
        Browse::AllNodes { source, derived_from, detail } => {
            let nodes = all_nodes(shared, &known_source(shared, source)?, derived_from)?;
            list(nodes, None, detail)
        }
        Browse::Ancestors(node, detail) => list(ancestors(shared, &scope, see(node)?), Some(node), detail),
        Browse::Capabilities => Answer::Strings(capabilities(generation).map(str::to_owned).collect()),
        Browse::ChildDataSources(source) => {
            known_source(shared, source)?;
            Answer::DataSources(Vec::new())
        }
        Browse::ChildNodes(node, detail) => list(tree.children(&see(node)?.about.node), Some(node), detail),
        Browse::ContainsNode(node) => Answer::Bool(see(node).is_ok()),
        Browse::ContainsNodes(nodes) => Answer::Bools(some(nodes)?.iter().map(|node| see(node).is_ok()).collect()),
        Browse::Node(node, detail) => Answer::NodeInfo(Box::new(info(shared, &see(node)?, Some(node), *detail))),
        Browse::NodeInheritance(node) => inheritance(&see(node)?),
        Browse::Nodes(nodes, detail) => {
            let infos = some(nodes)?.iter().map(|node| Ok(info(shared, &see(node)?, Some(node), *detail)));
            Answer::NodeInfos(infos.collect::<Result<_, StanzaError>>()?)
        }
        Browse::RootNodes(source, detail) => list(tree.roots(&known_source(shared, source)?), None, detail),
    })
}

/// Nodes that an operation names.
fn named(operation: &Browse) -> &[NodeRef] {
    match operation {
        Browse::Ancestors(node, _)
        | Browse::ChildNodes(node, _)
        | Browse::ContainsNode(node)
        | Browse::Node(node, _)
        | Browse::NodeInheritance(node) => std::slice::from_ref(node),
        Browse::ContainsNodes(nodes) | Browse::Nodes(nodes, _) => nodes,
        _ => &[],
    }
}

fn some(nodes: &[NodeRef]) -> Result<&[NodeRef], StanzaError> {
    if nodes.is_empty() { Err(refusal::bad_request("No node was named.")) } else { Ok(nodes) }
}

/// What a caller may not see does not exist for it.
fn visible(shared: &Shared, scope: &Scope, node: &NodeRef) -> Result<Found, StanzaError> {
    let found = shared.tree.find(node).filter(|found| scope.nodes.contains(&found.about.node));
    found.ok_or_else(refusal::node_not_found)
}

fn known_source(shared: &Shared, source: &SourceId) -> Result<SourceId, StanzaError> {
    shared.tree.source(source).ok_or_else(|| refusal::not_found("Data source not found."))
}

/// All nodes of a source, breadth first from its roots.
fn all_nodes(shared: &Shared, source: &SourceId, derived_from: &[String]) -> Result<Vec<Found>, StanzaError> {
    let mut waiting: VecDeque<_> = shared.tree.roots(source).into();
    let mut all = Vec::new();
    while let Some(found) = waiting.pop_front() {
        waiting.extend(shared.tree.children(&found.about.node));
        all.push(found);
        // Beyond this the answer cannot fit, whatever is told of each node.
        if all.len() > ELEMENTS_MAX {
            break;
        }
    }
    for wanted in derived_from {
        if wanted != ROOT_TYPE && !all.iter().any(|found| found.about.kind == wanted) {
            return Err(refusal::not_found("Node type not found."));
        }
    }
    let is_wanted = |found: &Found| {
        derived_from.is_empty() || derived_from.iter().any(|kind| kind == ROOT_TYPE || kind == found.about.kind)
    };
    all.retain(is_wanted);
    Ok(all)
}

/// The node, its parent, and so on to the root or to what the caller may not see.
fn ancestors(shared: &Shared, scope: &Scope, node: Found) -> Vec<Found> {
    /// No bus is nested as deep; a loop of parents ends here.
    const DEPTH_MAX: usize = 64;
    let mut path = vec![node];
    while let Some(parent) = path.last().and_then(|last| shared.tree.parent(&last.about.node)) {
        if !scope.nodes.contains(&parent.about.node) || path.len() >= DEPTH_MAX {
            break;
        }
        path.push(parent);
    }
    path
}

fn inheritance(found: &Found) -> Answer {
    let interfaces = found.about.interfaces.iter().map(ToString::to_string).collect();
    Answer::Inheritance { base_classes: vec![ROOT_TYPE.to_owned()], interfaces }
}

fn data_source(found: FoundSource) -> DataSource {
    DataSource {
        source: found.source,
        name: found.name.to_string(),
        has_children: false,
        last_changed: Some(found.changed),
    }
}

/// What is told of a node. Its address is repeated as it was asked, if it was asked by name.
pub(super) fn info(shared: &Shared, found: &Found, asked: Option<&NodeRef>, detail: Detail) -> NodeInfo {
    let about = &found.about;
    let same = asked.filter(|asked| asked.id == about.node.id && asked.partition == about.node.partition);
    let parent = shared
        .tree
        .parent(&about.node)
        .map(|parent| Parent { id: parent.about.node.id.clone(), partition: parent.about.node.partition.clone() });
    NodeInfo {
        kind: Some(about.kind.to_owned()),
        display_name: Some(about.name.to_string()),
        state: found.state(),
        has_children: found.children > 0,
        is_readable: !about.fields.is_empty(),
        is_controllable: !about.controls.is_empty(),
        has_commands: !commands::of(found).is_empty(),
        sniffable: about.sniffable,
        last_changed: Some(found.changed),
        parameters: if detail.parameters { parameters(found, parent.as_ref()) } else { Vec::new() },
        messages: if detail.messages { messages(found) } else { Vec::new() },
        parent,
        ..NodeInfo::new(same.unwrap_or(&about.node).clone())
    }
}

/// What deployed clients look for on every node, then what the bridge tells.
fn parameters(found: &Found, parent: Option<&Parent>) -> Vec<Parameter> {
    let about = &found.about;
    let text = |id: &str, name: &str, value: &str| Parameter {
        id: id.to_owned(),
        name: name.to_owned(),
        value: ParameterValue::Text(value.to_owned()),
    };
    let mut all = vec![text("NodeId", "Node ID", about.node.id.as_str()), text("Type", "Type", about.kind)];
    if let Some(parent) = parent {
        all.push(text("ParentId", "Parent ID", parent.id.as_str()));
    }
    all.push(Parameter {
        id: "NrChildren".to_owned(),
        name: "#Children".to_owned(),
        value: ParameterValue::Int32(i32::try_from(found.children).unwrap_or(i32::MAX)),
    });
    all.push(text("State", "State", state_name(found.state())));
    let unconfirmed = about.fields.iter().filter(|field| field.unconfirmed).map(|field| field.name.as_str());
    let unconfirmed: Vec<_> = unconfirmed.collect();
    if !unconfirmed.is_empty() {
        all.push(text("Unconfirmed", "Fields known from one source only", &unconfirmed.join(", ")));
    }
    all.extend(about.parameters.iter().map(|parameter| Parameter {
        id: parameter.id.to_string(),
        name: parameter.name.to_string(),
        value: ParameterValue::from(&parameter.value),
    }));
    all
}

pub(super) fn messages(found: &Found) -> Vec<Message> {
    let told = found.messages.iter().map(|message| Message {
        at: message.at,
        severity: message.severity,
        event_id: Some(message.event.to_owned()),
        text: message.text.clone(),
    });
    told.collect()
}

/// Whether brokers on the way will let an answer pass.
pub(super) fn fits(element: &Element) -> bool {
    fn count(element: &Element) -> usize {
        element.children().fold(1, |sum, child| sum.saturating_add(count(child)))
    }
    count(element) <= ELEMENTS_MAX && element.to_string().len() <= BYTES_MAX
}
