//! Decisions: who may read or control what.
//!
//! [`decide`] is a pure function from a question and the facts known about it to a decision. It asks nobody, keeps
//! nothing and knows no clock; whoever calls it gathers the facts. Rules, grants and the services around them are not
//! here yet.
//!
//! # Precedence
//! The first line that applies decides:
//! 1. The caller is a presence friend of the concentrator: everything asked is allowed.
//! 2. Otherwise: forbidden.
//!
//! There is no line that allows by default. A fact that is not known counts as one that does not hold, so that a
//! forgotten fact denies and never permits.
//!
//! # Why
//! A stranger is told `forbidden` before anything else is looked at, so the answer is the same for nodes that exist and
//! for nodes that do not: only a friend learns which is which.

use std::collections::BTreeSet;

use torg_thing::{Categories, FieldName, NodeRef};
use torg_wire::iot::Tokens;
use torg_wire::jid::BareJid;

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Question<'a> {
    /// Account of the sender, as proven by the broker.
    pub caller: &'a BareJid,
    /// Who stands behind the sender, as far as it says.
    pub tokens: &'a Tokens,
    /// What is to be done.
    pub operation: Operation,
    /// With which nodes; empty if it is about the concentrator itself.
    pub nodes: &'a [NodeRef],
    /// With which fields or parameters; empty means all there are.
    pub names: &'a [FieldName],
    /// With fields of which categories.
    pub categories: Categories,
}

/// Kinds of access, each decided on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Seeing that sources and nodes exist.
    Browse,
    /// Setting control parameters, or seeing the form for it.
    Control,
    /// Reading fields, once or as events.
    Read,
}

/// What is known about the caller. The default is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Facts {
    /// The concentrator's presence subscription with the caller lets the caller see its presence.
    pub friend: bool,
}

/// The outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed, as far as the scope goes.
    Allow(Scope),
    /// Not allowed at all; the caller is told `forbidden`.
    Forbid,
}

/// How far an allowed access goes. It replaces what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Nodes.
    pub nodes: Extent<NodeRef>,
    /// Fields or parameters.
    pub names: Extent<FieldName>,
    /// Categories of fields.
    pub categories: Categories,
}

/// All of what was asked, or only some of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent<T: Ord> {
    /// As asked.
    All,
    /// Only these.
    Only(BTreeSet<T>),
}

/// Decides, by the precedence in the crate's documentation.
#[must_use]
pub fn decide(question: &Question<'_>, facts: &Facts) -> Decision {
    if facts.friend {
        return Decision::allow(Scope::as_asked(question));
    }
    Decision::Forbid
}

impl Decision {
    /// Allows a scope; one that leaves nothing over is a refusal.
    #[must_use]
    pub fn allow(scope: Scope) -> Self {
        if scope.is_nothing() { Self::Forbid } else { Self::Allow(scope) }
    }
}

impl Scope {
    /// All that was asked for.
    #[must_use]
    pub fn as_asked(question: &Question<'_>) -> Self {
        Self { nodes: Extent::All, names: Extent::All, categories: question.categories }
    }

    /// Whether nothing may be done.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.nodes.is_nothing() || self.names.is_nothing() || self.categories.is_empty()
    }
}

impl<T: Ord> Extent<T> {
    /// Whether `one` is within.
    #[must_use]
    pub fn contains(&self, one: &T) -> bool {
        match self {
            Self::All => true,
            Self::Only(some) => some.contains(one),
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::Only(some) if some.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(facts: Facts, operation: Operation) -> Decision {
        let caller = BareJid::parse("anna@site.example").unwrap();
        let question = Question {
            caller: &caller,
            tokens: &Tokens::default(),
            operation,
            nodes: &[],
            names: &[],
            categories: Categories::MOMENTARY,
        };
        decide(&question, &facts)
    }

    const OPERATIONS: [Operation; 3] = [Operation::Browse, Operation::Control, Operation::Read];

    #[test]
    fn a_friend_may_do_all_that_was_asked() {
        for operation in OPERATIONS {
            let Decision::Allow(scope) = ask(Facts { friend: true }, operation) else { panic!("{operation:?}") };
            assert_eq!(scope.categories, Categories::MOMENTARY);
            assert_eq!((scope.nodes, scope.names), (Extent::All, Extent::All));
        }
    }

    #[test]
    fn a_stranger_is_forbidden() {
        for operation in OPERATIONS {
            assert_eq!(ask(Facts::default(), operation), Decision::Forbid);
        }
    }

    #[test]
    fn a_scope_that_leaves_nothing_is_a_refusal() {
        let all = Scope { nodes: Extent::All, names: Extent::All, categories: Categories::ALL };
        let nothing = [
            Scope { nodes: Extent::Only(BTreeSet::new()), ..all.clone() },
            Scope { names: Extent::Only(BTreeSet::new()), ..all.clone() },
            Scope { categories: Categories::NONE, ..all.clone() },
        ];
        assert!(nothing.into_iter().all(|scope| Decision::allow(scope) == Decision::Forbid));
        assert_eq!(Decision::allow(all.clone()), Decision::Allow(all));
    }

    #[test]
    fn only_what_is_listed_is_within_an_extent() {
        let name = |text| FieldName::parse(text).unwrap();
        let some = Extent::Only(BTreeSet::from([name("Energy")]));
        assert!(some.contains(&name("Energy")));
        assert!(!some.contains(&name("Relay")));
    }
}
