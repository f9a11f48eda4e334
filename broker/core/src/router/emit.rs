//! Stanzas that the broker itself sends in the name of an account or a service: notifications, and questions to clients.

use futures_util::future::BoxFuture;
use torg_wire::stanza::{Stanza, StanzaKind};

use super::{Letter, Router};
use crate::identity::{Envelope, Identity, Proof};

impl Router {
    /// Sends a stanza whose sender is an address of ours without a session. Block lists hold for it; what goes wrong is not answered,
    /// as nobody is there to hear it.
    ///
    /// In a box, because what it delivers to may itself be a service that sends.
    pub(crate) fn emit(&self, stanza: Stanza) -> BoxFuture<'_, ()> {
        Box::pin(self.emit_now(stanza))
    }

    async fn emit_now(&self, stanza: Stanza) {
        let (Some(from), Some(to)) = (stanza.from().cloned(), stanza.to().cloned()) else { return };
        let passes = self.passes_blocking(&stanza) || matches!(self.screen(&from, &stanza).await, Ok(true));
        if !passes {
            return;
        }
        if let StanzaKind::Message(_) = stanza.kind() {
            let envelope = Envelope::new(Identity::new(from.clone(), Proof::Internal("broker")), stanza);
            if let Err(error) = self.route_message(envelope).await {
                tracing::error!(%error, %from, %to, "A message of the server could not be delivered.");
            }
        } else if !self.is_local(&to) {
            self.send_remote(&stanza);
        } else if let Some(session) = to.resource().and_then(|resource| self.0.sessions.find(to.bare_str(), resource)) {
            Letter::new(stanza).give(&session);
        }
    }

    /// The address of the publish-subscribe service.
    pub(crate) fn pubsub_address(&self) -> &str {
        self.0.pubsub.address()
    }
}
