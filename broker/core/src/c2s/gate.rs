//! How many connections may be under way without having logged in, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

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
}

/// A place among those who have not logged in; given back by dropping it.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
}

impl Gate {
    pub(crate) fn new(most: usize, most_per_address: usize) -> Self {
        Gate { most, most_per_address, inside: Mutex::default() }
    }

    /// A place for one more, or `None` if it must go away.
    pub(crate) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let address = address.map(subscriber);
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.all >= self.most {
            return None;
        }
        if let Some(address) = address {
            let count = inside.by_address.entry(address).or_default();
            if *count >= self.most_per_address {
                return None;
            }
            *count += 1;
        }
        inside.all += 1;
        Some(Place { gate: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.gate.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.all = inside.all.saturating_sub(1);
        let Some(address) = self.address else { return };
        if let Some(count) = inside.by_address.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                inside.by_address.remove(&address);
            }
        }
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
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_address_gets_its_places_and_no_more() {
        let gate = Arc::new(Gate::new(100, 2));
        let first = gate.enter(ip("192.0.2.1")).unwrap();
        let _second = gate.enter(ip("192.0.2.1")).unwrap();
        assert!(gate.enter(ip("192.0.2.1")).is_none());
        assert!(gate.enter(ip("192.0.2.2")).is_some());
        drop(first);
        assert!(gate.enter(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn all_addresses_together_have_a_limit() {
        let gate = Arc::new(Gate::new(2, 2));
        let _places = [gate.enter(ip("192.0.2.1")).unwrap(), gate.enter(None).unwrap()];
        assert!(gate.enter(ip("192.0.2.3")).is_none());
    }

    #[test]
    fn a_host_of_ipv6_does_not_multiply() {
        let gate = Arc::new(Gate::new(100, 1));
        let _place = gate.enter(ip("2001:db8::1")).unwrap();
        assert!(gate.enter(ip("2001:db8::2")).is_none());
        assert!(gate.enter(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn nothing_is_remembered_of_those_who_left() {
        let gate = Arc::new(Gate::new(100, 1));
        drop(gate.enter(ip("192.0.2.1")));
        assert!(gate.inside.lock().unwrap().by_address.is_empty());
    }
}
