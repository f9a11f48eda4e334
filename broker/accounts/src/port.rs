//! How the broker asks: its credentials port, answered from the store.

use async_trait::async_trait;
use torg_core::{Credentials, CredentialsUnavailable, TokenRefused};
use torg_wire::jid::BareJid;
use torg_wire::sasl::{self, AccountClass, ClientId, IssuedToken, ScramHash, StoredKeys, TokenUse, Tokens};

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

    async fn add_keys(&self, account: &BareJid, keys: StoredKeys) -> Result<(), CredentialsUnavailable> {
        Accounts::add_keys(self, account, &keys).await.map_err(|error| CredentialsUnavailable(error.to_string()))
    }

    async fn tokens(&self, account: &BareJid, client: &ClientId) -> Result<Option<Tokens>, CredentialsUnavailable> {
        Accounts::tokens(self, account, client).await.map_err(|error| CredentialsUnavailable(error.to_string()))
    }

    async fn use_token(&self, token_use: &TokenUse, since: i64) -> Result<Option<IssuedToken>, TokenRefused> {
        Accounts::use_token(self, token_use, since).await
    }
}
