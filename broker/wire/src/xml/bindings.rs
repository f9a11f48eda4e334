//! Namespace declarations in force at one place of the document (Namespaces in XML 1.0 §3, §6).
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use compact_str::CompactString;

use super::parse::{exceeded, malformed};
use super::{Namespace, chars};
use crate::ns;
use crate::stream_error::{StreamCondition, StreamError};

/// Declarations in document order. The empty prefix is the default namespace.
#[derive(Clone, Debug)]
pub(crate) struct Declarations(Vec<(CompactString, Namespace)>);

impl Declarations {
    pub(crate) const fn new() -> Self {
        Declarations(Vec::new())
    }

    fn find(&self, prefix: &str) -> Option<&Namespace> {
        self.0.iter().rev().find(|(known, _)| known == prefix).map(|(_, namespace)| namespace)
    }

    /// The namespace of unprefixed elements.
    pub(crate) fn default_namespace(&self) -> Namespace {
        self.find("").cloned().unwrap_or(Namespace::NONE)
    }
}

/// Those of the stream header, and on top of them those of the open elements; the innermost one of a prefix counts.
pub(crate) struct Bindings<'a> {
    stream: &'a Declarations,
    own: Declarations,
}

impl<'a> Bindings<'a> {
    pub(crate) const fn new(stream: &'a Declarations) -> Self {
        Bindings { stream, own: Declarations::new() }
    }

    /// How many declarations the open elements made: what to [truncate](Self::truncate) to when one closes.
    pub(crate) fn len(&self) -> usize {
        self.own.0.len()
    }

    /// Forgets the declarations of closed elements.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.own.0.truncate(len);
    }

    /// All declarations in force, for the stream header to leave so.
    pub(crate) fn into_all(self) -> Declarations {
        Declarations(self.stream.0.iter().cloned().chain(self.own.0).collect())
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
        if self.own.0.iter().skip(outer).any(|(known, _)| known == prefix) {
            return Err(malformed("Attribute given twice."));
        }
        if self.own.0.len().saturating_add(self.stream.0.len()) >= limit {
            return Err(exceeded("Too many namespace declarations."));
        }
        self.own.0.push((CompactString::new(prefix), Namespace::intern(namespace)));
        Ok(())
    }

    /// The namespace of an element with this prefix, or of a prefixed attribute.
    pub(crate) fn resolve(&self, prefix: Option<&str>) -> Result<Namespace, StreamError> {
        let wanted = prefix.unwrap_or_default();
        match self.own.find(wanted).or_else(|| self.stream.find(wanted)) {
            Some(namespace) => Ok(namespace.clone()),
            None => match prefix {
                None => Ok(Namespace::NONE),
                Some("xml") => Ok(Namespace::from_static(ns::XML)),
                Some(_) => Err(StreamError::new(StreamCondition::BadNamespacePrefix).with_text("Prefix not declared.")),
            },
        }
    }
}
