//! Message Carbons (XEP-0280): sessions of an account that ask for it get copies of what its other sessions write and receive.
//!
//! Values of devices are never copied: a message with a payload of the IoT extensions is for the session it was sent to.

use std::sync::Arc;

use torg_wire::jid::Jid;
use torg_wire::ns;
use torg_wire::stanza::{Stanza, StanzaCondition, StanzaKind};
use torg_wire::xep::carbons::{self, Direction};

use crate::identity::Envelope;
use crate::offline::is_iot;
use crate::router::{Letter, Router};
use crate::service::{Reply, Route};
use crate::session::Session;

pub(crate) const ROUTES: &[Route] = &[Route::set(ns::CARBONS, "enable"), Route::set(ns::CARBONS, "disable")];

pub(super) fn handle(router: &Router, envelope: &Envelope, reply: Reply) {
    let asker = envelope.identity().jid();
    let session = asker.resource().and_then(|resource| router.shared().sessions.find(asker.bare_str(), resource));
    match (session, envelope.stanza().payload().and_then(carbons::decode)) {
        (Some(session), Some(enable)) => {
            session.set_carbons(enable);
            reply.result(None);
        }
        _ => reply.error(StanzaCondition::NotAllowed),
    }
}

impl Router {
    /// Copies what a session has written to the other sessions of its account (§8). What an account writes to itself its other
    /// sessions get as recipients.
    pub(crate) fn copy_sent(&self, sender: &Session, message: &Stanza) {
        if sender.has_company() && message.to().is_some_and(|to| to.bare_str() != sender.account.as_str()) {
            self.copy(message, Direction::Sent, sender.account.as_str(), |other| std::ptr::eq(other, sender));
        }
    }

    /// Copies what sessions of an account have got to the others of the same account (§7); the writer, if it is one of them, has it.
    pub(crate) fn copy_received<'a>(
        &self,
        message: &Stanza,
        account: &str,
        had: impl Iterator<Item = &'a Arc<Session>> + Clone,
    ) {
        if had.clone().next().is_some_and(|session| !session.has_company()) {
            return; // the usual case of a thing: it is alone
        }
        let writer = message
            .from()
            .and_then(Jid::resource)
            .filter(|_| message.from().is_some_and(|it| it.bare_str() == account));
        self.copy(message, Direction::Received, account, |other| {
            writer == Some(other.jid.resource()) || had.clone().any(|session| std::ptr::eq(&**session, other))
        });
    }

    fn copy(&self, message: &Stanza, direction: Direction, account: &str, except: impl Fn(&Session) -> bool) {
        if !matches!(message.kind(), StanzaKind::Message(_)) {
            return;
        }
        let sessions = self.shared().sessions.of(account);
        if sessions.len() < 2 || !sessions.iter().any(|session| session.has_carbons()) {
            return;
        }
        if !carbons::is_eligible(message, direction) || message.children().iter().any(is_iot) {
            return;
        }
        for session in sessions.iter().filter(|session| session.has_carbons() && !except(session)) {
            // One that finds no room is lost: it is a copy, and who wrote the message must not hear of it (§10.4).
            Letter::new(carbons::copy(message, direction, &session.account, &session.jid)).give(session);
        }
    }
}
