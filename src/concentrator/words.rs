//! The concentrator towards peers of the first generation (XEP-0323, XEP-0325, XEP-0326): where requests come in their
//! words are shortened, where stanzas go out they are lengthened again. Nothing between knows.
//!
//! What has another shape than a change of words is here: data never stands in the answer to a request, and an answer of
//! the concentrator names its operation.

use torg_wire::iot::concentrator::Answer;
use torg_wire::iot::xep::{self, NS_CONTROL, NS_SENSOR_DATA};
use torg_wire::ns;
use torg_wire::stanza::{IqType, MessageType, Stanza, StanzaError, StanzaKind};
use torg_wire::xml::Element;

/// Whether a message is an order: this generation may set parameters without wanting an answer (XEP-0325 §3.1.1).
///
/// One that was delayed on its way is none: what was wished then need not be wished now.
pub(super) fn is_order(stanza: &Stanza) -> bool {
    matches!(stanza.kind(), StanzaKind::Message(kind) if kind != MessageType::Error)
        && stanza.child(NS_CONTROL, "set").is_some()
        && stanza.child(ns::DELAY, "delay").is_none()
}

/// What is sent instead of a stanza; `None` if it goes out as it is.
pub(super) fn lengthened(stanza: &Stanza) -> Option<Vec<Stanza>> {
    let is_old = |child: &&Element| [NS_CONTROL, NS_SENSOR_DATA].contains(&child.namespace().as_str());
    let payload = stanza.children().iter().find(is_old)?;
    let mut told = xep::lengthen(payload);
    let mut all = Vec::new();
    if stanza.kind() == StanzaKind::Iq(IqType::Result) {
        let is_data = payload.namespace().as_str() == NS_SENSOR_DATA && payload.name() == "resp";
        let has_started = payload.is(NS_SENSOR_DATA, "started");
        let answer =
            if is_data || has_started { xep::accepted(payload.attr("id").unwrap_or_default()) } else { told.pop()? };
        if has_started {
            // Only what had to wait is said to have started.
            told.clear();
        }
        let mut first = stanza.clone();
        first.retain_children(|_| false);
        all.push(first.with_child(answer));
    }
    for payload in told {
        let mut message = Stanza::message(MessageType::Normal).with_child(payload);
        message.set_to(stanza.to().cloned());
        all.push(message);
    }
    Some(all)
}

/// The answer to an operation of the concentrator; an error if it is told as one.
pub(super) fn answer(operation: &str, answer: Result<&Answer, StanzaError>) -> Result<Element, StanzaError> {
    match answer {
        Ok(answer) => Ok(xep::answered(operation, answer)),
        Err(error) => xep::failed(operation, error.condition()).ok_or(error),
    }
}
