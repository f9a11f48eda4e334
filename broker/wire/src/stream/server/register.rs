//! Registration before login (XEP-0077 §3.1): the one stanza there is then, and how many of them.

use super::auth::AwaitAuth;
use super::{Common, Output, Step, StepResult, Talk, fault};
use crate::ns;
use crate::stanza::Stanza;
use crate::stream_error::StreamCondition;
use crate::xml::Element;

/// Registration requests on one stream: the question, and some attempts at a name that is free.
const REGISTRATIONS_MAX: u8 = 10;

/// A registration request (XEP-0077 §3.1), the one stanza there is before login.
pub(super) fn request(element: &Element) -> Option<Stanza> {
    let stanza = Stanza::from_element(element.clone()).ok().filter(|_| element.namespace() == ns::CLIENT)?;
    (stanza.kind().is_request() && stanza.payload()?.is(ns::REGISTER, "query")).then_some(stanza)
}

/// Where registration is not open it is answered like any stanza before login.
pub(super) fn ask(request: Stanza, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
    if common.settings.before_login.is_empty() {
        return Err(fault(StreamCondition::NotAuthorized, "Log in first."));
    }
    common.registrations = common.registrations.saturating_add(1);
    if common.registrations > REGISTRATIONS_MAX {
        return Err(fault(StreamCondition::PolicyViolation, "Too many registration requests."));
    }
    talk.ask(Output::Register(request));
    Ok(Step::Auth(AwaitAuth))
}
