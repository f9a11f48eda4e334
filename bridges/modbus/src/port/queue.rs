//! Requests that wait for the line: control before readouts before polls, and none for ever.
//!
//! Pure: decides which request is next; the owner of the line asks.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Who waits; the order is that of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// A value is to be set.
    Control,
    /// Somebody reads the node now.
    Readout,
    /// A standing wish is served.
    Poll,
}

/// A poll that has waited this long goes with the readouts, so that a busy reader cannot starve the others.
const AGED: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Waiting<J> {
    since: Instant,
    unit: u8,
    job: J,
}

/// The requests that wait. Their number is bounded by the permits of the line.
#[derive(Debug)]
pub(super) struct Queue<J> {
    lanes: [VecDeque<Waiting<J>>; 3],
}

impl<J> Queue<J> {
    pub(super) fn new() -> Self {
        Self { lanes: [VecDeque::new(), VecDeque::new(), VecDeque::new()] }
    }

    pub(super) fn push(&mut self, lane: Lane, since: Instant, unit: u8, job: J) {
        let [control, readout, poll] = &mut self.lanes;
        let lane = match lane {
            Lane::Control => control,
            Lane::Readout => readout,
            Lane::Poll => poll,
        };
        lane.push_back(Waiting { since, unit, job });
    }

    /// Takes the next request of a unit that may be asked now.
    pub(super) fn take(&mut self, now: Instant, may: impl Fn(u8) -> bool) -> Option<J> {
        let [control, readout, poll] = &mut self.lanes;
        let first = |lane: &VecDeque<Waiting<J>>| {
            lane.iter().enumerate().find(|(_, waiting)| may(waiting.unit)).map(|(at, waiting)| (at, waiting.since))
        };
        let remove = |lane: &mut VecDeque<Waiting<J>>, at| lane.remove(at).map(|waiting| waiting.job);
        if let Some((at, _)) = first(control) {
            return remove(control, at);
        }
        match (first(readout), first(poll)) {
            (Some((_, asked)), Some((at, polled))) if polled < asked && now.duration_since(polled) >= AGED => {
                remove(poll, at)
            }
            (Some((at, _)), _) => remove(readout, at),
            (None, Some((at, _))) => remove(poll, at),
            (None, None) => None,
        }
    }

    /// The units that somebody waits for.
    pub(super) fn units(&self) -> impl Iterator<Item = u8> {
        self.lanes.iter().flatten().map(|waiting| waiting.unit)
    }

    /// Takes everything, control first.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = J> {
        let [control, readout, poll] = &mut self.lanes;
        control.drain(..).chain(readout.drain(..)).chain(poll.drain(..)).map(|waiting| waiting.job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(jobs: &[(Lane, u64, u8, &'static str)]) -> (Queue<&'static str>, Instant) {
        let start = Instant::now();
        let mut queue = Queue::new();
        for (lane, since, unit, job) in jobs {
            queue.push(*lane, start + Duration::from_secs(*since), *unit, *job);
        }
        (queue, start)
    }

    #[test]
    fn control_goes_before_readouts_and_readouts_before_polls() {
        let (mut queue, now) =
            queue(&[(Lane::Poll, 0, 1, "poll"), (Lane::Readout, 0, 1, "readout"), (Lane::Control, 0, 1, "control")]);
        let order: Vec<_> = std::iter::from_fn(|| queue.take(now, |_| true)).collect();
        assert_eq!(order, ["control", "readout", "poll"]);
    }

    #[test]
    fn a_unit_that_may_not_be_asked_lets_others_pass() {
        let (mut queue, now) = queue(&[(Lane::Control, 0, 1, "held"), (Lane::Poll, 0, 2, "free")]);
        assert_eq!(queue.take(now, |unit| unit != 1), Some("free"));
        assert_eq!(queue.take(now, |unit| unit != 1), None);
    }

    #[test]
    fn a_poll_that_has_waited_long_is_not_starved() {
        let (mut queue, start) = queue(&[(Lane::Poll, 0, 1, "poll"), (Lane::Readout, 1, 1, "readout")]);
        assert_eq!(queue.take(start + AGED, |_| true), Some("poll"));
    }

    #[test]
    fn a_poll_that_has_waited_a_little_less_is_not_preferred() {
        let (mut queue, start) = queue(&[(Lane::Poll, 0, 1, "poll"), (Lane::Readout, 1, 1, "readout")]);
        assert_eq!(queue.take(start + AGED - Duration::from_millis(1), |_| true), Some("readout"));
    }
}
