//! The handshake of a component: SHA-1 over the name of the stream and the shared secret, in small hexadecimal digits (XEP-0114 §3).
//!
//! # Why
//! SHA-1 is what the standard has. Its collisions do not help here: who wants the secret from one handshake must try secrets, and those
//! are long (the configuration sees to that) and never leave the machine.

use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

use crate::secret::Secret;
use crate::xml::Element;

/// What a component that knows the secret says on the stream of that name.
pub fn proof(id: &str, secret: &Secret<String>) -> String {
    let mut hash = Sha1::new();
    hash.update(id.as_bytes());
    hash.update(secret.expose().as_bytes());
    hash.finalize().iter().fold(String::with_capacity(40), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String does not fail
        text
    })
}

/// Whether the element says that, in a time that tells nothing about how far it is right.
pub(super) fn is_right(element: &Element, id: &str, secret: &Secret<String>) -> bool {
    element.children().next().is_none() && bool::from(element.text().as_bytes().ct_eq(proof(id, secret).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_the_digest_of_name_and_secret_in_small_digits() {
        // sha1("abc"), FIPS 180-2 appendix A.1
        assert_eq!(proof("ab", &Secret::new("c".into())), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
