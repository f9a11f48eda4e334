//! However the bytes are split, the stream says the same.
#![no_main]

#[path = "../../../broker/wire/tests/xml/laws.rs"]
#[expect(dead_code, reason = "the laws of addresses have their own target")]
mod laws;

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::check_split(input));
