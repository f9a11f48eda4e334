//! Decisions: who may read or control what.
