//! Fresh randomness as data: 32 bytes handed in by the caller, from which a machine draws what it needs.
//!
//! Protocol logic draws no randomness of its own (a test hands in a fixed seed and gets the same run). Values are
//! `HMAC-SHA256(seed, label, counter)`, so one value tells nothing about another (RFC 2104; the usual PRF argument).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::Secret;

/// 32 bytes from the operating system's generator, used for one stream and never again.
#[derive(Debug, Clone)]
pub struct Seed {
    bytes: Secret<[u8; 32]>,
    drawn: u32,
}

impl Seed {
    /// Takes fresh random bytes. The caller draws them from the operating system, once for each stream.
    pub fn new(bytes: [u8; 32]) -> Seed {
        Seed { bytes: Secret::new(bytes), drawn: 0 }
    }

    /// The next value for this purpose: 24 characters of the base64url alphabet (144 bits), no comma, quote or padding.
    pub fn draw(&mut self, purpose: &str) -> String {
        use base64::Engine as _;

        self.drawn = self.drawn.wrapping_add(1);
        let mut code = match Hmac::<Sha256>::new_from_slice(self.bytes.expose()) {
            Ok(code) => code,
            Err(_) => unreachable!("HMAC takes keys of any length (RFC 2104 §2)"),
        };
        code.update(&self.drawn.to_be_bytes());
        code.update(purpose.as_bytes());
        let bytes = code.finalize().into_bytes();
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes.get(..18).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_values() {
        assert_eq!(Seed::new([7; 32]).draw("nonce"), Seed::new([7; 32]).draw("nonce"));
    }

    #[test]
    fn each_draw_and_each_purpose_gives_another_value() {
        let mut seed = Seed::new([7; 32]);
        let first = seed.draw("nonce");
        let second = seed.draw("nonce");
        assert_ne!(first, second);
        assert_ne!(first, Seed::new([7; 32]).draw("stream"));
        assert_eq!(first.len(), 24);
    }
}
