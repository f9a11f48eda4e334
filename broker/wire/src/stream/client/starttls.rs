//! Asking for TLS, and giving up without it (RFC 6120 §5, RFC 7590 §3.1).

use super::{ClientFault, ClientOutput, Step, StepResult, Talk, Why};
use crate::ns;
use crate::xml::Element;

/// The features must offer STARTTLS.
#[derive(Debug)]
pub(super) struct AwaitTlsFeature;

/// `<starttls/>` is out.
#[derive(Debug)]
pub(super) struct AwaitProceed;

impl AwaitTlsFeature {
    pub(super) fn element(self, element: &Element, talk: &mut Talk<ClientOutput>) -> StepResult {
        if !element.is(ns::STREAMS, "features") {
            return Err(ClientFault::Protocol("no stream features"));
        }
        if element.child(ns::TLS, "starttls").is_none() {
            return Err(ClientFault::NoTls);
        }
        talk.element(&Element::new(ns::TLS, "starttls"));
        Ok(Step::Proceed(AwaitProceed))
    }
}

impl AwaitProceed {
    pub(super) fn element(self, element: &Element, empty: bool, talk: &mut Talk<ClientOutput>) -> StepResult {
        if !element.is(ns::TLS, "proceed") {
            return Err(ClientFault::NoTls);
        }
        if !empty {
            return Err(ClientFault::Ended(Why::Injected));
        }
        talk.restart();
        talk.ask(ClientOutput::StartTls);
        Ok(Step::Handshake)
    }
}
