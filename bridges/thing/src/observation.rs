//! Observations: values that come from devices without a readout, or from polling that somebody wished for.
//!
//! One slow reader must not make memory grow, and a burst must not hide a change of state. So there is one slot per quantity,
//! where the newer value wins, and a short queue per node for changes of state, in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::{Field, FieldName, FieldValue, NodeRef, Qos};

/// Changes of state kept per node. When one more comes the oldest is dropped and the next in line is marked with
/// [`Qos::WARNING`], so that the reader learns of the gap.
pub const STATE_CHANGES_MAX: usize = 16;

/// What one node has told since it was last asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The node.
    pub node: NodeRef,
    /// Changes of state in order, then the newest value of each quantity.
    pub fields: Vec<Field>,
}

#[derive(Debug, Default)]
struct Pending {
    states: VecDeque<Field>,
    quantities: BTreeMap<FieldName, Field>,
}

impl Pending {
    fn push(&mut self, field: Field) {
        if matches!(field.value, Some(FieldValue::Quantity(_)) | None) {
            self.quantities.insert(field.name.clone(), field);
            return;
        }
        self.states.push_back(field);
        if self.states.len() > STATE_CHANGES_MAX {
            self.states.pop_front();
            if let Some(next) = self.states.front_mut() {
                next.qos = next.qos.union(Qos::WARNING);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<BTreeMap<NodeRef, Pending>>,
    changed: Notify,
}

/// The bridge's end: never waits, never grows beyond one slot per quantity and [`STATE_CHANGES_MAX`] states per node.
#[derive(Debug, Clone)]
pub struct ObservationSender(Arc<Shared>);

impl ObservationSender {
    /// Tells what was seen on `node`.
    pub fn push(&self, node: &NodeRef, fields: Vec<Field>) {
        if fields.is_empty() {
            return;
        }
        {
            // A panic while holding this lock leaves a valid map, so poisoning carries no meaning.
            let mut pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
            let slot = pending.entry(node.clone()).or_default();
            for field in fields {
                slot.push(field);
            }
        }
        self.0.changed.notify_one();
    }
}

/// The reader's end.
#[derive(Debug)]
pub struct ObservationReceiver(Arc<Shared>);

impl ObservationReceiver {
    /// Waits for something to be seen and takes all there is, one entry per node. Cancellation safe: nothing is taken before
    /// it returns.
    pub async fn next(&mut self) -> Vec<Observation> {
        loop {
            let taken = {
                let mut pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *pending)
            };
            if !taken.is_empty() {
                return taken
                    .into_iter()
                    .map(|(node, slot)| Observation {
                        node,
                        fields: slot.states.into_iter().chain(slot.quantities.into_values()).collect(),
                    })
                    .collect();
            }
            self.0.changed.notified().await;
        }
    }
}

/// A path for observations from bridges to the one who watches.
#[must_use]
pub fn observations() -> (ObservationSender, ObservationReceiver) {
    let shared = Arc::new(Shared::default());
    (ObservationSender(Arc::clone(&shared)), ObservationReceiver(shared))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Categories, NodeId, Quantity, SourceId, Timestamp, Unit};

    fn node() -> NodeRef {
        NodeRef::new(SourceId::default(), NodeId::parse("meter-7").unwrap())
    }

    fn field(name: &str, value: FieldValue) -> Field {
        Field {
            name: FieldName::parse(name).unwrap(),
            at: Timestamp::from_micros(0),
            value: Some(value),
            categories: Categories::MOMENTARY,
            qos: Qos::AUTOMATIC_READOUT,
            writable: false,
        }
    }

    fn power(watts: i64) -> Field {
        field("Power", FieldValue::Quantity(Quantity { value: watts.into(), unit: Unit::new("W") }))
    }

    fn door(open: bool) -> Field {
        field("Open", FieldValue::Boolean(open))
    }

    #[tokio::test]
    async fn the_newer_quantity_wins() {
        let (sender, mut receiver) = observations();
        sender.push(&node(), vec![power(1)]);
        sender.push(&node(), vec![power(2)]);
        assert_eq!(receiver.next().await, [Observation { node: node(), fields: vec![power(2)] }]);
    }

    #[tokio::test]
    async fn changes_of_state_keep_their_order() {
        let (sender, mut receiver) = observations();
        for open in [true, false, true] {
            sender.push(&node(), vec![door(open)]);
        }
        let seen = receiver.next().await.remove(0).fields;
        assert_eq!(seen, [door(true), door(false), door(true)]);
    }

    #[tokio::test]
    async fn a_full_queue_of_states_is_kept_whole() {
        let (sender, mut receiver) = observations();
        for _ in 0..STATE_CHANGES_MAX {
            sender.push(&node(), vec![door(true)]);
        }
        let seen = receiver.next().await.remove(0).fields;
        assert_eq!(seen.len(), STATE_CHANGES_MAX);
        assert!(seen.iter().all(|field| !field.qos.contains(Qos::WARNING)));
    }

    #[tokio::test]
    async fn one_state_too_many_drops_the_oldest_and_leaves_a_warning() {
        let (sender, mut receiver) = observations();
        for _ in 0..=STATE_CHANGES_MAX {
            sender.push(&node(), vec![door(true)]);
        }
        let seen = receiver.next().await.remove(0).fields;
        assert_eq!(seen.len(), STATE_CHANGES_MAX);
        assert!(seen.first().unwrap().qos.contains(Qos::WARNING));
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let (sender, mut receiver) = observations();
        let reader = tokio::spawn(async move { receiver.next().await.len() });
        tokio::task::yield_now().await;
        sender.push(&node(), vec![power(1)]);
        assert_eq!(reader.await.unwrap(), 1);
    }
}
