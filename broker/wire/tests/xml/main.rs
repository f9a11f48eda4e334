//! The XML layer from outside: what it refuses, its limits, its laws, and its agreement with another parser; and
//! the laws of the stream machine behind it.
#![cfg(test)]

mod component;
mod component_properties;
mod corpus;
mod laws;
mod limits;
mod machine;
mod oracle;
mod peer;
mod peer_properties;
mod properties;
mod sasl;
mod strict;
mod support;
