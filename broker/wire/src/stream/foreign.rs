//! Stanzas between `jabber:server` or `jabber:component:accept` on the wire and `jabber:client` in memory, with nothing hidden in
//! the change.
//!
//! # Why
//! The namespaces are one in memory. Were a `<body xmlns='jabber:client'>` inside a stanza of `jabber:server` simply read, two
//! servers could see two different messages; the same holds for `jabber:server` inside what a client sent. Neither passes.
//!
//! A component's stream has one reader, which is us, and what we read is written anew: there `jabber:client` inside a stanza is taken
//! for the stream's own, since slixmpp writes its errors so.

use std::borrow::Cow;

use crate::ns;
use crate::stanza::{Stanza, StanzaCondition, StanzaError, StanzaFault};
use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::{Element, Scope};

/// Reads a first-level element of a stream between servers.
pub(super) fn read(element: Element) -> Result<Stanza, StanzaFault> {
    check_content(&element, ns::SERVER)?;
    let mixed = hides(&element, ns::SERVER, ns::CLIENT);
    let stanza = Stanza::from_element(element)?;
    if mixed {
        let error =
            StanzaError::new(StanzaCondition::BadRequest).with_text("Elements of jabber:client inside jabber:server.");
        return Err(StanzaFault::Refused { error, stanza: Box::new(stanza) });
    }
    Ok(stanza)
}

/// Reads a first-level element of a component's stream.
pub(super) fn read_of_component(element: Element) -> Result<Stanza, StanzaFault> {
    check_content(&element, ns::COMPONENT)?;
    Stanza::from_element(element)
}

fn check_content(element: &Element, content: &str) -> Result<(), StanzaFault> {
    if element.namespace() == content {
        return Ok(());
    }
    let known = [ns::CLIENT, ns::COMPONENT, ns::SERVER].contains(&element.namespace().as_str());
    let condition = if known { StreamCondition::InvalidNamespace } else { StreamCondition::UnsupportedStanzaType };
    Err(StanzaFault::Fatal(StreamError::new(condition)))
}

/// Appends a stanza for a stream where `scope` is in force. What would become one with the stanza's own elements is left out.
pub(super) fn write(stanza: &Stanza, scope: &Scope<'_>, out: &mut Vec<u8>) {
    let content = scope.content_namespace();
    let hidden = |child: &Element| {
        child.namespace() == content || child.namespace() == ns::CLIENT && hides(child, ns::CLIENT, content)
    };
    let hides_some = stanza.children().iter().any(hidden);
    let stanza = if hides_some { Cow::Owned(cleared(stanza, content)) } else { Cow::Borrowed(stanza) };
    stanza.write_to(out, scope);
}

/// Whether, reached through elements of `own` only, there is an element of `other`.
fn hides(element: &Element, own: &str, other: &str) -> bool {
    let mut children = element.children();
    children.any(|child| child.namespace() == other || child.namespace() == own && hides(child, own, other))
}

fn cleared(stanza: &Stanza, content: &str) -> Stanza {
    fn clear(element: &mut Element, content: &str) {
        element.retain_children(|child| child.namespace() != content);
        element.children_mut().filter(|child| child.namespace() == ns::CLIENT).for_each(|child| clear(child, content));
    }
    let mut element = stanza.to_element();
    clear(&mut element, content);
    // It was a stanza before, and only children have gone; should an iq be left without its payload, its header goes alone.
    Stanza::from_element(element).unwrap_or_else(|_| {
        let mut header = stanza.clone();
        header.retain_children(|_| false);
        header
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse_document};

    fn element(text: &str) -> Element {
        parse_document(text, &Limits::SERVER).unwrap()
    }

    fn written(stanza: &Stanza) -> String {
        let mut out = Vec::new();
        write(stanza, &Scope::SERVER, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_stanza_becomes_one_of_clients_and_goes_back_as_it_came() {
        let text = "<message type='error' id='1' from='a@x.example' to='b@y.example'><body>Hi</body><error type='cancel'>\
                    <gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>";
        let stanza = read(element(&text.replacen("<message", "<message xmlns='jabber:server'", 1))).unwrap();
        assert_eq!(stanza.body().as_deref(), Some("Hi"));
        assert_eq!(stanza.error().map(|error| error.condition()), Some(StanzaCondition::Gone));
        assert_eq!(written(&stanza), text);
    }

    #[test]
    fn a_forwarded_message_keeps_its_namespace() {
        let text = "<message from='a@x.example' to='b@y.example'><forwarded xmlns='urn:xmpp:forward:0'>\
                    <message xmlns='jabber:client'><body>Hi</body></message></forwarded></message>";
        let stanza = read(element(&text.replacen("<message", "<message xmlns='jabber:server'", 1))).unwrap();
        assert_eq!(written(&stanza), text);
    }

    #[test]
    fn an_element_of_clients_inside_is_refused_wherever_it_would_be_taken_for_one_of_ours() {
        for inside in [
            "<body xmlns='jabber:client'>Hi</body>",
            "<body>Hi</body><body xmlns='jabber:client'>Ho</body>",
            "<error><text xmlns='jabber:client'>Hi</text></error>",
        ] {
            let stanza =
                format!("<message xmlns='jabber:server' from='a@x.example' to='b@y.example'>{inside}</message>");
            match read(element(&stanza)) {
                Err(StanzaFault::Refused { error, .. }) => assert_eq!(error.condition(), StanzaCondition::BadRequest),
                other => panic!("{inside}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_a_client_hides_in_the_namespace_of_servers_does_not_leave() {
        let text = "<message xmlns='jabber:client' from='a@x.example' to='b@y.example'><body>Hi<s xmlns='jabber:server'/></body>\
                    <body xmlns='jabber:server'>Ho</body><x xmlns='urn:x'><body xmlns='jabber:server'>kept</body></x></message>";
        let stanza = Stanza::from_element(element(text)).unwrap();
        assert_eq!(
            written(&stanza),
            "<message from='a@x.example' to='b@y.example'><body>Hi</body><x xmlns='urn:x'>\
             <body xmlns='jabber:server'>kept</body></x></message>"
        );
        let iq = "<iq xmlns='jabber:client' type='get' id='1' to='y.example'><body xmlns='jabber:server'/></iq>";
        assert_eq!(written(&Stanza::from_element(element(iq)).unwrap()), "<iq type='get' id='1' to='y.example'/>");
    }

    #[test]
    fn a_stanza_of_a_component_is_read_in_one_way_and_written_in_its_namespace() {
        let text =
            "<message xmlns='jabber:component:accept' from='c.x.example' to='b@x.example'><body>Hi</body></message>";
        let stanza = read_of_component(element(text)).unwrap();
        assert_eq!(stanza.body().as_deref(), Some("Hi"));
        let mixed = text.replace("<body>", "<body xmlns='jabber:client'>");
        assert_eq!(read_of_component(element(&mixed)).unwrap(), stanza, "one reading, whatever was written");
        let hidden = stanza.with_child(element("<body xmlns='jabber:component:accept'>Ho</body>"));
        let mut out = Vec::new();
        write(&hidden, &Scope::COMPONENT, &mut out);
        let written = String::from_utf8(out).unwrap();
        assert_eq!(written, "<message from='c.x.example' to='b@x.example'><body>Hi</body></message>");
    }

    #[test]
    fn what_is_no_stanza_of_servers_ends_the_stream() {
        for (text, condition) in [
            ("<message xmlns='jabber:client'/>", StreamCondition::InvalidNamespace),
            ("<message xmlns='jabber:component:accept'/>", StreamCondition::InvalidNamespace),
            ("<message xmlns='urn:other'/>", StreamCondition::UnsupportedStanzaType),
            ("<massage xmlns='jabber:server'/>", StreamCondition::UnsupportedStanzaType),
        ] {
            match read(element(text)) {
                Err(StanzaFault::Fatal(error)) => assert_eq!(error.condition(), condition, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
