//! Names and addresses: how a node and its fields are called.
//!
//! Source: nfi "Concentrator", the node reference (`id`, `src`, `pt`). An absent source or partition equals the empty
//! string, so both types have an empty value instead of an `Option`.

use std::fmt;
use std::sync::Arc;

/// Longest name accepted, in bytes of UTF-8.
///
/// The standard sets no limit; 256 keeps any address below one kilobyte and any log line readable.
pub const NAME_BYTES_MAX: usize = 256;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has a control character, which no display shows and no person can type.
    #[error("a name may not contain the control character U+{0:04X}")]
    ControlCharacter(u32),
    /// The name is empty where one is required.
    #[error("a name may not be empty")]
    Empty,
    /// The name is longer than [`NAME_BYTES_MAX`].
    #[error("a name may have at most {NAME_BYTES_MAX} bytes, this one has {0}")]
    TooLong(usize),
}

fn checked(text: &str) -> Result<Arc<str>, NameError> {
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong(text.len()));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(control) => Err(NameError::ControlCharacter(u32::from(control))),
        None => Ok(Arc::from(text)),
    }
}

fn checked_nonempty(text: &str) -> Result<Arc<str>, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    checked(text)
}

/// Identity of a node inside its source and partition; never empty. Compared exactly, case matters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// Accepts 1 to [`NAME_BYTES_MAX`] bytes without control characters.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        checked_nonempty(text).map(Self)
    }

    /// The identity as on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Identity of a data source; empty when the concentrator has only one that needs no name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(Arc<str>);

impl SourceId {
    /// Accepts 0 to [`NAME_BYTES_MAX`] bytes without control characters.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        checked(text).map(Self)
    }

    /// The identity as on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether no source was named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for SourceId {
    fn default() -> Self {
        Self(Arc::from(""))
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Partition of a source; empty when the source is not partitioned.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(Arc<str>);

impl Partition {
    /// Accepts 0 to [`NAME_BYTES_MAX`] bytes without control characters.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        checked(text).map(Self)
    }

    /// The partition as on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether no partition was named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for Partition {
    fn default() -> Self {
        Self(Arc::from(""))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Unlocalised name of a field or of the control parameter that goes with it; never empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldName(Arc<str>);

impl FieldName {
    /// Accepts 1 to [`NAME_BYTES_MAX`] bytes without control characters.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        checked_nonempty(text).map(Self)
    }

    /// The name as on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Address of a node behind a concentrator: the triple the standard calls a node reference.
///
/// Together with the concentrator's bare JID it is the globally unique quadruple.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeRef {
    /// Data source the node belongs to.
    pub source: SourceId,
    /// Partition inside the source.
    pub partition: Partition,
    /// Identity inside source and partition.
    pub id: NodeId,
}

impl NodeRef {
    /// A node of a source without partitions.
    #[must_use]
    pub fn new(source: SourceId, id: NodeId) -> Self {
        Self { source, partition: Partition::default(), id }
    }
}

impl fmt::Display for NodeRef {
    /// `source/partition/id`, leaving out what is empty; for people and logs, not for parsing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.source.is_empty() {
            write!(f, "{}/", self.source)?;
        }
        if !self.partition.is_empty() {
            write!(f, "{}/", self.partition)?;
        }
        write!(f, "{}", self.id)
    }
}

impl fmt::Debug for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_may_not_be_empty() {
        assert_eq!(NodeId::parse(""), Err(NameError::Empty));
    }

    #[test]
    fn a_source_may_be_empty() {
        assert_eq!(SourceId::parse(""), Ok(SourceId::default()));
    }

    #[test]
    fn a_name_of_the_greatest_length_is_accepted() {
        assert!(NodeId::parse(&"x".repeat(NAME_BYTES_MAX)).is_ok());
    }

    #[test]
    fn a_name_one_byte_too_long_is_refused() {
        assert_eq!(NodeId::parse(&"x".repeat(NAME_BYTES_MAX + 1)), Err(NameError::TooLong(NAME_BYTES_MAX + 1)));
    }

    #[test]
    fn a_control_character_is_refused() {
        assert_eq!(FieldName::parse("a\u{7}b"), Err(NameError::ControlCharacter(7)));
    }

    #[test]
    fn a_node_reference_shows_only_what_is_not_empty() {
        let source = SourceId::parse("plant").unwrap();
        let id = NodeId::parse("meter-7").unwrap();
        assert_eq!(NodeRef::new(source, id).to_string(), "plant/meter-7");
    }
}
