//! An address that parses keeps the laws of addresses.
#![no_main]

#[path = "../../../broker/wire/tests/xml/laws.rs"]
#[expect(dead_code, reason = "the law of splitting has its own target")]
mod laws;

libfuzzer_sys::fuzz_target!(|input: &str| laws::check_jid(input));
