//! Checks TOML against the schema of a Rust type and reports every problem at once, each with file, line, column, key and
//! suggestion. Used for `torg.toml`, for each bridge's section of it, and for profiles.
//!
//! A type that derives `serde::Deserialize` and `schemars::JsonSchema` (with `#[serde(deny_unknown_fields)]`) is all a
//! caller writes. The check walks the parsed text along the generated schema; only a clean text is deserialised, and what
//! a schema cannot say is added afterwards with [`Document::error_at`].
//!
//! ```
//! use torg_thing::config::{Document, SourceText};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Line { tcp: String, baud: Option<u32> }
//!
//! let source = SourceText::new("torg.toml", "tpc = \"127.0.0.1:502\"\nbaud = \"fast\"\n");
//! let document = Document::parse(&source).unwrap();
//! let errors = document.check::<Line>().err().unwrap();
//! assert_eq!(errors[0].to_string(), "torg.toml:1:1: tpc: unknown key; did you mean `tcp`?");
//! assert_eq!(errors[1].to_string(), "torg.toml:2:8: baud: wrong type: found \"fast\", expected an integer from 0 to 4294967295");
//! ```
//!
//! # Why
//! serde stops at the first mistake and knows no line; a person on a ladder wants the whole list. `toml` keeps the spans
//! (`DeTable`), `schemars` knows the shape, so one walk over both needs no second description of the configuration.

mod document;
mod error;
mod path;
mod schema;
mod section;
mod source;
mod suggest;
#[cfg(test)]
mod tests;
mod walk;

pub use document::Document;
pub use error::{ConfigError, Problem, drop_consequences};
pub use path::quote_key;
pub use schema::schema_of;
pub use section::Section;
pub use source::SourceText;
pub use suggest::nearest;
