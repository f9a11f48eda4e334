//! What a store knows of an account and a login has to know: its keys, its state, its class.

use std::fmt;

use compact_str::CompactString;

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

/// Longest name of an installation in bytes: a UUID has 36 (XEP-0388 §2.3); some clients send other short texts.
const CLIENT_ID_BYTES_MAX: usize = 64;

/// What one installation of a client calls itself towards its own server, the `id` of `<user-agent/>` (XEP-0388 §2.3). Nobody
/// else ever sees it. Tokens belong to it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientId(CompactString);

impl ClientId {
    /// Takes a name of 1 to 64 bytes of printable ASCII; upper and lower case are one.
    pub fn parse(text: &str) -> Option<ClientId> {
        let fits =
            !text.is_empty() && text.len() <= CLIENT_ID_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| ClientId(text.to_ascii_lowercase().into()))
    }

    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientId(***)") // it tells a person's devices apart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_read_as_they_are_written() {
        for class in AccountClass::ALL {
            assert_eq!(AccountClass::parse(class.name()), Some(class));
        }
        assert_eq!(AccountClass::parse("robot"), None);
    }

    #[test]
    fn names_of_installations_are_short_and_printable() {
        let uuid = "D4565fa7-4d72-4749-b3d3-740edbf87770";
        assert_eq!(ClientId::parse(uuid).expect("a UUID").as_str(), uuid.to_lowercase());
        assert!(ClientId::parse(&"a".repeat(64)).is_some());
        for text in ["", "a b", "a\n", "\u{e9}", &"a".repeat(65)] {
            assert_eq!(ClientId::parse(text), None, "{text:?}");
        }
    }
}
