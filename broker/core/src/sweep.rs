//! Once a minute: sessions of accounts that were removed or switched off, perhaps by another process, end; allowances of accounts without
//! sessions are forgotten.

use std::collections::HashSet;
use std::time::Duration;

use torg_wire::stream_error::{StreamCondition, StreamError};

use crate::router::Router;
use crate::session::Ending;

/// How often the accounts of all sessions are looked up: one query for each, a minute apart.
const EVERY: Duration = Duration::from_secs(60);

/// Runs until the broker stops.
pub(crate) async fn run(router: Router) {
    let stop = router.shared().stop.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
        router.shared().allowances.sweep();
        if let Some(links) = router.links() {
            links.sweep();
        }
        router.shared().blocking.sweep(|owner| !router.shared().sessions.of(owner.as_str()).is_empty());
        router.flush_activity().await;
        router.shared().generations.flush().await;
        sweep(&router).await;
    }
}

async fn sweep(router: &Router) {
    let mut known = HashSet::new();
    for session in router.shared().sessions.all() {
        if known.contains(&session.account) {
            continue;
        }
        match router.exists(&session.account).await {
            Ok(true) => drop(known.insert(session.account.clone())),
            Ok(false) => {
                tracing::info!(session = %session.jid, "Session ended: its account is gone.");
                session.queue.end(Ending::Now(StreamError::new(StreamCondition::NotAuthorized)));
                if session.queue.is_detached() {
                    router.end_session(&session).await; // no connection is there to do it
                }
            }
            // Nothing is known of them now; the next round will tell.
            Err(error) => {
                tracing::warn!(%error, "The accounts of sessions could not be looked up.");
                return;
            }
        }
    }
}
