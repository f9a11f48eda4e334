//! How a query goes: `queryProgress` (nfi Concentrator, "Query progress").
//!
//! # Why
//! The standard does not mention `seqNr`. Deployed clients put messages in its order and drop those without it, so it
//! is always written; a message without it is taken as it comes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use torg_thing::{Content, NodeRef, Report, ReportLevel, ReportMessage, ReportMessageKind};

use super::sniffers::decode_bytes;
use super::{required_text, tables};
use crate::iot::codec::{self, DecodeError};
use crate::xml::Element;

/// `queryProgress`: news of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryProgress {
    /// The query, as named by its client.
    pub query: String,
    /// The node it runs on, addressed as the client did.
    pub node: NodeRef,
    /// Number of the message among those of this query and node, from 1; 0 if the concentrator does not count.
    pub number: u32,
    /// What is new, in order.
    pub parts: Vec<Progress>,
}

/// One step of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It was aborted; nothing follows.
    Aborted,
    /// It is done; nothing follows.
    Done,
    /// Its report grows.
    Report(Report),
    /// It has begun.
    Started,
}

impl QueryProgress {
    /// Children that are not known are left out.
    pub(super) fn decode(element: &Element) -> Result<Self, DecodeError> {
        let own = element.children().filter(|child| child.namespace() == element.namespace());
        let parts = own.map(Progress::decode).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            query: required_text(element, "queryId")?,
            node: codec::node(element)?,
            number: codec::optional(element, "seqNr", "number")?.unwrap_or_default(),
            parts: parts.into_iter().flatten().collect(),
        })
    }

    pub(super) fn encode(&self, ns: &'static str) -> Element {
        let mut element = Element::new(ns, "queryProgress").with_attr("queryId", &self.query);
        codec::set_node(&mut element, &self.node);
        element
            .with_attr("seqNr", self.number.to_string())
            .with_children(self.parts.iter().filter_map(|part| part.encode(ns)))
    }
}

impl Progress {
    fn decode(element: &Element) -> Result<Option<Self>, DecodeError> {
        let table = || required_text(element, "tableId");
        Ok(Some(Self::Report(match element.name() {
            "queryAborted" => return Ok(Some(Self::Aborted)),
            "queryDone" => return Ok(Some(Self::Done)),
            "queryStarted" => return Ok(Some(Self::Started)),
            "beginSection" => Report::SectionBegin(required_text(element, "header")?),
            "endSection" => Report::SectionEnd,
            "newObject" => Report::Object(content(element)?),
            "newRecords" => Report::Records { table: table()?, records: tables::records(element)? },
            "newTable" => Report::Table(tables::table(element)?),
            "queryMessage" => Report::Message(message(element)?),
            "status" => Report::Status(required_text(element, "message")?),
            "tableDone" => Report::TableDone(table()?),
            "title" => Report::Title(required_text(element, "name")?),
            _ => return Ok(None),
        })))
    }

    /// `None` for a part of a report that the standard has no element for.
    fn encode(&self, ns: &'static str) -> Option<Element> {
        let named = |name: &'static str| Element::new(ns, name);
        Some(match self {
            Self::Aborted => named("queryAborted"),
            Self::Done => named("queryDone"),
            Self::Started => named("queryStarted"),
            Self::Report(report) => match report {
                Report::Message(message) => message_element(message, ns),
                Report::Object(content) => content_element(content, "newObject", ns),
                Report::Records { table, records } => named("newRecords")
                    .with_attr("tableId", table)
                    .with_children(records.iter().map(|record| tables::record_element(record, ns))),
                Report::SectionBegin(header) => named("beginSection").with_attr("header", header),
                Report::SectionEnd => named("endSection"),
                Report::Status(text) => named("status").with_attr("message", text),
                Report::Table(table) => tables::table_element(table, ns),
                Report::TableDone(table) => named("tableDone").with_attr("tableId", table),
                Report::Title(title) => named("title").with_attr("name", title),
                _ => return None,
            },
        })
    }
}

/// Bytes in base64 with their content type.
pub(super) fn content(element: &Element) -> Result<Content, DecodeError> {
    Ok(Content { content_type: required_text(element, "contentType")?, bytes: decode_bytes(element)? })
}

pub(super) fn content_element(content: &Content, name: &'static str, ns: &'static str) -> Element {
    Element::new(ns, name).with_attr("contentType", &content.content_type).with_text(STANDARD.encode(&content.bytes))
}

const KINDS: [(ReportMessageKind, &str); 4] = [
    (ReportMessageKind::Information, "Information"),
    (ReportMessageKind::Warning, "Warning"),
    (ReportMessageKind::Error, "Error"),
    (ReportMessageKind::Exception, "Exception"),
];

const LEVELS: [(ReportLevel, &str); 3] =
    [(ReportLevel::Minor, "Minor"), (ReportLevel::Medium, "Medium"), (ReportLevel::Major, "Major")];

fn message(element: &Element) -> Result<ReportMessage, DecodeError> {
    Ok(ReportMessage {
        kind: tables::choice(element, "type", "message type", &KINDS)?.unwrap_or_default(),
        level: tables::choice(element, "level", "level", &LEVELS)?.unwrap_or_default(),
        text: element.text().into_owned(),
    })
}

fn message_element(message: &ReportMessage, ns: &'static str) -> Element {
    Element::new(ns, "queryMessage")
        .with_attr_opt("type", tables::chosen(message.kind, &KINDS))
        .with_attr_opt("level", tables::chosen(message.level, &LEVELS))
        .with_text(&message.text)
}
