//! What happens when a session ends, however it ends: its presence is taken back and what was waiting for it goes on.

use std::sync::Arc;

use torg_wire::stanza::{PresenceType, Stanza};

use super::Router;
use crate::session::Session;
use crate::sm::Responsible;
use crate::transit::carry;

impl Router {
    /// Ends the session: nothing more reaches it, its contacts see it go, what it had not taken is routed anew.
    ///
    /// It keeps its place in the table until all that is done. Whoever takes the place waits for it here, so that nobody sees the
    /// old session go after the new one has come, and no message overtakes an older one. A second call does no harm.
    pub(crate) async fn end_session(&self, session: &Arc<Session>) {
        session.ended.get_or_init(|| self.say_goodbye(session)).await;
        // What its connection had in hand and has given back since.
        self.reroute_all(session).await;
    }

    async fn say_goodbye(&self, session: &Arc<Session>) {
        session.queue.refuse();
        // A session on the disk outlives the process: its client resumes it when the broker is back.
        let mut stays = false;
        if let Some(sm) = session.sm() {
            sm.last_write(session).await;
            stays = self.0.stop.is_cancelled() && sm.has_row();
            if stays {
                session.queue.leave_stored();
                sm.suspend(session).await;
            }
        }
        let unavailable = Stanza::presence(PresenceType::Unavailable).with_from(&session.jid);
        if let Err(error) = self.broadcast_unavailable(session, unavailable).await {
            tracing::error!(%error, session = %session.jid, "The end of a session could not be announced.");
        }
        self.0.mesh.advertise(&session.jid, false).await;
        self.no_longer_waits(session.queue.end_wait());
        self.reroute_all(session).await;
        if let Some(sm) = session.sm().filter(|_| !stays) {
            sm.end().await;
        }
        self.0.sessions.remove(session);
    }

    /// What the session has not taken, or has given back unwritten.
    async fn reroute_all(&self, session: &Arc<Session>) {
        let mut was_draining = false;
        for parcel in session.queue.close() {
            if parcel.receipt.is_some() {
                was_draining = true; // still in the table
                continue;
            }
            let origin = parcel.care.as_deref().and_then(|care| care.origin.clone());
            let stanza = Arc::unwrap_or_clone(parcel.stanza);
            match origin {
                Some(origin) => Responsible::of(origin).during(self.reroute(stanza)).await,
                None => carry(parcel.passage, self.reroute(stanza)).await,
            }
            drop(parcel.care); // now its sender need not care any more
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
