//! How the broker makes, changes and removes accounts for those who may: its administration port, carried out on the store.

use async_trait::async_trait;
use torg_core::{Administration, AdministrationError, ListedAccount};
use torg_wire::jid::BareJid;
use torg_wire::secret::Secret;

use crate::{AccountError, Accounts};

impl From<AccountError> for AdministrationError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::UserExists(_) => AdministrationError::Exists,
            AccountError::UserUnknown(_) => AdministrationError::Unknown,
            AccountError::UserName { .. } | AccountError::UserDomain { .. } => {
                AdministrationError::Name(error.to_string())
            }
            AccountError::UserPassword(error) => AdministrationError::Password(error.to_string()),
            other => AdministrationError::Unavailable(other.to_string()),
        }
    }
}

#[async_trait]
impl Administration for Accounts {
    async fn create(&self, account: &BareJid, password: Secret<String>) -> Result<(), AdministrationError> {
        // What clients of different standards would read as different accounts is refused here as on the command line.
        let account = self.parse_new(account.as_str())?;
        Ok(Accounts::create(self, &account, password).await?)
    }

    async fn remove(&self, account: &BareJid) -> Result<(), AdministrationError> {
        Ok(Accounts::remove(self, account).await?)
    }

    async fn set_password(&self, account: &BareJid, password: Secret<String>) -> Result<(), AdministrationError> {
        Ok(Accounts::set_password(self, account, password).await?)
    }

    async fn set_disabled(&self, account: &BareJid, disabled: bool) -> Result<(), AdministrationError> {
        Ok(Accounts::set_disabled(self, account, disabled).await?)
    }

    async fn list(&self) -> Result<Vec<ListedAccount>, AdministrationError> {
        let listed = Accounts::list(self).await?;
        Ok(listed.into_iter().map(|account| ListedAccount { jid: account.jid, disabled: account.disabled }).collect())
    }
}
