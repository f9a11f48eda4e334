//! The server's side of one authentication attempt, whatever the mechanism (RFC 6120 §6.4).
//!
//! One rule for all of them is kept here: an authzid must name the very account that proved itself. Delegation ("I am
//! anna, let me be bob") does not exist.

use super::keys::{PasswordCheck, PasswordVerdict, ServerSecret};
use super::plain::PlainMessage;
use super::scram_server::{AwaitProof, ClientFirst};
use super::token::{TokenMessage, Verdict};
use super::{
    AccountClass, Authenticated, BindingKind, ChannelBindings, Credentials, Failure, Mechanism, Offer, ScramHash,
    TokenMechanism, TokenSlot, Tokens,
};
use crate::jid::{BareJid, DomainPart, LocalPart};

/// What the operator allows, and the secret behind the answers for unknown users.
#[derive(Debug, Clone)]
pub struct Policy {
    /// SCRAM-SHA-1 and its -PLUS for old clients. Accounts need SHA-1 keys for it.
    pub scram_sha1: bool,
    /// PLAIN; even then inside TLS only.
    pub plain: bool,
    /// EXTERNAL for client certificates that prove an address of ours.
    pub external: bool,
    /// Tokens for quick logins (XEP-0484), if the accounts keep any.
    pub tokens: bool,
    /// Sign what was offered (XEP-0474). A few old clients stumble over it.
    pub downgrade_protection: bool,
    /// See [`ServerSecret`].
    pub secret: ServerSecret,
}

impl Policy {
    /// SCRAM-SHA-256, its -PLUS and nothing else.
    pub fn new(secret: ServerSecret) -> Policy {
        Policy { scram_sha1: false, plain: false, external: false, tokens: false, downgrade_protection: true, secret }
    }
}

/// What to do next. An attempt ends with `Success` or `Failure`.
#[derive(Debug)]
pub enum ServerStep {
    /// Ask the port whether this account, proven by certificate, may log in; answer with [`Server::authorised`].
    Authorise(BareJid),
    /// Send this challenge (decoded form; may be empty).
    Challenge(Vec<u8>),
    /// Run the check elsewhere; answer with [`Server::checked`].
    Check(PasswordCheck),
    /// Tell the client why not.
    Failure(Failure),
    /// Look the account up; answer with [`Server::credentials`] or [`Server::unavailable`].
    Lookup {
        /// The account.
        account: BareJid,
        /// The hash whose keys are wanted.
        hash: ScramHash,
    },
    /// The client has proven itself.
    Success(Success),
    /// Look up the tokens of this account's client; answer with [`Server::tokens`] or [`Server::unavailable`].
    Tokens(BareJid),
}

/// Who logged in, and what is to be known besides.
#[derive(Debug)]
pub struct Success {
    /// Who, and how that was proven.
    pub who: Authenticated,
    /// Additional data to send along (the server's signature).
    pub data: Option<Vec<u8>>,
    /// A better hash that the account has no keys for.
    pub upgrade: Option<ScramHash>,
    /// The token it was proven with.
    pub token: Option<TokenProof>,
}

/// The token behind a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenProof {
    /// Which one.
    pub id: i64,
    /// It is to be replaced by a new one.
    pub ageing: bool,
    /// Something has to be written about it: it was new until now, or there is another one.
    pub stale: bool,
}

/// The mechanisms to offer on a secured connection, best first.
///
/// `proven` is whether the client's certificate proves an address of ours.
pub fn offer(policy: &Policy, bindings: &ChannelBindings, proven: bool) -> Vec<Mechanism> {
    Mechanism::ALL
        .into_iter()
        .filter(|mechanism| match mechanism {
            Mechanism::External => policy.external && proven,
            Mechanism::ScramSha256Plus => !bindings.is_empty(),
            Mechanism::ScramSha1Plus => policy.scram_sha1 && !bindings.is_empty(),
            Mechanism::ScramSha256 => true,
            Mechanism::ScramSha1 => policy.scram_sha1,
            Mechanism::Plain => policy.plain,
            Mechanism::Token(_) => false,
        })
        .collect()
}

/// The mechanisms for tokens to offer on a secured connection, best first (XEP-0484 §3.1).
pub fn offer_tokens(policy: &Policy, bindings: &ChannelBindings) -> Vec<TokenMechanism> {
    let fits = |mechanism: &TokenMechanism| policy.tokens && mechanism.data(bindings).is_some();
    TokenMechanism::ALL.into_iter().filter(fits).collect()
}

/// One attempt. Feed it what the client says, do what it answers.
#[derive(Debug)]
pub struct Server {
    mechanism: Mechanism,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The mechanism is chosen; the client's first message is awaited.
    First,
    /// The keys are being looked up.
    ScramKeys {
        first: ClientFirst,
        account: BareJid,
        nonce: String,
    },
    ScramProof {
        proof: AwaitProof,
        /// `None`: no proof is good enough.
        found: Option<Found>,
    },
    PlainKeys {
        password: crate::secret::Secret<String>,
        account: BareJid,
    },
    PlainCheck {
        found: Option<Found>,
    },
    External {
        account: BareJid,
    },
    Token {
        message: TokenMessage,
        mechanism: TokenMechanism,
        binding: Vec<u8>,
        account: BareJid,
    },
    Ended,
}

/// What is known of the account while its proof is awaited.
#[derive(Debug)]
struct Found {
    account: BareJid,
    disabled: bool,
    class: AccountClass,
    upgrade: Option<ScramHash>,
}

impl Found {
    fn new(account: BareJid, credentials: &Credentials) -> Found {
        let Credentials { disabled, class, upgrade, .. } = *credentials;
        Found { account, disabled, class, upgrade }
    }
}

/// What an attempt needs from its connection.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The operator's policy.
    pub policy: &'a Policy,
    /// The domain this stream is for.
    pub domain: &'a DomainPart,
    /// Channel bindings of the connection.
    pub bindings: &'a ChannelBindings,
    /// Addresses the client's certificate proves.
    pub proven: &'a [BareJid],
}

impl Context<'_> {
    fn offers(&self, mechanism: Mechanism) -> bool {
        match mechanism {
            Mechanism::Token(mechanism) => offer_tokens(self.policy, self.bindings).contains(&mechanism),
            other => offer(self.policy, self.bindings, !self.proven.is_empty()).contains(&other),
        }
    }

    /// What was offered, to be signed with the challenge.
    fn offer(&self) -> Option<Offer> {
        if !self.policy.downgrade_protection {
            return None;
        }
        let mechanisms = offer(self.policy, self.bindings, !self.proven.is_empty());
        let kinds = Some(self.bindings.kinds().map(BindingKind::name)).filter(|_| !self.bindings.is_empty());
        Some(Offer::new(mechanisms.iter().map(|mechanism| mechanism.name()), kinds))
    }
}

impl Server {
    /// Starts an attempt with the mechanism the client chose, and its initial response if it sent one.
    ///
    /// `nonce` is fresh randomness in printable ASCII without comma.
    pub fn start(
        mechanism: Mechanism,
        initial: Option<&[u8]>,
        nonce: String,
        context: Context<'_>,
    ) -> (Server, ServerStep) {
        let mut server = Server { mechanism, state: State::First };
        let step = match initial {
            _ if !context.offers(mechanism) => server.fail(Failure::InvalidMechanism),
            Some(message) => server.response(message, nonce, context),
            None => ServerStep::Challenge(Vec::new()),
        };
        (server, step)
    }

    /// A response of the client. `nonce` is used for the first one only.
    pub fn response(&mut self, message: &[u8], nonce: String, context: Context<'_>) -> ServerStep {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::First => self.first(message, nonce, context).unwrap_or_else(|failure| self.fail(failure)),
            State::ScramProof { proof, found } => match proof.finish(message) {
                Ok(data) => self.proven(found, Some(data.into_bytes()), None),
                Err(failure) => self.fail(failure),
            },
            // A response while nothing was asked.
            _ => self.fail(Failure::MalformedRequest),
        }
    }

    fn first(&mut self, message: &[u8], nonce: String, context: Context<'_>) -> Result<ServerStep, Failure> {
        let domain = context.domain;
        match self.mechanism {
            Mechanism::External => {
                let account = external(message, context)?;
                self.state = State::External { account: account.clone() };
                Ok(ServerStep::Authorise(account))
            }
            Mechanism::Plain => {
                let plain = PlainMessage::parse(message)?;
                let account = account(&plain.username, domain);
                check_authzid(plain.authzid.as_deref(), account.as_ref(), domain)?;
                let Some(account) = account else {
                    return Err(Failure::NotAuthorized);
                };
                self.state = State::PlainKeys { password: plain.password, account: account.clone() };
                Ok(ServerStep::Lookup { account, hash: ScramHash::Sha256 })
            }
            Mechanism::Token(mechanism) => {
                let message = TokenMessage::parse(message)?;
                let binding = mechanism.data(context.bindings).ok_or(Failure::InvalidMechanism)?.to_vec();
                let account = account(&message.username, domain).ok_or(Failure::NotAuthorized)?;
                self.state = State::Token { message, mechanism, binding, account: account.clone() };
                Ok(ServerStep::Tokens(account))
            }
            scram => {
                let hash = scram.hash().ok_or(Failure::InvalidMechanism)?;
                let first =
                    ClientFirst::parse(message, hash, scram.is_plus(), !context.bindings.is_empty(), context.bindings)?;
                let first = first.with_offer(context.offer());
                let account = account(&first.username, domain);
                check_authzid(first.authzid.as_deref(), account.as_ref(), domain)?;
                let Some(account) = account else {
                    // No account can have such a name: a challenge like any other, and no proof will do.
                    let keys = context.policy.secret.stand_in(hash, &first.username);
                    let (proof, challenge) = first.challenge(keys, false, &nonce);
                    self.state = State::ScramProof { proof, found: None };
                    return Ok(ServerStep::Challenge(challenge.into_bytes()));
                };
                self.state = State::ScramKeys { first, account: account.clone(), nonce };
                Ok(ServerStep::Lookup { account, hash })
            }
        }
    }

    /// The answer to `Lookup`; `None` for an unknown account or one without keys for this hash.
    pub fn credentials(&mut self, found: Option<Credentials>, policy: &Policy) -> ServerStep {
        let real = found.is_some();
        let known = |account: BareJid| found.as_ref().map(|found| Found::new(account, found));
        // The stand-in is always computed: a known and an unknown account take the same time.
        let keys = |hash, account: &BareJid| {
            let stand_in = policy.secret.stand_in(hash, account.as_str());
            found.as_ref().map_or(stand_in, |found| found.keys.clone())
        };
        match std::mem::replace(&mut self.state, State::Ended) {
            State::ScramKeys { first, account, nonce } => {
                let Some(hash) = self.mechanism.hash() else { return self.fail(Failure::InvalidMechanism) };
                let (proof, challenge) = first.challenge(keys(hash, &account), real, &nonce);
                self.state = State::ScramProof { proof, found: known(account) };
                ServerStep::Challenge(challenge.into_bytes())
            }
            State::PlainKeys { password, account } => {
                let keys = keys(ScramHash::Sha256, &account);
                self.state = State::PlainCheck { found: known(account) };
                ServerStep::Check(PasswordCheck { keys, password })
            }
            _ => self.fail(Failure::MalformedRequest),
        }
    }

    /// The store did not answer `Lookup` or `Authorise`.
    pub fn unavailable(&mut self) -> ServerStep {
        self.fail(Failure::TemporaryAuthFailure)
    }

    /// The answer to `Check`.
    pub fn checked(&mut self, verdict: PasswordVerdict) -> ServerStep {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::PlainCheck { found } if verdict.0 => self.proven(found, None, None),
            _ => self.fail(Failure::NotAuthorized),
        }
    }

    /// The answer to `Authorise`: the account's class, or `None` if it may not log in.
    pub fn authorised(&mut self, class: Option<AccountClass>) -> ServerStep {
        match (std::mem::replace(&mut self.state, State::Ended), class) {
            (State::External { account }, Some(class)) => {
                self.proven(Some(Found { account, disabled: false, class, upgrade: None }), None, None)
            }
            _ => self.fail(Failure::NotAuthorized),
        }
    }

    /// The answer to `Tokens`: `None` for an unknown account. `count` is how often the client says it has used its token.
    pub fn tokens(&mut self, found: Option<Tokens>, count: Option<u32>) -> ServerStep {
        let State::Token { message, mechanism, binding, account } = std::mem::replace(&mut self.state, State::Ended)
        else {
            return self.fail(Failure::MalformedRequest);
        };
        let nobody = Tokens { tokens: Vec::new(), disabled: false, class: AccountClass::Person };
        let Tokens { tokens, disabled, class } = found.unwrap_or(nobody);
        match message.verify(&tokens, mechanism, &binding, count) {
            Verdict::Right { id, slot, ageing, answer } => {
                let found = Found { account, disabled, class, upgrade: None };
                let stale = slot == TokenSlot::New || tokens.len() > 1;
                self.proven(Some(found), Some(answer.to_vec()), Some(TokenProof { id, ageing, stale }))
            }
            Verdict::Expired => self.fail(Failure::CredentialsExpired),
            Verdict::Wrong => self.fail(Failure::NotAuthorized),
        }
    }

    /// The proof was right; whether it is good for anything depends on the account.
    fn proven(&mut self, found: Option<Found>, data: Option<Vec<u8>>, token: Option<TokenProof>) -> ServerStep {
        let Some(Found { account, disabled, class, upgrade }) = found else { return self.fail(Failure::NotAuthorized) };
        if disabled {
            return self.fail(Failure::AccountDisabled);
        }
        let who = Authenticated { account, mechanism: self.mechanism, class };
        ServerStep::Success(Success { who, data, upgrade, token })
    }

    fn fail(&mut self, failure: Failure) -> ServerStep {
        self.state = State::Ended;
        ServerStep::Failure(failure)
    }
}

/// The account a prepared user name means here; `None` if no account can be called that.
fn account(username: &str, domain: &DomainPart) -> Option<BareJid> {
    LocalPart::parse(username).ok().map(|local| BareJid::from_parts(Some(&local), domain))
}

/// The rule against taking another's identity: an authzid is the same account, as bare address or as user name.
fn check_authzid(authzid: Option<&str>, account_proven: Option<&BareJid>, domain: &DomainPart) -> Result<(), Failure> {
    let Some(authzid) = authzid else { return Ok(()) };
    let asked = if authzid.contains('@') { BareJid::parse(authzid).ok() } else { account(authzid, domain) };
    if asked.is_some() && asked.as_ref() == account_proven { Ok(()) } else { Err(Failure::InvalidAuthzid) }
}

/// EXTERNAL: the authzid, or nothing if the certificate proves exactly one address (RFC 4422 Appendix A, XEP-0178 §2).
fn external(message: &[u8], context: Context<'_>) -> Result<BareJid, Failure> {
    let text = super::message::text(message)?;
    let ours = || context.proven.iter().filter(|jid| jid.domain() == context.domain.as_str() && jid.local().is_some());
    if text.is_empty() {
        let mut proven = ours();
        return match (proven.next(), proven.next()) {
            (Some(only), None) => Ok(only.clone()),
            _ => Err(Failure::InvalidAuthzid),
        };
    }
    let asked = if text.contains('@') { BareJid::parse(text).ok() } else { account(text, context.domain) };
    ours().find(|jid| Some(*jid) == asked.as_ref()).cloned().ok_or(Failure::InvalidAuthzid)
}
