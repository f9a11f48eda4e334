//! Marks that only a server may put on a stanza. Whoever else sends them lies, so all of them go before ours come on.
//!
//! One forged mark left beside the true one is a forged mark believed: clients read the first they find.

use torg_wire::jid::Jid;
use torg_wire::ns;
use torg_wire::stanza::Stanza;
use torg_wire::xep::carbons::is_copy_mark;
use torg_wire::xml::Element;

/// Removes from a stanza that came from outside what only this server says: `is_local` knows its addresses.
pub(crate) fn strip(stanza: &mut Stanza, is_local: impl Fn(&Jid) -> bool) {
    let reserved = |child: &Element| is_reserved(child, &is_local);
    if stanza.children().iter().any(reserved) {
        stanza.retain_children(|child| !reserved(child));
    }
}

fn is_reserved(child: &Element, is_local: impl Fn(&Jid) -> bool) -> bool {
    // An address that we cannot read may be read by a client that is less strict.
    let ours = |text: &str| Jid::parse(text).map_or(true, |jid| is_local(&jid));
    if child.is(ns::STANZA_ID, "stanza-id") {
        return child.attr("by").is_none_or(ours); // XEP-0359 §5: an id is believed because of who gave it
    }
    if child.is(ns::DELAY, "delay") {
        return child.attr("from").is_some_and(ours); // XEP-0203 §4: a delay that this server is said to have caused
    }
    // XEP-0280 §11: a copy comes from the own server alone; many clients believed others (CVE-2017-5589 and its kind)
    is_copy_mark(child)
}

#[cfg(test)]
mod tests {
    use torg_wire::stanza::MessageType;
    use torg_wire::xml::{Limits, parse_document};

    use super::*;

    fn left(child: &str) -> usize {
        let element = parse_document(child, &Limits::CLIENT).unwrap();
        let mut stanza = Stanza::message(MessageType::Chat).with_body("x").with_child(element);
        strip(&mut stanza, |jid| jid.domain() == "site.example");
        stanza.children().len() - 1
    }

    #[test]
    fn forged_carbons_are_taken_off() {
        assert_eq!(left("<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>"), 0);
        assert_eq!(left("<received xmlns='urn:xmpp:carbons:2'/>"), 0);
        assert_eq!(left("<private xmlns='urn:xmpp:carbons:2'/>"), 1, "a client may say this");
    }

    #[test]
    fn ids_that_our_addresses_are_said_to_have_given_are_taken_off() {
        for by in ["site.example", "anna@site.example", "Anna@SITE.example", "@bad@"] {
            assert_eq!(left(&format!("<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='{by}'/>")), 0, "{by}");
        }
        assert_eq!(left("<stanza-id xmlns='urn:xmpp:sid:0' id='1'/>"), 0);
        assert_eq!(left("<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room.elsewhere.example'/>"), 1);
        assert_eq!(left("<origin-id xmlns='urn:xmpp:sid:0' id='1'/>"), 1);
    }

    #[test]
    fn delays_that_we_are_said_to_have_caused_are_taken_off() {
        let delay = |from: &str| left(&format!("<delay xmlns='urn:xmpp:delay' {from} stamp='2026-01-01T00:00:00Z'/>"));
        assert_eq!(delay("from='site.example'"), 0);
        assert_eq!(delay("from='SITE.example'"), 0);
        assert_eq!(delay("from='elsewhere.example'"), 1);
        assert_eq!(delay(""), 1, "a client's own remark on when it wrote");
    }

    #[test]
    fn all_of_them_go_not_only_the_first() {
        let forged = || parse_document("<received xmlns='urn:xmpp:carbons:2'/>", &Limits::CLIENT).unwrap();
        let mut stanza = Stanza::message(MessageType::Chat).with_child(forged()).with_body("x").with_child(forged());
        strip(&mut stanza, |_| false);
        assert_eq!(stanza.children().len(), 1);
    }
}
