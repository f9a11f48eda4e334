//! Times as XMPP writes them: entity time (XEP-0202) and delayed delivery (XEP-0203).

use torg_thing::Timestamp;

use crate::jid::Jid;
use crate::ns;
use crate::xml::Element;

/// The question for an entity's time.
pub fn request() -> Element {
    Element::new(ns::TIME, "time")
}

/// Whether `element` is the question for an entity's time.
pub fn is_request(element: &Element) -> bool {
    element.is(ns::TIME, "time")
}

/// The answer: `now`, and that the entity keeps UTC.
pub fn answer(now: Timestamp) -> Element {
    request()
        .with_child(Element::new(ns::TIME, "tzo").with_text("+00:00"))
        .with_child(Element::new(ns::TIME, "utc").with_text(now.to_string()))
}

/// The time in an answer; `None` if `element` is not one.
pub fn decode_answer(element: &Element) -> Option<Timestamp> {
    is_request(element).then(|| element.child_text(ns::TIME, "utc")?.trim().parse().ok()).flatten()
}

/// The mark of a stanza that was kept back: by whom, and since when.
pub fn delay(from: Option<&Jid>, since: Timestamp) -> Element {
    Element::new(ns::DELAY, "delay").with_attr_opt("from", from).with_attr("stamp", since.to_string())
}

/// Since when a stanza was kept back, if `element` is such a mark.
pub fn decode_delay(element: &Element) -> Option<Timestamp> {
    element.is(ns::DELAY, "delay").then(|| element.attr("stamp")?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T10:15:00Z".parse().unwrap()
    }

    #[test]
    fn an_entity_time_reads_back_as_written() {
        assert_eq!(decode_answer(&answer(now())), Some(now()));
        assert_eq!(decode_answer(&request()), None);
    }

    #[test]
    fn a_delay_reads_back_as_written() {
        let by = Jid::parse("a.example").unwrap();
        assert_eq!(decode_delay(&delay(Some(&by), now())), Some(now()));
        assert_eq!(delay(None, now()).attr("from"), None);
    }
}
