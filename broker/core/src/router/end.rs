//! What happens when a session ends, however it ends: its presence is taken back and what was waiting for it goes on.

use std::sync::Arc;

use torg_wire::stanza::{PresenceType, Stanza};

use super::Router;
use crate::session::Session;

impl Router {
    /// Ends the session: nothing more reaches it, its contacts see it go, what it had not taken is routed anew.
    /// A second call finds nothing left to do.
    pub(crate) async fn end_session(&self, session: &Arc<Session>) {
        self.0.sessions.remove(session);
        let left = session.queue.close();
        self.0.mesh.advertise(&session.jid, false).await;
        let unavailable = Stanza::presence(PresenceType::Unavailable).with_from(&session.jid);
        if let Err(error) = self.broadcast_unavailable(session, unavailable).await {
            tracing::error!(%error, session = %session.jid, "The end of a session could not be announced.");
        }
        let mut was_draining = false;
        for parcel in left {
            if parcel.receipt.is_some() {
                was_draining = true; // still in the table
                continue;
            }
            self.reroute(Arc::unwrap_or_clone(parcel.stanza)).await;
        }
        if (was_draining || session.queue.take_overflow())
            && let Some(other) = self.most_available(&session.account)
        {
            self.drain_offline(&other);
        }
    }

    /// As [`Router::end_session`], from where nothing can be waited for.
    pub(crate) fn abandon_session(&self, session: &Arc<Session>) {
        let (router, session) = (self.clone(), Arc::clone(session));
        self.spawn(async move { router.end_session(&session).await });
    }
}
