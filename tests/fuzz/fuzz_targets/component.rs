//! Whatever connects as a component: no stanza comes out before the right handshake, and none of another domain.
#![no_main]

#[path = "../../../broker/wire/tests/xml/component.rs"]
mod component;

libfuzzer_sys::fuzz_target!(|input: &[u8]| drop(component::check(input)));
