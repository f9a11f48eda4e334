//! Setting control parameters: `set`, `getForm`, `resp`, and the `paramError` and `pGroup` that go with errors and forms
//! (nfi ControlParameters).
//!
//! The form of `getForm` itself is an ordinary data form and stands directly in the result.

use torg_thing::{Assignment, ControlValue, EnumValue, FieldName, NodeRef};

use super::codec::{self, DecodeError, Tokens};
use super::{Generation, Interface};
use crate::xep::data_forms::{DataForm, FormKind};
use crate::xml::Element;

/// Anything that travels in the control namespace, except inside errors and forms.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// Asks for the form of the parameters.
    FormRequest(FormRequest),
    /// What was operated on.
    Response(Response),
    /// Sets parameters.
    Set(Set),
}

/// `set`: gives parameters values, on all the nodes listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// The nodes; on a concentrator an empty list means no node at all.
    pub nodes: Vec<NodeRef>,
    /// The values.
    pub values: Values,
    /// Who asks, besides the sender.
    pub tokens: Tokens,
}

/// The values of a [`Set`].
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// A form that was filled in; the types are those of the parameters.
    Form(DataForm),
    /// Typed values in the order to be executed.
    Simple(Vec<Assignment>),
}

/// `getForm`: asks for the form with the parameters that all the nodes listed have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct FormRequest {
    /// The nodes.
    pub nodes: Vec<NodeRef>,
    /// Who asks, besides the sender.
    pub tokens: Tokens,
}

/// `resp`: what was operated on. Empty lists mean all that was asked.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Response {
    /// The nodes.
    pub nodes: Vec<NodeRef>,
    /// The parameters.
    pub parameters: Vec<FieldName>,
}

/// `paramError`: which parameter an error is about.
///
/// # Why
/// The schema calls the attribute `var`, deployed software `n`. Both are written, either is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterError {
    /// The parameter.
    pub parameter: String,
    /// What is wrong with it.
    pub text: String,
}

impl Control {
    /// Reads an element of the control namespace, in whichever generation it is.
    ///
    /// # Errors
    /// [`DecodeError::Unknown`] if it is no such element, the others if it is malformed. An unknown child of `set` is
    /// an error too, since a part of an order must not be ignored.
    pub fn decode(element: &Element) -> Result<(Self, Generation), DecodeError> {
        let generation = codec::generation(element, Interface::Control)?;
        let payload = match element.name() {
            "getForm" => {
                Self::FormRequest(FormRequest { nodes: codec::nodes(element)?, tokens: Tokens::decode(element) })
            }
            "resp" => Self::Response(Response::decode(element)?),
            "set" => Self::Set(Set::decode(element)?),
            _ => return Err(codec::unknown(element)),
        };
        Ok((payload, generation))
    }

    /// Writes the element in the given generation.
    pub fn encode(&self, generation: Generation) -> Element {
        let ns = generation.namespace(Interface::Control);
        match self {
            Self::FormRequest(request) => {
                let mut element = Element::new(ns, "getForm");
                request.tokens.encode(&mut element);
                codec::push_nodes(&mut element, ns, &request.nodes);
                element
            }
            Self::Response(response) => response.encode(ns),
            Self::Set(set) => set.encode(ns),
        }
    }
}

impl Set {
    fn decode(element: &Element) -> Result<Self, DecodeError> {
        let (mut nodes, mut simple, mut form) = (Vec::new(), Vec::new(), None);
        for child in element.children() {
            if let Some(submitted) = DataForm::decode(child) {
                if submitted.kind != FormKind::Submit || form.replace(submitted).is_some() {
                    return Err(codec::invalid(element, "x", "single form of type submit"));
                }
            } else if child.namespace() != element.namespace() {
                return Err(codec::unknown(child));
            } else if child.name() == "nd" {
                nodes.push(codec::node(child)?);
            } else {
                simple.push(assignment(child)?);
            }
        }
        let values = match form {
            None => Values::Simple(simple),
            Some(form) if simple.is_empty() => Values::Form(form),
            Some(_) => return Err(codec::invalid(element, "x", "form without further parameters")),
        };
        Ok(Self { nodes, values, tokens: Tokens::decode(element) })
    }

    fn encode(&self, ns: &'static str) -> Element {
        let mut element = Element::new(ns, "set");
        self.tokens.encode(&mut element);
        codec::push_nodes(&mut element, ns, &self.nodes);
        match &self.values {
            Values::Form(form) => element.with_child(form.encode()),
            Values::Simple(values) => element.with_children(values.iter().map(|value| assignment_element(value, ns))),
        }
    }
}

impl Response {
    fn decode(element: &Element) -> Result<Self, DecodeError> {
        let ns = element.namespace().as_str();
        let parameters = element.children_named(ns, "p").map(codec::field_name).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { nodes: codec::nodes(element)?, parameters })
    }

    fn encode(&self, ns: &'static str) -> Element {
        let mut element = Element::new(ns, "resp");
        codec::push_nodes(&mut element, ns, &self.nodes);
        let parameters = self.parameters.iter().map(|name| Element::new(ns, "p").with_attr("n", name.as_str()));
        element.with_children(parameters)
    }
}

fn assignment(element: &Element) -> Result<Assignment, DecodeError> {
    let text = || codec::required(element, "v");
    let value = match element.name() {
        "b" => {
            ControlValue::Boolean(codec::parse_boolean(text()?).ok_or_else(|| codec::invalid(element, "v", "boolean"))?)
        }
        "cl" => ControlValue::Color(codec::parsed(element, "v", "colour")?),
        "d" => ControlValue::Date(codec::parsed(element, "v", "date")?),
        "db" => ControlValue::Double(codec::parsed(element, "v", "number")?),
        "dr" => ControlValue::Duration(codec::parsed(element, "v", "duration")?),
        "dt" => ControlValue::DateTime(codec::parsed(element, "v", "dateTime")?),
        "e" => {
            ControlValue::Enumeration(EnumValue { value: text()?.into(), kind: codec::required(element, "t")?.into() })
        }
        "i" => ControlValue::Int32(codec::parsed(element, "v", "32-bit integer")?),
        "l" => ControlValue::Int64(codec::parsed(element, "v", "64-bit integer")?),
        "s" => ControlValue::Text(text()?.into()),
        "t" => ControlValue::Time(codec::parsed(element, "v", "time")?),
        _ => return Err(codec::unknown(element)),
    };
    Ok(Assignment { parameter: codec::field_name(element)?, value })
}

fn assignment_element(assignment: &Assignment, ns: &'static str) -> Element {
    let named = |tag: &'static str, value: String| {
        Element::new(ns, tag).with_attr("n", assignment.parameter.as_str()).with_attr("v", value)
    };
    match &assignment.value {
        ControlValue::Boolean(value) => named("b", value.to_string()),
        ControlValue::Color(value) => named("cl", value.to_string()),
        ControlValue::Date(value) => named("d", value.to_string()),
        ControlValue::DateTime(value) => named("dt", value.to_string()),
        ControlValue::Double(value) => named("db", value.to_string()),
        ControlValue::Duration(value) => named("dr", value.to_string()),
        ControlValue::Enumeration(value) => named("e", value.value.to_string()).with_attr("t", &*value.kind),
        ControlValue::Int32(value) => named("i", value.to_string()),
        ControlValue::Int64(value) => named("l", value.to_string()),
        ControlValue::Time(value) => named("t", value.to_string()),
        ControlValue::Text(value) => named("s", value.to_string()),
        // A kind of value invented later cannot be written as any type the standard has.
        _ => named("s", String::new()),
    }
}

impl ParameterError {
    /// Reads the child of an error that names a parameter; `None` if `element` is none.
    pub fn decode(element: &Element) -> Option<Self> {
        let (interface, _) = Interface::of_namespace(element.namespace().as_str())?;
        if interface != Interface::Control || element.name() != "paramError" {
            return None;
        }
        let parameter = element.attr("var").or_else(|| element.attr("n"))?.to_owned();
        Some(Self { parameter, text: element.text().into_owned() })
    }

    /// Writes the child of an error.
    pub fn encode(&self, generation: Generation) -> Element {
        // The XEP has one name for it.
        let second = (generation != Generation::Xmpp).then_some(&self.parameter);
        Element::new(generation.namespace(Interface::Control), "paramError")
            .with_attr("var", &self.parameter)
            .with_attr_opt("n", second)
            .with_text(&self.text)
    }
}

/// `pGroup`: the extension of a form field that names the group it belongs to. Members are to be set together.
pub fn parameter_group(generation: Generation, group: &str) -> Element {
    if generation == Generation::Xmpp {
        return Element::new(generation.namespace(Interface::Control), "parameterGroup").with_attr("name", group);
    }
    // The schema calls the attribute `n`, the examples `name`.
    Element::new(generation.namespace(Interface::Control), "pGroup").with_attr("n", group).with_attr("name", group)
}

/// The group a form field belongs to, if `element` is the extension that names it.
pub fn decode_parameter_group(element: &Element) -> Option<&str> {
    let (interface, _) = Interface::of_namespace(element.namespace().as_str())?;
    if interface != Interface::Control || !matches!(element.name(), "pGroup" | "parameterGroup") {
        return None;
    }
    element.attr("n").or_else(|| element.attr("name"))
}
