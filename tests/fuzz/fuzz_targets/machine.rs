//! Whatever a stranger sends: he does not get in, and how his bytes are split makes no difference.
#![no_main]

#[path = "../../../broker/wire/tests/xml/machine.rs"]
mod machine;

libfuzzer_sys::fuzz_target!(|input: &[u8]| machine::check(input));
