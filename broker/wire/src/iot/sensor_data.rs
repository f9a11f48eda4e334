//! Sensor data request and response: `req`, `accepted`, `started`, `resp`, `done`, `cancel` (nfi SensorData).
//!
//! Every element is read and written in any generation. Localization (`lns`, `loc`) and the extension container `x`
//! of a field are tolerated and dropped; whoever needs them reads the element itself.

use torg_thing::{Categories, Field, FieldName, NodeRef, Timestamp};

use super::codec::{self, DecodeError, Tokens};
use super::{Generation, Interface, field};
use crate::xml::Element;

/// Anything that travels in the sensor data namespace, in either direction.
#[derive(Clone, Debug, PartialEq)]
pub enum SensorData {
    /// The request is accepted; data follows in messages.
    Accepted(Accepted),
    /// Gives up a readout, by its id.
    Cancel(String),
    /// Completes a readout whose last response did not say that it was the last, by its id.
    Done(String),
    /// Asks for a readout.
    Request(Request),
    /// Data.
    Response(Response),
    /// The readout is running, by its id; data follows in messages.
    Started(String),
}

/// `req`: asks for a readout.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Chosen by the asker, unique among its running readouts.
    pub id: String,
    /// Categories wanted. A field is reported if its categories are a subset of these. Never empty after decoding:
    /// a request without any category means all of them.
    pub categories: Categories,
    /// Earliest timestamp wanted, inclusive.
    pub from: Option<Timestamp>,
    /// Latest timestamp wanted, inclusive.
    pub to: Option<Timestamp>,
    /// When the readout is to be made; now if absent.
    pub when: Option<Timestamp>,
    /// Nodes to read; on a concentrator an empty list means no node at all.
    pub nodes: Vec<NodeRef>,
    /// Fields wanted by name; empty means all.
    pub fields: Vec<FieldName>,
    /// Who asks, besides the sender.
    pub tokens: Tokens,
}

/// `accepted`: a promise to send data later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Of the request.
    pub id: String,
    /// The readout waits: it is scheduled, or the device is busy.
    pub queued: bool,
}

/// `resp`: data, errors, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Of the request or the subscription.
    pub id: String,
    /// More responses follow; if false this one completes the readout.
    pub more: bool,
    /// What was read, in the order read. The same node may occur again.
    pub readings: Vec<Readings>,
}

/// What one node reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Readings {
    /// The node; absent when a device without nodes reports itself.
    pub node: Option<NodeRef>,
    /// Its points in time.
    pub moments: Vec<Moment>,
}

/// Fields and errors of one point in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// The `ts`.
    pub at: Timestamp,
    /// Values. Each carries [`Moment::at`] as its own timestamp.
    pub fields: Vec<Field>,
    /// What went wrong, in words.
    pub errors: Vec<String>,
}

impl SensorData {
    /// Reads an element of the sensor data namespace, in whichever generation it is.
    ///
    /// # Errors
    /// [`DecodeError::Unknown`] if it is no such element, the others if it is malformed.
    pub fn decode(element: &Element) -> Result<(Self, Generation), DecodeError> {
        let generation = codec::generation(element, Interface::SensorData)?;
        let id = || codec::required(element, "id").map(str::to_owned);
        let payload = match element.name() {
            "accepted" => Self::Accepted(Accepted { id: id()?, queued: codec::flag(element, "queued")? }),
            "cancel" => Self::Cancel(id()?),
            "done" => Self::Done(id()?),
            "req" => Self::Request(Request::decode(element)?),
            "resp" => Self::Response(Response::decode(element)?),
            "started" => Self::Started(id()?),
            _ => return Err(codec::unknown(element)),
        };
        Ok((payload, generation))
    }

    /// Writes the element in the given generation.
    pub fn encode(&self, generation: Generation) -> Element {
        let ns = generation.namespace(Interface::SensorData);
        let named = |name: &'static str, id: &str| Element::new(ns, name).with_attr("id", id);
        match self {
            Self::Accepted(accepted) => {
                let mut element = named("accepted", &accepted.id);
                codec::set_flag(&mut element, "queued", accepted.queued);
                element
            }
            Self::Cancel(id) => named("cancel", id),
            Self::Done(id) => named("done", id),
            Self::Request(request) => request.encode(ns),
            Self::Response(response) => response.encode(ns),
            Self::Started(id) => named("started", id),
        }
    }

    /// The id that joins the elements of one readout.
    pub fn id(&self) -> &str {
        match self {
            Self::Accepted(accepted) => &accepted.id,
            Self::Cancel(id) | Self::Done(id) | Self::Started(id) => id,
            Self::Request(request) => &request.id,
            Self::Response(response) => &response.id,
        }
    }
}

impl Request {
    /// A readout of all categories and fields of the given nodes, now.
    pub fn of(id: impl Into<String>, nodes: Vec<NodeRef>) -> Self {
        Self {
            id: id.into(),
            categories: Categories::ALL,
            from: None,
            to: None,
            when: None,
            nodes,
            fields: Vec::new(),
            tokens: Tokens::default(),
        }
    }

    fn decode(element: &Element) -> Result<Self, DecodeError> {
        let (nodes, fields) = selection(element)?;
        Ok(Self {
            id: codec::required(element, "id")?.to_owned(),
            categories: field::wanted_categories(element)?,
            from: codec::optional(element, "from", "dateTime")?,
            to: codec::optional(element, "to", "dateTime")?,
            when: codec::optional(element, "when", "dateTime")?,
            nodes,
            fields,
            tokens: Tokens::decode(element),
        })
    }

    fn encode(&self, ns: &'static str) -> Element {
        let mut element = Element::new(ns, "req").with_attr("id", &self.id);
        field::set_wanted_categories(&mut element, self.categories);
        for (name, at) in [("from", self.from), ("to", self.to), ("when", self.when)] {
            if let Some(at) = at {
                element.set_attr(name, at.to_string());
            }
        }
        self.tokens.encode(&mut element);
        for node in &self.nodes {
            element.push(codec::node_element(ns, node));
        }
        for name in &self.fields {
            element.push(Element::new(ns, "f").with_attr("n", name.as_str()));
        }
        element
    }
}

/// The `nd` and `f` children, which may be mixed.
fn selection(element: &Element) -> Result<(Vec<NodeRef>, Vec<FieldName>), DecodeError> {
    let (mut nodes, mut fields) = (Vec::new(), Vec::new());
    for child in element.children().filter(|child| child.namespace() == element.namespace()) {
        match child.name() {
            "nd" => nodes.push(codec::node(child)?),
            "f" => fields.push(codec::field_name(child)?),
            _ => {}
        }
    }
    Ok((nodes, fields))
}

impl Response {
    /// A response without readings, complete unless told otherwise.
    pub fn empty(id: impl Into<String>) -> Self {
        Self { id: id.into(), more: false, readings: Vec::new() }
    }

    /// All fields with the node that reported them.
    pub fn fields(&self) -> impl Iterator<Item = (Option<&NodeRef>, &Field)> {
        self.moments().flat_map(|(node, moment)| moment.fields.iter().map(move |field| (node, field)))
    }

    /// All errors with the node they belong to and their time.
    pub fn errors(&self) -> impl Iterator<Item = (Option<&NodeRef>, Timestamp, &str)> {
        self.moments().flat_map(|(node, moment)| moment.errors.iter().map(move |text| (node, moment.at, text.as_str())))
    }

    fn moments(&self) -> impl Iterator<Item = (Option<&NodeRef>, &Moment)> {
        self.readings.iter().flat_map(|part| part.moments.iter().map(|moment| (part.node.as_ref(), moment)))
    }

    /// Appends a field, in the last group if that has its node and time.
    pub fn push_field(&mut self, node: Option<&NodeRef>, field: Field) {
        let at = field.at;
        match self.last_moment(node, at) {
            Some(moment) => moment.fields.push(field),
            None => self.begin(node, Moment { at, fields: vec![field], errors: Vec::new() }),
        }
    }

    /// Appends an error, in the last group if that has its node and time.
    pub fn push_error(&mut self, node: Option<&NodeRef>, at: Timestamp, text: impl Into<String>) {
        let text = text.into();
        match self.last_moment(node, at) {
            Some(moment) => moment.errors.push(text),
            None => self.begin(node, Moment { at, fields: Vec::new(), errors: vec![text] }),
        }
    }

    fn last_moment(&mut self, node: Option<&NodeRef>, at: Timestamp) -> Option<&mut Moment> {
        let part = self.readings.last_mut().filter(|part| part.node.as_ref() == node)?;
        part.moments.last_mut().filter(|moment| moment.at == at)
    }

    fn begin(&mut self, node: Option<&NodeRef>, moment: Moment) {
        match self.readings.last_mut().filter(|part| part.node.as_ref() == node) {
            Some(part) => part.moments.push(moment),
            None => self.readings.push(Readings { node: node.cloned(), moments: vec![moment] }),
        }
    }

    fn decode(element: &Element) -> Result<Self, DecodeError> {
        let mut readings = Vec::new();
        let mut own = Vec::new();
        for child in element.children().filter(|child| child.namespace() == element.namespace()) {
            match child.name() {
                "nd" => {
                    let moments = moments(child)?;
                    readings.push(Readings { node: Some(codec::node(child)?), moments });
                }
                "ts" => own.push(Moment::decode(child)?),
                _ => {}
            }
        }
        if !own.is_empty() {
            readings.push(Readings { node: None, moments: own });
        }
        Ok(Self { id: codec::required(element, "id")?.to_owned(), more: codec::flag(element, "more")?, readings })
    }

    fn encode(&self, ns: &'static str) -> Element {
        let mut element = Element::new(ns, "resp").with_attr("id", &self.id);
        codec::set_flag(&mut element, "more", self.more);
        for part in &self.readings {
            let moments = part.moments.iter().map(|moment| moment.encode(ns));
            match &part.node {
                Some(node) => {
                    let mut group = codec::node_element(ns, node);
                    moments.for_each(|moment| group.push(moment));
                    element.push(group);
                }
                None => moments.for_each(|moment| element.push(moment)),
            }
        }
        element
    }
}

fn moments(element: &Element) -> Result<Vec<Moment>, DecodeError> {
    element.children_named(element.namespace().as_str(), "ts").map(Moment::decode).collect()
}

impl Moment {
    /// A field that cannot be read becomes an error of its moment: the rest of the response is still good.
    fn decode(element: &Element) -> Result<Self, DecodeError> {
        let at = codec::parsed(element, "v", "dateTime")?;
        let mut moment = Self { at, fields: Vec::new(), errors: Vec::new() };
        for child in element.children().filter(|child| child.namespace() == element.namespace()) {
            if child.name() == "err" {
                moment.errors.push(child.text().into_owned());
                continue;
            }
            match field::decode(child, at) {
                Ok(Some(field)) => moment.fields.push(field),
                Ok(None) => {}
                Err(problem) => {
                    let name = child.attr("n").unwrap_or("without a name");
                    moment.errors.push(format!("Field {name}: {problem}"));
                }
            }
        }
        Ok(moment)
    }

    fn encode(&self, ns: &'static str) -> Element {
        let mut element = Element::new(ns, "ts").with_attr("v", self.at.to_string());
        for field in &self.fields {
            element.push(field::encode(field, ns));
        }
        for error in &self.errors {
            element.push(Element::new(ns, "err").with_text(error));
        }
        element
    }
}
