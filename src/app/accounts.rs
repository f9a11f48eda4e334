//! The broker's question for accounts, answered by the accounts service.

use async_trait::async_trait;
use torg_accounts::{AccountError, Accounts};
use torg_core::{Credentials, CredentialsUnavailable};
use torg_wire::jid::BareJid;
use torg_wire::sasl::{self, ScramHash};

/// The accounts as the broker sees them.
pub(super) struct StoredAccounts(pub(super) Accounts);

fn unavailable(error: AccountError) -> CredentialsUnavailable {
    CredentialsUnavailable(error.to_string())
}

#[async_trait]
impl Credentials for StoredAccounts {
    async fn exists(&self, account: &BareJid) -> Result<bool, CredentialsUnavailable> {
        self.0.exists(account).await.map_err(unavailable)
    }

    async fn lookup(
        &self,
        account: &BareJid,
        hash: ScramHash,
    ) -> Result<Option<sasl::Credentials>, CredentialsUnavailable> {
        self.0.credentials(account, hash).await.map_err(unavailable)
    }
}
