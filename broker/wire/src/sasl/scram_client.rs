//! The client's side of one SCRAM exchange (RFC 5802 §3, §5 and §6; RFC 7677).
//!
//! `ScramClient::start` -> `challenge` gives a key derivation to run -> `proof` -> `AwaitSignature::finish`.

use super::keys::{ClientKeys, Derivation, ITERATIONS_ACCEPTED_MAX, ITERATIONS_ACCEPTED_MIN};
use super::message::{self, BindingFlag};
use super::prep::Prepared;
use super::{ClientError, Offer, ScramHash};

/// The first message is out.
#[derive(Debug)]
pub(super) struct AwaitChallenge {
    hash: ScramHash,
    password: Prepared,
    binding: Vec<u8>,
    bare: String,
    nonce: String,
    /// What the server offered, as it came here.
    offer: Option<Offer>,
}

/// A challenge came; the keys are being derived.
#[derive(Debug)]
pub(super) struct AwaitKeys {
    without_proof: String,
    signed: String,
}

/// The proof is out; the server must now prove itself.
#[derive(Debug)]
pub(super) struct AwaitSignature {
    signature: String,
}

/// Starts: gives the client-first-message. `username` must be prepared; `data` is the data of the binding in `flag`.
pub(super) fn start(
    hash: ScramHash,
    username: &str,
    password: Prepared,
    flag: BindingFlag<'_>,
    data: &[u8],
    nonce: &str,
) -> (AwaitChallenge, String) {
    let header = message::header(flag);
    let bare = format!("n={},r={nonce}", message::escape(username));
    let first = format!("{header}{bare}");
    let mut binding = header.into_bytes();
    binding.extend_from_slice(data);
    (AwaitChallenge { hash, password, binding, bare, nonce: nonce.into(), offer: None }, first)
}

impl AwaitChallenge {
    pub(super) fn expect(&mut self, offer: Offer) {
        self.offer = Some(offer);
    }

    /// Reads the server-first-message.
    ///
    /// # Errors
    /// Broken grammar, a nonce that is not ours prolonged, iterations outside the accepted range.
    pub(super) fn challenge(self, message: &[u8]) -> Result<(AwaitKeys, Derivation), ClientError> {
        let broken = |_| ClientError::ServerMalformed;
        let text = message::text(message).map_err(broken)?;
        let mut attributes = text.split(',');
        let nonce = message::nonce(message::value(attributes.next(), "r=").map_err(broken)?).map_err(broken)?;
        let salt = message::decode(message::value(attributes.next(), "s=").map_err(broken)?).map_err(broken)?;
        let iterations = message::value(attributes.next(), "i=").map_err(broken)?;
        let mut signed_offer = None;
        for attribute in attributes {
            if !message::is_extension(attribute) {
                return Err(ClientError::ServerMalformed);
            }
            signed_offer = signed_offer.or(attribute.strip_prefix("h="));
        }
        if salt.is_empty() || iterations.starts_with(['+', '0']) {
            return Err(ClientError::ServerMalformed);
        }
        // XEP-0474 §5.2. The proof signs this message, so a forged hash makes the server refuse us.
        if let (Some(found), Some(offer)) = (signed_offer, &self.offer)
            && found != offer.attribute(self.hash)
        {
            return Err(ClientError::ServerDowngrade);
        }
        let iterations: u32 = iterations.parse().map_err(|_| ClientError::ServerMalformed)?;
        if !(ITERATIONS_ACCEPTED_MIN..=ITERATIONS_ACCEPTED_MAX).contains(&iterations) {
            return Err(ClientError::ServerIterations { found: iterations });
        }
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(ClientError::ServerNonce);
        }
        let without_proof = format!("c={},r={nonce}", message::encode(&self.binding));
        let signed = format!("{},{text},{without_proof}", self.bare);
        Ok((
            AwaitKeys { without_proof, signed },
            Derivation { hash: self.hash, password: self.password, salt, iterations },
        ))
    }
}

impl AwaitKeys {
    /// The client-final-message.
    pub(super) fn proof(self, keys: &ClientKeys) -> (AwaitSignature, String) {
        let stored = keys.hash.hash(keys.client_key.bytes());
        let proof = keys.hash.hmac(stored.bytes(), &[self.signed.as_bytes()]).xor(keys.client_key.bytes());
        let signature = keys.hash.hmac(keys.server_key.bytes(), &[self.signed.as_bytes()]);
        let last = format!("{},p={}", self.without_proof, message::encode(proof.bytes()));
        (AwaitSignature { signature: message::encode(signature.bytes()) }, last)
    }
}

impl AwaitSignature {
    /// Checks that the server knows the account's key too.
    ///
    /// # Errors
    /// Its signature is missing or wrong: it is not the server this account was made on.
    pub(super) fn finish(&self, message: &[u8]) -> Result<(), ClientError> {
        use subtle::ConstantTimeEq;

        let text = message::text(message).map_err(|_| ClientError::ServerMalformed)?;
        let found = text
            .split(',')
            .next()
            .and_then(|attribute| attribute.strip_prefix("v="))
            .ok_or(ClientError::ServerSignature)?;
        let same: bool = found.as_bytes().ct_eq(self.signature.as_bytes()).into();
        if same { Ok(()) } else { Err(ClientError::ServerSignature) }
    }
}
