//! Items with device payload: the last one of each node, in memory alone. After a crash the reader asks the device again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use torg_wire::jid::BareJid;
use torg_wire::xep::pubsub::Item;

use super::limits::{MEMORY_BYTES, MEMORY_BYTES_OF_ONE, MEMORY_NODES};

/// The last item of a node.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) item: Item,
    pub(crate) publisher: BareJid,
    /// Microseconds since 1970.
    pub(crate) published: i64,
    /// The newest item on disk when this was published; one with a higher number is newer than this.
    pub(crate) after: i64,
    payer: BareJid,
    size: usize,
    turn: u64,
}

/// All of them, by the node's id.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    kept: HashMap<i64, Arc<Kept>>,
    /// Oldest first.
    turns: BTreeMap<u64, i64>,
    bytes: usize,
    bytes_of: HashMap<BareJid, usize>,
    turn: u64,
}

impl Memory {
    /// Keeps an item of `size` bytes instead of the one before.
    pub(crate) fn keep(&self, node: &super::Node, item: Item, publisher: BareJid, published: i64, size: usize) {
        let mut inner = self.lock();
        inner.remove(node.id);
        inner.turn = inner.turn.wrapping_add(1);
        let (turn, payer) = (inner.turn, node.payer.clone());
        let kept = Kept { item, publisher, published, after: node.last, payer, size, turn };
        inner.bytes += size;
        *inner.bytes_of.entry(node.payer.clone()).or_default() += size;
        inner.turns.insert(turn, node.id);
        inner.kept.insert(node.id, Arc::new(kept));
        inner.make_room(&node.payer);
    }

    /// The item of a node.
    pub(crate) fn of(&self, node: i64) -> Option<Arc<Kept>> {
        self.lock().kept.get(&node).cloned()
    }

    /// Forgets the item; with an id only if it is that one. Answers whether it was there.
    pub(crate) fn forget(&self, node: i64, id: Option<&str>) -> bool {
        let mut inner = self.lock();
        let matches = inner.kept.get(&node).is_some_and(|kept| id.is_none_or(|id| id == kept.item.id));
        if matches {
            inner.remove(node);
        }
        matches
    }

    /// Forgets the items that an account pays for.
    pub(crate) fn forget_all_of(&self, payer: &BareJid) {
        let mut inner = self.lock();
        let nodes: Vec<i64> =
            inner.kept.iter().filter(|(_, kept)| kept.payer == *payer).map(|(node, _)| *node).collect();
        nodes.into_iter().for_each(|node| inner.remove(node));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remove(&mut self, node: i64) {
        if let Some(kept) = self.kept.remove(&node) {
            self.turns.remove(&kept.turn);
            self.bytes = self.bytes.saturating_sub(kept.size);
            if let Some(own) = self.bytes_of.get_mut(&kept.payer) {
                *own = own.saturating_sub(kept.size);
                if *own == 0 {
                    self.bytes_of.remove(&kept.payer);
                }
            }
        }
    }

    fn make_room(&mut self, payer: &BareJid) {
        loop {
            let too_much_of_one = self.bytes_of.get(payer).is_some_and(|own| *own > MEMORY_BYTES_OF_ONE);
            if !too_much_of_one && self.bytes <= MEMORY_BYTES && self.kept.len() <= MEMORY_NODES {
                return;
            }
            let is_own = |node: &&i64| self.kept.get(*node).is_some_and(|kept| kept.payer == *payer);
            let oldest = self.turns.values().find(|node| !too_much_of_one || is_own(node)).copied();
            let Some(oldest) = oldest else { return };
            self.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::BOUNDS;
    use super::super::node::Node;
    use super::*;
    use torg_wire::xep::pubsub::Config;

    fn node(id: i64, payer: &str) -> Node {
        let payer = BareJid::parse(payer).unwrap();
        let config = Config::personal(&BOUNDS);
        Node { id, version: 1, last: 0, service: payer.clone(), name: "n".into(), payer, created: 0, config }
    }

    fn keep(memory: &Memory, node: &Node, id: &str, size: usize) {
        memory.keep(node, Item { id: id.into(), payload: None }, node.payer.clone(), 0, size);
    }

    #[test]
    fn items_of_a_removed_account_go_and_those_of_others_stay() {
        let memory = Memory::default();
        keep(&memory, &node(1, "anna@x"), "a", 1);
        keep(&memory, &node(2, "anna@x"), "b", 1);
        keep(&memory, &node(3, "bob@x"), "c", 1);
        memory.forget_all_of(&BareJid::parse("anna@x").unwrap());
        assert!(memory.of(1).is_none() && memory.of(2).is_none() && memory.of(3).is_some());
        assert_eq!(memory.lock().bytes, 1);
    }

    #[test]
    fn a_node_keeps_its_last_item_only() {
        let memory = Memory::default();
        let node = node(1, "anna@x");
        keep(&memory, &node, "a", 1);
        keep(&memory, &node, "b", 1);
        assert_eq!(memory.of(1).unwrap().item.id, "b");
        assert!(!memory.forget(1, Some("a")));
        assert!(memory.forget(1, Some("b")));
        assert!(memory.of(1).is_none());
    }

    #[test]
    fn an_account_that_is_full_loses_its_own_oldest_and_nobody_elses() {
        let memory = Memory::default();
        keep(&memory, &node(1, "bob@x"), "bob", 1);
        keep(&memory, &node(2, "anna@x"), "old", 1);
        keep(&memory, &node(3, "anna@x"), "new", MEMORY_BYTES_OF_ONE - 1);
        assert!(memory.of(2).is_some(), "at the limit");
        keep(&memory, &node(4, "anna@x"), "newer", 1);
        assert!(memory.of(2).is_none() && memory.of(3).is_some() && memory.of(1).is_some());
    }

    #[test]
    fn the_number_of_nodes_is_bounded() {
        let memory = Memory::default();
        for id in 0..=i64::try_from(MEMORY_NODES).unwrap() {
            keep(&memory, &node(id, &format!("a{id}@x")), "i", 1);
        }
        assert!(memory.of(0).is_none());
        assert!(memory.of(1).is_some());
        assert_eq!(memory.lock().turns.len(), MEMORY_NODES);
    }

    #[test]
    fn all_bytes_together_are_bounded() {
        let memory = Memory::default();
        let accounts = MEMORY_BYTES / MEMORY_BYTES_OF_ONE;
        for id in 0..=accounts {
            keep(&memory, &node(i64::try_from(id).unwrap(), &format!("a{id}@x")), "i", MEMORY_BYTES_OF_ONE);
        }
        assert!(memory.of(0).is_none() && memory.of(1).is_some());
        assert_eq!(memory.lock().bytes, MEMORY_BYTES);
    }
}
