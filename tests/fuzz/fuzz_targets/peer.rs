//! Whatever another server sends: no stanza comes out unless its pair of domains was proven on this stream.
#![no_main]

#[path = "../../../broker/wire/tests/xml/peer.rs"]
mod peer;

libfuzzer_sys::fuzz_target!(|input: &[u8]| peer::check(input));
