//! What the broker asks of the accounts service when somebody makes, changes or removes accounts through it: a port, so that the broker
//! knows no account table.

use async_trait::async_trait;
use torg_wire::jid::BareJid;
use torg_wire::secret::Secret;

/// Why an account was not made, changed or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdministrationError {
    /// There is such an account already.
    #[error("the account exists already")]
    Exists,
    /// No account can have this name.
    #[error("no account can have this name: {0}")]
    Name(String),
    /// The password cannot be used.
    #[error("this password cannot be used: {0}")]
    Password(String),
    /// The store fails.
    #[error("the accounts cannot be changed: {0}")]
    Unavailable(String),
    /// There is no such account.
    #[error("there is no such account")]
    Unknown,
}

/// One account of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedAccount {
    /// Its address.
    pub jid: BareJid,
    /// Switched off.
    pub disabled: bool,
}

/// Makes, changes and removes accounts. Addresses are of the served domain; passwords are checked here.
#[async_trait]
pub trait Administration: Send + Sync {
    /// Makes an account.
    ///
    /// # Errors
    /// See [`AdministrationError`].
    async fn create(&self, account: &BareJid, password: Secret<String>) -> Result<(), AdministrationError>;

    /// Removes an account with everything that is kept for it.
    ///
    /// # Errors
    /// See [`AdministrationError`].
    async fn remove(&self, account: &BareJid) -> Result<(), AdministrationError>;

    /// Sets a new password.
    ///
    /// # Errors
    /// See [`AdministrationError`].
    async fn set_password(&self, account: &BareJid, password: Secret<String>) -> Result<(), AdministrationError>;

    /// Switches an account off or on again.
    ///
    /// # Errors
    /// See [`AdministrationError`].
    async fn set_disabled(&self, account: &BareJid, disabled: bool) -> Result<(), AdministrationError>;

    /// All accounts, by name.
    ///
    /// # Errors
    /// See [`AdministrationError`].
    async fn list(&self) -> Result<Vec<ListedAccount>, AdministrationError>;
}
