//! The executable examples of a profile.

use std::collections::BTreeMap;
use std::sync::Arc;

use torg_thing::FieldName;

use crate::checked::Table;

/// What a value must become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Raw data that is no value.
    Error,
    /// Not available.
    Missing,
    /// This text, as a field shows it.
    Value(Arc<str>),
}

/// One `[[test]]`: contents of the tables, and what comes of them (or, for parameters, what leads to them).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vector {
    /// What it shows; `test[0]` if it has no name.
    pub name: Arc<str>,
    /// Contents by table and address; a bit is 0 or 1. Feeds the simulator too.
    pub image: BTreeMap<(Table, u16), u16>,
    /// What must be read.
    pub expect: BTreeMap<FieldName, Expected>,
    /// What is set.
    pub set: BTreeMap<FieldName, Arc<str>>,
}
