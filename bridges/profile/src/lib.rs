//! Profiles: what registers, records and bytes of a device mean.
//!
//! A profile is a TOML file (format `torg-profile/1`), checked with every mistake at once, with line, key and suggestion.
//! It carries its own executable examples and names the sources of its facts. This crate reads profiles, decodes and
//! encodes values with them; it knows no bus and asks no device.

mod check;
mod checked;
mod decode;
mod doc;
mod encode;
mod identify;
mod interfaces;
mod library;
mod point;
mod raw;
mod schema;
mod vectors;

pub use check::{check, check_in};
pub use checked::{
    BitSlice, Encoding, Endian, Enumeration, Gap, HoleRefused, Limits, Link, NoRead, Order, Parity, Point, PollClass,
    PollIntervals, Privilege, Profile, Protocol, READ_BITS_MAX, READ_REGISTERS_MAX, Scaling, Sentinel, SerialDefaults,
    Shape, SourceNote, Table, Timing, Unlock, Version, WRITE_REGISTERS_MAX, Write, WriteFunction,
};
pub use decode::{DecodeError, Raw, Reading};
pub use doc::document;
pub use encode::{EncodeError, Payload, WriteRequest};
pub use identify::{Evidence, Identify, Refusal};
pub use library::{Library, LibraryError, Shadow};
pub use schema::schema;
pub use vectors::{Expected, Vector, VectorResult, run_vectors, uncovered};
