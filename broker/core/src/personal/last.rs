//! Last Activity (XEP-0012) of accounts and of the server. Who may not see an account's presence learns nothing of it, not even
//! whether it exists. A question to a full address goes to that client.

use torg_thing::Timestamp;
use torg_wire::ns;
use torg_wire::stanza::{Stanza, StanzaCondition};
use torg_wire::xep::last::LastActivity;
use torg_wire::xml::Element;

use super::table::Departure;
use super::{Refusal, answer};
use crate::identity::Envelope;
use crate::router::Router;
use crate::service::{Reply, Route};
use crate::session::Session;

pub(crate) const ROUTES: &[Route] = &[Route::get(ns::LAST, "query")];

/// Bytes kept of what an account said when it went.
const STATUS_MAX: usize = 1_000;

pub(crate) async fn handle(router: &Router, envelope: Envelope, reply: Reply) {
    answer(reply, handled(router, &envelope).await.map(|last| Some(last.encode())));
}

async fn handled(router: &Router, envelope: &Envelope) -> Result<LastActivity, Refusal> {
    let shared = router.shared();
    let asker = envelope.identity().jid().to_bare();
    let owner = envelope.stanza().to().map_or_else(|| asker.clone(), |to| to.to_bare());
    let since = |at: Timestamp| {
        let micros = shared.clock.now().micros().saturating_sub(at.micros());
        u64::try_from(micros / 1_000_000).unwrap_or(0)
    };
    if owner == *router.domain() {
        return Ok(LastActivity { seconds: since(shared.personal.started), status: None });
    }
    if owner != asker && !shared.rosters.state(&owner, &asker).await?.contact_sees_user() {
        return Err(StanzaCondition::Forbidden.into());
    }
    if shared.sessions.of(owner.as_str()).iter().any(|session| session.priority().is_some()) {
        return Ok(LastActivity::default());
    }
    // Nobody who never was there can be seen by anybody, but its own sessions that have not said so.
    let departure = shared.personal.last_seen(&owner).await?.ok_or(StanzaCondition::ItemNotFound)?;
    Ok(LastActivity { seconds: since(departure.at), status: departure.status })
}

impl Router {
    /// An available session has gone: if it was the account's last, the time and its farewell are noted.
    pub(crate) fn note_departure(&self, session: &Session, farewell: &Stanza) {
        let shared = self.shared();
        if shared.sessions.of(session.account.as_str()).iter().any(|other| other.priority().is_some()) {
            return;
        }
        let status = farewell.child(ns::CLIENT, "status").map(Element::text);
        let status = status.filter(|status| !status.is_empty() && status.len() <= STATUS_MAX);
        let departure = Departure { at: shared.clock.now(), status: status.map(|status| status.into_owned()) };
        shared.personal.left(&session.account, departure);
    }

    /// Writes the departures noted since the last time.
    pub(crate) async fn flush_activity(&self) {
        if let Err(error) = self.shared().personal.flush().await {
            tracing::warn!(%error, "When accounts were last there could not be written.");
        }
    }
}
