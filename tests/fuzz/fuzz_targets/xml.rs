//! Ours and rxml accept the same bytes and see the same trees; what we write is read back equal.
#![no_main]

#[path = "../../../broker/wire/tests/xml/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|input: &[u8]| oracle::compare(input));
