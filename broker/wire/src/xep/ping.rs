//! Ping (XEP-0199): the empty question whether somebody is there.

use crate::ns;
use crate::xml::Element;

/// The question; the answer is an empty result.
pub fn request() -> Element {
    Element::new(ns::PING, "ping")
}

/// Whether `element` is the question.
pub fn is_request(element: &Element) -> bool {
    element.is(ns::PING, "ping")
}
