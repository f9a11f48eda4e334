//! How many connections may be under way without having logged in, in all and from one address, and where the next ones wait.
//!
//! # Why
//! A connection beyond the limit is not closed at once: a flood would only come back faster, and a site whose devices all return
//! after an outage would be told to go away. It waits unread, with nothing but its socket, until a place is free or
//! [`WAITING_TIME`] is over. The waiting room has limits of its own; only beyond those a connection is closed.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::limits::{WAITING_MAX, WAITING_PER_ADDRESS, WAITING_TIME};

#[derive(Debug)]
pub(crate) struct Gate {
    most: usize,
    most_per_address: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    /// In the order they came.
    waiting: VecDeque<Waiter>,
    waiting_by_address: HashMap<IpAddr, usize>,
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    address: Option<IpAddr>,
    place: oneshot::Sender<Place>,
}

/// What a new connection finds.
#[derive(Debug)]
pub(crate) enum Door {
    /// It may begin.
    Open(Place),
    /// It may wait.
    Wait(Waiting),
    /// It must go away.
    Shut,
}

/// A place among those who have not logged in; given to the next one who waits by dropping it.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
}

/// A place in the waiting room; given back by dropping it.
#[derive(Debug)]
pub(crate) struct Waiting {
    gate: Arc<Gate>,
    number: u64,
    address: Option<IpAddr>,
    place: oneshot::Receiver<Place>,
}

impl Gate {
    pub(crate) fn new(most: usize, most_per_address: usize) -> Self {
        Gate { most, most_per_address, inside: Mutex::default() }
    }

    /// How many are inside now.
    pub(crate) fn inside(&self) -> usize {
        self.lock().all
    }

    /// One more comes from this address (`None`: from this process).
    pub(crate) fn knock(self: &Arc<Self>, address: Option<IpAddr>) -> Door {
        let address = address.map(subscriber);
        let mut inside = self.lock();
        if self.admits(&inside, address) {
            return Door::Open(self.take(&mut inside, address));
        }
        let of_address = address.map_or(0, |address| count(&inside.waiting_by_address, address));
        if inside.waiting.len() >= WAITING_MAX || of_address >= WAITING_PER_ADDRESS {
            return Door::Shut;
        }
        let (sender, place) = oneshot::channel();
        let number = inside.next;
        inside.next = inside.next.wrapping_add(1);
        inside.waiting.push_back(Waiter { number, address, place: sender });
        add(&mut inside.waiting_by_address, address);
        drop(inside);
        Door::Wait(Waiting { gate: Arc::clone(self), number, address, place })
    }

    /// A place, or `None`: for connections of which nobody waits for a turn.
    pub(crate) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        match self.knock(address) {
            Door::Open(place) => Some(place),
            Door::Wait(_) | Door::Shut => None,
        }
    }

    fn admits(&self, inside: &Inside, address: Option<IpAddr>) -> bool {
        inside.all < self.most
            && address.is_none_or(|address| count(&inside.by_address, address) < self.most_per_address)
    }

    fn take(self: &Arc<Self>, inside: &mut Inside, address: Option<IpAddr>) -> Place {
        inside.all += 1;
        add(&mut inside.by_address, address);
        Place { gate: Arc::clone(self), address }
    }

    /// The first one who waits and may have a place, with the place for it.
    fn next(self: &Arc<Self>, inside: &mut Inside) -> Option<(Waiter, Place)> {
        let position = inside.waiting.iter().position(|waiter| self.admits(inside, waiter.address))?;
        let waiter = inside.waiting.remove(position)?;
        remove(&mut inside.waiting_by_address, waiter.address);
        let place = self.take(inside, waiter.address);
        Some((waiter, place))
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Where its connection comes from, as far as limits care: the network, for IPv6. `None`: from this process.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

impl Waiting {
    /// Waits for a place; `None` if the time for it is over.
    pub(crate) async fn place(mut self) -> Option<Place> {
        timeout(WAITING_TIME, &mut self.place).await.ok()?.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut inside = self.gate.lock();
        // Not found: it has its place, or the place is in the channel, which gives it back when it is dropped.
        if let Ok(position) = inside.waiting.binary_search_by_key(&self.number, |waiter| waiter.number) {
            inside.waiting.remove(position);
            remove(&mut inside.waiting_by_address, self.address);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.gate.lock();
        inside.all = inside.all.saturating_sub(1);
        remove(&mut inside.by_address, self.address);
        let next = self.gate.next(&mut inside);
        drop(inside); // a place nobody takes any more comes back here
        if let Some((waiter, place)) = next {
            drop(waiter.place.send(place));
        }
    }
}

fn count(table: &HashMap<IpAddr, usize>, address: IpAddr) -> usize {
    table.get(&address).copied().unwrap_or_default()
}

fn add(table: &mut HashMap<IpAddr, usize>, address: Option<IpAddr>) {
    if let Some(address) = address {
        *table.entry(address).or_default() += 1;
    }
}

fn remove(table: &mut HashMap<IpAddr, usize>, address: Option<IpAddr>) {
    let Some(address) = address else { return };
    let Some(count) = table.get_mut(&address) else { return };
    *count = count.saturating_sub(1);
    if *count == 0 {
        table.remove(&address);
    }
}

/// One host of IPv6 has a whole /64 of addresses to choose from.
fn subscriber(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = !0 << 64;
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6((u128::from(v6) & NETWORK).into()),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn open(gate: &Arc<Gate>, address: &str) -> Place {
        match gate.knock(ip(address)) {
            Door::Open(place) => place,
            other => panic!("{other:?}"),
        }
    }

    fn wait(gate: &Arc<Gate>, address: &str) -> Waiting {
        match gate.knock(ip(address)) {
            Door::Wait(waiting) => waiting,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_address_gets_its_places_and_no_more() {
        let gate = Arc::new(Gate::new(100, 2));
        let first = open(&gate, "192.0.2.1");
        let _second = open(&gate, "192.0.2.1");
        drop(wait(&gate, "192.0.2.1"));
        drop(open(&gate, "192.0.2.2"));
        drop(first);
        drop(open(&gate, "192.0.2.1"));
    }

    #[test]
    fn all_addresses_together_have_a_limit() {
        let gate = Arc::new(Gate::new(2, 2));
        let _one = open(&gate, "192.0.2.1");
        let Door::Open(_inner) = gate.knock(None) else { panic!("no place for a connection of this process") };
        drop(wait(&gate, "192.0.2.3"));
    }

    #[test]
    fn a_host_of_ipv6_does_not_multiply() {
        let gate = Arc::new(Gate::new(100, 1));
        let _place = open(&gate, "2001:db8::1");
        drop(wait(&gate, "2001:db8::2"));
        drop(open(&gate, "2001:db8:0:1::1"));
    }

    #[test]
    fn nothing_is_remembered_of_those_who_left() {
        let gate = Arc::new(Gate::new(100, 1));
        let place = open(&gate, "192.0.2.1");
        let waiting = wait(&gate, "192.0.2.1");
        drop(place);
        drop(waiting);
        let inside = gate.lock();
        assert!(inside.by_address.is_empty() && inside.waiting_by_address.is_empty() && inside.waiting.is_empty());
        assert_eq!(inside.all, 0);
    }

    #[tokio::test]
    async fn a_place_goes_to_the_first_who_waits_and_may_have_it() {
        let gate = Arc::new(Gate::new(3, 2));
        let [first, second] = [(); 2].map(|()| open(&gate, "192.0.2.1"));
        let _other = open(&gate, "192.0.2.2");
        let same = wait(&gate, "192.0.2.1");
        let later = wait(&gate, "192.0.2.3");
        drop(first);
        let place = same.place().await.unwrap();
        assert_eq!(place.address(), ip("192.0.2.1"));
        drop(second);
        assert_eq!(later.place().await.unwrap().address(), ip("192.0.2.3"));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_after_its_time() {
        let gate = Arc::new(Gate::new(1, 1));
        let _place = open(&gate, "192.0.2.1");
        let begun = tokio::time::Instant::now();
        assert!(wait(&gate, "192.0.2.2").place().await.is_none());
        assert!(begun.elapsed() >= WAITING_TIME && begun.elapsed() < WAITING_TIME + Duration::from_secs(1));
        assert!(gate.lock().waiting.is_empty());
    }

    #[test]
    fn the_waiting_room_takes_so_many_of_an_address_and_no_more() {
        let gate = Arc::new(Gate::new(1, 1));
        let _place = open(&gate, "192.0.2.1");
        let _waiting: Vec<_> = (0..WAITING_PER_ADDRESS).map(|_| wait(&gate, "192.0.2.1")).collect();
        assert!(matches!(gate.knock(ip("192.0.2.1")), Door::Shut));
        drop(wait(&gate, "192.0.2.2"));
    }

    #[test]
    fn the_waiting_room_takes_so_many_of_all_and_no_more() {
        let gate = Arc::new(Gate::new(1, 1));
        let _place = open(&gate, "192.0.2.1");
        let mut waiting: Vec<_> =
            (0..WAITING_MAX).map(|n| wait(&gate, &format!("198.51.{}.{}", n / 200, n % 200))).collect();
        assert!(matches!(gate.knock(ip("203.0.113.1")), Door::Shut));
        waiting.pop();
        drop(wait(&gate, "203.0.113.1"));
    }
}
