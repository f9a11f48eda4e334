//! The client's side of one authentication attempt (RFC 6120 §6.4): choose the best mechanism, prove, check the server.

use super::keys::{Derivation, DerivedKeys};
use super::message::BindingFlag;
use super::prep::Prepared;
use super::scram_client::{self, AwaitChallenge, AwaitKeys, AwaitSignature};
use super::{BindingKind, ChannelBindings, Mechanism, Offer, PrepError, plain, saslprep};
use crate::secret::Secret;

/// What a client logs in with, and what it agrees to.
#[derive(Debug, Clone)]
pub struct Login {
    /// User name: the local part of the account's address.
    pub username: String,
    /// The password.
    pub password: Secret<String>,
    /// Whether SCRAM-SHA-1 will do if nothing better is offered.
    pub scram_sha1: bool,
    /// Whether the password may be sent in the clear inside TLS if nothing better is offered.
    pub plain: bool,
}

/// Why a client does not log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// User name or password cannot be used.
    #[error("user name or password cannot be used: {0}")]
    Credentials(#[from] PrepError),
    /// No offered mechanism is acceptable.
    #[error("the server offers no login mechanism that we accept")]
    NoMechanism,
    /// What the server offered is not what came here: somebody between us took the better choices out.
    #[error("what the server offered was changed on its way: somebody may sit between us")]
    ServerDowngrade,
    /// The server asks for too few (weak) or too many (costly) iterations.
    #[error("the server asks for {found} iterations, outside the accepted range")]
    ServerIterations {
        /// What it asked for.
        found: u32,
    },
    /// The server's message breaks the grammar.
    #[error("the server's SASL message is malformed")]
    ServerMalformed,
    /// The server did not continue our nonce.
    #[error("the server answered with a nonce that is not ours")]
    ServerNonce,
    /// The server does not know our key: it is an impostor, or the account was restored from elsewhere.
    #[error("the server could not prove that it knows this account")]
    ServerSignature,
    /// The server said that we are in before or after it should have.
    #[error("the server sent a SASL message out of order")]
    ServerOrder,
}

/// What to do next.
#[derive(Debug)]
pub enum ClientStep {
    /// Run this elsewhere; answer with [`Client::derived`].
    Derive(Derivation),
    /// Logged in, and the server has proven itself.
    Done,
    /// Send this response (decoded form).
    Respond(Vec<u8>),
}

/// One attempt.
#[derive(Debug)]
pub struct Client {
    mechanism: Mechanism,
    state: State,
}

#[derive(Debug)]
enum State {
    Challenge(AwaitChallenge),
    Keys(AwaitKeys),
    /// The proof is out; the signature comes as challenge or with success.
    Signature(AwaitSignature),
    /// The server's proof was good, only `<success/>` is missing.
    Success,
    Ended,
}

impl Client {
    /// Chooses a mechanism and gives the initial response.
    ///
    /// `advertised` are the channel binding kinds the server named (XEP-0440), `None` if it named none at all.
    ///
    /// # Errors
    /// No acceptable mechanism, unusable name or password.
    pub fn start(
        login: &Login,
        offered: &[Mechanism],
        bindings: &ChannelBindings,
        advertised: Option<&[BindingKind]>,
        nonce: &str,
    ) -> Result<(Client, Vec<u8>), ClientError> {
        let kind = bindings.kinds().find(|kind| advertised.is_none_or(|kinds| kinds.contains(kind)));
        let mechanism = Mechanism::ALL
            .into_iter()
            .filter(|mechanism| offered.contains(mechanism))
            .find(|mechanism| match mechanism {
                Mechanism::External => false,
                Mechanism::ScramSha256Plus => kind.is_some(),
                Mechanism::ScramSha1Plus => kind.is_some() && login.scram_sha1,
                Mechanism::ScramSha256 => true,
                Mechanism::ScramSha1 => login.scram_sha1,
                Mechanism::Plain => login.plain,
                Mechanism::Token(_) => false,
            })
            .ok_or(ClientError::NoMechanism)?;
        let username = saslprep(&login.username)?;
        let Some(hash) = mechanism.hash() else {
            let message = plain::encode(&username, &login.password)?;
            return Ok((Client { mechanism, state: State::Success }, message.expose().clone()));
        };
        let plus_seen = offered.iter().any(|mechanism| mechanism.is_plus());
        let flag = match kind {
            Some(kind) if mechanism.is_plus() => kind.flag(),
            Some(_) if !plus_seen => BindingFlag::NotOffered,
            _ => BindingFlag::None,
        };
        let data = kind.filter(|_| mechanism.is_plus()).and_then(|kind| bindings.data(kind)).unwrap_or_default();
        let (state, first) =
            scram_client::start(hash, &username, Prepared::password(&login.password)?, flag, data, nonce);
        Ok((Client { mechanism, state: State::Challenge(state) }, first.into_bytes()))
    }

    /// Compares with the server's own account of it what was offered, if the server gives one (XEP-0474).
    #[must_use]
    pub fn expecting(mut self, offer: Offer) -> Client {
        if let State::Challenge(state) = &mut self.state {
            state.expect(offer);
        }
        self
    }

    /// The mechanism in use.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// A challenge of the server.
    ///
    /// # Errors
    /// It is malformed, weak or not from who knows our key. The attempt is over; abort it.
    pub fn challenge(&mut self, message: &[u8]) -> Result<ClientStep, ClientError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Challenge(state) => {
                let (next, derivation) = state.challenge(message)?;
                self.state = State::Keys(next);
                Ok(ClientStep::Derive(derivation))
            }
            State::Signature(state) => {
                state.finish(message)?;
                self.state = State::Success;
                Ok(ClientStep::Respond(Vec::new()))
            }
            _ => Err(ClientError::ServerOrder),
        }
    }

    /// The answer to `Derive`.
    ///
    /// # Errors
    /// Nothing was asked for.
    pub fn derived(&mut self, keys: &DerivedKeys) -> Result<ClientStep, ClientError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Keys(state) => {
                let (next, proof) = state.proof(&keys.0);
                self.state = State::Signature(next);
                Ok(ClientStep::Respond(proof.into_bytes()))
            }
            _ => Err(ClientError::ServerOrder),
        }
    }

    /// The server says that we are in; with SCRAM it must have proven itself by now.
    ///
    /// # Errors
    /// It has not: it is not the server this account was made on.
    pub fn success(&mut self, data: Option<&[u8]>) -> Result<ClientStep, ClientError> {
        match (std::mem::replace(&mut self.state, State::Ended), data) {
            (State::Signature(state), Some(data)) => state.finish(data).map(|()| ClientStep::Done),
            (State::Success, None) => Ok(ClientStep::Done),
            (State::Signature(_), None) => Err(ClientError::ServerSignature),
            _ => Err(ClientError::ServerOrder),
        }
    }
}
