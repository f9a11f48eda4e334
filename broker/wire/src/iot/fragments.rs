//! Packs a readout into responses of bounded size, cut between fields only (nfi SensorData, `more`).

use torg_thing::{Field, FieldValue, NodeRef, Timestamp};

use super::sensor_data::Response;

/// Collects fields and errors and gives back a full response whenever the next one would not fit any more.
///
/// Sizes are upper bounds of the bytes on the wire, so that a response never exceeds the limit unless a single field
/// does.
#[derive(Debug)]
pub struct Fragments {
    limit: usize,
    current: Response,
    size: usize,
    elements: usize,
    /// Node and time of the last entry, which the next one may share.
    group: Option<(Option<NodeRef>, Timestamp)>,
}

/// Elements in one response. Brokers refuse stanzas of more than 2,000, and some count the stanza's own.
const ELEMENTS_MAX: usize = 1800;
/// Upper bound for the response element itself, without its id.
const RESPONSE_BYTES: usize = 96;
/// Upper bound for the tags and attribute names of an `nd` group, without its texts.
const NODE_BYTES: usize = 32;
/// Upper bound for a `ts` group.
const MOMENT_BYTES: usize = 48;
/// Upper bound for a field without texts and flags: tag, attribute names, `ctr`.
const FIELD_BYTES: usize = 32;
/// Upper bound for a category or quality flag.
const FLAG_BYTES: usize = 11;
/// Upper bound for an error without its text.
const ERROR_BYTES: usize = 11;
/// Upper bound for durations, and for values of kinds invented later that are not text.
const VALUE_BYTES: usize = 96;
/// Upper bound for the number of a quantity: 39 digits, sign and point, and its attribute for the unit.
const NUMBER_BYTES: usize = 48;

impl Fragments {
    /// Responses to `id`, at most `limit` bytes each.
    pub fn new(id: impl Into<String>, limit: usize) -> Self {
        let current = Response::empty(id);
        let size = RESPONSE_BYTES.saturating_add(escaped(&current.id));
        Self { limit, current, size, elements: 1, group: None }
    }

    /// Adds a field. Returns the response before it if that is full; it carries `more`.
    pub fn field(&mut self, node: Option<&NodeRef>, field: Field) -> Option<Response> {
        let full = self.make_room(node, field.at, field_size(&field));
        self.current.push_field(node, field);
        full
    }

    /// Adds an error. Returns the response before it if that is full; it carries `more`.
    pub fn error(&mut self, node: Option<&NodeRef>, at: Timestamp, text: impl Into<String>) -> Option<Response> {
        let text = text.into();
        let full = self.make_room(node, at, ERROR_BYTES.saturating_add(escaped(&text)));
        self.current.push_error(node, at, text);
        full
    }

    /// Whether nothing was added since the last response.
    pub fn is_empty(&self) -> bool {
        self.current.readings.is_empty()
    }

    /// Takes what there is as a response that carries `more`; `None` if there is nothing.
    pub fn flush(&mut self) -> Option<Response> {
        if self.is_empty() {
            return None;
        }
        let next = Self::new(self.current.id.clone(), self.limit);
        let mut full = std::mem::replace(self, next).current;
        full.more = true;
        Some(full)
    }

    /// The last response; it completes the readout.
    pub fn finish(self) -> Response {
        self.current
    }

    fn make_room(&mut self, node: Option<&NodeRef>, at: Timestamp, entry: usize) -> Option<Response> {
        let (bytes, elements) = self.groups(node, at);
        let fits = self.size.saturating_add(entry).saturating_add(bytes) <= self.limit
            && self.elements.saturating_add(elements) < ELEMENTS_MAX;
        let full = if fits { None } else { self.flush() };
        // In a new response the groups begin anew.
        let (bytes, elements) = if full.is_some() { self.groups(node, at) } else { (bytes, elements) };
        self.size = self.size.saturating_add(entry).saturating_add(bytes);
        self.elements = self.elements.saturating_add(elements).saturating_add(1);
        self.group = Some((node.cloned(), at));
        full
    }

    /// Bytes and elements of the groups that the next entry needs.
    fn groups(&self, node: Option<&NodeRef>, at: Timestamp) -> (usize, usize) {
        let same_node = self.group.as_ref().is_some_and(|(last, _)| last.as_ref() == node);
        if same_node && self.group.as_ref().is_some_and(|(_, last)| *last == at) {
            return (0, 0);
        }
        match node.filter(|_| !same_node) {
            None => (MOMENT_BYTES, 1),
            Some(node) => {
                let texts = [node.id.as_str(), node.source.as_str(), node.partition.as_str()];
                let group = NODE_BYTES.saturating_add(MOMENT_BYTES);
                (texts.into_iter().fold(group, |sum, text| sum.saturating_add(escaped(text))), 2)
            }
        }
    }
}

fn field_size(field: &Field) -> usize {
    let value = match &field.value {
        Some(FieldValue::Enumeration(value)) => escaped(&value.value).saturating_add(escaped(&value.kind)),
        Some(FieldValue::Quantity(quantity)) => escaped(quantity.unit.as_str()).saturating_add(NUMBER_BYTES),
        Some(FieldValue::Text(text)) => escaped(text),
        Some(FieldValue::Boolean(_) | FieldValue::Int32(_) | FieldValue::Date(_)) | None => 11,
        Some(FieldValue::Int64(_) | FieldValue::DateTime(_) | FieldValue::Time(_)) => 32,
        Some(_) => VALUE_BYTES,
    };
    // One more, for the quality flag that a missing value gets.
    let flags = field.categories.flags().count().saturating_add(field.qos.flags().count()).saturating_add(1);
    FIELD_BYTES
        .saturating_add(flags.saturating_mul(FLAG_BYTES))
        .saturating_add(escaped(field.name.as_str()))
        .saturating_add(value)
}

/// Length of a text in an attribute with the longest references XML needs.
fn escaped(text: &str) -> usize {
    text.bytes().fold(0usize, |sum, byte| {
        sum.saturating_add(match byte {
            b'&' | b'<' | b'>' | b'\'' | b'"' | b'\t' | b'\n' | b'\r' => 6,
            _ => 1,
        })
    })
}
