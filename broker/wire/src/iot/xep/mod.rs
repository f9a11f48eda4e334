//! The words of the retracted first generation (XEP-0323, XEP-0325, XEP-0326 and the proposal for events): long names for
//! what all later ones write short.
//!
//! Requests are [shortened](shorten) before they are decoded and what is told is [lengthened](lengthen) after it is
//! encoded, so everything between knows [`Generation::Xmpp`](super::Generation::Xmpp) as one more generation. Only what a
//! thing receives is shortened and only what a thing says is lengthened: nothing here lets a client speak to a thing of
//! that generation.
//!
//! # Why
//! Names differ and three shapes do: `done` says the opposite of `more`, errors stand in an element of their own, and an
//! iq is answered with `accepted`, never with data. (A concentrator's answers are wrapped; see [`answered`].) A table of names and these three is all; a second set of types with
//! codecs would be the same meaning twice.

mod nodes;

#[cfg(test)]
mod tests;

use crate::xml::{Content, Element, Namespace};

pub use nodes::{answered, failed};

/// Namespace of sensor data (XEP-0323).
pub const NS_SENSOR_DATA: &str = "urn:xmpp:iot:sensordata";
/// Namespace of control (XEP-0325).
pub const NS_CONTROL: &str = "urn:xmpp:iot:control";
/// Namespace of concentrators (XEP-0326).
pub const NS_CONCENTRATOR: &str = "urn:xmpp:iot:concentrators";
/// Namespace of event subscription (proposed, never a XEP).
pub const NS_EVENTS: &str = "urn:xmpp:iot:events";

/// Elements of sensor data, events and control whose name alone differs.
const ELEMENTS: [(&str, &str); 16] = [
    ("boolean", "b"),
    ("color", "cl"),
    ("date", "d"),
    ("dateTime", "dt"),
    ("double", "db"),
    ("duration", "dr"),
    ("enum", "e"),
    ("field", "f"),
    ("int", "i"),
    ("long", "l"),
    ("node", "nd"),
    ("numeric", "q"),
    ("parameter", "p"),
    ("string", "s"),
    ("time", "t"),
    ("timestamp", "ts"),
];

/// Attributes whose name alone differs. The id of a request and that of a node, and the nine kinds of history, have one
/// short name each and stand apart.
const ATTRIBUTES: [(&str, &str); 36] = [
    ("automaticEstimate", "ae"),
    ("automaticReadout", "ar"),
    ("cacheType", "pt"),
    ("changedBy", "by"),
    ("changedDown", "dn"),
    ("changedUp", "up"),
    ("computed", "c"),
    ("dataType", "t"),
    ("deviceToken", "dt"),
    ("endOfSeries", "eos"),
    ("error", "er"),
    ("identity", "i"),
    ("inProgress", "pr"),
    ("invoiceConfirmed", "ic"),
    ("invoiced", "iv"),
    ("manualEstimate", "me"),
    ("manualReadout", "mr"),
    ("maxInterval", "maxInt"),
    ("minInterval", "minInt"),
    ("missing", "ms"),
    ("module", "lns"),
    ("momentary", "m"),
    ("name", "n"),
    ("peak", "p"),
    ("powerFailure", "pf"),
    ("serviceToken", "st"),
    ("signed", "so"),
    ("sourceId", "src"),
    ("status", "s"),
    ("stringIds", "loc"),
    ("timeOffset", "of"),
    ("unit", "u"),
    ("userToken", "ut"),
    ("value", "v"),
    ("warning", "w"),
    ("writable", "ctr"),
];

/// What this generation calls historical values that fall in none of its eight periods.
const HISTORICAL_OTHER: &str = "historicalOther";

/// A request in short words, in its own namespace. What needs no change stays as it is.
#[must_use]
pub fn shorten(element: &Element) -> Element {
    let namespace = element.namespace().as_str();
    // The elements of a concentrator are the same; only the addresses in them differ.
    let renamed = match (namespace, element.name()) {
        (NS_CONCENTRATOR, "node") => Some("nd"),
        (NS_CONTROL | NS_EVENTS | NS_SENSOR_DATA, name) => short_of(&ELEMENTS, name),
        (NS_CONCENTRATOR, _) => None,
        _ => return element.clone(),
    };
    let mut short = element.clone();
    let attributes = short.take_attributes();
    let content = short.into_content();
    let mut short = match renamed {
        Some(name) => Element::new(element.namespace().clone(), name),
        None => Element::from_parts(element.namespace().clone(), element.name().into()),
    };
    for attribute in attributes {
        let name = attribute.name();
        let shorter = match name {
            _ if *attribute.namespace() != Namespace::NONE => None,
            "nodeId" | "seqnr" => Some("id"),
            "sourceId" => Some("src"),
            "cacheType" => Some("pt"),
            "deviceToken" => Some("dt"),
            "serviceToken" => Some("st"),
            "userToken" => Some("ut"),
            _ if namespace == NS_CONCENTRATOR => None,
            "currentValue" => Some("v"),
            name if name.starts_with("historical") => {
                // Any of the nine is history; one that is off must not hide another that is on.
                if super::parse_boolean(attribute.value()) == Some(true) {
                    short.set_attr("h", "true");
                }
                continue;
            }
            name => short_of(&ATTRIBUTES, name),
        };
        match shorter {
            Some(name) => short.set_attr(name, attribute.value()),
            // It may not stand beside one that was renamed to the same.
            None if short.attr(name).is_some() => {}
            None => short.push_attribute(attribute),
        }
    }
    for part in content {
        match part {
            Content::Element(child) => short.push(shorten(&child)),
            Content::Text(text) => short.push_text(text),
        }
    }
    short
}

/// What is told, in long words: usually one element, none or two for data that holds nothing or errors.
///
/// Elements of other namespaces come back as they are.
#[must_use]
pub fn lengthen(element: &Element) -> Vec<Element> {
    match (element.namespace().as_str(), element.name()) {
        (NS_SENSOR_DATA, "resp") => data(element),
        // Not in the last text of the XEP, but what slixmpp's plug-in hands to its user.
        (NS_CONTROL, "resp") => vec![renamed(element, "setResponse").with_attr("responseCode", "OK")],
        (NS_CONTROL | NS_SENSOR_DATA, _) => vec![long(element)],
        _ => vec![element.clone()],
    }
}

/// The first answer to a request for data: whatever is told, the iq says `accepted` and the rest goes in messages.
#[must_use]
pub fn accepted(id: &str) -> Element {
    Element::new(NS_SENSOR_DATA, "accepted").with_attr("seqnr", id)
}

/// The answer to a request to give up a readout.
#[must_use]
pub fn cancelled(id: &str) -> Element {
    Element::new(NS_SENSOR_DATA, "cancelled").with_attr("seqnr", id)
}

/// Fields first, then errors: clients forget a readout with its first errors.
fn data(resp: &Element) -> Vec<Element> {
    let id = resp.attr("id").unwrap_or_default();
    let mut fields = Element::new(NS_SENSOR_DATA, "fields").with_attr("seqnr", id);
    let mut failure = Element::new(NS_SENSOR_DATA, "failure").with_attr("seqnr", id);
    let unnamed = Element::new(NS_SENSOR_DATA, "nd").with_attr("id", "");
    let own = resp.children_named(NS_SENSOR_DATA, "ts").map(|moment| (&unnamed, moment));
    let of_nodes = resp
        .children_named(NS_SENSOR_DATA, "nd")
        .flat_map(|node| node.children_named(NS_SENSOR_DATA, "ts").map(move |moment| (node, moment)));
    let mut last: Option<(&Element, Element)> = None;
    for (node, moment) in own.chain(of_nodes) {
        let at = moment.attr("v").unwrap_or_default();
        for error in moment.children_named(NS_SENSOR_DATA, "err") {
            failure.push(address(node, "error").with_attr("timestamp", at).with_text(error.text()));
        }
        let mut readings = moment.clone();
        readings.retain_children(|child| child.name() != "err");
        if readings.is_empty() {
            continue;
        }
        // What belongs to one node stays together.
        match &mut last {
            Some((open, group)) if std::ptr::eq(*open, node) => group.push(long(&readings)),
            _ => {
                last.take().into_iter().for_each(|(_, group)| fields.push(group));
                last = Some((node, address(node, "node").with_child(long(&readings))));
            }
        }
    }
    last.into_iter().for_each(|(_, group)| fields.push(group));
    let mut told: Vec<Element> = [fields, failure].into_iter().filter(|part| !part.is_empty()).collect();
    if resp.attr("more") != Some("true") {
        match told.last_mut() {
            Some(part) => part.set_attr("done", "true"),
            None => told.push(Element::new(NS_SENSOR_DATA, "done").with_attr("seqnr", id)),
        }
    }
    told
}

/// An element that carries the address of a node.
fn address(node: &Element, name: &'static str) -> Element {
    Element::new(NS_SENSOR_DATA, name)
        .with_attr("nodeId", node.attr("id").unwrap_or_default())
        .with_attr_opt("sourceId", node.attr("src"))
        .with_attr_opt("cacheType", node.attr("pt"))
}

fn long(element: &Element) -> Element {
    match long_of(&ELEMENTS, element.name()) {
        Some(name) => renamed(element, name),
        None => {
            let mut same = Element::from_parts(element.namespace().clone(), element.name().into());
            fill(&mut same, element);
            same
        }
    }
}

fn renamed(element: &Element, name: &'static str) -> Element {
    let mut long = Element::new(element.namespace().clone(), name);
    fill(&mut long, element);
    long
}

/// Attributes and content of `short` in long words.
fn fill(long_one: &mut Element, short: &Element) {
    let is_node = short.name() == "nd";
    for attribute in short.attributes() {
        let name = match attribute.name() {
            _ if *attribute.namespace() != Namespace::NONE => None,
            "id" => Some(if is_node { "nodeId" } else { "seqnr" }),
            "h" => Some(HISTORICAL_OTHER),
            name => long_of(&ATTRIBUTES, name),
        };
        match name {
            Some(name) => long_one.set_attr(name, attribute.value()),
            None => long_one.push_attribute(attribute.clone()),
        }
    }
    for part in short.content() {
        match part {
            Content::Element(child) if child.namespace() == short.namespace() => long_one.push(long(child)),
            Content::Element(child) => long_one.push(child.clone()),
            Content::Text(text) => long_one.push_text(text),
        }
    }
}

fn short_of(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find_map(|(long, short)| (*long == name).then_some(*short))
}

fn long_of(table: &[(&'static str, &str)], name: &str) -> Option<&'static str> {
    table.iter().find_map(|(long, short)| (*short == name).then_some(*long))
}
