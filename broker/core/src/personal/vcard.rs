//! Business cards (XEP-0054): everyone may read an account's, only the account writes it.

use torg_wire::ns;
use torg_wire::stanza::{IqType, StanzaCondition, StanzaKind};
use torg_wire::xml::Element;

use super::{Refusal, answer, parsed};
use crate::identity::Envelope;
use crate::offline::is_iot;
use crate::router::Router;
use crate::service::{Reply, Route};

pub(crate) const ROUTES: &[Route] = &[Route::get(ns::VCARD, "vCard"), Route::set(ns::VCARD, "vCard")];

/// What it is kept under; private data have a namespace and a name with a space between.
pub(crate) const NAME: &str = "vcard-temp";

pub(crate) async fn handle(router: &Router, envelope: Envelope, reply: Reply) {
    answer(reply, handled(router, &envelope).await);
}

async fn handled(router: &Router, envelope: &Envelope) -> Result<Option<Element>, Refusal> {
    let asker = envelope.identity().jid().to_bare();
    let owner = envelope.stanza().to().map_or_else(|| asker.clone(), |to| to.to_bare());
    let personal = &router.shared().personal;
    if envelope.stanza().kind() == StanzaKind::Iq(IqType::Get) {
        let kept = parsed(personal.document(&owner, NAME).await?);
        // §3.3: an account without a card and one that does not exist look alike.
        let none = if owner == asker { StanzaCondition::ItemNotFound } else { StanzaCondition::ServiceUnavailable };
        return Ok(Some(kept.ok_or(none)?));
    }
    if owner != asker {
        return Err(StanzaCondition::Forbidden.into()); // §3.2
    }
    let Some(card) = envelope.stanza().payload() else { return Err(StanzaCondition::BadRequest.into()) };
    if is_iot(card) {
        return Err(StanzaCondition::NotAcceptable.into());
    }
    personal.keep(&owner, NAME, card.to_string()).await?;
    Ok(None)
}
