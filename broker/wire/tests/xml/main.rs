//! The XML layer from outside: what it refuses, its limits, its laws, and its agreement with another parser.
#![cfg(test)]

mod corpus;
mod laws;
mod limits;
mod oracle;
mod properties;
mod strict;
mod support;
