//! Which roster pushes a session gets: none before it has asked for its roster, and afterwards all, each behind the roster that it
//! changes (RFC 6121 §2.1.6 and §2.6.3).
//!
//! # Why
//! A push names the version it leads to, and the client asks at its next login for what came after. So a push that is undone by an
//! older roster behind it, or finds no room, would be a change that the client never hears of. Therefore pushes wait while the roster
//! is being read, and after one was lost the others name no version: then the next login brings the whole roster.

use torg_wire::xml::Element;

use super::Session;

/// Pushes that wait while the roster is read, which takes milliseconds. One more is lost.
const HELD_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Pushes {
    wanted: bool,
    /// What has changed while the roster is being read.
    held: Option<Vec<Push>>,
    /// One was lost since the roster was read.
    gap: bool,
}

/// A change of the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Push {
    /// The version it leads to.
    pub(crate) version: i64,
    /// The item as it is now.
    pub(crate) item: Element,
}

impl Session {
    /// Whether it has asked for its roster.
    pub(crate) fn is_interested(&self) -> bool {
        self.lock().pushes.wanted
    }

    /// It had asked for its roster before this process began. Pushes are not kept on the disk, so some may be lost.
    pub(crate) fn set_interested(&self) {
        self.lock().pushes = Pushes { wanted: true, held: None, gap: true };
    }

    /// It asks for its roster: from now on pushes wait until [`Session::next_held`] has given them out.
    pub(crate) fn hold_pushes(&self) {
        self.lock().pushes = Pushes { wanted: true, held: Some(Vec::new()), gap: false };
    }

    /// The next push that has waited and leads beyond the version that was read. With the last one the waiting ends.
    pub(crate) fn next_held(&self, read: i64) -> Option<Push> {
        let pushes = &mut self.lock().pushes;
        let held = pushes.held.as_mut()?;
        held.retain(|push| push.version > read);
        if held.is_empty() {
            pushes.held = None;
            return None;
        }
        Some(held.remove(0))
    }

    /// Gives a push back if it is to be sent now.
    pub(crate) fn or_hold(&self, push: Push) -> Option<Push> {
        let pushes = &mut self.lock().pushes;
        let Some(held) = &mut pushes.held else { return pushes.wanted.then_some(push) };
        if held.len() < HELD_MAX {
            held.push(push);
        } else {
            pushes.gap = true;
        }
        None
    }

    /// A push found no room.
    pub(crate) fn miss_push(&self) {
        self.lock().pushes.gap = true;
    }

    /// Whether the client has got every push, so that it may note the version of the next one.
    pub(crate) fn has_all_pushes(&self) -> bool {
        !self.lock().pushes.gap
    }
}
