//! The elements of Server Dialback (XEP-0220 §2): claims, checks, and the answers to both.

use super::{DialbackAnswer, Pair};
use crate::jid::DomainPart;
use crate::ns;
use crate::stanza::{StanzaCondition, StanzaError};
use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::Element;

/// Longest key or stream name we take: ours have 64 characters, and other servers' little more.
const TEXT_BYTES_MAX: usize = 512;

/// A dialback element that came from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dialback {
    /// "I speak for this domain; here is the key" (step 1).
    Claim { pair: Pair, key: String },
    /// The answer to a claim (step 4).
    Result { pair: Pair, answer: DialbackAnswer },
    /// "Is this key yours?" (step 2).
    Check { pair: Pair, id: String, key: String },
    /// The answer to a check (step 3).
    Checked { pair: Pair, id: String, answer: DialbackAnswer },
}

impl Dialback {
    /// Reads an element of the dialback namespace; `None` if it is none of this protocol.
    ///
    /// # Errors
    /// `improper-addressing` if it names no two domains, `bad-format` for a text or type that cannot be.
    pub(super) fn read(element: &Element) -> Result<Option<Dialback>, StreamError> {
        let is_result = element.is(ns::DIALBACK, "result");
        if !is_result && !element.is(ns::DIALBACK, "verify") {
            return Ok(None);
        }
        let domain = |name| element.attr(name).and_then(|text| DomainPart::parse(text).ok());
        let (Some(from), Some(to)) = (domain("from"), domain("to")) else {
            return Err(StreamError::new(StreamCondition::ImproperAddressing).with_text("Dialback needs two domains."));
        };
        let pair = Pair { local: to, remote: from };
        let bad = || StreamError::new(StreamCondition::BadFormat).with_text("This is no dialback.");
        let short =
            |text: &str| (!text.is_empty() && text.len() <= TEXT_BYTES_MAX).then(|| text.to_owned()).ok_or_else(bad);
        let id = if is_result { None } else { Some(short(element.attr("id").unwrap_or_default())?) };
        let answer = match element.attr("type") {
            None => None,
            Some("valid") => Some(DialbackAnswer::Valid),
            Some("invalid") => Some(DialbackAnswer::Invalid),
            Some("error") => Some(DialbackAnswer::Error(condition(element))),
            Some(_) => return Err(bad()),
        };
        Ok(Some(match (id, answer) {
            (None, None) => Dialback::Claim { pair, key: short(element.text().trim())? },
            (None, Some(answer)) => Dialback::Result { pair, answer },
            (Some(id), None) => Dialback::Check { pair, id, key: short(element.text().trim())? },
            (Some(id), Some(answer)) => Dialback::Checked { pair, id, answer },
        }))
    }
}

fn condition(element: &Element) -> StanzaCondition {
    let error = element.child(ns::SERVER, "error").cloned().and_then(|mut error| {
        error.set_namespace(ns::CLIENT);
        StanzaError::from_element(&error)
    });
    error.map_or(StanzaCondition::UndefinedCondition, |error| error.condition())
}

pub(super) fn claim(pair: &Pair, key: &str) -> Element {
    addressed("result", pair).with_text(key)
}

pub(super) fn check(pair: &Pair, id: &str, key: &str) -> Element {
    addressed("verify", pair).with_attr("id", id).with_text(key)
}

pub(super) fn result(pair: &Pair, answer: DialbackAnswer) -> Element {
    answered(addressed("result", pair), answer)
}

pub(super) fn checked(pair: &Pair, id: &str, answer: DialbackAnswer) -> Element {
    answered(addressed("verify", pair).with_attr("id", id), answer)
}

fn addressed(name: &'static str, pair: &Pair) -> Element {
    Element::new(ns::DIALBACK, name).with_attr("from", pair.local.as_str()).with_attr("to", pair.remote.as_str())
}

fn answered(element: Element, answer: DialbackAnswer) -> Element {
    match answer {
        DialbackAnswer::Valid => element.with_attr("type", "valid"),
        DialbackAnswer::Invalid => element.with_attr("type", "invalid"),
        DialbackAnswer::Error(condition) => {
            let mut error = StanzaError::new(condition).to_element();
            error.set_namespace(ns::SERVER);
            element.with_attr("type", "error").with_child(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, Scope, parse_document};

    fn pair() -> Pair {
        Pair::new("montague.example", "capulet.example").unwrap()
    }

    fn text(element: &Element) -> String {
        String::from_utf8(element.to_bytes(&Scope::SERVER)).unwrap()
    }

    fn read(inner: &str) -> Result<Option<Dialback>, StreamError> {
        let text = format!("<a xmlns='jabber:server' xmlns:db='jabber:server:dialback'>{inner}</a>");
        let document = parse_document(text, &Limits::SERVER).unwrap();
        Dialback::read(document.first_child().unwrap())
    }

    #[test]
    fn elements_look_as_the_standard_has_them() {
        assert_eq!(text(&claim(&pair(), "k")), "<db:result from='montague.example' to='capulet.example'>k</db:result>");
        assert_eq!(
            text(&checked(&pair(), "1", DialbackAnswer::Error(StanzaCondition::ItemNotFound))),
            "<db:verify from='montague.example' to='capulet.example' id='1' type='error'><error type='cancel'>\
             <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:verify>"
        );
    }

    #[test]
    fn what_one_side_writes_the_other_reads() {
        let theirs = pair().swapped();
        let answers =
            [DialbackAnswer::Valid, DialbackAnswer::Invalid, DialbackAnswer::Error(StanzaCondition::Forbidden)];
        for answer in answers {
            let found = read(&text(&result(&pair(), answer))).unwrap();
            assert_eq!(found, Some(Dialback::Result { pair: theirs.clone(), answer }));
            let found = read(&text(&checked(&pair(), "7", answer))).unwrap();
            assert_eq!(found, Some(Dialback::Checked { pair: theirs.clone(), id: "7".into(), answer }));
        }
        let found = read(&text(&check(&pair(), "7", "key"))).unwrap();
        assert_eq!(found, Some(Dialback::Check { pair: theirs, id: "7".into(), key: "key".into() }));
    }

    #[test]
    fn what_names_no_two_domains_or_has_no_key_is_refused() {
        for inner in [
            "<db:result from='a.example'>k</db:result>",
            "<db:result from='anna@a.example' to='b.example'>k</db:result>",
            "<db:result from='a.example' to='b.example/x'>k</db:result>",
            "<db:result from='a.example' to='b.example'/>",
            "<db:verify from='a.example' to='b.example'>k</db:verify>",
            "<db:verify from='a.example' to='b.example' id=''>k</db:verify>",
            "<db:result from='a.example' to='b.example' type='maybe'/>",
        ] {
            assert!(read(inner).is_err(), "{inner}");
        }
        let long = format!("<db:result from='a.example' to='b.example'>{}</db:result>", "k".repeat(TEXT_BYTES_MAX));
        assert!(read(&long).is_ok());
        assert!(read(&long.replacen('k', "kk", 1)).is_err());
    }
}
