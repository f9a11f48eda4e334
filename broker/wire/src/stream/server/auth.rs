//! SASL on a stream: offer, exchange, outcome (RFC 6120 §6, XEP-0440).

use super::header::AwaitHeader;
use super::{Common, Output, Step, StepResult, Talk, fault};
use crate::ns;
use crate::sasl::{self, Context, Failure, Mechanism, ServerStep, base64_decode, base64_encode, offer};
use crate::stream::{Secured, TRIES_MAX};
use crate::stream_error::StreamCondition;
use crate::xml::Element;

/// The mechanisms are offered.
#[derive(Debug)]
pub(super) struct AwaitAuth;

/// A mechanism is under way.
#[derive(Debug)]
pub(super) struct Exchange {
    server: sasl::Server,
    /// Something was asked of the shell, and the client must wait.
    asked: bool,
}

impl AwaitAuth {
    pub(super) fn enter(common: &Common, talk: &mut Talk<Output>) -> AwaitAuth {
        let secured = secured(common);
        let mechanisms = offer(&common.settings.policy, &secured.bindings, !secured.proven.is_empty());
        let mut list = Element::new(ns::SASL, "mechanisms");
        for mechanism in mechanisms {
            list.push(Element::new(ns::SASL, "mechanism").with_text(mechanism.name()));
        }
        let mut features = Element::new(ns::STREAMS, "features").with_child(list);
        if !secured.bindings.is_empty() {
            let mut kinds = Element::new(ns::SASL_CHANNEL_BINDING, "sasl-channel-binding");
            for kind in secured.bindings.kinds() {
                kinds.push(Element::new(ns::SASL_CHANNEL_BINDING, "channel-binding").with_attr("type", kind.name()));
            }
            features.push(kinds);
        }
        talk.element(&features);
        AwaitAuth
    }

    pub(super) fn element(self, element: &Element, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        if element.is(ns::SASL, "abort") {
            return failed(Failure::Aborted, common, talk);
        }
        if !element.is(ns::SASL, "auth") {
            return Err(fault(StreamCondition::NotAuthorized, "Log in first."));
        }
        let Some(mechanism) = element.attr("mechanism").and_then(Mechanism::parse) else {
            return failed(Failure::InvalidMechanism, common, talk);
        };
        let initial = match initial_response(element) {
            Ok(initial) => initial,
            Err(failure) => return failed(failure, common, talk),
        };
        let nonce = common.seed.draw("nonce");
        let (server, step) =
            sasl::Server::start(mechanism, initial.as_deref(), nonce, context(common, &secured(common)));
        Exchange { server, asked: false }.follow(step, common, talk)
    }
}

impl Exchange {
    pub(super) const fn is_waiting(&self) -> bool {
        self.asked
    }

    pub(super) fn element(mut self, element: &Element, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        if element.is(ns::SASL, "abort") {
            return failed(Failure::Aborted, common, talk);
        }
        if !element.is(ns::SASL, "response") {
            return if element.is(ns::SASL, "auth") {
                failed(Failure::MalformedRequest, common, talk)
            } else {
                Err(fault(StreamCondition::NotAuthorized, "Log in first."))
            };
        }
        let Ok(message) = base64_decode(&element.text()) else {
            return failed(Failure::IncorrectEncoding, common, talk);
        };
        let nonce = common.seed.draw("nonce");
        let step = self.server.response(&message, nonce, context(common, &secured(common)));
        self.follow(step, common, talk)
    }

    pub(super) fn answer(
        mut self,
        answer: impl FnOnce(&mut sasl::Server, &sasl::Policy) -> ServerStep,
        common: &mut Common,
        talk: &mut Talk<Output>,
    ) -> StepResult {
        if !self.asked {
            return Ok(Step::Exchange(self));
        }
        self.asked = false;
        let step = answer(&mut self.server, &common.settings.policy);
        self.follow(step, common, talk)
    }

    fn follow(mut self, step: ServerStep, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        let question = match step {
            ServerStep::Authorise(account) => Output::Authorise(account),
            ServerStep::Check(check) => Output::CheckPassword(check),
            ServerStep::Lookup { account, hash } => Output::Lookup { account, hash },
            ServerStep::Challenge(challenge) => {
                talk.element(&Element::new(ns::SASL, "challenge").with_text(base64_encode(&challenge)));
                return Ok(Step::Exchange(self));
            }
            ServerStep::Failure(failure) => return failed(failure, common, talk),
            ServerStep::Success { who, data, .. } => {
                let success = Element::new(ns::SASL, "success");
                talk.element(&match data {
                    Some(data) => success.with_text(base64_encode(&data)),
                    None => success,
                });
                common.tries = 0;
                return Ok(Step::Header(AwaitHeader { who: Some(who) }));
            }
        };
        talk.ask(question);
        self.asked = true;
        Ok(Step::Exchange(self))
    }
}

/// Tells the client, counts, and waits for another attempt unless it was the last.
pub(super) fn failed(failure: Failure, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
    talk.element(&Element::new(ns::SASL, "failure").with_child(Element::new(ns::SASL, failure.name())));
    common.tries = common.tries.saturating_add(1);
    if common.tries >= TRIES_MAX {
        return Err(fault(StreamCondition::PolicyViolation, "Too many failed logins."));
    }
    Ok(Step::Auth(AwaitAuth))
}

/// The content of `<auth/>`: none, an empty one (`=`), or base64 (RFC 6120 §6.4.2).
fn initial_response(element: &Element) -> Result<Option<Vec<u8>>, Failure> {
    match element.text().as_ref() {
        "" => Ok(None),
        "=" => Ok(Some(Vec::new())),
        text => base64_decode(text).map(Some).map_err(|_| Failure::IncorrectEncoding),
    }
}

fn secured(common: &Common) -> Secured {
    common.secured.clone().unwrap_or_default()
}

fn context<'a>(common: &'a Common, secured: &'a Secured) -> Context<'a> {
    Context {
        policy: &common.settings.policy,
        domain: &common.settings.domain,
        bindings: &secured.bindings,
        proven: &secured.proven,
    }
}
