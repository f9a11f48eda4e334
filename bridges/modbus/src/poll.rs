//! Standing wishes on one device, merged: each point at the fastest interval anybody asked, and nothing without a wish.
//!
//! Pure but for the lock around the table of wishes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use torg_profile::{Point, PollClass};
use torg_thing::{FieldName, Interest};

/// Shortest interval served: ten readings a second is what a whole fast line can do.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Points due within this part of their interval go along with those that are due now.
const SLACK: u32 = 10;
/// Points that never change are read again after this long all the same: a device may have been replaced.
const ONCE: Duration = Duration::from_secs(3600);

/// The wishes on one device and when each point was last read for them.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    next_id: u64,
    interests: BTreeMap<u64, Interest>,
    read: BTreeMap<FieldName, Instant>,
}

impl Wishes {
    /// Adds a wish; its points are due at once. Gives the name by which it ends.
    pub(crate) fn add(&mut self, interest: Interest, points: &[Point]) -> u64 {
        for point in points.iter().filter(|point| wants(&interest, point)) {
            self.read.remove(point.name());
        }
        self.next_id = self.next_id.wrapping_add(1);
        self.interests.insert(self.next_id, interest);
        self.next_id
    }

    /// Ends a wish.
    pub(crate) fn end(&mut self, id: u64) {
        self.interests.remove(&id);
        if self.interests.is_empty() {
            self.read.clear();
        }
    }

    /// Whether anybody wants this point.
    pub(crate) fn wanted(&self, point: &Point) -> bool {
        self.interests.values().any(|interest| wants(interest, point))
    }

    fn interval(&self, point: &Point) -> Option<Duration> {
        let wished = self.interests.values().filter(|interest| wants(interest, point)).map(|it| it.interval).min()?;
        Some(if point.poll() == PollClass::Once { ONCE.max(wished) } else { wished.max(INTERVAL_MIN) })
    }

    /// When the next point is due; `None` without a wish.
    pub(crate) fn next(&self, points: &[Point], now: Instant) -> Option<Instant> {
        points.iter().filter_map(|point| self.due(point, now)).min()
    }

    fn due(&self, point: &Point, now: Instant) -> Option<Instant> {
        let interval = self.interval(point)?;
        Some(self.read.get(point.name()).map_or(now, |read| *read + interval))
    }

    /// The points to read at `now`, which count as read from now on.
    pub(crate) fn take<'p>(&mut self, points: &'p [Point], now: Instant) -> Vec<&'p Point> {
        let mut due = Vec::new();
        for point in points {
            let Some((at, interval)) = self.due(point, now).zip(self.interval(point)) else { continue };
            if at <= now + interval / SLACK {
                due.push(point);
                self.read.insert(point.name().clone(), now);
            }
        }
        due
    }
}

fn wants(interest: &Interest, point: &Point) -> bool {
    interest.selection.wants(point.name(), point.categories())
}
