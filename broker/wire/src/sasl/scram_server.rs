//! The server's side of one SCRAM exchange (RFC 5802 §3, §5 and §6; RFC 7677).
//!
//! `ClientFirst::parse` -> look the keys up -> `challenge` -> `AwaitProof::finish`. Each state is consumed into the next.

use subtle::ConstantTimeEq;

use super::keys::StoredKeys;
use super::message::{self, BindingFlag, FinalMessage, FirstMessage};
use super::{BindingKind, ChannelBindings, Failure, Offer, ScramHash};

/// A client's first message, accepted: its user's keys are wanted.
#[derive(Debug)]
pub(super) struct ClientFirst {
    hash: ScramHash,
    /// What `c=` must say: the GS2 header and the channel binding data.
    binding: Vec<u8>,
    bare: String,
    nonce: String,
    pub(super) username: String,
    pub(super) authzid: Option<String>,
    offer: Option<Offer>,
}

impl ClientFirst {
    /// Reads the first message. `plus` is whether the mechanism is a `-PLUS` one, `offered_plus` whether we offered any.
    pub(super) fn parse(
        message: &[u8],
        hash: ScramHash,
        plus: bool,
        offered_plus: bool,
        ours: &ChannelBindings,
    ) -> Result<ClientFirst, Failure> {
        let first = FirstMessage::parse(message::text(message)?)?;
        let data = match (first.flag, plus) {
            (BindingFlag::Uses(kind), true) => {
                BindingKind::parse(kind).and_then(|kind| ours.data(kind)).ok_or(Failure::NotAuthorized)?
            }
            // `p` outside -PLUS, or -PLUS without `p`: the message belongs to another mechanism.
            (BindingFlag::Uses(_), false) | (_, true) => return Err(Failure::MalformedRequest),
            // The client has channel binding and did not see our -PLUS: somebody between us took it out (RFC 5802 §6).
            (BindingFlag::NotOffered, false) if offered_plus => return Err(Failure::NotAuthorized),
            (BindingFlag::None | BindingFlag::NotOffered, false) => &[],
        };
        let mut binding = first.header.as_bytes().to_vec();
        binding.extend_from_slice(data);
        Ok(ClientFirst {
            hash,
            binding,
            bare: first.bare.into(),
            nonce: first.nonce.into(),
            username: super::saslprep(&first.username).map_err(|_| Failure::NotAuthorized)?,
            authzid: first.authzid.map(|id| super::saslprep(&id).map_err(|_| Failure::InvalidAuthzid)).transpose()?,
            offer: None,
        })
    }

    /// With what was offered, to be signed with the rest (XEP-0474).
    pub(super) fn with_offer(mut self, offer: Option<Offer>) -> ClientFirst {
        self.offer = offer;
        self
    }

    /// The server-first-message for these keys; `real` is false for stand-in keys, with which no proof is good enough.
    pub(super) fn challenge(self, keys: StoredKeys, real: bool, our_nonce: &str) -> (AwaitProof, String) {
        let nonce = format!("{}{our_nonce}", self.nonce);
        let mut challenge = format!("r={nonce},s={},i={}", message::encode(keys.salt()), keys.iterations());
        if let Some(offer) = &self.offer {
            challenge.push_str(",h=");
            challenge.push_str(&offer.attribute(self.hash));
        }
        let signed = format!("{},{challenge},", self.bare);
        (AwaitProof { hash: self.hash, binding: self.binding, nonce, signed, keys, real }, challenge)
    }
}

/// The challenge is out; the proof is awaited.
#[derive(Debug)]
pub(super) struct AwaitProof {
    hash: ScramHash,
    binding: Vec<u8>,
    nonce: String,
    /// AuthMessage up to the client-final-message-without-proof.
    signed: String,
    keys: StoredKeys,
    real: bool,
}

impl AwaitProof {
    /// Checks channel binding, nonce and proof; gives the server-final-message. Every wrong one is the same failure.
    pub(super) fn finish(self, message: &[u8]) -> Result<String, Failure> {
        let last = FinalMessage::parse(message::text(message)?)?;
        let parts = [self.signed.as_bytes(), last.without_proof.as_bytes()];
        let signature = self.hash.hmac(self.keys.stored_key(), &parts);
        let client_key = signature.xor(&last.proof);
        let good = last.proof.len() == self.hash.len();
        let good = u8::from(good & self.real)
            & self.binding.ct_eq(&last.binding).unwrap_u8()
            & self.nonce.as_bytes().ct_eq(last.nonce.as_bytes()).unwrap_u8()
            & self.keys.stored_key().ct_eq(self.hash.hash(client_key.bytes()).bytes()).unwrap_u8();
        let answer = self.hash.hmac(self.keys.server_key(), &parts);
        if good == 1 { Ok(format!("v={}", message::encode(answer.bytes()))) } else { Err(Failure::NotAuthorized) }
    }
}
