//! Answers of a concentrator as XEP-0326 wraps them: an element named after the operation, with the outcome as attribute.

use super::NS_CONCENTRATOR;
use crate::iot::Generation;
use crate::iot::concentrator::Answer;
use crate::stanza::StanzaCondition;
use crate::xml::{Content, Element, Namespace};

/// The answer to the operation of that name. Answers that this generation has no place for come out empty.
#[must_use]
pub fn answered(operation: &str, answer: &Answer) -> Element {
    let mut response = wrapper(operation, "OK");
    let short = answer.encode(Generation::Xmpp);
    match answer {
        Answer::Bool(_) => response.push_text(short.text()),
        Answer::Bools(values) => {
            let values = values.iter().map(|value| Element::new(NS_CONCENTRATOR, "value").with_text(value.to_string()));
            return response.with_children(values);
        }
        Answer::NodeInfo(_) => fill(&mut response, &short),
        Answer::NodeInfos(_) => {
            for info in short.children() {
                let mut node = Element::new(NS_CONCENTRATOR, "node");
                fill(&mut node, info);
                response.push(node);
            }
        }
        Answer::DataSources(_) => {
            for source in short.children() {
                let mut long = Element::new(NS_CONCENTRATOR, "dataSource");
                fill(&mut long, source);
                response.push(long);
            }
        }
        Answer::Commands(_) | Answer::Inheritance { .. } | Answer::NodeTypes(_) | Answer::Strings(_) => {
            return response.with_children(short.into_children());
        }
        Answer::PartialExecution(_) | Answer::Sniffer { .. } => {}
    }
    response
}

/// The answer to an operation that failed; `None` if that is told as a stanza error in this generation too.
#[must_use]
pub fn failed(operation: &str, condition: StanzaCondition) -> Option<Element> {
    let code = match condition {
        StanzaCondition::Forbidden => "InsufficientPrivileges",
        StanzaCondition::ItemNotFound => "NotFound",
        StanzaCondition::ResourceConstraint => "OtherError",
        _ => return None,
    };
    Some(wrapper(operation, code))
}

fn wrapper(operation: &str, result: &str) -> Element {
    let name = format!("{operation}Response");
    Element::from_parts(Namespace::from(NS_CONCENTRATOR), name.as_str().into()).with_attr("result", result)
}

/// Attributes and children of an element of the later generations, as far as they were there from the beginning.
fn fill(long: &mut Element, short: &Element) {
    for attribute in short.attributes() {
        let value = attribute.value();
        match attribute.name() {
            "id" => long.set_attr("nodeId", value),
            "parentPartition" => long.set_attr("parentCacheType", value),
            "pt" => long.set_attr("cacheType", value),
            // A node does not tell its source, only a source itself does.
            "src" if short.name() == "dataSource" => long.set_attr("sourceId", value),
            "src" | "sniffable" => {}
            _ => long.push_attribute(attribute.clone()),
        }
    }
    for part in short.content() {
        match part {
            Content::Element(child) => long.push(child.clone()),
            Content::Text(text) => long.push_text(text),
        }
    }
}
