//! `torg node`: the nodes of a concentrator as any XMPP client sees them.

use std::time::Duration;

use serde::Serialize;
use torg_core::tls::Trust;
use torg_thing::config::nearest;
use torg_thing::{Categories, FieldName, NodeRef, NodeState, SourceId};
use torg_wire::iot::{NodeInfo, ParameterValue, state_name};
use torg_wire::jid::BareJid;
use torg_wire::secret::Secret;

use super::args::{self, Connection as ConnectionArguments, Place, Wanted as WantedArguments};
use super::readings::table;
use super::run::block_on;
use super::{Failure, Table, Terminal, password};
use crate::client::{ConnectOptions, Connection, Gateway, GatewayError, Wanted, connect};

pub(super) fn run(command: &args::Node, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let (done, json) = match command {
        args::Node::Ls(arguments) => (block_on(ls(arguments, terminal)), arguments.connection.json),
        args::Node::Read(arguments) => (block_on(read(arguments, terminal)), arguments.connection.json),
        args::Node::Set(arguments) => (block_on(set(arguments, terminal)), arguments.connection.json),
        args::Node::Watch(arguments) => (block_on(watch(arguments, terminal)), arguments.connection.json),
    };
    match done {
        // A machine that asked for JSON gets the reason as JSON too.
        Err(Failure::Failed(error)) if json => {
            terminal.json(&Refused { error })?;
            Err(Failure::Reported)
        }
        done => done,
    }
}

/// What a failed command prints with `--json`.
#[derive(Serialize)]
struct Refused {
    error: String,
}

/// A concentrator reached through a connection of our own.
struct Reached {
    connection: Connection,
    gateway: Gateway,
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self::failed(error.to_string())
    }
}

impl Reached {
    async fn new(arguments: &ConnectionArguments, terminal: &mut Terminal<'_>) -> Result<Self, Failure> {
        let account = jid("--as", &arguments.jid)?;
        let named = arguments.concentrator.as_deref().map(|text| jid("--jid", text)).transpose()?;
        let password = password::existing(terminal, arguments.password_stdin, account.as_str())?;
        let within = Duration::from_secs(arguments.timeout);
        let connection = connect(ConnectOptions {
            account,
            password: Secret::new(password.reveal().to_owned()),
            server: arguments.server.clone(),
            direct_tls: arguments.direct_tls,
            trust: arguments.ca.clone().map_or(Trust::System, Trust::File),
            resource: None,
            within,
        })
        .await
        .map_err(|error| Failure::failed(error.to_string()))?;
        match Gateway::find(&connection.session, named.as_ref(), within).await {
            Ok(gateway) => Ok(Self { connection, gateway }),
            Err(error) => {
                connection.leave().await;
                Err(error.into())
            }
        }
    }

    /// Says goodbye, then gives the result on.
    async fn leave<T>(self, result: Result<T, Failure>) -> Result<T, Failure> {
        self.connection.leave().await;
        result
    }
}

fn jid(option: &str, text: &str) -> Result<BareJid, Failure> {
    BareJid::parse(text).map_err(|error| Failure::usage(format!("{option} {text}: not an address: {error}.")))
}

/// One node as `torg node ls --json` prints it.
#[derive(Serialize)]
struct Listed {
    jid: String,
    node: String,
    source: String,
    partition: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    state: String,
    readable: bool,
    controllable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    parameters: Vec<ListedParameter>,
    messages: Vec<ListedMessage>,
}

#[derive(Serialize)]
struct ListedParameter {
    id: String,
    name: String,
    value: String,
}

#[derive(Serialize)]
struct ListedMessage {
    time: String,
    severity: String,
    text: String,
}

#[derive(Serialize)]
struct List {
    nodes: Vec<Listed>,
}

impl Listed {
    fn of(gateway: &Gateway, node: NodeInfo) -> Self {
        let message = |message: torg_wire::iot::Message| ListedMessage {
            time: message.at.to_string(),
            severity: format!("{:?}", message.severity).to_lowercase(),
            text: message.text,
        };
        let parameter = |parameter: torg_wire::iot::Parameter| ListedParameter {
            value: shown(&parameter.value),
            id: parameter.id,
            name: parameter.name,
        };
        Self {
            jid: gateway.address().to_bare().to_string(),
            node: node.node.id.to_string(),
            source: node.node.source.to_string(),
            partition: node.node.partition.to_string(),
            name: node.display_name.unwrap_or_default(),
            kind: node.kind.unwrap_or_default(),
            state: state_name(node.state).to_owned(),
            readable: node.is_readable,
            controllable: node.is_controllable,
            parent: node.parent.map(|parent| parent.id.to_string()),
            parameters: node.parameters.into_iter().map(parameter).collect(),
            messages: node.messages.into_iter().map(message).collect(),
        }
    }
}

fn shown(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Boolean(value) => value.to_string(),
        ParameterValue::Color(value) => value.to_string(),
        ParameterValue::DateTime(value) => value.to_string(),
        ParameterValue::Double(value) => value.to_string(),
        ParameterValue::Duration(value) => value.to_string(),
        ParameterValue::Int32(value) => value.to_string(),
        ParameterValue::Int64(value) => value.to_string(),
        ParameterValue::Text(value) => value.clone(),
        ParameterValue::Time(value) => value.to_string(),
    }
}

async fn ls(arguments: &args::NodeLs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let source = arguments.source.as_deref().map(source).transpose()?;
    let reached = Reached::new(&arguments.connection, terminal).await?;
    let nodes = reached.gateway.nodes(source.as_ref()).await;
    let gateway = reached.gateway.clone();
    let nodes = reached.leave(nodes.map_err(Failure::from)).await?;
    if arguments.connection.json {
        let nodes = nodes.into_iter().map(|node| Listed::of(&gateway, node)).collect();
        terminal.json(&List { nodes })?;
        return Ok(());
    }
    let mut table = Table::new(&["source", "node", "name", "can", "state"]);
    for node in &nodes {
        let can = [(node.is_readable, "read"), (node.is_controllable, "set")];
        let can: Vec<&str> = can.iter().filter(|(can, _)| *can).map(|(_, what)| *what).collect();
        let id = match node.node.partition.as_str() {
            "" => node.node.id.to_string(),
            partition => format!("{}/{partition}", node.node.id),
        };
        let name = node.display_name.as_deref().unwrap_or_default();
        let state = if node.state == NodeState::None { "ok" } else { state_name(node.state) };
        table.row([node.node.source.as_str(), &id, name, &can.join(", "), state]);
        for message in &node.messages {
            table.sentence(["", "", &format!("{}: {}", message.at, message.text)]);
        }
    }
    if table.is_empty() {
        terminal.note("The concentrator has no nodes that you may see.")?;
    } else {
        write!(terminal.out, "{}", table.render())?;
    }
    Ok(())
}

async fn read(arguments: &args::NodeRead, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let (fields, categories) = fields(&arguments.wanted)?;
    let asked = fields.clone();
    let reached = Reached::new(&arguments.connection, terminal).await?;
    let gateway = reached.gateway.clone();
    let readings = async {
        let nodes = choose(&gateway, &arguments.nodes, &arguments.place).await?;
        Ok(gateway.read(&Wanted { nodes, fields, categories }).await?)
    }
    .await;
    let readings = reached.leave(readings).await?;
    let unread = readings.nodes.iter().all(|node| node.error.is_none());
    let known =
        |name: &FieldName| readings.nodes.iter().any(|node| node.fields.iter().any(|f| f.name == name.as_str()));
    if let Some(missing) = asked.iter().find(|name| unread && !known(name)) {
        return Err(Failure::failed(format!(
            "No node that was read has a field '{missing}'; without --field every field is shown."
        )));
    }
    if arguments.connection.json {
        terminal.json(&readings)?;
    } else {
        write!(terminal.out, "{}", table(&readings))?;
    }
    let failed = readings.nodes.iter().filter(|node| node.error.is_some()).count();
    match failed {
        0 => Ok(()),
        _ if arguments.connection.json => Err(Failure::Reported),
        1 => Err(Failure::failed("One node could not be read completely.")),
        _ => Err(Failure::failed(format!("{failed} nodes could not be read completely."))),
    }
}

/// What `torg node set --json` prints.
#[derive(Serialize)]
struct Done<'a> {
    jid: String,
    node: &'a str,
    source: &'a str,
    partition: &'a str,
    set: serde_json::Map<String, serde_json::Value>,
}

async fn set(arguments: &args::NodeSet, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let reached = Reached::new(&arguments.connection, terminal).await?;
    let gateway = reached.gateway.clone();
    let done = async {
        let nodes = choose(&gateway, std::slice::from_ref(&arguments.node), &arguments.place).await?;
        for node in &nodes {
            gateway.set(node, &arguments.values).await?;
        }
        Ok(nodes)
    }
    .await;
    let nodes = reached.leave(done).await?;
    for node in &nodes {
        if arguments.connection.json {
            let set = arguments.values.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
            terminal.json(&Done {
                jid: gateway.address().to_bare().to_string(),
                node: node.id.as_str(),
                source: node.source.as_str(),
                partition: node.partition.as_str(),
                set,
            })?;
        } else {
            let set: Vec<String> = arguments.values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            terminal.line(&super::printable(&format!("{}: {}", node.id, set.join(", "))))?;
        }
    }
    Ok(())
}

async fn watch(arguments: &args::NodeWatch, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let (fields, categories) = fields(&arguments.wanted)?;
    let reached = Reached::new(&arguments.connection, terminal).await?;
    let gateway = reached.gateway.clone();
    let watched = async {
        let nodes = choose(&gateway, &arguments.nodes, &arguments.place).await?;
        let wanted = Wanted { nodes, fields, categories };
        let mut watching = gateway.watch(wanted, Duration::from_secs(arguments.every)).await?;
        let mut first = true;
        let mut left = arguments.count.unwrap_or(u64::MAX);
        while left > 0 {
            let readings = tokio::select! {
                // Given up as a whole when the user ends the command.
                readings = watching.next() => readings?,
                _ = tokio::signal::ctrl_c() => break,
            };
            if arguments.connection.json {
                terminal.json_line(&readings)?;
            } else {
                let text = table(&readings);
                // The titles stand above the first update only.
                let rows = if first { text.as_str() } else { text.split_once('\n').map_or("", |(_, rows)| rows) };
                write!(terminal.out, "{rows}")?;
                terminal.out.flush()?;
            }
            first = false;
            left -= 1;
        }
        watching.end(tokio::time::Instant::now() + Duration::from_secs(1)).await;
        Ok(())
    }
    .await;
    reached.leave(watched).await
}

fn source(text: &str) -> Result<SourceId, Failure> {
    SourceId::parse(text).map_err(|error| Failure::usage(format!("--source {text}: {error}.")))
}

/// Names of categories on the command line.
const CATEGORIES: [(&str, Categories); 6] = [
    ("momentary", Categories::MOMENTARY),
    ("identity", Categories::IDENTITY),
    ("status", Categories::STATUS),
    ("computed", Categories::COMPUTED),
    ("peak", Categories::PEAK),
    ("historical", Categories::HISTORICAL),
];

/// What the options say about fields and categories.
fn fields(wanted: &WantedArguments) -> Result<(Vec<FieldName>, Categories), Failure> {
    let mut fields = Vec::new();
    for name in &wanted.fields {
        fields.push(FieldName::parse(name).map_err(|error| Failure::usage(format!("--field {name}: {error}.")))?);
    }
    if wanted.categories.is_empty() {
        return Ok((fields, Categories::ALL));
    }
    let mut categories = Categories::NONE;
    for name in &wanted.categories {
        let known = CATEGORIES.iter().find(|(known, _)| known == name);
        let (_, category) = known.ok_or_else(|| {
            let known: Vec<&str> = CATEGORIES.iter().map(|(known, _)| *known).collect();
            let near = nearest(name, known.iter().copied()).map(|near| format!(" Did you mean {near}?"));
            Failure::usage(format!("--category {name}: there is {}.{}", known.join(", "), near.unwrap_or_default()))
        })?;
        categories = categories.union(*category);
    }
    Ok((fields, categories))
}

/// The nodes that names on the command line mean; every readable one if there are no names.
async fn choose(gateway: &Gateway, names: &[String], place: &Place) -> Result<Vec<NodeRef>, Failure> {
    let from = place.source.as_deref().map(source).transpose()?;
    let nodes = gateway.nodes(from.as_ref()).await?;
    pick(&nodes, names, place).map_err(Failure::failed)
}

fn pick(nodes: &[NodeInfo], names: &[String], place: &Place) -> Result<Vec<NodeRef>, String> {
    let here =
        |node: &&NodeInfo| place.partition.as_deref().is_none_or(|wanted| node.node.partition.as_str() == wanted);
    if names.is_empty() {
        let readable = nodes.iter().filter(here).filter(|node| node.is_readable);
        let chosen: Vec<NodeRef> = readable.map(|node| node.node.clone()).collect();
        return if chosen.is_empty() { Err("There is no node that can be read.".to_owned()) } else { Ok(chosen) };
    }
    let mut chosen = Vec::new();
    for name in names {
        let mut fitting = nodes.iter().filter(here).filter(|node| node.node.id.as_str() == name);
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => chosen.push(only.node.clone()),
            (Some(first), Some(second)) => {
                return Err(format!(
                    "There are several nodes {name} ({} and {}): choose with --source or --partition.",
                    first.node, second.node
                ));
            }
            (None, _) => {
                let near = nearest(name, nodes.iter().map(|node| node.node.id.as_str()));
                let near = near.map(|near| format!(" Did you mean {near}?")).unwrap_or_default();
                return Err(format!("There is no node {name}.{near} List them with: torg node ls"));
            }
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use torg_thing::{NodeId, Partition};

    use super::*;

    fn node(source: &str, partition: &str, id: &str) -> NodeInfo {
        let mut reference = NodeRef::new(SourceId::parse(source).unwrap(), NodeId::parse(id).unwrap());
        reference.partition = Partition::parse(partition).unwrap();
        let mut node = NodeInfo::new(reference);
        node.is_readable = id.starts_with("meter");
        node
    }

    fn anywhere() -> Place {
        Place { source: None, partition: None }
    }

    fn ids(nodes: Vec<NodeRef>) -> Vec<String> {
        nodes.iter().map(|node| format!("{}|{}|{}", node.source, node.partition, node.id)).collect()
    }

    #[test]
    fn without_names_every_readable_node_is_meant() {
        let nodes = [node("plant", "", "line"), node("plant", "", "meter-1"), node("plant", "", "meter-2")];
        assert_eq!(ids(pick(&nodes, &[], &anywhere()).unwrap()), ["plant||meter-1", "plant||meter-2"]);
    }

    #[test]
    fn an_unknown_node_suggests_the_nearest() {
        let error = pick(&[node("plant", "", "meter-7")], &["meter7".into()], &anywhere()).unwrap_err();
        assert_eq!(error, "There is no node meter7. Did you mean meter-7? List them with: torg node ls");
    }

    #[test]
    fn a_name_that_several_nodes_have_needs_a_choice() {
        let nodes = [node("plant", "a", "meter-7"), node("plant", "b", "meter-7")];
        assert!(pick(&nodes, &["meter-7".into()], &anywhere()).is_err());
        let place = Place { source: None, partition: Some("b".into()) };
        assert_eq!(ids(pick(&nodes, &["meter-7".into()], &place).unwrap()), ["plant|b|meter-7"]);
    }

    #[test]
    fn categories_are_named_in_words_and_mistakes_get_a_suggestion() {
        let wanted = |category: &str| WantedArguments { fields: Vec::new(), categories: vec![category.to_owned()] };
        assert_eq!(fields(&wanted("peak")).unwrap().1, Categories::PEAK);
        let error = fields(&wanted("momentry")).unwrap_err().to_string();
        assert!(error.ends_with("Did you mean momentary?"), "{error}");
    }
}
