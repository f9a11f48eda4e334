//! Whatever a client sends to log in, with a store that answers: it gets in as itself or not at all.
#![no_main]

#[path = "../../../broker/wire/tests/xml/sasl.rs"]
mod sasl;

libfuzzer_sys::fuzz_target!(|input: &[u8]| drop(sasl::check(input)));
