//! What a query tells: a report made of sections, tables and objects, and remarks on how it goes.
//!
//! Source: nfi "Concentrator", query progress. Parts come in the order a reader sees them; who runs the query says when it
//! starts and ends, so a report has no such parts.

use crate::{Color, Date, Decimal, NodeId, Partition, SourceId, Span, TimeOfDay, Timestamp, Unit};

/// One part of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// A remark that is not part of the report itself.
    Message(ReportMessage),
    /// Something that is shown by its content type: an image, a text.
    Object(Content),
    /// Rows of a table that was begun.
    Records {
        /// The table.
        table: String,
        /// Its new rows, each with as many cells as the table has columns.
        records: Vec<Vec<Cell>>,
    },
    /// A section with this heading begins; sections nest.
    SectionBegin(String),
    /// The innermost open section ends.
    SectionEnd,
    /// What the query is doing now.
    Status(String),
    /// A table begins.
    Table(Table),
    /// The table with this identity has all its rows.
    TableDone(String),
    /// The title of the report.
    Title(String),
}

/// A table of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Identity within the report.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Its columns, from left to right.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Column {
    /// Identity within the table.
    pub id: String,
    /// Heading for people.
    pub header: Option<String>,
    /// If given, the cells are identities of nodes of this source.
    pub source: Option<SourceId>,
    /// Partition of these nodes.
    pub partition: Option<Partition>,
    /// Colour of the text.
    pub foreground: Option<Color>,
    /// Colour behind the text.
    pub background: Option<Color>,
    /// Where the text stands in the cell.
    pub alignment: Option<Alignment>,
    /// Digits shown after the point.
    pub decimals: Option<u8>,
}

/// Where the text of a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alignment {
    /// In the middle.
    Center,
    /// At the left edge.
    Left,
    /// At the right edge.
    Right,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cell {
    /// Something that is shown by its content type.
    Binary(Content),
    /// Yes or no.
    Boolean(bool),
    /// A colour.
    Color(Color),
    /// A day.
    Date(Date),
    /// A point in time.
    DateTime(Timestamp),
    /// A number.
    Double(Decimal),
    /// A span of time.
    Duration(Span),
    /// A whole number of 32 bits.
    Int32(i32),
    /// A whole number of 64 bits.
    Int64(i64),
    /// A quantity with its error.
    Measurement {
        /// The number.
        value: Decimal,
        /// Its unit.
        unit: Unit,
        /// How far the true value may be off, in the same unit.
        error: Decimal,
    },
    /// A number with unit.
    Quantity {
        /// The number.
        value: Decimal,
        /// Its unit.
        unit: Unit,
    },
    /// Text.
    Text(String),
    /// A time of day.
    Time(TimeOfDay),
    /// Nothing.
    Void,
}

/// Bytes and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Internet content type, for instance `image/png`.
    pub content_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A remark of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportMessage {
    /// How grave it is.
    pub kind: ReportMessageKind,
    /// How important it is.
    pub level: ReportLevel,
    /// The remark.
    pub text: String,
}

/// How grave a remark is, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ReportMessageKind {
    /// Worth knowing.
    #[default]
    Information,
    /// Something may go wrong.
    Warning,
    /// Something went wrong.
    Error,
    /// Something went wrong that nobody had thought of.
    Exception,
}

/// How important a remark is, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ReportLevel {
    /// Common and expected.
    #[default]
    Minor,
    /// Of some weight, unlikely to disturb operation.
    Medium,
    /// Likely to disturb operation.
    Major,
}

impl From<NodeId> for Cell {
    /// For columns whose cells name nodes.
    fn from(node: NodeId) -> Self {
        Self::Text(node.as_str().to_owned())
    }
}
