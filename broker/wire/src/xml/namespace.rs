//! Namespace names: the first half of an expanded name (Namespaces in XML 1.0 §2.1).
//! Known names are shared statics, others one counted string per declaration; comparison is by text.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::chars;
use crate::ns;

/// A namespace name. Empty means "no namespace". Cloning never allocates.
#[derive(Clone)]
pub struct Namespace(Repr);

#[derive(Clone)]
enum Repr {
    Shared(Arc<str>),
    Static(&'static str),
}

impl Namespace {
    /// No namespace: unprefixed attributes, and elements under `xmlns=''`.
    pub const NONE: Namespace = Namespace(Repr::Static(""));

    /// A namespace known when the program was written.
    pub const fn from_static(name: &'static str) -> Self {
        Namespace(Repr::Static(name))
    }

    /// A namespace named by someone else. Known names share one copy; characters XML cannot carry become U+FFFD.
    pub fn intern(name: &str) -> Self {
        match ns::well_known(name) {
            Some(known) => Self::from_static(known),
            None if name.is_empty() => Self::NONE,
            None => Namespace(Repr::Shared(Arc::from(chars::sanitised(name).as_ref()))),
        }
    }

    /// The name as written in a declaration.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Shared(name) => name,
            Repr::Static(name) => name,
        }
    }

    /// True for [`Namespace::NONE`].
    pub fn is_none(&self) -> bool {
        self.as_str().is_empty()
    }
}

impl From<&'static str> for Namespace {
    fn from(name: &'static str) -> Self {
        Self::from_static(name)
    }
}

impl From<&Namespace> for Namespace {
    fn from(name: &Namespace) -> Self {
        name.clone()
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Namespace {}

impl PartialEq<str> for Namespace {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Namespace {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl Hash for Namespace {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
