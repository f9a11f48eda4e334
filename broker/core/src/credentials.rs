//! What the broker asks of the accounts service: a port, so that the broker knows no account table.

use async_trait::async_trait;
use thiserror::Error;
use torg_wire::jid::BareJid;
use torg_wire::sasl::{self, AccountClass, ScramHash};

/// The accounts could not be asked. Logins answer `temporary-auth-failure`, stanzas `internal-server-error`.
#[derive(Clone, Debug, Error)]
#[error("the accounts cannot be read: {0}")]
pub struct CredentialsUnavailable(pub String);

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
}
