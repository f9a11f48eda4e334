//! What the broker asks of the accounts service: a port, so that the broker knows no account table.

use async_trait::async_trait;
use thiserror::Error;
use torg_wire::jid::BareJid;
use torg_wire::sasl::{self, AccountClass, ClientId, IssuedToken, ScramHash, StoredKeys, TokenUse, Tokens};

/// The accounts could not be asked. Logins answer `temporary-auth-failure`, stanzas `internal-server-error`.
#[derive(Clone, Debug, Error)]
#[error("the accounts cannot be read: {0}")]
pub struct CredentialsUnavailable(pub String);

/// Why a login by token fails after all.
#[derive(Clone, Debug, Error)]
pub enum TokenRefused {
    /// The token has gone, or its count has been seen before.
    #[error("the token has been used or removed in the meantime")]
    Outdated,
    /// The tokens could not be written.
    #[error(transparent)]
    Unavailable(#[from] CredentialsUnavailable),
}

/// The local accounts.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// Whether the account exists and is not switched off.
    ///
    /// # Errors
    /// If the accounts cannot be read.
    async fn exists(&self, account: &BareJid) -> Result<bool, CredentialsUnavailable>;

    /// What stands behind the account: a person or a thing; `None` if there is no such account or it is switched off. Limits hang
    /// on it.
    ///
    /// # Errors
    /// If the accounts cannot be read.
    async fn class(&self, account: &BareJid) -> Result<Option<AccountClass>, CredentialsUnavailable> {
        Ok(self.exists(account).await?.then_some(AccountClass::Person))
    }

    /// The keys of the account for this hash; `None` if there is no such account or it has no such keys.
    ///
    /// # Errors
    /// If the accounts cannot be read.
    async fn lookup(
        &self,
        account: &BareJid,
        hash: ScramHash,
    ) -> Result<Option<sasl::Credentials>, CredentialsUnavailable>;

    /// Keeps keys that a client of the account has brought, if it has none for that hash.
    ///
    /// # Errors
    /// If they cannot be written.
    async fn add_keys(&self, _account: &BareJid, _keys: StoredKeys) -> Result<(), CredentialsUnavailable> {
        Err(CredentialsUnavailable("keys cannot be added here".into()))
    }

    /// The tokens of one installation; `None` if there is no such account.
    ///
    /// # Errors
    /// If they cannot be read.
    async fn tokens(&self, _account: &BareJid, _client: &ClientId) -> Result<Option<Tokens>, CredentialsUnavailable> {
        Ok(None)
    }

    /// Notes what became of a token and makes a new one if that is wanted. `since` is the newest change to any account when the login
    /// was checked: nothing is made for an account that has changed since.
    ///
    /// # Errors
    /// If the login is a copy of an earlier one, or if nothing can be written.
    async fn use_token(&self, _token_use: &TokenUse, _since: i64) -> Result<Option<IssuedToken>, TokenRefused> {
        Ok(None)
    }
}
