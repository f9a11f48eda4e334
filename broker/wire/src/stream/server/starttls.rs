//! Before TLS: nothing is offered and nothing accepted but STARTTLS (RFC 6120 §5, RFC 7590 §3.1).

use super::auth;
use super::header::AwaitHeader;
use super::{Common, Output, Secured, Step, StepResult, Talk, Why, fault};
use crate::ns;
use crate::sasl::Failure;
use crate::stream_error::StreamCondition;
use crate::xml::Element;

#[derive(Debug)]
pub(super) struct AwaitStartTls;

/// TLS is being negotiated on the connection below.
#[derive(Debug)]
pub(super) struct Handshake;

impl AwaitStartTls {
    pub(super) fn enter(talk: &mut Talk<Output>) -> AwaitStartTls {
        let starttls = Element::new(ns::TLS, "starttls").with_child(Element::new(ns::TLS, "required"));
        talk.element(&Element::new(ns::STREAMS, "features").with_child(starttls));
        AwaitStartTls
    }

    pub(super) fn element(
        self,
        element: &Element,
        empty: bool,
        common: &mut Common,
        talk: &mut Talk<Output>,
    ) -> StepResult {
        if element.is(ns::TLS, "starttls") {
            if !empty {
                // Whoever put bytes behind it wants them to be read as if they had come through TLS.
                talk.element(&Element::new(ns::TLS, "failure"));
                return Err(Why::Injected);
            }
            talk.element(&Element::new(ns::TLS, "proceed"));
            talk.ask(Output::StartTls);
            return Ok(Step::Handshake(Handshake));
        }
        if element.is(ns::SASL, "auth") || element.is(ns::SASL2, "authenticate") {
            auth::failed(Failure::EncryptionRequired, element.namespace().as_str(), common, talk)?;
            return Ok(Step::StartTls(self));
        }
        Err(fault(StreamCondition::NotAuthorized, "Start TLS first."))
    }
}

impl Handshake {
    pub(super) fn secured(self, secured: Secured, common: &mut Common) -> Step {
        common.secured = Some(secured);
        Step::Header(AwaitHeader { who: None })
    }
}
