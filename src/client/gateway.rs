//! A concentrator as its reader sees it: found, befriended, browsed, read, controlled.
//!
//! nfi "Concentrator", "Sensor Data" and "Control Parameters"; RFC 6121 §3 for the friendship without which nobody
//! learns the full address that all of these need. How fields are followed is in `watching.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};
use torg_thing::config::nearest;
use torg_thing::{Categories, FieldName, NodeRef, SourceId};
use torg_wire::iot::concentrator::{Answer, Browse, Detail, Question};
use torg_wire::iot::control::{Control, FormRequest, ParameterError, Set, Values};
use torg_wire::iot::sensor_data::{Request, Response};
use torg_wire::iot::{DataSource, Generation, Interface, NodeInfo, SensorData, Tokens, parse_boolean};
use torg_wire::jid::{BareJid, FullJid, Jid};
use torg_wire::stanza::{Stanza, StanzaCondition};
use torg_wire::xep::data_forms::{DataForm, FieldKind};

use super::readings::{FieldReading, NodeReadings, Readings};
use super::session::{Inbox, RequestError, Session};

/// Nodes asked for in one readout: keeps the request far below any stanza limit, whatever the names.
const NODES_PER_REQUEST: usize = 200;

/// A concentrator that is online and speaks to us.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub(super) session: Session,
    pub(super) address: FullJid,
    pub(super) generation: Generation,
    pub(super) features: Arc<[String]>,
    pub(super) within: Duration,
}

/// Which fields of which nodes.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The nodes.
    pub nodes: Vec<NodeRef>,
    /// Fields by name; empty means all.
    pub fields: Vec<FieldName>,
    /// Categories; a field is sent if all of its own are among these.
    pub categories: Categories,
}

/// Why a concentrator could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// There is no concentrator, or several.
    #[error("{0}")]
    Choice(String),
    /// The concentrator does not want us.
    #[error("{0} refuses you: you are not among its friends. Its operator can add you to [concentrator] friends.")]
    NoFriend(BareJid),
    /// The concentrator is not connected, or has not yet said whether it wants us.
    #[error("{0} is not online, or its owner has not accepted you yet.")]
    NotOnline(BareJid),
    /// It is online, but no concentrator.
    #[error("{0} is online but is no concentrator.")]
    NoConcentrator(BareJid),
    /// A request failed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The concentrator's answer makes no sense.
    #[error("{0} gave an answer that cannot be understood: {1}")]
    PeerAnswer(FullJid, String),
    /// A parameter cannot be set like this.
    #[error("{0}")]
    Parameter(String),
    /// The node is not known.
    #[error("{0}")]
    UnknownNode(String),
    /// More came than was taken in time.
    #[error("{0} stanzas were lost because they came faster than they were read.")]
    Lost(u64),
}

impl Gateway {
    pub(super) fn new(session: Session, address: FullJid, features: Vec<String>, within: Duration) -> Option<Self> {
        let generation = Generation::newest_of(Interface::Concentrator, features.iter().map(String::as_str))?;
        Some(Self { session, address, generation, features: features.into(), within })
    }

    /// The concentrator's full address.
    #[must_use]
    pub fn address(&self) -> &FullJid {
        &self.address
    }

    /// The namespace generation spoken with it.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    pub(super) fn to(&self) -> &Jid {
        self.address.as_jid()
    }

    /// All data sources.
    ///
    /// # Errors
    /// As [`GatewayError`].
    pub async fn sources(&self) -> Result<Vec<DataSource>, GatewayError> {
        match self.ask(Browse::AllDataSources).await? {
            Answer::DataSources(sources) => Ok(sources),
            other => Err(self.strange(format!("asked for sources, got {other:?}"))),
        }
    }

    /// All nodes of one source, or of every source, by address.
    ///
    /// # Errors
    /// As [`GatewayError`].
    pub async fn nodes(&self, source: Option<&SourceId>) -> Result<Vec<NodeInfo>, GatewayError> {
        let sources = match source {
            Some(source) => vec![source.clone()],
            None => self.sources().await?.into_iter().map(|source| source.source).collect(),
        };
        let mut all = Vec::new();
        for source in sources {
            let unknown = format!("{} has no data source \"{source}\".", self.address.to_bare());
            let operation = Browse::AllNodes { source, derived_from: Vec::new(), detail: Detail::FULL };
            match self.ask(operation).await {
                Ok(Answer::NodeInfos(nodes)) => all.extend(nodes),
                Ok(other) => return Err(self.strange(format!("asked for nodes, got {other:?}"))),
                Err(GatewayError::Request(error)) if error.condition() == Some(StanzaCondition::ItemNotFound) => {
                    return Err(GatewayError::UnknownNode(unknown));
                }
                Err(error) => return Err(error),
            }
        }
        // Concentrators list nodes as they came; readers like the same order each time.
        all.sort_by(|a, b| a.node.cmp(&b.node));
        Ok(all)
    }

    async fn ask(&self, operation: Browse) -> Result<Answer, GatewayError> {
        let question = Question::of(operation).encode(self.generation);
        let answer = self.session.get(Some(self.to()), question, self.within).await?;
        let answer = answer.ok_or_else(|| self.strange("it is empty"))?;
        let (answer, _) = Answer::decode(&answer).map_err(|error| self.strange(error))?;
        Ok(answer)
    }

    /// Reads nodes, and waits until all that was asked for has come or the concentrator falls silent.
    ///
    /// A node that cannot be read is in the result with its reason.
    ///
    /// # Errors
    /// The request as a whole was refused.
    pub async fn read(&self, wanted: &Wanted) -> Result<Readings, GatewayError> {
        let mut readings = Readings::default();
        for nodes in wanted.nodes.chunks(NODES_PER_REQUEST) {
            let mut collected = Collected::new(self.address.to_bare(), nodes);
            self.read_some(nodes, wanted, &mut collected).await?;
            readings.nodes.extend(collected.nodes);
        }
        Ok(readings)
    }

    async fn read_some(
        &self,
        nodes: &[NodeRef],
        wanted: &Wanted,
        collected: &mut Collected,
    ) -> Result<(), GatewayError> {
        let id = self.session.fresh_id();
        let mut request = Request::of(&id, nodes.to_vec());
        request.fields.clone_from(&wanted.fields);
        request.categories = wanted.categories;
        // Opened first: the first fragment may come before the answer is looked at.
        let mut inbox = self.session.inbox();
        let request = SensorData::Request(request).encode(self.generation);
        let answer = self.session.get(Some(self.to()), request, self.within).await?;
        let answer = answer.ok_or_else(|| self.strange("it is empty"))?;
        let (answer, _) = SensorData::decode(&answer).map_err(|error| self.strange(error))?;
        let mut done = collected.take(answer);
        while !done {
            // Each part of the answer renews the patience: a slow bus is no silent one.
            let deadline = Instant::now() + self.within;
            match timeout_at(deadline, self.next_part(&mut inbox, &id)).await {
                Ok(part) => done = collected.take(part?),
                Err(_) => {
                    collected.silent(self.within);
                    let cancel = SensorData::Cancel(id).encode(self.generation);
                    // What is given up need not be confirmed.
                    let _ = self.session.set(Some(self.to()), cancel, self.within).await;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The next message of the concentrator that belongs to readout or subscription `id`.
    pub(super) async fn next_part(&self, inbox: &mut Inbox, id: &str) -> Result<SensorData, GatewayError> {
        loop {
            let stanza = self.next_stanza(inbox).await?;
            if stanza.from() != Some(self.to()) {
                continue;
            }
            let mine = |part: &SensorData| part.id() == id;
            let part = stanza.children().iter().find_map(|child| Some(SensorData::decode(child).ok()?.0).filter(mine));
            if let Some(part) = part {
                return Ok(part);
            }
        }
    }

    pub(super) async fn next_stanza(&self, inbox: &mut Inbox) -> Result<Arc<Stanza>, GatewayError> {
        next_stanza(&self.session, inbox).await
    }

    /// Sets parameters of a node; each value is text that fits the parameter's type.
    ///
    /// # Errors
    /// A parameter is unknown or refused; the text says which.
    pub async fn set(&self, node: &NodeRef, values: &[(String, String)]) -> Result<(), GatewayError> {
        let ask = Control::FormRequest(FormRequest { nodes: vec![node.clone()], tokens: Tokens::default() });
        let form = self.session.get(Some(self.to()), ask.encode(self.generation), self.within).await;
        let form = form.map_err(|error| self.control_error(node, error))?;
        let form = form.as_ref().and_then(DataForm::decode).ok_or_else(|| self.strange("it holds no form"))?;
        let filled = fill(&form, values).map_err(|text| GatewayError::Parameter(format!("{node}: {text}")))?;
        let set = Set { nodes: vec![node.clone()], values: Values::Form(filled), tokens: Tokens::default() };
        let set = Control::Set(set).encode(self.generation);
        let done = self.session.set(Some(self.to()), set, self.within).await;
        done.map(|_| ()).map_err(|error| self.control_error(node, error))
    }

    /// What a refused control request means to a person.
    fn control_error(&self, node: &NodeRef, error: RequestError) -> GatewayError {
        if let RequestError::PeerRefused { error: refusal, .. } = &error
            && let Some(about) = refusal.application().and_then(ParameterError::decode)
        {
            return GatewayError::Parameter(format!("{node}: {}: {}", about.parameter, about.text));
        }
        match error.condition() {
            Some(StanzaCondition::ItemNotFound) => GatewayError::UnknownNode(format!(
                "{} has no node {node} that can be controlled.",
                self.address.to_bare()
            )),
            _ => error.into(),
        }
    }

    pub(super) fn strange(&self, what: impl ToString) -> GatewayError {
        GatewayError::PeerAnswer(self.address.clone(), what.to_string())
    }

    /// Whether the concentrator knows an interface in the generation that is spoken with it.
    pub(super) fn knows(&self, interface: Interface) -> bool {
        self.features.iter().any(|feature| feature == self.generation.namespace(interface))
    }
}

/// The next stanza of an inbox.
pub(super) async fn next_stanza(session: &Session, inbox: &mut Inbox) -> Result<Arc<Stanza>, GatewayError> {
    tokio::select! {
        // Both branches are cancellation safe: a broadcast receiver and a token. What has come goes first.
        biased;
        received = inbox.recv() => match received {
            Ok(stanza) => Ok(stanza),
            Err(RecvError::Lagged(lost)) => Err(GatewayError::Lost(lost)),
            Err(RecvError::Closed) => Err(RequestError::PeerGone("it was dropped.".to_owned()).into()),
        },
        reason = session.closed() => Err(RequestError::PeerGone(reason).into()),
    }
}

/// The form with the values of the user, or what is wrong with them.
fn fill(form: &DataForm, values: &[(String, String)]) -> Result<DataForm, String> {
    let names =
        || form.fields.iter().filter(|field| field.kind != Some(FieldKind::Hidden)).map(|field| field.var.as_str());
    let mut filled = DataForm::submit();
    for (name, value) in values {
        let field = form.field(name).ok_or_else(|| {
            let known = names().collect::<Vec<_>>().join(", ");
            match nearest(name, names()) {
                Some(near) => format!("there is no parameter \"{name}\"; did you mean \"{near}\"?"),
                None if known.is_empty() => format!("there is no parameter \"{name}\", nor any other"),
                None => format!("there is no parameter \"{name}\"; there are: {known}"),
            }
        })?;
        let value = match field.kind {
            Some(FieldKind::Boolean) => {
                let value = parse_boolean(value).ok_or_else(|| format!("{name} is true or false, not \"{value}\""))?;
                value.to_string()
            }
            _ => value.clone(),
        };
        filled = filled.with_value(name, value);
    }
    Ok(filled)
}

/// The answers of one readout, by node in the order asked.
struct Collected {
    jid: BareJid,
    nodes: Vec<NodeReadings>,
    place: BTreeMap<NodeRef, usize>,
}

impl Collected {
    fn new(jid: BareJid, nodes: &[NodeRef]) -> Self {
        let place = nodes.iter().enumerate().map(|(index, node)| (node.clone(), index)).collect();
        Self { nodes: nodes.iter().map(|node| NodeReadings::new(&jid, node)).collect(), place, jid }
    }

    /// Takes one part of the answer; true if it was the last.
    fn take(&mut self, part: SensorData) -> bool {
        match part {
            SensorData::Response(response) => {
                let last = !response.more;
                self.add(&response);
                last
            }
            SensorData::Done(_) => true,
            SensorData::Accepted(_) | SensorData::Cancel(_) | SensorData::Request(_) | SensorData::Started(_) => false,
        }
    }

    fn add(&mut self, response: &Response) {
        for (node, field) in response.fields() {
            if let Some(node) = self.node(node) {
                node.fields.push(FieldReading::new(field));
            }
        }
        for (node, _, text) in response.errors() {
            match node {
                Some(_) => {
                    if let Some(node) = self.node(node) {
                        node.fail(text);
                    }
                }
                // About no node in particular: about all that have not answered.
                None => self.fail_unread(text),
            }
        }
    }

    fn node(&mut self, node: Option<&NodeRef>) -> Option<&mut NodeReadings> {
        let node = node?;
        let index = match self.place.get(node) {
            Some(index) => *index,
            None => {
                self.nodes.push(NodeReadings::new(&self.jid, node));
                self.place.insert(node.clone(), self.nodes.len() - 1);
                self.nodes.len() - 1
            }
        };
        self.nodes.get_mut(index)
    }

    fn fail_unread(&mut self, reason: &str) {
        for node in self.nodes.iter_mut().filter(|node| node.fields.is_empty() && node.error.is_none()) {
            node.fail(reason);
        }
    }

    fn silent(&mut self, within: Duration) {
        self.fail_unread(&format!("The concentrator did not answer within {} s.", within.as_secs()));
    }
}

/// The readings in one `resp`, by node in the order in which they stand there.
pub(super) fn readings_of(jid: &BareJid, response: &Response) -> Readings {
    let mut collected = Collected::new(jid.clone(), &[]);
    collected.add(response);
    Readings { nodes: collected.nodes }
}
