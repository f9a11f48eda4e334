//! What is common to all who have the same key: made for the first of them, kept while anybody holds it and a while longer, so that
//! going away and coming back renews nothing.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A table of common values by key.
#[derive(Debug)]
pub(crate) struct Commons<K, V> {
    kept_max: usize,
    table: Mutex<Table<K, V>>,
}

#[derive(Debug)]
struct Table<K, V> {
    kept: HashMap<K, Kept<V>>,
    /// With so many keys the next new one is worth a look through all for those that nobody holds.
    look_at: usize,
}

#[derive(Debug)]
struct Kept<V> {
    value: Arc<V>,
    /// Found without a holder by the last sweep.
    idle: bool,
}

impl<V> Kept<V> {
    fn holders(&self) -> usize {
        Arc::strong_count(&self.value) - 1
    }
}

impl<K: Eq + Hash, V> Commons<K, V> {
    /// A table that with `kept_max` keys forgets at once what nobody holds.
    pub(crate) fn new(kept_max: usize) -> Self {
        Commons { kept_max, table: Mutex::new(Table { kept: HashMap::new(), look_at: kept_max }) }
    }

    /// The value of a key, made if it is new. What is held stays, however much that is.
    pub(crate) fn hold<Q>(&self, key: &Q, make: impl FnOnce() -> V) -> Arc<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut table = self.lock();
        if table.kept.len() >= table.look_at && !table.kept.contains_key(key) {
            table.forget_unheld();
            // Twice as many: a table whose values are all held is not looked through for each new one.
            table.look_at = self.kept_max.max(2 * table.kept.len());
        }
        table.hold(key, make)
    }

    /// As [`Commons::hold`], but `None` if so many hold it already, or if the key is new and the others that are held are enough.
    pub(crate) fn try_hold<Q>(&self, key: &Q, holders_max: usize, make: impl FnOnce() -> V) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut table = self.lock();
        let may = match table.kept.get(key) {
            Some(kept) => kept.holders() < holders_max,
            None if table.kept.len() < self.kept_max => true,
            None => {
                table.forget_unheld();
                table.kept.len() < self.kept_max
            }
        };
        may.then(|| table.hold(key, make))
    }

    /// Forgets what nobody has held since the last call: with a minute between calls, everything is kept for at least a minute after
    /// its last holder.
    pub(crate) fn sweep(&self) {
        let mut table = self.lock();
        table.kept.retain(|_, kept| {
            let forget = kept.idle && kept.holders() == 0;
            kept.idle = kept.holders() == 0;
            !forget
        });
        table.look_at = self.kept_max.max(table.kept.len());
    }

    fn lock(&self) -> MutexGuard<'_, Table<K, V>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V> Table<K, V> {
    fn forget_unheld(&mut self) {
        self.kept.retain(|_, kept| kept.holders() > 0);
    }

    fn hold<Q>(&mut self, key: &Q, make: impl FnOnce() -> V) -> Arc<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(kept) = self.kept.get_mut(key) {
            kept.idle = false;
            return Arc::clone(&kept.value);
        }
        let value = Arc::new(make());
        self.kept.insert(key.to_owned(), Kept { value: Arc::clone(&value), idle: false });
        value
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Values that count how many were made before them.
    fn numbered() -> impl Fn() -> usize {
        let made = AtomicUsize::new(0);
        move || made.fetch_add(1, Ordering::Relaxed)
    }

    #[test]
    fn all_holders_of_a_key_share_one_value_and_no_other_key_does() {
        let (commons, make) = (Commons::<String, usize>::new(10), numbered());
        let (one, other) = (commons.hold("a", &make), commons.hold("a", &make));
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(*commons.hold("b", &make), 1);
    }

    #[test]
    fn a_value_outlives_its_last_holder_by_a_whole_sweep() {
        let (commons, make) = (Commons::<String, usize>::new(10), numbered());
        let value = || *commons.hold("a", &make);
        assert_eq!(value(), 0);
        commons.sweep();
        assert_eq!(value(), 0, "one sweep only notes that it is idle");
        commons.sweep();
        commons.sweep();
        assert_eq!(value(), 1, "forgotten");
    }

    #[test]
    fn what_is_held_is_never_forgotten() {
        let (commons, make) = (Commons::<String, usize>::new(2), numbered());
        let _held = commons.hold("a", &make);
        commons.sweep();
        commons.sweep();
        commons.hold("b", &make);
        commons.hold("c", &make);
        assert_eq!(*commons.hold("a", &make), 0);
    }

    #[test]
    fn a_full_table_forgets_what_nobody_holds() {
        let (commons, make) = (Commons::<String, usize>::new(3), numbered());
        for key in ["a", "b", "c"] {
            commons.hold(key, &make);
        }
        assert_eq!(*commons.hold("c", &make), 2, "full, but nothing new comes");
        commons.hold("d", &make);
        assert_eq!(commons.lock().kept.len(), 1);
    }

    #[test]
    fn a_table_of_held_values_is_looked_through_when_it_has_doubled() {
        let (commons, make) = (Commons::<usize, usize>::new(3), numbered());
        let _held: Vec<_> = (0..4).map(|key| commons.hold(&key, &make)).collect();
        commons.hold(&4, &make);
        commons.hold(&5, &make);
        assert_eq!(commons.lock().kept.len(), 6);
        commons.hold(&6, &make);
        assert_eq!(commons.lock().kept.len(), 5);
    }

    #[test]
    fn one_value_has_so_many_holders_and_no_more() {
        let (commons, make) = (Commons::<String, usize>::new(10), numbered());
        let mut held: Vec<_> = (0..3).map(|_| commons.try_hold("a", 3, &make).expect("free")).collect();
        assert!(commons.try_hold("a", 3, &make).is_none());
        held.pop();
        assert!(commons.try_hold("a", 3, &make).is_some());
    }

    #[test]
    fn a_table_whose_keys_are_all_held_takes_no_other() {
        let (commons, make) = (Commons::<String, usize>::new(3), numbered());
        let held = ["a", "b", "c"].map(|key| commons.try_hold(key, 2, &make).expect("free"));
        assert!(commons.try_hold("d", 2, &make).is_none());
        assert!(commons.try_hold("a", 2, &make).is_some());
        drop(held);
        assert!(commons.try_hold("d", 2, &make).is_some());
    }
}
