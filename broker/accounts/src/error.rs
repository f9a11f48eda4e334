//! What can go wrong with an account, and who is to blame.

use torg_store::{RowError, StoreError};
use torg_wire::jid::{BareJid, JidError};
use torg_wire::sasl::PrepError;

/// Why an account was not created, changed or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The name cannot be that of an account.
    #[error("'{name}' cannot be the name of an account: {source}")]
    UserName {
        /// As given.
        name: String,
        /// Why not.
        source: JidError,
    },
    /// The address belongs to another server.
    #[error("'{account}' is not an account of {domain}")]
    UserDomain {
        /// As given.
        account: BareJid,
        /// What we serve.
        domain: String,
    },
    /// The password cannot be used.
    #[error("this password cannot be used: {0}")]
    UserPassword(#[from] PrepError),
    /// There is such an account already.
    #[error("the account '{0}' exists already")]
    UserExists(BareJid),
    /// There is no such account.
    #[error("there is no account '{0}'")]
    UserUnknown(BareJid),
    /// The store failed.
    #[error("the accounts cannot be reached: {0}")]
    Store(#[from] StoreError),
    /// The store holds something that we did not write.
    #[error("the stored account '{account}' is damaged: {text}")]
    StoreDamaged {
        /// Whose.
        account: String,
        /// What is wrong.
        text: String,
    },
    /// The operating system gives no randomness, or the work was cut off by the end of the program.
    #[error("internal failure: {0}")]
    Internal(String),
}

impl From<RowError> for AccountError {
    fn from(error: RowError) -> AccountError {
        AccountError::Store(error.into())
    }
}
