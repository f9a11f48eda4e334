//! Lanes: requests of one sender are handled in order, and senders do not wait for each other.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use tokio::sync::mpsc;
use torg_wire::iot::{Generation, Interface, NS_HARMONIZED, NS_INTEROPERABILITY, xep};
use torg_wire::jid::Jid;
use torg_wire::stanza::{Stanza, StanzaKind};
use torg_wire::xml::Element;
use tracing::warn;

use super::shared::{Caller, Shared};
use super::{browse, control, discovery, readout, refusal, subscription};

/// Lanes; senders are spread over them.
const LANES: u64 = 16;

/// Requests waiting in one lane. A handler only looks things up, so a full lane is an attack or a fault; the sender is
/// told `resource-constraint`.
pub(super) const WAITING_MAX: usize = 64;

/// The entrances to all lanes. Lanes end when it is dropped, after what waits in them.
pub(super) struct Lanes {
    entrances: Vec<mpsc::Sender<Stanza>>,
}

impl Lanes {
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let entrances = (0..LANES).map(|_| {
            let (entrance, mut waiting) = mpsc::channel(WAITING_MAX);
            let lane = Arc::clone(shared);
            shared.tasks.spawn(async move {
                while let Some(stanza) = waiting.recv().await {
                    handle(&lane, stanza).await;
                }
            });
            entrance
        });
        Self { entrances: entrances.collect() }
    }

    /// Puts a request into the lane of its sender.
    pub(super) async fn put(&self, shared: &Shared, stanza: Stanza) {
        let mut hasher = DefaultHasher::new();
        stanza.from().map(Jid::as_str).hash(&mut hasher);
        let lane = usize::try_from(hasher.finish() % LANES).unwrap_or_default();
        let Some(entrance) = self.entrances.get(lane) else { return };
        if let Err(full) = entrance.try_send(stanza) {
            let stanza = match full {
                mpsc::error::TrySendError::Full(stanza) | mpsc::error::TrySendError::Closed(stanza) => stanza,
            };
            warn!(from = ?stanza.from(), "A lane is full; a request was turned away.");
            shared.refuse(&stanza, refusal::busy("Too many requests are waiting.")).await;
        }
    }
}

/// Answers one request, or hands it to a task that will.
async fn handle(shared: &Arc<Shared>, iq: Stanza) {
    let (Some(jid), Some(payload)) = (iq.from().cloned(), request(&iq)) else {
        return shared.refuse(&iq, refusal::bad_request("A request needs a sender and a payload.")).await;
    };
    let caller = Caller { account: jid.to_bare(), jid };
    let namespace = payload.namespace().as_str();
    match Interface::of_namespace(namespace).map(|(interface, _)| interface) {
        Some(Interface::Concentrator) => browse::handle(shared, &iq, &caller, &payload).await,
        Some(Interface::Control) => control::handle(shared, iq, caller, &payload).await,
        Some(Interface::Events) => subscription::handle(shared, iq, caller, &payload).await,
        Some(Interface::SensorData) => readout::handle(shared, iq, caller, &payload).await,
        Some(Interface::Synchronization) => discovery::synchronization(shared, &iq, &payload).await,
        None if matches!(namespace, NS_HARMONIZED | NS_INTEROPERABILITY) => {
            browse::interfaces(shared, &iq, &caller, &payload).await;
        }
        None => discovery::handle(shared, &iq, &payload).await,
    }
}

/// What is asked, in the words the handlers know.
fn request(iq: &Stanza) -> Option<Element> {
    // A message may carry other things beside its order.
    let order = || iq.child(xep::NS_CONTROL, "set");
    let payload = if matches!(iq.kind(), StanzaKind::Message(_)) { order() } else { iq.payload() }?;
    Some(match Interface::of_namespace(payload.namespace().as_str()) {
        Some((_, Generation::Xmpp)) => xep::shorten(payload),
        _ => payload.clone(),
    })
}
