//! Reading items (XEP-0060 §6.5): all, some, the most recent, or page by page (XEP-0059). An answer holds no more than may wait for
//! a session; a list that is cut says so.

use torg_wire::ns;
use torg_wire::xep::pubsub::{Item, Refusal, answer};
use torg_wire::xep::rsm::{self, PageFault, PageRequest, Window};
use torg_wire::xml::{Element, Limits, parse_document};

use super::decision::Failure;
use super::limits::{ANSWER_BYTES, ITEMS_MAX};
use super::node::Node;
use super::table::{Stored, Table};
use super::{Context, Done, Pubsub};

/// An item that can be read, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Readable {
    id: String,
    size: usize,
    /// On disk; otherwise in memory.
    number: Option<i64>,
}

impl Context<'_> {
    pub(super) async fn items(
        &self,
        name: &str,
        ids: &[String],
        most_recent: Option<usize>,
        page: Option<PageRequest>,
    ) -> Result<Done, Failure> {
        let (node, about) = self.known(name).await?;
        about.facts(&node).may_read()?;
        let mut list = self.readable(&node).await?;
        if list.is_empty() && !node.config.persist {
            return Err(Refusal::Unsupported("persistent-items").into());
        }
        if !ids.is_empty() {
            list.retain(|item| ids.contains(&item.id));
        }
        if let Some(count) = most_recent {
            list.drain(..list.len().saturating_sub(count));
        }
        let names: Vec<&str> = list.iter().map(|item| item.id.as_str()).collect();
        let from_end = !matches!(
            page.as_ref().map(|page| &page.window),
            Some(Window::First | Window::After(_) | Window::Index(_))
        );
        let asked = page.clone().unwrap_or(PageRequest { max: None, window: Window::Last });
        let range = asked.cut(&names, ITEMS_MAX).map_err(|fault| match fault {
            PageFault::Malformed => Refusal::BadRequest,
            PageFault::NotFound => Refusal::NotFound,
        })?;
        let sizes: Vec<usize> = list.iter().map(|item| item.size).collect();
        let range = fit(&sizes, range, from_end, ANSWER_BYTES);
        let cut = range.len() < list.len();
        let shown = list.get(range.clone()).unwrap_or_default();
        let items = self.load(&node, shown).await?;
        let items = Element::new(ns::PUBSUB, "items")
            .with_attr("node", name)
            .with_children(items.into_iter().map(|item| item.encode(ns::PUBSUB)));
        let set = (page.is_some() || cut).then(|| rsm::result(&names, &range));
        Ok(Done { answer: Some(answer([items]).with_child_opt(set)), then: Vec::new() })
    }

    /// All items of a node, oldest first.
    async fn readable(&self, node: &Node) -> Result<Vec<Readable>, Failure> {
        let entries = self.table().entries(node.id).await?;
        let kept = self.pubsub().memory.of(node.id);
        let older = kept.as_ref().map_or(0, |kept| entries.iter().filter(|entry| entry.number <= kept.after).count());
        let on_disk =
            |entry: super::table::Entry| Readable { id: entry.id, size: entry.size, number: Some(entry.number) };
        let mut list: Vec<_> = entries.into_iter().map(on_disk).collect();
        if let Some(kept) = kept {
            list.insert(older, Readable { id: kept.item.id.clone(), size: 0, number: None });
        }
        Ok(list)
    }

    async fn load(&self, node: &Node, wanted: &[Readable]) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::with_capacity(wanted.len());
        let kept = self.pubsub().memory.of(node.id);
        let numbers = || wanted.iter().filter_map(|item| item.number);
        let (first, last) = (numbers().min(), numbers().max());
        let span = first.zip(last).and_then(|(first, last)| usize::try_from(last - first).ok());
        let dense = span.is_some_and(|span| span < 2 * wanted.len());
        let mut stored = match (first, last) {
            (Some(first), Some(last)) if dense => self.table().between(node.id, first, last).await?,
            _ => Vec::new(),
        };
        for item in wanted {
            if item.number.is_none() {
                items.extend(kept.iter().filter(|kept| kept.item.id == item.id).map(|kept| kept.item.clone()));
            } else if let Some(position) = stored.iter().position(|stored| stored.id == item.id) {
                items.push(read(stored.swap_remove(position)));
            } else if !dense {
                items.extend(self.table().item(node.id, &item.id).await?.map(read));
            }
        }
        Ok(items)
    }
}

impl Pubsub {
    /// The newest item of a node and when it was published, in microseconds since 1970.
    pub(super) async fn newest(&self, node: &Node) -> Result<Option<(Item, i64)>, torg_store::StoreError> {
        let table: &Table = &self.table;
        let stored = table.last_item(node.id).await?;
        let kept = self.memory.of(node.id);
        let newer = kept.filter(|kept| stored.as_ref().is_none_or(|stored| stored.number <= kept.after));
        Ok(match newer {
            Some(kept) => Some((kept.item.clone(), kept.published)),
            None => stored.map(|stored| (stored.published, read(stored))).map(|(published, item)| (item, published)),
        })
    }
}

/// The part of `range` whose items have no more than `most` bytes, and one item at least.
fn fit(sizes: &[usize], range: std::ops::Range<usize>, from_end: bool, most: usize) -> std::ops::Range<usize> {
    let mut bytes = 0_usize;
    let mut count = 0_usize;
    let sizes = sizes.get(range.clone()).unwrap_or_default();
    let mut take = |size: &usize| {
        bytes = bytes.saturating_add(*size);
        let fits = bytes <= most || count == 0;
        count += usize::from(fits);
        fits
    };
    if from_end {
        let _ = sizes.iter().rev().all(&mut take);
        range.end - count..range.end
    } else {
        let _ = sizes.iter().all(&mut take);
        range.start..range.start + count
    }
}

/// A payload that cannot be read any more is shown as none.
fn read(stored: Stored) -> Item {
    let payload = stored.payload.and_then(|text| parse_document(text, &Limits::SERVER).ok());
    Item { id: stored.id, payload }
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn an_answer_holds_as_many_bytes_as_the_limit_and_no_more() {
        let sizes = [4, 4, 4];
        for (most, forward, backward) in [(11, 0..2, 1..3), (12, 0..3, 0..3), (13, 0..3, 0..3)] {
            assert_eq!(fit(&sizes, 0..3, false, most), forward, "{most}");
            assert_eq!(fit(&sizes, 0..3, true, most), backward, "{most}");
        }
    }

    #[test]
    fn one_item_is_shown_however_long() {
        assert_eq!(fit(&[9, 9], 0..2, false, 1), 0..1);
        assert_eq!(fit(&[9, 9], 0..2, true, 1), 1..2);
        assert_eq!(fit(&[], 0..0, true, 1), 0..0);
    }
}
