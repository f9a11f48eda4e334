//! The second SASL profile in XML: what is offered, and all that a client may ask for together with its login (XEP-0388 §2,
//! XEP-0386 §3, XEP-0480 §2, XEP-0484 §3). What becomes of it after a right proof is in `completion`.
//!
//! Wishes we do not know are passed over, as the standard wants it.

use super::ServerSettings;
use crate::ns;
use crate::sasl::{
    ChannelBindings, ClientId, Failure, Mechanism, Policy, ScramHash, TokenMechanism, base64_decode, offer_tokens,
};
use crate::xep::sm;
use crate::xml::Element;

/// Name of the task that brings keys for SCRAM-SHA-256 (XEP-0480 §3).
pub(super) const UPGRADE_SHA_256: &str = "UPGR-SCRAM-SHA-256";

/// What a client wants besides being let in.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// Its installation.
    pub(super) client: Option<ClientId>,
    /// It would rather go on with a former session.
    pub(super) resume: Option<sm::Resume>,
    pub(super) bind: Option<BindRequest>,
    /// A token for later logins.
    pub(super) token: Option<TokenMechanism>,
    /// It logs in with a token.
    pub(super) fast: Option<Fast>,
    /// It would bring keys for a better hash.
    pub(super) upgrade: Option<ScramHash>,
}

/// A resource in the same breath (XEP-0386 §3.2).
#[derive(Debug)]
pub(super) struct BindRequest {
    pub(super) tag: Option<String>,
    /// Manage the new stream from its beginning (XEP-0198 §9.1).
    pub(super) enable: Option<sm::Enable>,
    /// What the new session shall begin with, each an element in a namespace of its own.
    pub(super) inline: Vec<Element>,
}

/// The attributes of `<fast/>`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fast {
    pub(super) count: Option<u32>,
    pub(super) invalidate: bool,
}

/// The stream feature.
pub(super) fn feature(mechanisms: &[Mechanism], settings: &ServerSettings, bindings: &ChannelBindings) -> Element {
    let mut feature = Element::new(ns::SASL2, "authentication");
    for mechanism in mechanisms {
        feature.push(Element::new(ns::SASL2, "mechanism").with_text(mechanism.name()));
    }
    let vars = settings.bind_inline.iter().map(|var| Element::new(ns::BIND2, "feature").with_attr("var", var));
    let bind = Element::new(ns::BIND2, "bind").with_child(Element::new(ns::BIND2, "inline").with_children(vars));
    let mut inline = Element::new(ns::SASL2, "inline").with_child(bind);
    if settings.bind_inline.contains(&ns::STREAM_MANAGEMENT) {
        inline.push(sm::feature());
    }
    let tokens = offer_tokens(&settings.policy, bindings);
    if !tokens.is_empty() {
        let names = tokens.iter().map(|token| Element::new(ns::FAST, "mechanism").with_text(token.name()));
        inline.push(Element::new(ns::FAST, "fast").with_children(names));
    }
    feature.push(inline);
    if settings.policy.scram_sha1 {
        // The same for every account: what it has keys for is told to nobody before it has proven itself.
        feature.push(Element::new(ns::SASL_UPGRADE, "upgrade").with_text(UPGRADE_SHA_256));
    }
    feature
}

impl Request {
    /// Reads `<authenticate/>`: the initial response, if there is one, and the wishes.
    pub(super) fn parse(
        element: &Element,
        policy: &Policy,
        bindings: &ChannelBindings,
    ) -> Result<(Option<Vec<u8>>, Request), Failure> {
        let initial = match element.child_text(ns::SASL2, "initial-response") {
            Some(text) => Some(base64_decode(text.trim()).map_err(|_| Failure::IncorrectEncoding)?),
            None => None,
        };
        let offered = offer_tokens(policy, bindings);
        let token = element.child(ns::FAST, "request-token").and_then(|wish| wish.attr("mechanism"));
        let token = token.and_then(TokenMechanism::parse).filter(|mechanism| offered.contains(mechanism));
        let fast = element.child(ns::FAST, "fast").map(Fast::parse).transpose()?;
        let upgrade =
            element.children_named(ns::SASL_UPGRADE, "upgrade").any(|task| task.text().trim() == UPGRADE_SHA_256);
        let agent = element.child(ns::SASL2, "user-agent").and_then(|agent| agent.attr("id"));
        let request = Request {
            client: agent.and_then(ClientId::parse),
            resume: resume(element)?,
            bind: element.child(ns::BIND2, "bind").map(BindRequest::parse),
            token,
            fast,
            upgrade: (upgrade && policy.scram_sha1).then_some(ScramHash::Sha256),
        };
        Ok((initial, request))
    }
}

fn resume(element: &Element) -> Result<Option<sm::Resume>, Failure> {
    let resume = element.children().find_map(sm::Resume::from_element).transpose();
    resume.map_err(|sm::BadCommand| Failure::MalformedRequest)
}

impl BindRequest {
    fn parse(element: &Element) -> BindRequest {
        let tag = element.child_text(ns::BIND2, "tag").map(|text| text.into_owned()).filter(|text| !text.is_empty());
        let enable = element.children().find_map(sm::Enable::from_element);
        let core = |child: &&Element| child.namespace() != ns::BIND2 && child.namespace() != ns::STREAM_MANAGEMENT;
        let inline = element.children().filter(core).cloned().collect();
        BindRequest { tag, enable, inline }
    }
}

impl Fast {
    fn parse(element: &Element) -> Result<Fast, Failure> {
        let count = element.attr("count").map(str::parse).transpose().map_err(|_| Failure::MalformedRequest)?;
        let invalidate = match element.attr("invalidate") {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => return Err(Failure::MalformedRequest),
        };
        Ok(Fast { count, invalidate })
    }
}
