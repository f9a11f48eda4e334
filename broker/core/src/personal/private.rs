//! Private XML Storage (XEP-0049): one element of each name for each account, for nobody else's eyes.

use torg_wire::ns;
use torg_wire::stanza::{IqType, StanzaCondition, StanzaKind};
use torg_wire::xml::Element;

use super::{Refusal, answer, parsed};
use crate::identity::Envelope;
use crate::offline::is_iot;
use crate::router::Router;
use crate::service::{Reply, Route};

pub(crate) const ROUTES: &[Route] = &[Route::get(ns::PRIVATE, "query"), Route::set(ns::PRIVATE, "query")];

pub(crate) async fn handle(router: &Router, envelope: Envelope, reply: Reply) {
    answer(reply, handled(router, &envelope).await);
}

async fn handled(router: &Router, envelope: &Envelope) -> Result<Option<Element>, Refusal> {
    let owner = envelope.identity().jid().to_bare();
    if envelope.stanza().to().is_some_and(|to| to.as_str() != owner.as_str()) {
        return Err(StanzaCondition::Forbidden.into()); // §2.3: nobody reads or writes another's
    }
    let elements: Vec<&Element> = envelope.stanza().payload().into_iter().flat_map(Element::children).collect();
    let personal = &router.shared().personal;
    if envelope.stanza().kind() == StanzaKind::Iq(IqType::Get) {
        let [wanted] = elements.as_slice() else { return Err(StanzaCondition::BadRequest.into()) };
        let kept = parsed(personal.document(&owner, &name(wanted)?).await?);
        let found = kept.unwrap_or_else(|| without_content(wanted));
        return Ok(Some(Element::new(ns::PRIVATE, "query").with_child(found)));
    }
    if elements.is_empty() {
        return Err(StanzaCondition::BadRequest.into());
    }
    if elements.iter().any(|element| is_iot(element)) {
        return Err(StanzaCondition::NotAcceptable.into());
    }
    let named = elements.iter().map(|element| Ok((name(element)?, *element))).collect::<Result<Vec<_>, Refusal>>()?;
    for (name, element) in named {
        if element.is_empty() {
            personal.drop_document(&owner, &name).await?;
        } else {
            personal.keep(&owner, &name, element.to_string()).await?;
        }
    }
    Ok(None)
}

/// What an element is kept under. It must have a namespace of its own, and none of the protocol's (§2.3, §4).
fn name(element: &Element) -> Result<String, Refusal> {
    let namespace = element.namespace().as_str();
    if namespace.is_empty() || [ns::PRIVATE, ns::CLIENT, ns::SERVER, ns::VCARD].contains(&namespace) {
        return Err(StanzaCondition::NotAcceptable.into());
    }
    Ok(format!("{namespace} {}", element.name()))
}

/// What an element of a file is kept under; `None` if it may not be kept.
pub(crate) fn name_in_file(element: &Element) -> Option<String> {
    name(element).ok()
}

/// What is answered where nothing is kept (§2.2): the question.
fn without_content(element: &Element) -> Element {
    Element::try_new(element.namespace(), element.name()).unwrap_or_else(|| element.clone())
}
