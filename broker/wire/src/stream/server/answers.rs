//! What the shell answers to what the machine asked for; an answer to something that was not asked changes nothing.

use std::time::Instant;

use super::{ServerStream, Stage, Step};
use crate::jid::FullJid;
use crate::sasl::{self, AccountClass, Credentials, Failure, IssuedToken, PasswordVerdict, Tokens};
use crate::stanza::{Stanza, StanzaError};
use crate::stream::Secured;
use crate::xep::sm;
use crate::xml::Element;

impl ServerStream {
    /// The TLS handshake is done.
    pub fn secured(&mut self, secured: Secured, now: Instant) {
        self.step(now, |step, common, _| match step {
            Step::Handshake(handshake) => Ok(handshake.secured(secured, common)),
            other => Ok(other),
        });
    }

    /// The answer to `Output::Lookup`: `None` for an unknown account, or one without keys for this hash.
    pub fn credentials(&mut self, found: Option<Credentials>, now: Instant) {
        self.answer(now, |server, policy| server.credentials(found, policy));
    }

    /// The store did not answer `Output::Lookup`, `Output::Authorise`, `Output::Tokens`, `Output::UseToken` or
    /// `Output::StoreKeys`.
    pub fn store_failed(&mut self, now: Instant) {
        self.step(now, |step, common, talk| match step {
            Step::Exchange(exchange) => exchange.answer(|server, _| server.unavailable(), common, talk),
            Step::Completion(completion) => completion.store_failed(common, talk),
            other => Ok(other),
        });
    }

    /// The answer to `Output::Tokens`: `None` for an unknown account.
    pub fn tokens(&mut self, found: Option<Tokens>, now: Instant) {
        self.step(now, |step, common, talk| match step {
            Step::Exchange(exchange) => {
                let count = exchange.count();
                exchange.answer(|server, _| server.tokens(found, count), common, talk)
            }
            other => Ok(other),
        });
    }

    /// The answer to `Output::UseToken`: the new token if one was wanted and can be had, or why the login fails after all.
    pub fn token_used(&mut self, answer: Result<Option<IssuedToken>, Failure>, now: Instant) {
        self.step(now, |step, common, talk| match step {
            Step::Completion(completion) => completion.token_used(answer, common, talk),
            other => Ok(other),
        });
    }

    /// The answer to `Output::StoreKeys`.
    pub fn keys_stored(&mut self, now: Instant) {
        self.step(now, |step, common, talk| match step {
            Step::Completion(completion) => completion.keys_stored(common, talk),
            other => Ok(other),
        });
    }

    /// The answer to `Output::CheckPassword`.
    pub fn password_checked(&mut self, verdict: PasswordVerdict, now: Instant) {
        self.answer(now, |server, _| server.checked(verdict));
    }

    /// The answer to `Output::Authorise`: the account's class, or `None` if it may not log in.
    pub fn authorised(&mut self, class: Option<AccountClass>, now: Instant) {
        self.answer(now, |server, _| server.authorised(class));
    }

    fn answer(&mut self, now: Instant, answer: impl FnOnce(&mut sasl::Server, &sasl::Policy) -> sasl::ServerStep) {
        self.step(now, |step, common, talk| match step {
            Step::Exchange(exchange) => exchange.answer(answer, common, talk),
            other => Ok(other),
        });
    }

    /// The answer to `Output::Register`; without effect once the client has logged in.
    pub fn registered(&mut self, answer: &Stanza) {
        if let Stage::Negotiating(_) = self.stage {
            self.talk.stanza(answer);
        }
    }

    /// The answer to `Output::Bind`: the address of the session, or why not (`conflict`, `resource-constraint`...).
    pub fn bound(&mut self, answer: Result<FullJid, StanzaError>, now: Instant) {
        self.bound_with(answer.map(|jid| (jid, Vec::new())), now);
    }

    /// As [`ServerStream::bound`], with the results of what the session was to begin with.
    pub fn bound_with(&mut self, answer: Result<(FullJid, Vec<Element>), StanzaError>, now: Instant) {
        self.step(now, |step, common, talk| match step {
            Step::Binding(binding) => binding.bound(answer.map(|(jid, _)| jid), common, talk),
            Step::Completion(completion) => completion.bound(answer, common, talk),
            other => Ok(other),
        });
    }

    /// The answer to `Output::Resume`: the address of the session and how many stanzas of the client it has handled.
    pub fn resumed(&mut self, answer: Result<(FullJid, u32), sm::Failed>, now: Instant) {
        self.step(now, |step, common, talk| match step {
            Step::Resuming(resuming) => resuming.resumed(answer, common, talk),
            Step::Completion(completion) => completion.resumed(answer, common, talk),
            other => Ok(other),
        });
    }

    /// The answer to `Output::Enable`. What is sent from now on counts.
    pub fn enabled(&mut self, answer: Result<&sm::Enabled, &sm::Failed>, now: Instant) {
        if let Stage::Ready(ready) = &mut self.stage {
            ready.enabled(answer, &mut self.talk);
            return;
        }
        self.step(now, |step, common, talk| match step {
            Step::Completion(completion) => Ok(completion.enabled(answer, common, talk)),
            other => Ok(other),
        });
    }
}
