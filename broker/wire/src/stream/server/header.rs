//! Waiting for the client's stream header: the first one, after TLS, after login (RFC 6120 §4.7).

use super::auth::AwaitAuth;
use super::bind::AwaitBind;
use super::starttls::AwaitStartTls;
use super::{Common, Output, Step, StepResult, Talk, Why, fault};
use crate::jid::{BareJid, DomainPart, Jid};
use crate::ns;
use crate::reader::StreamHeader;
use crate::sasl::Authenticated;
use crate::stream_error::StreamCondition;

/// Longest language tag we keep; RFC 5646 §4.4.1 says 35 characters hold every registered one.
const LANG_BYTES_MAX: usize = 35;

#[derive(Debug)]
pub(super) struct AwaitHeader {
    /// Who logged in on this stream, and how; `None` before that.
    pub(super) who: Option<Authenticated>,
}

impl AwaitHeader {
    pub(super) fn header(self, header: &StreamHeader, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        let account = self.who.as_ref().map(|who| &who.account);
        check(header, &common.settings.domain, account)?;
        let from = header.from.as_deref().and_then(|from| Jid::parse(from).ok());
        if common.secured.is_some()
            && from.as_ref().is_some_and(|from| from.domain() != common.settings.domain.as_str())
        {
            // XEP-0388 §2.1. Before TLS nothing said counts.
            return Err(fault(StreamCondition::InvalidFrom, "The stream header's 'from' is not of this domain."));
        }
        common.from = from.map(|from| from.to_bare()).filter(|from| from.local().is_some());
        common.lang = header.lang.as_deref().filter(|lang| is_language_tag(lang)).map(compact_str::CompactString::new);
        talk.open(&response(header, common));
        Ok(match (self.who, &common.secured) {
            (Some(who), _) => Step::Bind(AwaitBind::enter(who, None, common, talk)),
            (None, Some(_)) => Step::Auth(AwaitAuth::enter(common, talk)),
            (None, None) => Step::StartTls(AwaitStartTls::enter(talk)),
        })
    }
}

/// One domain is served, so checking `to` against it each time also pins it (CVE-2018-10847).
fn check(header: &StreamHeader, domain: &DomainPart, account: Option<&BareJid>) -> Result<(), Why> {
    if header.content != ns::CLIENT {
        return Err(fault(
            StreamCondition::InvalidNamespace,
            "This port is for clients: the content namespace must be jabber:client.",
        ));
    }
    if header.version_numbers().is_none_or(|(major, _)| major < 1) {
        return Err(fault(StreamCondition::UnsupportedVersion, "Version 1.0 is needed."));
    }
    let Some(to) = &header.to else {
        return Err(fault(
            StreamCondition::ImproperAddressing,
            "The stream header must say in 'to' which domain it is for.",
        ));
    };
    let to = BareJid::parse(to)
        .map_err(|_| fault(StreamCondition::ImproperAddressing, "The stream header's 'to' is no address."))?;
    if to.local().is_some() || to.domain() != domain.as_str() {
        return Err(fault(StreamCondition::HostUnknown, "This server does not serve that domain."));
    }
    match (&header.from, account) {
        (Some(from), Some(account)) if Jid::parse(from).ok().is_none_or(|from| from.bare_str() != account.as_str()) => {
            Err(fault(StreamCondition::InvalidFrom, "The stream header's 'from' is not who logged in."))
        }
        _ => Ok(()),
    }
}

fn response(request: &StreamHeader, common: &mut Common) -> StreamHeader {
    let mut header = StreamHeader::new(ns::CLIENT);
    header.from = Some(common.settings.domain.as_str().into());
    // RFC 6120 §4.7.2: the client's address comes back if it gave one and the stream is protected.
    header.to = request.from.clone().filter(|from| common.secured.is_some() && Jid::parse(from).is_ok());
    header.id = Some(common.seed.draw("stream"));
    header.lang = Some("en".into());
    header
}

fn is_language_tag(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LANG_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
