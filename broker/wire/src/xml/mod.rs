//! XML as XMPP uses it (RFC 6120 §11): an owned tree, one canonical way to write it, and a strict parser.
//! No documents with DTDs, comments or processing instructions, no prefixes kept, no I/O.

mod attributes;
mod bindings;
mod chars;
mod declaration;
mod element;
mod limits;
mod namespace;
mod parse;
mod refs;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use bindings::Declarations;
pub(crate) use chars::sanitised;
pub(crate) use declaration::check_declaration;
pub use element::{Attribute, Content, Element};
pub use limits::Limits;
pub use namespace::Namespace;
pub use parse::parse_document;
pub(crate) use parse::{
    checked_text, exceeded, malformed, parse_element, parse_open_tag, parse_open_tag_within, restricted,
};
pub use write::{Scope, Sink};
pub(crate) use write::{write_attribute, write_attributes, write_element};
