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
mod link;
mod point;
mod raw;
mod schema;
mod vectors;

pub use check::{check, check_in};
pub use checked::{
    BitSlice, Encoding, Endian, Enumeration, Order, Point, PollClass, PollIntervals, Privilege, Profile, Protocol,
    Scaling, Sentinel, Shape, SourceNote, Table, Unlock, Version, Write, WriteFunction,
};
pub use decode::{DecodeError, Raw, Reading};
pub use doc::document;
pub use encode::{EncodeError, Payload, WriteRequest};
pub use identify::{Evidence, Identify, Refusal};
pub use library::{Library, LibraryError, Shadow};
pub use link::{
    Gap, HoleRefused, Limits, Link, NoRead, Parity, READ_BITS_MAX, READ_REGISTERS_MAX, SerialDefaults, Timing,
    WRITE_REGISTERS_MAX,
};
pub use schema::schema;
pub use vectors::{Expected, Vector, VectorResult, run_vectors, uncovered};
