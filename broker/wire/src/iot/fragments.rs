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
}

/// Upper bound for the response element itself, with its id escaped.
const RESPONSE_BYTES: usize = 96;
/// Upper bound for the tags and attribute names of an `nd` group, without its texts.
const NODE_BYTES: usize = 32;
/// Upper bound for a `ts` group.
const MOMENT_BYTES: usize = 64;
/// Upper bound for a field without its texts: tags, attribute names, six categories, fourteen flags and `ctr`.
const FIELD_BYTES: usize = 320;
/// Upper bound for an error without its text.
const ERROR_BYTES: usize = 16;

impl Fragments {
    /// Responses to `id`, at most `limit` bytes each.
    pub fn new(id: impl Into<String>, limit: usize) -> Self {
        let current = Response::empty(id);
        let size = RESPONSE_BYTES.saturating_add(escaped(&current.id));
        Self { limit, current, size }
    }

    /// Adds a field. Returns the response before it if that is full; it carries `more`.
    pub fn field(&mut self, node: Option<&NodeRef>, field: Field) -> Option<Response> {
        let full = self.make_room(node, field_size(&field));
        self.current.push_field(node, field);
        full
    }

    /// Adds an error. Returns the response before it if that is full; it carries `more`.
    pub fn error(&mut self, node: Option<&NodeRef>, at: Timestamp, text: impl Into<String>) -> Option<Response> {
        let text = text.into();
        let full = self.make_room(node, ERROR_BYTES.saturating_add(escaped(&text)));
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
        let id = self.current.id.clone();
        self.size = RESPONSE_BYTES.saturating_add(escaped(&id));
        let mut full = std::mem::replace(&mut self.current, Response::empty(id));
        full.more = true;
        Some(full)
    }

    /// The last response; it completes the readout.
    pub fn finish(self) -> Response {
        self.current
    }

    /// The groups around an entry are counted for every entry: a few hundred bytes of air, and no bookkeeping.
    fn make_room(&mut self, node: Option<&NodeRef>, entry: usize) -> Option<Response> {
        let group = node.map_or(0, |node| {
            let texts = [node.id.as_str(), node.source.as_str(), node.partition.as_str()];
            texts.into_iter().fold(NODE_BYTES, |sum, text| sum.saturating_add(escaped(text)))
        });
        let needed = entry.saturating_add(group).saturating_add(MOMENT_BYTES);
        let full = if self.size.saturating_add(needed) > self.limit { self.flush() } else { None };
        self.size = self.size.saturating_add(needed);
        full
    }
}

fn field_size(field: &Field) -> usize {
    let value = match &field.value {
        Some(FieldValue::Enumeration(value)) => escaped(&value.value).saturating_add(escaped(&value.kind)),
        Some(FieldValue::Quantity(quantity)) => escaped(quantity.unit.as_str()).saturating_add(48),
        Some(FieldValue::Text(text)) => escaped(text),
        // Numbers, dates and durations in their longest forms.
        Some(_) | None => 96,
    };
    FIELD_BYTES.saturating_add(escaped(field.name.as_str())).saturating_add(value)
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
