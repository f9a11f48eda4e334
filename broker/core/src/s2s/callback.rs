//! Checking a dialback key with the server that answers for its domain, on a connection of its own (XEP-0220 §2.1.2).

use std::time::Duration;

use tokio::time::timeout;
use torg_wire::stanza::StanzaCondition;
use torg_wire::stream::peer::{DialbackAnswer, DialbackCheck};

use super::Links;
use super::connection::{Next, Until};
use super::outbound::{Failure, find};
use crate::router::Router;
use crate::session::now;

/// Time for a check, waiting for a free place included. Less than peers wait for its answer, which is about half a minute.
const CALLBACK_TIME: Duration = Duration::from_secs(20);

/// What the authoritative server says; an error if it cannot be asked.
pub(super) async fn verify(router: &Router, check: &DialbackCheck) -> DialbackAnswer {
    let Some(links) = router.links() else { return DialbackAnswer::Error(StanzaCondition::RemoteServerNotFound) };
    match timeout(CALLBACK_TIME, ask(router, links, check)).await {
        Ok(Ok(answer)) => {
            tracing::debug!(pair = %check.pair, ?answer, "A dialback key was checked.");
            answer
        }
        Ok(Err(failure)) => {
            tracing::info!(pair = %check.pair, reason = %failure, "A dialback key could not be checked.");
            DialbackAnswer::Error(failure.condition)
        }
        Err(_) => DialbackAnswer::Error(StanzaCondition::RemoteServerTimeout),
    }
}

async fn ask(router: &Router, links: &Links, check: &DialbackCheck) -> Result<DialbackAnswer, Failure> {
    let Ok(_place) = links.callbacks.acquire().await else {
        return Ok(DialbackAnswer::Error(StanzaCondition::ResourceConstraint));
    };
    let (mut connection, mut stream, found) = find(router, links, &check.pair, Some(check)).await?;
    // Nobody waits for the farewell.
    links.spawn(router, async move {
        connection.machine.close(now());
        let _ = connection.run(&mut stream, Until::End).await;
    });
    Ok(match found {
        Next::Checked(answer) => answer,
        _ => DialbackAnswer::Error(StanzaCondition::RemoteServerTimeout),
    })
}
