//! SASL on a stream: offer, exchange, outcome, in the profile of RFC 6120 §6 and in that of XEP-0388, side by side (XEP-0440).

use super::completion::Completion;
use super::header::AwaitHeader;
use super::register;
use super::sasl2::{self, Request};
use super::{Common, Output, Step, StepResult, Talk, fault};
use crate::ns;
use crate::sasl::{self, ClientId, Context, Failure, Mechanism, ServerStep, base64_decode, base64_encode, offer};
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
    profile: Profile,
    /// Something was asked of the shell, and the client must wait.
    asked: bool,
}

/// How SASL is put into XML.
#[derive(Debug)]
enum Profile {
    /// RFC 6120 §6: ends with a stream restart.
    Classic,
    /// XEP-0388: brings its wishes along and ends without.
    Second(Box<Request>),
}

impl Profile {
    const fn namespace(&self) -> &'static str {
        match self {
            Profile::Classic => ns::SASL,
            Profile::Second(_) => ns::SASL2,
        }
    }

    fn client(&self) -> Option<ClientId> {
        match self {
            Profile::Classic => None,
            Profile::Second(request) => request.client.clone(),
        }
    }
}

impl AwaitAuth {
    pub(super) fn enter(common: &Common, talk: &mut Talk<Output>) -> AwaitAuth {
        let secured = secured(common);
        let mechanisms = offer(&common.settings.policy, &secured.bindings, !secured.proven.is_empty());
        let mut list = Element::new(ns::SASL, "mechanisms");
        for mechanism in &mechanisms {
            list.push(Element::new(ns::SASL, "mechanism").with_text(mechanism.name()));
        }
        let second = sasl2::feature(&mechanisms, &common.settings, &secured.bindings);
        let mut features = Element::new(ns::STREAMS, "features").with_child(list).with_child(second);
        if !secured.bindings.is_empty() {
            let mut kinds = Element::new(ns::SASL_CHANNEL_BINDING, "sasl-channel-binding");
            for kind in secured.bindings.kinds() {
                kinds.push(Element::new(ns::SASL_CHANNEL_BINDING, "channel-binding").with_attr("type", kind.name()));
            }
            features.push(kinds);
        }
        talk.element(&features.with_children(common.settings.before_login.iter().cloned()));
        AwaitAuth
    }

    pub(super) fn element(self, element: &Element, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        for namespace in [ns::SASL, ns::SASL2] {
            if element.is(namespace, "abort") {
                return failed(Failure::Aborted, namespace, common, talk);
            }
        }
        if let Some(request) = register::request(element) {
            return register::ask(request, common, talk);
        }
        let start = if element.is(ns::SASL, "auth") {
            initial_response(element).map(|initial| (initial, Profile::Classic))
        } else if element.is(ns::SASL2, "authenticate") {
            Request::parse(element, &common.settings.policy, &secured(common).bindings)
                .map(|(initial, request)| (initial, Profile::Second(Box::new(request))))
        } else {
            return Err(fault(StreamCondition::NotAuthorized, "Log in first."));
        };
        let (initial, profile) = match start {
            Ok(start) => start,
            Err(failure) => return failed(failure, element.namespace().as_str(), common, talk),
        };
        let mechanism = element.attr("mechanism").and_then(Mechanism::parse);
        let Some(mechanism) = mechanism.filter(|mechanism| may_start(*mechanism, &profile)) else {
            return failed(Failure::InvalidMechanism, profile.namespace(), common, talk);
        };
        let nonce = common.seed.draw("nonce");
        let (server, step) =
            sasl::Server::start(mechanism, initial.as_deref(), nonce, context(common, &secured(common)));
        Exchange { server, profile, asked: false }.follow(step, common, talk)
    }
}

/// A token takes an installation that has it, and a client that says so (XEP-0484 §3.4); both exist in the second profile alone.
fn may_start(mechanism: Mechanism, profile: &Profile) -> bool {
    match (mechanism, profile) {
        (Mechanism::Token(_), Profile::Second(request)) => request.client.is_some() && request.fast.is_some(),
        (Mechanism::Token(_), Profile::Classic) => false,
        _ => true,
    }
}

impl Exchange {
    pub(super) const fn is_waiting(&self) -> bool {
        self.asked
    }

    pub(super) fn element(mut self, element: &Element, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        let namespace = self.profile.namespace();
        if element.is(namespace, "abort") {
            return failed(Failure::Aborted, namespace, common, talk);
        }
        if !element.is(namespace, "response") {
            return if element.is(ns::SASL, "auth") && namespace == ns::SASL {
                failed(Failure::MalformedRequest, namespace, common, talk)
            } else {
                Err(fault(StreamCondition::NotAuthorized, "Log in first."))
            };
        }
        let Ok(message) = base64_decode(element.text().trim()) else {
            return failed(Failure::IncorrectEncoding, namespace, common, talk);
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

    /// How often the client says it has used its token.
    pub(super) fn count(&self) -> Option<u32> {
        match &self.profile {
            Profile::Second(request) => request.fast.and_then(|fast| fast.count),
            Profile::Classic => None,
        }
    }

    fn follow(mut self, step: ServerStep, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        let namespace = self.profile.namespace();
        let question = match (step, &mut self.profile) {
            (ServerStep::Authorise(account), _) => Output::Authorise(account),
            (ServerStep::Check(check), _) => Output::CheckPassword(check),
            (ServerStep::Lookup { account, hash }, _) => Output::Lookup { account, hash },
            (ServerStep::Tokens(account), profile) => match profile.client() {
                Some(client) => Output::Tokens { account, client },
                None => return failed(Failure::InvalidMechanism, namespace, common, talk),
            },
            (ServerStep::Challenge(challenge), _) => {
                talk.element(&Element::new(namespace, "challenge").with_text(base64_encode(&challenge)));
                return Ok(Step::Exchange(self));
            }
            (ServerStep::Failure(failure), _) => return failed(failure, namespace, common, talk),
            (ServerStep::Success(success), Profile::Second(request)) => {
                let request = std::mem::take(&mut **request);
                return Completion::begin(request, success, common, talk);
            }
            (ServerStep::Success(success), Profile::Classic) => {
                talk.element(&match success.data {
                    Some(data) => Element::new(ns::SASL, "success").with_text(base64_encode(&data)),
                    None => Element::new(ns::SASL, "success"),
                });
                common.tries = 0;
                return Ok(Step::Header(AwaitHeader { who: Some(success.who) }));
            }
        };
        talk.ask(question);
        self.asked = true;
        Ok(Step::Exchange(self))
    }
}

/// Tells the client in the namespace of its profile, counts, and waits for another attempt unless it was the last.
pub(super) fn failed(failure: Failure, namespace: &str, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
    // The conditions are those of RFC 6120 §6.5 in both profiles (XEP-0388 §2.6.2).
    let profile = if namespace == ns::SASL2 { ns::SASL2 } else { ns::SASL };
    talk.element(&Element::new(profile, "failure").with_child(Element::new(ns::SASL, failure.name())));
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
