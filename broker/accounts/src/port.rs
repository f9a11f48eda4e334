//! How the broker asks: its credentials port, answered from the store.

use async_trait::async_trait;
use torg_core::{Credentials, CredentialsUnavailable};
use torg_wire::jid::BareJid;
use torg_wire::sasl::{self, AccountClass, ScramHash};

use crate::Accounts;

#[async_trait]
impl Credentials for Accounts {
    async fn exists(&self, account: &BareJid) -> Result<bool, CredentialsUnavailable> {
        Accounts::exists(self, account).await.map_err(|error| CredentialsUnavailable(error.to_string()))
    }

    async fn class(&self, account: &BareJid) -> Result<Option<AccountClass>, CredentialsUnavailable> {
        Accounts::class(self, account).await.map_err(|error| CredentialsUnavailable(error.to_string()))
    }

    async fn lookup(
        &self,
        account: &BareJid,
        hash: ScramHash,
    ) -> Result<Option<sasl::Credentials>, CredentialsUnavailable> {
        self.credentials(account, hash).await.map_err(|error| CredentialsUnavailable(error.to_string()))
    }
}
