//! From a right proof to `<success/>` in the second SASL profile: an upgrade of the keys, tokens, a former session, or else a
//! resource with what it begins with, in this order, each only if asked for; then the features of the stream, without a restart
//! (XEP-0388 §2.6, XEP-0386 §3.2, XEP-0198 §9, XEP-0480, XEP-0484 §3).
//!
//! # Why
//! - Tokens before the resource: a login that turns out to be a copy of an earlier one must not have thrown out a session by then.
//! - Offline messages are not cleared on binding, as XEP-0386 would have it for servers with an archive: there is none here.

use super::auth::failed;
use super::bind::{self, AwaitBind};
use super::ready::{Management, Ready};
use super::sasl2::{Request, UPGRADE_SHA_256};
use super::{Common, Output, Step, StepResult, Talk, fault};
use crate::jid::FullJid;
use crate::ns;
use crate::sasl::{
    Authenticated, Failure, ITERATIONS, IssuedToken, Mechanism, ScramHash, StoredKeys, Success, TokenProof, TokenUse,
    UsedToken, base64_decode, base64_encode,
};
use crate::secret::Secret;
use crate::stanza::StanzaError;
use crate::stream_error::StreamCondition;
use crate::xep::sm;
use crate::xml::Element;

/// The client has proven itself; its wishes are being fulfilled.
#[derive(Debug)]
pub(super) struct Completion {
    request: Request,
    /// What the mechanism gave; its data goes with the first thing said.
    success: Success,
    issued: Option<IssuedToken>,
    /// Why a former session could not be resumed.
    not_resumed: Option<sm::Failed>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// `<continue/>` is out, the client shall begin the task.
    Next(ScramHash),
    /// The salt is out, the client computes.
    Hash { hash: ScramHash, salt: Vec<u8> },
    /// The shell keeps the new keys.
    Keys,
    /// The shell looks after the tokens.
    Token,
    /// The core looks for a former session.
    Resume { previd: String },
    /// The core binds a resource.
    Bind,
    /// The core begins to manage the stream of the resource that is bound.
    Enable(Bound),
}

/// A bound resource, and the results of what the session began with.
#[derive(Debug)]
struct Bound {
    jid: FullJid,
    results: Vec<Element>,
}

impl Completion {
    pub(super) fn begin(
        request: Request,
        success: Success,
        common: &mut Common,
        talk: &mut Talk<Output>,
    ) -> StepResult {
        // XEP-0388 §2.3: who opened the stream as somebody must log in as that one.
        if common.from.as_ref().is_some_and(|from| *from != success.who.account) {
            return failed(Failure::InvalidAuthzid, ns::SASL2, common, talk);
        }
        let upgrade = success.upgrade.filter(|better| request.upgrade == Some(*better));
        let mut this = Completion { request, success, issued: None, not_resumed: None, stage: Stage::Keys };
        let Some(hash) = upgrade else { return this.tokens(common, talk) };
        let task = Element::new(ns::SASL2, "task").with_text(UPGRADE_SHA_256);
        let step = Element::new(ns::SASL2, "continue")
            .with_child_opt(this.data())
            .with_child(Element::new(ns::SASL2, "tasks").with_child(task));
        talk.element(&step);
        this.stage = Stage::Next(hash);
        Ok(Step::Completion(Box::new(this)))
    }

    pub(super) const fn is_waiting(&self) -> bool {
        !matches!(self.stage, Stage::Next(_) | Stage::Hash { .. })
    }

    /// The mechanism's last words, once.
    fn data(&mut self) -> Option<Element> {
        let data = self.success.data.take()?;
        Some(Element::new(ns::SASL2, "additional-data").with_text(base64_encode(&data)))
    }

    // -- the upgrade task

    pub(super) fn element(mut self, element: &Element, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        if element.is(ns::SASL2, "abort") {
            return failed(Failure::Aborted, ns::SASL2, common, talk);
        }
        match self.stage {
            Stage::Next(hash) if element.is(ns::SASL2, "next") => {
                if element.attr("task") != Some(UPGRADE_SHA_256) {
                    return failed(Failure::MalformedRequest, ns::SASL2, common, talk);
                }
                let salt = common.seed.draw("salt").into_bytes();
                let told = Element::new(ns::SCRAM_UPGRADE, "salt")
                    .with_attr("iterations", ITERATIONS.to_string())
                    .with_text(base64_encode(&salt));
                talk.element(&Element::new(ns::SASL2, "task-data").with_child(told));
                self.stage = Stage::Hash { hash, salt };
                Ok(Step::Completion(Box::new(self)))
            }
            Stage::Hash { hash, ref salt } if element.is(ns::SASL2, "task-data") => {
                let Some(keys) = upgraded(element, hash, salt) else {
                    return failed(Failure::MalformedRequest, ns::SASL2, common, talk);
                };
                talk.ask(Output::StoreKeys { account: self.success.who.account.clone(), keys });
                self.stage = Stage::Keys;
                Ok(Step::Completion(Box::new(self)))
            }
            _ => Err(fault(StreamCondition::NotAuthorized, "Finish the task first.")),
        }
    }

    pub(super) fn keys_stored(self, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        match self.stage {
            Stage::Keys => self.tokens(common, talk),
            _ => Ok(Step::Completion(Box::new(self))),
        }
    }

    // -- tokens

    fn tokens(mut self, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        let (Some(client), who) = (&self.request.client, &self.success.who) else { return self.resume(common, talk) };
        let used = self.success.token.zip(self.request.fast);
        let invalidate = used.is_some_and(|(_, fast)| fast.invalidate);
        let stale = used.is_some_and(|(TokenProof { stale, .. }, _)| stale);
        let ageing = used.is_some_and(|(TokenProof { ageing, .. }, _)| ageing);
        let issue = match who.mechanism {
            // Who has only a token gets another like it: a stolen weak one must not turn into a better one.
            Mechanism::Token(own) if self.request.token == Some(own) || ageing && !invalidate => Some(own),
            Mechanism::Token(_) => None,
            _ => self.request.token,
        };
        let used = used.map(|(token, fast)| UsedToken { id: token.id, count: fast.count, invalidate });
        let write = stale || issue.is_some() || used.is_some_and(|used| used.invalidate || used.count.is_some());
        if !write {
            return self.resume(common, talk);
        }
        talk.ask(Output::UseToken(TokenUse { account: who.account.clone(), client: client.clone(), used, issue }));
        self.stage = Stage::Token;
        Ok(Step::Completion(Box::new(self)))
    }

    pub(super) fn token_used(
        mut self,
        answer: Result<Option<IssuedToken>, Failure>,
        common: &mut Common,
        talk: &mut Talk<Output>,
    ) -> StepResult {
        match (&self.stage, answer) {
            (Stage::Token, Ok(issued)) => {
                self.issued = issued;
                self.resume(common, talk)
            }
            (Stage::Token, Err(failure)) => failed(failure, ns::SASL2, common, talk),
            _ => Ok(Step::Completion(Box::new(self))),
        }
    }

    /// The store does not answer. A login with a password needs it no more; one with a token may be a copy of an earlier one.
    pub(super) fn store_failed(self, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        match self.stage {
            Stage::Token if self.success.token.is_none() => self.resume(common, talk),
            Stage::Keys | Stage::Token => failed(Failure::TemporaryAuthFailure, ns::SASL2, common, talk),
            _ => Ok(Step::Completion(Box::new(self))),
        }
    }

    // -- a former session

    fn resume(mut self, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        let Some(request) = self.request.resume.take() else { return self.bind(common, talk) };
        let Authenticated { account, mechanism, class } = self.success.who.clone();
        self.stage = Stage::Resume { previd: request.previd.clone() };
        talk.ask(Output::Resume { account, mechanism, class, request });
        Ok(Step::Completion(Box::new(self)))
    }

    pub(super) fn resumed(
        mut self,
        answer: Result<(FullJid, u32), sm::Failed>,
        common: &mut Common,
        talk: &mut Talk<Output>,
    ) -> StepResult {
        match (&self.stage, answer) {
            // XEP-0198 §9.2: a wish for a resource is passed over, and features are not sent.
            (Stage::Resume { previd }, Ok((jid, h))) => {
                let resumed = sm::resumed(previd, h);
                let success = self.success(jid.as_str()).with_child(resumed);
                talk.element(&success);
                Ok(Step::Ready(Ready::new(jid, common.lang.take(), Management::On)))
            }
            (Stage::Resume { .. }, Err(failed)) => {
                self.not_resumed = Some(failed);
                self.bind(common, talk)
            }
            _ => Ok(Step::Completion(Box::new(self))),
        }
    }

    // -- the resource

    fn bind(mut self, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        let Some(request) = &mut self.request.bind else {
            return Ok(self.done(None, Management::Off, common, talk));
        };
        let Ok(resource) = bind::drawn(request.tag.as_deref(), common) else {
            return failed(Failure::MalformedRequest, ns::SASL2, common, talk);
        };
        let inline = std::mem::take(&mut request.inline);
        talk.ask(bind::question(&self.success.who, resource, self.request.client.clone(), inline));
        self.stage = Stage::Bind;
        Ok(Step::Completion(Box::new(self)))
    }

    pub(super) fn bound(
        mut self,
        answer: Result<(FullJid, Vec<Element>), StanzaError>,
        common: &mut Common,
        talk: &mut Talk<Output>,
    ) -> StepResult {
        match (&self.stage, answer) {
            (Stage::Bind, Ok((jid, results))) => {
                let bound = Bound { jid, results };
                let Some(enable) = self.request.bind.as_mut().and_then(|bind| bind.enable.take()) else {
                    return Ok(self.done(Some(bound), Management::Off, common, talk));
                };
                talk.ask(Output::Enable(enable));
                self.stage = Stage::Enable(bound);
                Ok(Step::Completion(Box::new(self)))
            }
            // XEP-0386 names no error. Without a session the login is worth nothing, and later it may succeed.
            (Stage::Bind, Err(_)) => failed(Failure::TemporaryAuthFailure, ns::SASL2, common, talk),
            _ => Ok(Step::Completion(Box::new(self))),
        }
    }

    pub(super) fn enabled(
        mut self,
        answer: Result<&sm::Enabled, &sm::Failed>,
        common: &mut Common,
        talk: &mut Talk<Output>,
    ) -> Step {
        match self.stage {
            Stage::Enable(mut bound) => {
                self.stage = Stage::Bind;
                let (result, management) = match answer {
                    Ok(enabled) => (enabled.to_element(), Management::On),
                    Err(failed) => (failed.to_element(), Management::Off),
                };
                bound.results.push(result);
                self.done(Some(bound), management, common, talk)
            }
            _ => Step::Completion(Box::new(self)),
        }
    }

    // -- the end

    /// `<success/>` for this identity, with what every one has.
    fn success(&mut self, identifier: &str) -> Element {
        let identifier = Element::new(ns::SASL2, "authorization-identifier").with_text(identifier);
        let mut success = Element::new(ns::SASL2, "success").with_child_opt(self.data()).with_child(identifier);
        if let Some(IssuedToken { token, expiry }) = &self.issued {
            let expiry = expiry.to_string();
            let token = Element::new(ns::FAST, "token").with_attr("expiry", expiry).with_attr("token", token.expose());
            success.push(token);
        }
        success.with_child_opt(self.not_resumed.take().map(|failed| failed.to_element()))
    }

    fn done(
        mut self,
        bound: Option<Bound>,
        management: Management,
        common: &mut Common,
        talk: &mut Talk<Output>,
    ) -> Step {
        common.tries = 0;
        let Some(Bound { jid, results }) = bound else {
            let account = self.success.who.account.clone();
            talk.element(&self.success(account.as_str()));
            return Step::Authenticated(AwaitBind::enter(self.success.who, self.request.client, common, talk));
        };
        let bound = Element::new(ns::BIND2, "bound").with_children(results);
        talk.element(&self.success(jid.as_str()).with_child(bound));
        // What is done is offered no more: clients that see it again ask for it again, and a second time is a mistake (XEP-0198 §3).
        let is_left =
            |feature: &&Element| management == Management::Off || feature.namespace() != ns::STREAM_MANAGEMENT;
        let left = common.settings.features.iter().filter(is_left).cloned();
        talk.element(&Element::new(ns::STREAMS, "features").with_children(left));
        Step::Ready(Ready::new(jid, common.lang.take(), management))
    }
}

/// The keys a client has brought.
fn upgraded(element: &Element, hash: ScramHash, salt: &[u8]) -> Option<StoredKeys> {
    let salted = base64_decode(element.child_text(ns::SCRAM_UPGRADE, "hash")?.trim()).ok()?;
    StoredKeys::from_salted(hash, &Secret::new(salted), salt, ITERATIONS).ok()
}
