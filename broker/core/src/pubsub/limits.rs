//! How much of publish and subscribe anybody may use. What happens when a limit is reached stands beside it.

use std::time::Duration;

use torg_wire::xep::pubsub::Bounds;

pub(crate) use crate::limits::{
    PUBSUB_BYTES as BYTES_MAX, PUBSUB_ITEMS as ITEMS_MAX, PUBSUB_NODES as NODES_MAX,
    PUBSUB_PAYLOAD_BYTES as PAYLOAD_BYTES,
};

/// Subscriptions to one node: bounds the work of one publication. Above: `too-many-subscriptions`.
pub(crate) const SUBSCRIPTIONS_MAX: i64 = 1_000;
/// Subscriptions of one account at one service, pending ones as well. Above: `too-many-subscriptions`.
pub(crate) const SUBSCRIPTIONS_OF_ONE: i64 = 500;
/// Affiliations of one node. Above: `resource-constraint`.
pub(crate) const AFFILIATIONS_MAX: i64 = 256;
/// Bytes of items in one answer: half of what may wait for a session. What is left out is a page of its own (XEP-0059).
pub(crate) const ANSWER_BYTES: usize = 256 * 1024;
/// Entries of one list in an answer, and of a page of nodes.
pub(crate) const LIST_MAX: usize = 256;
/// Times a guarded change is decided anew: a node has few writers at once, and each conflict means that one of them got on.
pub(crate) const ATTEMPTS_MAX: usize = 16;

/// Nodes whose last item is device payload, and so lives in memory alone. The item least recently published gives way.
pub(crate) const MEMORY_NODES: usize = 4_096;
/// Bytes of such items of all accounts. The item least recently published gives way.
pub(crate) const MEMORY_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of such items of one account, so that it cannot push out those of others. Its own oldest gives way.
pub(crate) const MEMORY_BYTES_OF_ONE: usize = 256 * 1024;

/// Different capabilities kept: all versions of all programs on a large server. The oldest gives way and is asked for again.
pub(crate) const CAPS_MAX: usize = 1_024;
/// Nodes one client may want to hear of; known clients want fewer than thirty. The rest is not heard of.
pub(crate) const WANTED_MAX: usize = 128;
/// Questions for capabilities that wait for an answer. Above, a session hears nothing until its next presence.
pub(crate) const QUESTIONS_MAX: usize = 1_000;
/// Clients asked about the same hash at once: more than one, so that one that keeps silent does not hold up the others.
pub(crate) const QUESTIONS_PER_HASH: usize = 4;
/// Clients that wait for what another one of the same hash is asked. Above, a session hears nothing until its next presence.
pub(crate) const WAITING_MAX: usize = 20_000;
/// Time for an answer: a phone on a poor link gives one within seconds; then the next client of that hash is asked.
pub(crate) const QUESTION_TIME: Duration = Duration::from_secs(20);
/// Resources of remote contacts whose wishes are known. Above, a new one hears nothing until others have gone.
pub(crate) const REMOTES_MAX: usize = 20_000;
/// Resources of one remote contact, as many as an account of ours may have sessions and some more.
pub(crate) const REMOTES_OF_ONE: usize = 16;

/// Bounds of what nodes are configured with.
pub(crate) const BOUNDS: Bounds = Bounds { items: ITEMS_MAX, payload_bytes: PAYLOAD_BYTES, text: 1_023, groups: 32 };
