//! What goes wrong, request by request.
//!
//! A [`Script`] is asked once for each request a device would answer. The same script gives the same faults on every run.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Seed;

/// One thing that goes wrong with one reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Only one bit of the reply frame is turned over; the number picks the bit (modulo the frame's length).
    BitFlip(usize),
    /// The reply ends after this many bytes (at least the last one is missing).
    Cut(usize),
    /// The reply comes twice, back to back.
    Duplicate,
    /// The request comes back before the reply, as from a two-wire adapter that hears itself.
    Echo,
    /// The device answers with this exception code instead.
    Exception(u8),
    /// The reply starts this much later; the line goes on meanwhile and may answer others.
    Late(Duration),
    /// The reply is held back and sent in one piece with the next one on this line.
    Merged,
    /// These bytes come immediately before the reply.
    Noise(Vec<u8>),
    /// No reply.
    Silence,
    /// The whole line stands still this long before the reply; later requests wait behind it.
    Stall(Duration),
    /// The reply carries this unit id.
    WrongUnit(u8),
}

type Rule = Box<dyn FnMut(&mut Seed, u8) -> Option<Fault> + Send>;

/// Which fault comes when; clones go on together.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<Faults>>);

#[derive(Default)]
struct Faults {
    listed: VecDeque<Option<Fault>>,
    rule: Option<(Seed, Rule)>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

impl Script {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// The faults of the first requests in order; after them nothing goes wrong.
    pub fn list(faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        Self::from(Faults { listed: faults.into_iter().collect(), rule: None })
    }

    /// Asks `rule` with a repeatable generator and the unit id, for each request.
    pub fn seeded(seed: u64, rule: impl FnMut(&mut Seed, u8) -> Option<Fault> + Send + 'static) -> Self {
        Self::from(Faults { listed: VecDeque::new(), rule: Some((Seed::new(seed), Box::new(rule))) })
    }

    pub(crate) fn next(&self, unit: u8) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listed) = faults.listed.pop_front() {
            return listed;
        }
        faults.rule.as_mut().and_then(|(seed, rule)| rule(seed, unit))
    }
}

impl From<Faults> for Script {
    fn from(faults: Faults) -> Self {
        Self(Arc::new(Mutex::new(faults)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_in_health() {
        let script = Script::list([None, Some(Fault::Silence)]);
        assert_eq!((script.next(1), script.next(1), script.next(1)), (None, Some(Fault::Silence), None));
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let script = || Script::seeded(3, |seed, _| seed.chance(50).then_some(Fault::Silence));
        let (a, b) = (script(), script());
        assert!((0..64).all(|_| a.next(1) == b.next(1)));
    }
}
