//! Hashed tokens: one message proves that a client still has the token it was given, one answer that the server knows it too
//! (XEP-0484, the mechanisms `HT-SHA-256-*` of draft-schmaus-kitten-sasl-ht-09).
//!
//! Who may have a token, for how long, and where it is kept is decided elsewhere; here is only the arithmetic.
//!
//! # Why
//! The mechanisms called `HT2-*` in later drafts carry other messages under other names; no client in use speaks them yet.

use subtle::ConstantTimeEq;

use torg_thing::Timestamp;

use super::{AccountClass, BindingKind, ChannelBindings, ClientId, Failure, ScramHash};
use crate::jid::BareJid;
use crate::secret::Secret;

/// Length of the hashes of these mechanisms in bytes.
pub const TOKEN_HASH_BYTES: usize = 32;

/// A mechanism that takes a token instead of a password. A token works with the one it was issued for and with no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenMechanism {
    /// HT-SHA-256-EXPR: bound to the connection by `tls-exporter`. Preferred.
    Exporter,
    /// HT-SHA-256-ENDP: bound to the server's certificate.
    EndPoint,
    /// HT-SHA-256-NONE: not bound, for clients that cannot. Whoever sees the message once could send it again, so such tokens live
    /// shorter and are told apart everywhere.
    Unbound,
}

impl TokenMechanism {
    /// All of them, best first.
    pub const ALL: [TokenMechanism; 3] = [TokenMechanism::Exporter, TokenMechanism::EndPoint, TokenMechanism::Unbound];

    /// Name as advertised.
    pub fn name(self) -> &'static str {
        match self {
            TokenMechanism::Exporter => "HT-SHA-256-EXPR",
            TokenMechanism::EndPoint => "HT-SHA-256-ENDP",
            TokenMechanism::Unbound => "HT-SHA-256-NONE",
        }
    }

    /// Reads [`TokenMechanism::name`] back; `None` for mechanisms we do not speak.
    pub fn parse(name: &str) -> Option<TokenMechanism> {
        TokenMechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// The channel binding it uses.
    pub fn binding(self) -> Option<BindingKind> {
        match self {
            TokenMechanism::Exporter => Some(BindingKind::TlsExporter),
            TokenMechanism::EndPoint => Some(BindingKind::TlsServerEndPoint),
            TokenMechanism::Unbound => None,
        }
    }

    /// The binding data of this connection: empty if the mechanism uses none, `None` if the connection has none of the kind.
    pub(super) fn data(self, bindings: &ChannelBindings) -> Option<&[u8]> {
        self.binding().map_or(Some(&[]), |kind| bindings.data(kind))
    }
}

/// What a store keeps of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenCheck {
    /// The token itself: with channel binding each connection has another message, and making it takes the key.
    Key(Secret<String>),
    /// Without channel binding the message is always the same, so its hash and the answer will do. Who steals them cannot log in.
    Hashed {
        /// SHA-256 of the client's message.
        initiator: [u8; TOKEN_HASH_BYTES],
        /// The server's answer.
        responder: [u8; TOKEN_HASH_BYTES],
    },
}

impl TokenCheck {
    /// The least that has to be kept to check a token with this mechanism.
    pub fn new(mechanism: TokenMechanism, token: Secret<String>) -> TokenCheck {
        match mechanism {
            TokenMechanism::Exporter | TokenMechanism::EndPoint => TokenCheck::Key(token),
            TokenMechanism::Unbound => TokenCheck::Hashed {
                initiator: array(ScramHash::Sha256.hash(&hashed(&token, INITIATOR, &[])).bytes()),
                responder: hashed(&token, RESPONDER, &[]),
            },
        }
    }

    /// Checks the client's hash over this binding data; gives the answer that proves us to the client.
    fn check(&self, initiator: &[u8; TOKEN_HASH_BYTES], data: &[u8]) -> (bool, [u8; TOKEN_HASH_BYTES]) {
        match self {
            TokenCheck::Key(token) => {
                let good = hashed(token, INITIATOR, data).ct_eq(initiator);
                (good.into(), hashed(token, RESPONDER, data))
            }
            TokenCheck::Hashed { initiator: known, responder } => {
                let good = array(ScramHash::Sha256.hash(initiator).bytes()).ct_eq(known);
                (good.into(), *responder)
            }
        }
    }
}

/// From which all tokens of a site are derived, so that the store need not hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSecret(Secret<[u8; 32]>);

impl TokenSecret {
    /// Takes 32 random bytes that are kept apart from the store.
    pub fn new(bytes: [u8; 32]) -> TokenSecret {
        TokenSecret(Secret::new(bytes))
    }

    /// The token that belongs to a random `nonce`: 43 characters, 256 bits.
    pub fn token(
        &self,
        account: &BareJid,
        client: &ClientId,
        mechanism: TokenMechanism,
        nonce: &[u8],
    ) -> Secret<String> {
        use base64::Engine as _;

        // No part but the nonce can contain NUL, and that comes last.
        let parts =
            [account.as_str().as_bytes(), b"\0", client.as_str().as_bytes(), b"\0", mechanism.name().as_bytes()];
        let parts = [&parts[..], &[b"\0", nonce]].concat();
        let token = ScramHash::Sha256.hmac(self.0.expose(), &parts);
        Secret::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token.bytes()))
    }
}

/// The message of a client with this token: user name, NUL, hash.
pub fn token_message(username: &str, token: &Secret<String>, binding: &[u8]) -> Vec<u8> {
    [username.as_bytes(), &[0], &hashed(token, INITIATOR, binding)].concat()
}

/// The answer that a server with this token gives.
pub fn token_answer(token: &Secret<String>, binding: &[u8]) -> [u8; TOKEN_HASH_BYTES] {
    hashed(token, RESPONDER, binding)
}

const INITIATOR: &[u8] = b"Initiator";
const RESPONDER: &[u8] = b"Responder";

fn hashed(token: &Secret<String>, role: &[u8], binding: &[u8]) -> [u8; TOKEN_HASH_BYTES] {
    array(ScramHash::Sha256.hmac(token.expose().as_bytes(), &[role, binding]).bytes())
}

fn array(bytes: &[u8]) -> [u8; TOKEN_HASH_BYTES] {
    let mut array = [0; TOKEN_HASH_BYTES];
    for (to, from) in array.iter_mut().zip(bytes) {
        *to = *from;
    }
    array
}

/// Which of an installation's two tokens: a new one replaces the current one only once it has been used, so that a client whose
/// connection broke before it got the new one still has the other (XEP-0484 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenSlot {
    /// In use.
    Current,
    /// Given out and not yet used.
    New,
}

/// A token as a store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// Names it among those of its installation.
    pub id: i64,
    /// Which of the two it is.
    pub slot: TokenSlot,
    /// The only mechanism it works with.
    pub mechanism: TokenMechanism,
    /// How to check it.
    pub check: TokenCheck,
    /// It was good once.
    pub expired: bool,
    /// Highest count it was used with; 0 if without.
    pub count: u32,
    /// It is to be replaced by a new one soon.
    pub ageing: bool,
}

/// What a store knows of one installation of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Its tokens, at most one in each slot.
    pub tokens: Vec<StoredToken>,
    /// The account is switched off.
    pub disabled: bool,
    /// What stands behind the account.
    pub class: AccountClass,
}

/// A token that has just opened a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedToken {
    /// Which one it was.
    pub id: i64,
    /// The client's own count of its uses, if it gave one: it must be higher than the last one, or the login is a copy of an
    /// earlier one.
    pub count: Option<u32>,
    /// Whether it is to be forgotten: the client logs out for good.
    pub invalidate: bool,
}

/// What becomes of the tokens of one installation after a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUse {
    /// Whose they are.
    pub account: BareJid,
    /// Of which installation.
    pub client: ClientId,
    /// The one that was used; `None` if the login was of another kind.
    pub used: Option<UsedToken>,
    /// A new one is wanted, for this mechanism.
    pub issue: Option<TokenMechanism>,
}

/// A token on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The token.
    pub token: Secret<String>,
    /// When it ends.
    pub expiry: Timestamp,
}

/// The client's message taken apart.
#[derive(Debug)]
pub(super) struct TokenMessage {
    pub(super) username: String,
    hash: [u8; TOKEN_HASH_BYTES],
}

/// What a look at the tokens showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right {
        id: i64,
        slot: TokenSlot,
        ageing: bool,
        answer: [u8; TOKEN_HASH_BYTES],
    },
    /// Right, but its time is over.
    Expired,
    Wrong,
}

impl TokenMessage {
    pub(super) fn parse(message: &[u8]) -> Result<TokenMessage, Failure> {
        let malformed = Failure::MalformedRequest;
        if message.len() > super::MESSAGE_BYTES_MAX {
            return Err(malformed);
        }
        // The hash may contain any byte, a name no NUL: the first one ends it.
        let end = message.iter().position(|byte| *byte == 0).ok_or(malformed)?;
        let (name, hash) = message.split_at_checked(end).ok_or(malformed)?;
        let hash = hash.get(1..).and_then(|hash| hash.try_into().ok()).ok_or(malformed)?;
        let name = std::str::from_utf8(name).map_err(|_| malformed)?;
        if name.is_empty() {
            return Err(malformed);
        }
        Ok(TokenMessage { username: super::saslprep(name).map_err(|_| Failure::NotAuthorized)?, hash })
    }

    /// Looks for the token behind the message. `count` is the client's own count of its uses, if it gave one: a message that was
    /// seen before is a wrong one.
    pub(super) fn verify(
        &self,
        tokens: &[StoredToken],
        mechanism: TokenMechanism,
        binding: &[u8],
        count: Option<u32>,
    ) -> Verdict {
        let mut verdict = Verdict::Wrong;
        if tokens.is_empty() {
            // As long as it takes with one: how fast we refuse must not tell who has tokens here.
            let _ = TokenCheck::Key(Secret::new(String::new())).check(&self.hash, binding);
        }
        for token in tokens {
            let (good, answer) = token.check.check(&self.hash, binding);
            let fresh = count.is_none_or(|count| count > token.count);
            if good && token.mechanism == mechanism && fresh {
                verdict = if token.expired {
                    Verdict::Expired
                } else {
                    Verdict::Right { id: token.id, slot: token.slot, ageing: token.ageing, answer }
                };
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.into())
    }

    fn stored(mechanism: TokenMechanism, token: &str) -> StoredToken {
        let check = TokenCheck::new(mechanism, secret(token));
        StoredToken { id: 1, slot: TokenSlot::Current, mechanism, check, expired: false, count: 0, ageing: false }
    }

    fn message(token: &str, binding: &[u8]) -> TokenMessage {
        TokenMessage::parse(&token_message("anna", &secret(token), binding)).expect("valid")
    }

    /// Computed with Python: `hmac.new(b'secret-token:fast-1', b'Initiator' + bytes([9]) * 32, 'sha256').hexdigest()` and its like.
    #[test]
    fn the_hashes_are_those_of_the_draft() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let token = secret("secret-token:fast-1");
        assert_eq!(hex(&hashed(&token, INITIATOR, &[9; 32])), INITIATOR_BOUND);
        assert_eq!(hex(&token_answer(&token, &[9; 32])), RESPONDER_BOUND);
        assert_eq!(hex(&hashed(&token, INITIATOR, &[])), INITIATOR_UNBOUND);
        assert_eq!(hex(&token_answer(&token, &[])), RESPONDER_UNBOUND);
    }

    const INITIATOR_BOUND: &str = "a368651125a3f407a249a42b68f5dea019e4dd091bab1a5e769018c53c54ce66";
    const RESPONDER_BOUND: &str = "2356fc826f7c4e4d2f7f85ecd8e574b73886081738324a66d0430f0744fa4ecc";
    const INITIATOR_UNBOUND: &str = "e66a8ce321715b507d13b3b914b3d2883dd71f6cbe9190577080f3cbd35a77d7";
    const RESPONDER_UNBOUND: &str = "ac8ba839a9632cc2b2079f1ecf80066efa0de65db9a519ab8b3e7716ce3cdbed";

    #[test]
    fn messages_that_break_the_grammar_are_refused() {
        for message in
            [&b""[..], b"anna", b"anna\0", b"\0", &[b"\0", &[1; 32][..]].concat(), &[b"anna\0", &[1; 31][..]].concat()]
        {
            assert!(matches!(TokenMessage::parse(message), Err(Failure::MalformedRequest)), "{message:?}");
        }
        assert!(TokenMessage::parse(&[b"anna\0", &[1; 33][..]].concat()).is_err());
        assert!(TokenMessage::parse(&[b"anna\0", &[0; 32][..]].concat()).is_ok());
    }

    #[test]
    fn a_right_token_is_found_with_and_without_channel_binding() {
        for (mechanism, binding) in [(TokenMechanism::Exporter, &[9; 32][..]), (TokenMechanism::Unbound, &[])] {
            let known = [stored(mechanism, "one")];
            let expected = Verdict::Right {
                id: 1,
                slot: TokenSlot::Current,
                ageing: false,
                answer: token_answer(&secret("one"), binding),
            };
            assert_eq!(message("one", binding).verify(&known, mechanism, binding, None), expected);
            assert_eq!(message("two", binding).verify(&known, mechanism, binding, None), Verdict::Wrong);
        }
    }

    #[test]
    fn a_message_for_another_connection_is_a_wrong_one() {
        let known = [stored(TokenMechanism::Exporter, "one")];
        let verdict = message("one", &[8; 32]).verify(&known, TokenMechanism::Exporter, &[9; 32], None);
        assert_eq!(verdict, Verdict::Wrong);
    }

    #[test]
    fn a_token_works_only_with_its_own_mechanism() {
        for issued in TokenMechanism::ALL {
            for used in TokenMechanism::ALL {
                // The same binding data for all, so that nothing but the rule decides.
                let verdict = message("one", &[]).verify(&[stored(issued, "one")], used, &[], None);
                assert_eq!(verdict != Verdict::Wrong, issued == used, "{issued:?} {used:?}");
            }
        }
    }

    #[test]
    fn a_count_must_grow() {
        let known = [StoredToken { count: 7, ..stored(TokenMechanism::Unbound, "one") }];
        let verdict = |count| message("one", &[]).verify(&known, TokenMechanism::Unbound, &[], count) != Verdict::Wrong;
        assert!(!verdict(Some(6)) && !verdict(Some(7)) && verdict(Some(8)) && verdict(None));
    }

    #[test]
    fn an_expired_token_is_told_only_to_who_has_it() {
        let known = [StoredToken { expired: true, ..stored(TokenMechanism::Unbound, "one") }];
        assert_eq!(message("one", &[]).verify(&known, TokenMechanism::Unbound, &[], None), Verdict::Expired);
        assert_eq!(message("two", &[]).verify(&known, TokenMechanism::Unbound, &[], None), Verdict::Wrong);
    }

    #[test]
    fn what_is_kept_of_an_unbound_token_is_not_the_token_nor_its_message() {
        let TokenCheck::Hashed { initiator, .. } = TokenCheck::new(TokenMechanism::Unbound, secret("one")) else {
            panic!("the token itself is kept");
        };
        assert_ne!(initiator, hashed(&secret("one"), INITIATOR, &[]));
        let replayed = TokenMessage { username: "anna".into(), hash: initiator };
        let known = [stored(TokenMechanism::Unbound, "one")];
        assert_eq!(replayed.verify(&known, TokenMechanism::Unbound, &[], None), Verdict::Wrong);
    }
}
