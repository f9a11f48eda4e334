//! Failed logins make further ones slow: those of the same address, and those for the same account from anywhere.
//!
//! Pure; time goes in as an argument. It knows names, not accounts: one that does not exist is treated like one that does, so the
//! wait tells nothing. Nobody is ever locked out: waits are bounded, and an address from which an account has logged in before does
//! not wait for what others did to that account.
//!
//! # Why
//! An attempt counts when it begins and is given back when it succeeds. So a guesser gains nothing by hanging up on a slow
//! answer, nor by trying many passwords at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use torg_wire::jid::BareJid;

use crate::limits::{
    ACCOUNT_DELAY_MAX, ADDRESS_DELAY_MAX, FAILURE_FORGOTTEN, FAILURES_PER_ACCOUNT, FAILURES_PER_ADDRESS,
};

/// Entries of each table, some 100 bytes each. When it is full the half that is forgotten soonest goes: a guesser would have to fail
/// ten thousand times to be forgotten.
const ENTRIES_MAX: usize = 10_000;

/// What is known of failed logins.
#[derive(Debug, Default)]
pub(crate) struct Backoff(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    /// When the attempts of an address will all be forgotten.
    addresses: HashMap<IpAddr, Instant>,
    /// The same for the attempts on an account.
    accounts: HashMap<BareJid, Instant>,
    /// When an account last logged in from an address.
    homes: HashMap<(BareJid, IpAddr), Instant>,
}

impl Backoff {
    /// A login begins; answers how long to wait before it is looked at.
    pub(crate) fn begin(&self, account: &BareJid, address: Option<IpAddr>, now: Instant) -> Duration {
        let Some(address) = address else { return Duration::ZERO }; // this process does not guess
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = count(&mut tables.addresses, address, FAILURES_PER_ADDRESS, ADDRESS_DELAY_MAX, now);
        let of_account = count(&mut tables.accounts, account.clone(), FAILURES_PER_ACCOUNT, ACCOUNT_DELAY_MAX, now);
        if tables.homes.contains_key(&(account.clone(), address)) {
            return of_address;
        }
        of_address.max(of_account)
    }

    /// The last of so many logins to the account that began on one connection was right: none of them counts.
    pub(crate) fn succeed(&self, account: &BareJid, address: Option<IpAddr>, attempts: u32, now: Instant) {
        let Some(address) = address else { return };
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        give_back(&mut tables.addresses, &address, attempts, now);
        give_back(&mut tables.accounts, account, attempts, now);
        make_room(&mut tables.homes);
        tables.homes.insert((account.clone(), address), now);
    }
}

/// The attempts of one connection at the account that it tried last. What it tried at others stays counted: a guesser with an account
/// of its own is a guesser.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    account: Option<BareJid>,
    count: u32,
}

impl Attempts {
    pub(super) fn begin(&mut self, account: &BareJid) {
        if self.account.as_ref() != Some(account) {
            *self = Attempts { account: Some(account.clone()), count: 0 };
        }
        self.count = self.count.saturating_add(1);
    }

    /// How many were for this account since it was tried last.
    pub(super) fn at(&self, account: &BareJid) -> u32 {
        if self.account.as_ref() == Some(account) { self.count } else { 0 }
    }
}

/// Counts one attempt; answers how long it has to wait when `free` others are not forgotten yet.
fn count<K: Eq + Hash>(table: &mut HashMap<K, Instant>, key: K, free: u32, most: Duration, now: Instant) -> Duration {
    if !table.contains_key(&key) {
        make_room(table);
    }
    let free = FAILURE_FORGOTTEN.saturating_mul(free);
    let forgotten = table.entry(key).or_insert(now);
    let until = (*forgotten).max(now) + FAILURE_FORGOTTEN;
    // More than the longest wait is not remembered: whoever stops guessing is free again after a known time.
    *forgotten = until.min(now + free + most);
    until.saturating_duration_since(now).saturating_sub(free).min(most)
}

fn give_back<K: Eq + Hash>(table: &mut HashMap<K, Instant>, key: &K, attempts: u32, now: Instant) {
    let Some(forgotten) = table.get_mut(key) else { return };
    match forgotten.checked_sub(FAILURE_FORGOTTEN.saturating_mul(attempts)).filter(|earlier| *earlier > now) {
        Some(earlier) => *forgotten = earlier,
        None => drop(table.remove(key)),
    }
}

fn make_room<K: Eq + Hash>(table: &mut HashMap<K, Instant>) {
    if table.len() < ENTRIES_MAX {
        return;
    }
    let mut times: Vec<Instant> = table.values().copied().collect();
    let (_, median, _) = times.select_nth_unstable(ENTRIES_MAX / 2);
    let median = *median;
    table.retain(|_, time| *time > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

    fn anna() -> BareJid {
        BareJid::parse("anna@site.example").unwrap()
    }

    fn other(n: u32) -> Option<IpAddr> {
        Some(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn so_many_failures_of_an_address_are_free_and_the_next_one_waits() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        let account = |n: u32| BareJid::parse(&format!("c{n}@site.example")).unwrap();
        for n in 0..FAILURES_PER_ADDRESS {
            assert_eq!(backoff.begin(&account(n), HERE, now), Duration::ZERO, "{n}");
        }
        assert_eq!(backoff.begin(&account(99), HERE, now), FAILURE_FORGOTTEN);
        assert_eq!(backoff.begin(&account(99), other(7), now), Duration::ZERO, "another address does not");
    }

    #[test]
    fn so_many_failures_of_an_account_are_free_and_the_next_one_waits_wherever_it_comes_from() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        for n in 0..FAILURES_PER_ACCOUNT {
            assert_eq!(backoff.begin(&anna(), other(n), now), Duration::ZERO, "{n}");
        }
        assert_eq!(backoff.begin(&anna(), other(99), now), ACCOUNT_DELAY_MAX);
        let bob = BareJid::parse("bob@site.example").unwrap();
        assert_eq!(backoff.begin(&bob, other(98), now), Duration::ZERO);
    }

    #[test]
    fn a_right_login_gives_back_what_was_tried_at_its_own_account_alone() {
        let (mut attempts, bob) = (Attempts::default(), BareJid::parse("bob@site.example").unwrap());
        attempts.begin(&anna());
        attempts.begin(&bob);
        attempts.begin(&bob);
        assert_eq!((attempts.at(&bob), attempts.at(&anna())), (2, 0));
    }

    #[test]
    fn waits_are_bounded_and_forgotten_after_a_known_time() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..10_000 {
            assert!(backoff.begin(&anna(), HERE, now) <= ADDRESS_DELAY_MAX);
        }
        let later = now + FAILURE_FORGOTTEN * FAILURES_PER_ADDRESS + ADDRESS_DELAY_MAX;
        assert_eq!(backoff.begin(&anna(), HERE, later), Duration::ZERO);
    }

    #[test]
    fn logins_that_succeed_count_for_nothing() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..1_000 {
            assert_eq!(backoff.begin(&anna(), HERE, now), Duration::ZERO);
            backoff.succeed(&anna(), HERE, 1, now);
        }
        let tables = backoff.0.lock().unwrap();
        assert!(tables.addresses.is_empty() && tables.accounts.is_empty());
    }

    #[test]
    fn the_owner_at_a_known_address_does_not_wait_for_what_others_do_to_the_account() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        backoff.begin(&anna(), HERE, now);
        backoff.succeed(&anna(), HERE, 1, now);
        for n in 0..1_000 {
            backoff.begin(&anna(), other(n), now);
        }
        assert_eq!(backoff.begin(&anna(), other(1_001), now), ACCOUNT_DELAY_MAX);
        assert_eq!(backoff.begin(&anna(), HERE, now), Duration::ZERO);
    }

    #[test]
    fn the_tables_are_bounded_and_who_failed_last_is_remembered() {
        let (backoff, mut now) = (Backoff::default(), Instant::now());
        let count = u32::try_from(ENTRIES_MAX).unwrap() + 100;
        for n in 0..count {
            now += Duration::from_millis(1);
            backoff.begin(&anna(), other(n), now);
            backoff.succeed(&BareJid::parse(&format!("c{n}@x")).unwrap(), other(n), 1, now);
            backoff.begin(&anna(), other(n), now);
        }
        let tables = backoff.0.lock().unwrap();
        assert!(tables.addresses.len() <= ENTRIES_MAX && tables.homes.len() <= ENTRIES_MAX);
        assert!(tables.addresses.contains_key(&other(count - 1).unwrap()));
    }
}
