//! Namespace declarations in force at one place of the document (Namespaces in XML 1.0 §3, §6).
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use compact_str::CompactString;

use super::parse::{exceeded, malformed};
use super::{Namespace, chars};
use crate::ns;
use crate::stream_error::{StreamCondition, StreamError};

/// A stack of declarations; the innermost one of a prefix counts. The empty prefix is the default namespace.
#[derive(Clone, Debug)]
pub(crate) struct Bindings(Vec<(CompactString, Namespace)>);

impl Bindings {
    pub(crate) const fn new() -> Self {
        Bindings(Vec::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets the declarations of closed elements.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Adds one declaration after checking it against the reserved prefixes and names.
    ///
    /// `outer` is the number of declarations outside this element: the same prefix twice in one tag is an attribute given twice.
    pub(crate) fn declare(
        &mut self,
        outer: usize,
        prefix: &str,
        namespace: &str,
        limit: usize,
    ) -> Result<(), StreamError> {
        let reserved = match prefix {
            "xml" => namespace != ns::XML,
            "xmlns" => true,
            _ => namespace == ns::XML || namespace == ns::XMLNS,
        };
        if reserved {
            return Err(malformed("Reserved prefix or namespace."));
        }
        if !prefix.is_empty() && (namespace.is_empty() || !chars::is_ncname(prefix)) {
            return Err(malformed("Not a namespace declaration."));
        }
        if self.0.iter().skip(outer).any(|(known, _)| known == prefix) {
            return Err(malformed("Attribute given twice."));
        }
        if self.0.len() >= limit {
            return Err(exceeded("Too many namespace declarations."));
        }
        self.0.push((CompactString::new(prefix), Namespace::intern(namespace)));
        Ok(())
    }

    /// The namespace of an element with this prefix, or of a prefixed attribute.
    pub(crate) fn resolve(&self, prefix: Option<&str>) -> Result<Namespace, StreamError> {
        let wanted = prefix.unwrap_or_default();
        match self.0.iter().rev().find(|(known, _)| known == wanted) {
            Some((_, namespace)) => Ok(namespace.clone()),
            None => match prefix {
                None => Ok(Namespace::NONE),
                Some("xml") => Ok(Namespace::from_static(ns::XML)),
                Some(_) => Err(StreamError::new(StreamCondition::BadNamespacePrefix).with_text("Prefix not declared.")),
            },
        }
    }
}
