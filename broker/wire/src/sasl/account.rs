//! What a store knows of an account and a login has to know: its keys, its state, its class.

use super::{Mechanism, ScramHash, StoredKeys};
use crate::jid::BareJid;

/// What stands behind an account. Limits and addresses depend on it, permissions never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum AccountClass {
    /// A person, with clients of their choice.
    #[default]
    Person,
    /// A device. Its full address is what consent protects, so its resource always has a part that cannot be guessed.
    Thing,
}

impl AccountClass {
    /// All classes.
    pub const ALL: [AccountClass; 2] = [AccountClass::Person, AccountClass::Thing];

    /// Name as stored and as typed: `person`, `thing`.
    pub fn name(self) -> &'static str {
        match self {
            AccountClass::Person => "person",
            AccountClass::Thing => "thing",
        }
    }

    /// Reads [`AccountClass::name`] back; `None` for anything else.
    pub fn parse(name: &str) -> Option<AccountClass> {
        AccountClass::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// What a store knows of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The keys for the hash that was asked for.
    pub keys: StoredKeys,
    /// The account exists but is switched off; the client learns it only after a right proof.
    pub disabled: bool,
    /// What stands behind it.
    pub class: AccountClass,
    /// A better hash that the account has no keys for, so that its client may bring them (XEP-0480).
    pub upgrade: Option<ScramHash>,
}

impl Credentials {
    /// An ordinary person's account with these keys.
    pub fn new(keys: StoredKeys) -> Credentials {
        Credentials { keys, disabled: false, class: AccountClass::Person, upgrade: None }
    }
}

/// Who logged in, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// The account.
    pub account: BareJid,
    /// How it proved that.
    pub mechanism: Mechanism,
    /// What stands behind it.
    pub class: AccountClass,
}
