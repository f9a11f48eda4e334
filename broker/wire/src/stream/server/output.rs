//! What a listener settles for its streams, and what a stream wants from its shell.

use crate::jid::{BareJid, DomainPart, ResourcePart};
use crate::sasl::{self, AccountClass, ClientId, PasswordCheck, ScramHash, StoredKeys, TokenUse};
use crate::stanza::Stanza;
use crate::stream::Why;
use crate::xep::csi::ClientState;
use crate::xep::sm;
use crate::xml::{Element, Limits};

/// What all streams of a listener share.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The domain we serve.
    pub domain: DomainPart,
    /// Which logins are allowed.
    pub policy: sasl::Policy,
    /// Features to advertise before login besides the mechanisms: registration (XEP-0077 §8).
    pub before_login: Vec<Element>,
    /// Features to advertise after login besides bind and session: roster versioning, pre-approval, stream limits...
    pub features: Vec<Element>,
    /// What a session may begin with when it is bound together with the login (XEP-0386 §3.1): names of features.
    pub bind_inline: Vec<&'static str>,
    /// Limits after login; before it [`Limits::BEFORE_LOGIN`] holds.
    pub limits: Limits,
}

/// What the machine wants from its shell.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// The client has handled so many stanzas of ours (XEP-0198 §4).
    Acked(u32),
    /// The client asks how many of its stanzas have been handled; say so with [`super::ServerStream::acknowledge`], soon.
    AckRequest,
    /// May this account, proven by certificate, log in? Answer with [`super::ServerStream::authorised`].
    Authorise(BareJid),
    /// Bind this resource; answer with [`super::ServerStream::bound`]. Another resource may be given instead.
    Bind {
        /// The account that logged in.
        account: BareJid,
        /// How it logged in.
        mechanism: sasl::Mechanism,
        /// What stands behind it.
        class: AccountClass,
        /// The resource it asked for, or a random one, or both for a thing.
        resource: ResourcePart,
        /// Which installation of its client it is, if it said so. Its earlier sessions have come to their end.
        client: Option<ClientId>,
        /// What the session shall begin with (XEP-0386 §3.2); the results go with [`super::ServerStream::bound_with`].
        inline: Vec<Element>,
    },
    /// Run the check where CPU time does no harm; answer with [`super::ServerStream::password_checked`].
    CheckPassword(PasswordCheck),
    /// The client says whether somebody looks at it (XEP-0352).
    ClientState(ClientState),
    /// Write what is left, close the connection, forget the machine. Nothing follows.
    Close(Why),
    /// Manage the stream of the bound resource (XEP-0198 §3); answer with [`super::ServerStream::enabled`]. Both counts begin
    /// with it.
    Enable(sm::Enable),
    /// Look up the keys of this account; answer with [`super::ServerStream::credentials`] or
    /// [`super::ServerStream::store_failed`].
    Lookup {
        /// The account.
        account: BareJid,
        /// The hash whose keys are wanted.
        hash: ScramHash,
    },
    /// A stanza of the client that goes no further, and the answer to it, if it gets one.
    Refused(Option<Stanza>),
    /// Go on with a former session of this account (XEP-0198 §5); answer with [`super::ServerStream::resumed`].
    Resume {
        /// The account that logged in.
        account: BareJid,
        /// How it logged in.
        mechanism: sasl::Mechanism,
        /// What the account is.
        class: sasl::AccountClass,
        /// Which session, and what the client has of it.
        request: sm::Resume,
    },
    /// A registration request of a client that has not logged in (XEP-0077), on an encrypted stream; answer with
    /// [`super::ServerStream::registered`].
    Register(Stanza),
    /// Keep these keys of an account that has none for their hash; answer with [`super::ServerStream::keys_stored`] or
    /// [`super::ServerStream::store_failed`].
    StoreKeys {
        /// The account.
        account: BareJid,
        /// The keys.
        keys: StoredKeys,
    },
    /// A stanza of the client, its `from` either absent or proven to be its own.
    Stanza(Stanza),
    /// Look up the tokens of one installation; answer with [`super::ServerStream::tokens`] or
    /// [`super::ServerStream::store_failed`].
    Tokens {
        /// The account.
        account: BareJid,
        /// Which installation of its client.
        client: ClientId,
    },
    /// Note what became of a token, make a new one; answer with [`super::ServerStream::token_used`] or
    /// [`super::ServerStream::store_failed`].
    UseToken(TokenUse),
    /// Begin the TLS handshake as server once everything is written; answer with [`super::ServerStream::secured`].
    StartTls,
    /// Write these bytes.
    Write(Vec<u8>),
}
