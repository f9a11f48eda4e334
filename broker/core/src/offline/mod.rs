//! Offline messages (XEP-0160): which are kept, how they come back, and that none is lost between the table and a session.

mod table;

use std::sync::{Arc, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::oneshot;
use torg_store::StoreError;
use torg_thing::Timestamp;
use torg_wire::jid::BareJid;
use torg_wire::ns;
use torg_wire::stanza::{MessageType, PresenceType, Stanza, StanzaKind};
use torg_wire::xep::carbons::is_copy_mark;
use torg_wire::xep::time::delay;
use torg_wire::xml::{Element, Limits, parse_document};

pub(crate) use table::{BYTES_MAX, MESSAGES_MAX, MIGRATIONS, Offline, Refused, Stored};

use crate::router::{Letter, Router, Taken};
use crate::session::Session;

/// Random bytes of a stanza's id.
const STANZA_ID_BYTES: usize = 18;

/// Begin of every namespace of the IoT extensions in all their generations.
const IOT: [&str; 4] = ["urn:xmpp:iot:", "urn:ieee:iot:", "urn:nf:iot:", "urn:nfi:iot:"];

/// Whether a message may be written to disk.
///
/// Only what a person or program has said to another: messages of type normal or chat that carry something (XEP-0160 §3), and never
/// a stanza with sensor, event, control or sniffer payload. Those live in memory alone; the reader asks again.
pub(crate) fn is_storable(message: &Stanza) -> bool {
    let hint = |name| message.child(ns::HINTS, name).is_some();
    let kept_kind = match message.kind() {
        StanzaKind::Message(MessageType::Normal) => hint("store") || message.children().iter().any(says_something),
        StanzaKind::Message(MessageType::Chat) => hint("store") || message.child(ns::CLIENT, "body").is_some(),
        _ => false,
    };
    let refused = |child: &Element| is_iot(child) || is_copy_mark(child);
    kept_kind && !hint("no-store") && !hint("no-permanent-store") && !message.children().iter().any(refused)
}

/// Whether a stanza can wait while nobody looks at the client (XEP-0352): presence, and messages that only tell a chat state.
pub(crate) fn can_wait(stanza: &Stanza) -> bool {
    match stanza.kind() {
        StanzaKind::Presence(PresenceType::Available | PresenceType::Unavailable) => true,
        StanzaKind::Message(MessageType::Error) => false,
        StanzaKind::Message(_) => {
            let children = stanza.children();
            children.iter().any(|child| child.namespace() == ns::CHAT_STATES) && !children.iter().any(says_something)
        }
        _ => false,
    }
}

fn says_something(child: &Element) -> bool {
    child.namespace() != ns::CHAT_STATES && child.namespace() != ns::HINTS && !child.is(ns::CLIENT, "thread")
}

/// The payload, or anything it carries (forwarded stanzas, forms), is of the IoT extensions. Depth is bounded by the parser.
pub(crate) fn is_iot(element: &Element) -> bool {
    let is_iot_name = |namespace: &str| IOT.iter().any(|prefix| namespace.starts_with(prefix));
    is_iot_name(element.namespace().as_str())
        || element.attributes().iter().any(|attribute| is_iot_name(attribute.namespace().as_str()))
        || element.children().any(is_iot)
}

/// The message as it is kept: with the time it came at (XEP-0203), and an id by which its reader knows it again if it comes twice
/// (XEP-0359).
pub(crate) fn with_marks(router: &Router, message: Stanza, account: &BareJid) -> Stanza {
    with_marks_of(router.domain(), message, account, router.shared().clock.now())
}

/// As [`with_marks`], for a message that came at that time.
pub(crate) fn with_marks_of(domain: &BareJid, mut message: Stanza, account: &BareJid, since: Timestamp) -> Stanza {
    // What a sender puts there is taken off where it comes in, so these are marks of our own from an earlier stay.
    if !message.children().iter().any(|child| is_stanza_id_of(child, account.as_str())) {
        message.push(stanza_id(account));
    }
    if !message
        .children()
        .iter()
        .any(|child| child.is(ns::DELAY, "delay") && child.attr("from") == Some(domain.as_str()))
    {
        message.push(delay(Some(domain.as_jid()), since));
    }
    message
}

/// Whether the element is an id that this entity is said to have given (XEP-0359 §3).
fn is_stanza_id_of(element: &Element, entity: &str) -> bool {
    element.is(ns::STANZA_ID, "stanza-id") && element.attr("by") == Some(entity)
}

/// An id that nobody can foresee. Without randomness there is none, which the standard allows.
fn stanza_id(account: &BareJid) -> Element {
    let mut bytes = [0; STANZA_ID_BYTES];
    let id = match getrandom::fill(&mut bytes) {
        Ok(()) => URL_SAFE_NO_PAD.encode(bytes),
        Err(_) => String::new(),
    };
    Element::new(ns::STANZA_ID, "stanza-id").with_attr("id", id).with_attr("by", account.as_str())
}

impl Router {
    /// Hands the stored messages of the session's account to it. Runs beside the session; at most once per account at a time.
    pub(crate) fn drain_offline(&self, session: &Arc<Session>) {
        {
            let mut draining = self.shared().draining.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(again) = draining.get_mut(&session.account) {
                *again = true;
                return;
            }
            draining.insert(session.account.clone(), false);
        }
        let (router, session) = (self.clone(), Arc::clone(session));
        self.spawn(async move { router.drain(session).await });
    }

    async fn drain(&self, mut session: Arc<Session>) {
        loop {
            if let Err(error) = self.drain_once(&session).await {
                session.queue.set_behind(false); // better out of order than into a store that fails
                tracing::error!(%error, account = %session.account, "Offline messages could not be delivered; they stay.");
            }
            let mut draining = self.shared().draining.lock().unwrap_or_else(PoisonError::into_inner);
            match draining.get_mut(&session.account) {
                Some(again) if *again => *again = false,
                _ => {
                    draining.remove(&session.account);
                    return;
                }
            }
            drop(draining);
            // Whoever asked again may not be who asked first.
            if let Some(available) = self.most_available(&session.account) {
                session = available;
            }
        }
    }

    /// Page by page: given to the session, written by it, deleted. What is not written stays in the table.
    async fn drain_once(&self, session: &Arc<Session>) -> Result<(), StoreError> {
        let mut last = 0;
        loop {
            let page = self.shared().offline.after(&session.account, last).await?;
            if page.is_empty() {
                session.queue.set_behind(false);
                return Ok(());
            }
            // Until the table is empty newer messages go behind those in it.
            session.queue.set_behind(true);
            let mut receipts = Vec::with_capacity(page.len());
            for stored in page {
                let Some(letter) = letter(&stored) else {
                    tracing::error!(account = %session.account, number = stored.number, "A stored message cannot be read; deleted.");
                    self.shared().offline.delete(&session.account, &[stored.number]).await?;
                    continue;
                };
                let (taken, receipt) = letter.give_with_receipt(session, stored.number);
                if taken != Taken::Yes {
                    break;
                }
                last = stored.number;
                receipts.push((stored.number, receipt));
            }
            let none_taken = receipts.is_empty();
            if !self.delete_written(session, receipts).await? || session.queue.ending().is_some() {
                return Ok(());
            }
            if none_taken {
                // The queue is full of other things. The session asks again once it is empty, unless it has just become so.
                session.queue.mark_overflow();
                if !session.queue.is_idle() || !session.queue.take_overflow() {
                    return Ok(());
                }
            }
        }
    }

    /// Waits for each message to be written or lost with its session; answers whether all were written.
    async fn delete_written(
        &self,
        session: &Session,
        receipts: Vec<(i64, oneshot::Receiver<()>)>,
    ) -> Result<bool, StoreError> {
        let handed_over = receipts.len();
        let mut written = Vec::with_capacity(handed_over);
        for (number, receipt) in receipts {
            if receipt.await.is_ok() {
                written.push(number);
            }
        }
        self.shared().offline.delete(&session.account, &written).await?;
        Ok(written.len() == handed_over)
    }

    /// The session of the account that would get its next message.
    pub(crate) fn most_available(&self, account: &torg_wire::jid::BareJid) -> Option<Arc<Session>> {
        let sessions = self.shared().sessions.of(account.as_str());
        let highest = sessions.iter().max_by_key(|session| session.priority())?;
        highest.priority().is_some_and(|priority| priority >= 0).then(|| Arc::clone(highest))
    }
}

fn letter(stored: &Stored) -> Option<Letter> {
    // What was a client's stanza has grown by a delay: the limits of a server's stanza hold.
    let element = parse_document(&stored.stanza, &Limits::SERVER).ok()?;
    Stanza::from_element(element).ok().map(Letter::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: MessageType, child: Element) -> Stanza {
        Stanza::message(kind).with_child(child)
    }

    fn body() -> Element {
        Element::new(ns::CLIENT, "body").with_text("hello")
    }

    #[test]
    fn what_people_say_is_kept() {
        assert!(is_storable(&message(MessageType::Chat, body())));
        assert!(is_storable(&message(MessageType::Normal, body())));
        assert!(is_storable(&message(MessageType::Normal, Element::new("urn:example", "petition"))));
    }

    #[test]
    fn other_types_and_empty_messages_are_not() {
        for kind in [MessageType::Headline, MessageType::Groupchat, MessageType::Error] {
            assert!(!is_storable(&message(kind, body())));
        }
        assert!(!is_storable(&Stanza::message(MessageType::Normal)));
        assert!(!is_storable(&message(MessageType::Chat, Element::new(ns::CHAT_STATES, "composing"))));
        assert!(!is_storable(&message(MessageType::Normal, Element::new(ns::CHAT_STATES, "composing"))));
    }

    #[test]
    fn a_hint_not_to_store_is_followed() {
        let hint = Element::new(ns::HINTS, "no-store");
        assert!(!is_storable(&message(MessageType::Chat, body()).with_child(hint)));
    }

    #[test]
    fn device_payload_of_any_generation_is_never_written() {
        for namespace in
            ["urn:xmpp:iot:sensordata", "urn:ieee:iot:sd:1.0", "urn:nf:iot:ctr:1.0", "urn:nfi:iot:events:1.0"]
        {
            let payload = Element::new(namespace, "resp");
            assert!(!is_storable(&message(MessageType::Normal, payload.clone())), "{namespace}");
            let hidden = Element::new(ns::FORWARD, "forwarded").with_child(payload);
            assert!(!is_storable(&message(MessageType::Chat, body()).with_child(hidden)), "{namespace} inside");
            let mut attribute = Element::new("urn:example", "x");
            attribute.set_attr_ns(namespace, "value", "21.5");
            assert!(!is_storable(&message(MessageType::Normal, attribute)), "{namespace} as an attribute");
        }
    }
}
