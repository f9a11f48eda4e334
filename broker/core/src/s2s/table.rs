//! All links, by the domain they lead to.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use torg_wire::stream::peer::Pair;

use super::link::Link;
use super::report::LinkReport;

/// Links at the same time, those that have just failed included: more than a city's concentrators have peers, and some megabytes.
/// Beyond it, senders to further domains are asked to wait, so that nobody fills our memory with names.
pub const LINKS_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Table {
    inner: Mutex<Inner>,
    /// Bytes that wait in all of them.
    bytes: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By the peer's domain; each has one link for each domain of ours that talks to it.
    links: HashMap<Box<str>, Vec<Arc<Link>>>,
    count: usize,
}

impl Table {
    /// The link of a pair, made if need be; `None` if there are too many, or the texts are no domains.
    pub(super) fn link(&self, local: &str, remote: &str, now: Instant) -> Option<Arc<Link>> {
        let mut inner = self.lock();
        if let Some(link) = inner.links.get(remote).and_then(|links| find(links, local)) {
            return Some(link);
        }
        if inner.count >= LINKS_MAX {
            inner.sweep(now);
            if inner.count >= LINKS_MAX {
                return None;
            }
        }
        let link = Arc::new(Link::new(Pair::new(local, remote).ok()?, Arc::clone(&self.bytes)));
        inner.links.entry(remote.into()).or_default().push(Arc::clone(&link));
        inner.count += 1;
        Some(link)
    }

    /// How each link stands.
    pub(super) fn reports(&self, now: Instant) -> Vec<LinkReport> {
        self.lock().links.values().flatten().map(|link| link.report(now)).collect()
    }

    /// Notes why a peer is believed, or is not.
    pub(super) fn explain(&self, remote: &str, why: &str) {
        self.lock().links.get(remote).into_iter().flatten().for_each(|link| link.explain(why));
    }

    /// Forgets links that hold nothing.
    pub(super) fn sweep(&self, now: Instant) {
        self.lock().sweep(now);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn sweep(&mut self, now: Instant) {
        self.links.retain(|_, links| {
            // Whoever holds one is about to use it.
            links.retain(|link| Arc::strong_count(link) > 1 || !link.is_forgettable(now));
            !links.is_empty()
        });
        self.count = self.links.values().map(Vec::len).sum();
    }
}

fn find(links: &[Arc<Link>], local: &str) -> Option<Arc<Link>> {
    links.iter().find(|link| link.pair.local.as_str() == local).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_one_link() {
        let (table, now) = (Table::default(), Instant::now());
        let one = table.link("site.example", "other.example", now).unwrap();
        assert!(Arc::ptr_eq(&one, &table.link("site.example", "other.example", now).unwrap()));
        assert!(!Arc::ptr_eq(&one, &table.link("component.site.example", "other.example", now).unwrap()));
        assert_eq!(table.lock().count, 2);
    }

    #[test]
    fn links_are_bounded_and_idle_ones_make_room() {
        let (table, now) = (Table::default(), Instant::now());
        let held: Vec<_> = (0..LINKS_MAX).map(|n| table.link("site.example", &format!("x{n}.example"), now)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(table.link("site.example", "one-more.example", now).is_none());
        drop(held);
        assert!(table.link("site.example", "one-more.example", now).is_some());
        assert_eq!(table.lock().count, 1);
    }
}
