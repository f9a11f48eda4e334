//! Data forms with the extensions that thing-side interfaces use: XEP-0004 (forms), XEP-0122 (validation),
//! XEP-0141 (pages) and XEP-0336 (`readOnly`, `notSame`, `error`, `postBack`).
//!
//! Decoding is lenient, because deployed peers leave out the form's type and mix extensions freely: what is not
//! understood is kept as an extension element of its field or ignored. Result forms with `reported`/`item` rows and
//! media elements are not handled here.

use crate::ns;
use crate::xml::Element;

/// Hidden variable by which some form servers recognise a form that comes back; receivers ignore it.
pub const SESSION_VARIABLE: &str = "xdd session";

/// A form, filled in or to be filled in.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DataForm {
    /// What the form is for.
    pub kind: FormKind,
    /// Title shown above the form.
    pub title: Option<String>,
    /// Instructions to the person who fills it in.
    pub instructions: Vec<String>,
    /// Pages that arrange the fields (XEP-0141); empty means one page in field order.
    pub pages: Vec<Page>,
    /// The fields in order.
    pub fields: Vec<FormField>,
}

/// The `type` of a form (XEP-0004 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FormKind {
    /// The form-processing entity withdraws or refuses the form.
    Cancel,
    /// To be filled in. A form without a type is read as this.
    #[default]
    Form,
    /// Data returned to the asker.
    Result,
    /// Filled in.
    Submit,
}

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FormField {
    /// Name of the variable; empty only for `fixed` fields.
    pub var: String,
    /// The `type`; submitted forms may leave it out.
    pub kind: Option<FieldKind>,
    /// Label shown to people.
    pub label: Option<String>,
    /// Longer description.
    pub description: Option<String>,
    /// A value must be given.
    pub required: bool,
    /// Datatype and allowed values (XEP-0122).
    pub validation: Option<Validation>,
    /// The value is uncertain or differs between the objects behind the form (XEP-0336 `notSame`).
    pub not_same: bool,
    /// Shown, not edited, not submitted (XEP-0336 `readOnly`).
    pub read_only: bool,
    /// The form should be posted back after an edit of this field (XEP-0336 `postBack`).
    pub post_back: bool,
    /// Why the submitted value was refused (XEP-0336 `error`).
    pub error: Option<String>,
    /// Values; single-valued kinds hold at most one.
    pub values: Vec<String>,
    /// Choices of list kinds.
    pub options: Vec<FormOption>,
    /// Children of other namespaces, kept as they are (parameter groups are such).
    pub extensions: Vec<Element>,
}

/// The `type` of a field (XEP-0004 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// True or false.
    Boolean,
    /// Text for people, not a variable.
    Fixed,
    /// Carried along unseen.
    Hidden,
    /// Several addresses.
    JidMulti,
    /// One address.
    JidSingle,
    /// Several of the options.
    ListMulti,
    /// One of the options.
    ListSingle,
    /// Several lines.
    TextMulti,
    /// One line, masked.
    TextPrivate,
    /// One line.
    TextSingle,
}

/// A choice of a list field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormOption {
    /// What is submitted.
    pub value: String,
    /// What is shown; the value if absent.
    pub label: Option<String>,
}

/// Validation of a field (XEP-0122).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// Datatype such as `xs:double`; the standard's default is `xs:string`.
    pub datatype: String,
    /// How values are checked.
    pub method: ValidationMethod,
}

/// How a value is checked (XEP-0122 §3.2).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ValidationMethod {
    /// By datatype or options alone.
    #[default]
    Basic,
    /// Options are suggestions, any value of the datatype is allowed.
    Open,
    /// Between two bounds, both inclusive, either may be absent.
    Range {
        /// Lowest value, in the datatype's lexical form.
        min: Option<String>,
        /// Highest value, in the datatype's lexical form.
        max: Option<String>,
    },
    /// Matches a regular expression.
    Regex(String),
}

/// A page, or a section inside one (XEP-0141).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Page {
    /// Heading.
    pub label: Option<String>,
    /// What it shows, in order.
    pub items: Vec<LayoutItem>,
}

/// A part of a [`Page`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayoutItem {
    /// The field with this variable.
    Field(String),
    /// A nested section.
    Section(Page),
    /// Text.
    Text(String),
}

/// Sections nest at most this deep; deeper ones are ignored so that a hostile form cannot exhaust the stack.
const SECTION_DEPTH_MAX: usize = 8;

impl DataForm {
    /// An empty form to be submitted.
    pub fn submit() -> Self {
        Self { kind: FormKind::Submit, ..Self::default() }
    }

    /// Adds a field that carries one value; for submitted forms.
    #[must_use]
    pub fn with_value(mut self, var: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push(FormField { var: var.into(), values: vec![value.into()], ..FormField::default() });
        self
    }

    /// The first field with this variable.
    pub fn field(&self, var: &str) -> Option<&FormField> {
        self.fields.iter().find(|field| field.var == var)
    }

    /// Whether `element` is a data form.
    pub fn is(element: &Element) -> bool {
        element.is(ns::DATA_FORMS, "x")
    }

    /// Reads a form. `None` if `element` is not one.
    pub fn decode(element: &Element) -> Option<Self> {
        if !Self::is(element) {
            return None;
        }
        let mut form = Self { kind: FormKind::decode(element.attr("type")), ..Self::default() };
        for child in element.children() {
            match (child.namespace().as_str(), child.name()) {
                (ns::DATA_FORMS, "title") => form.title = Some(child.text().into_owned()),
                (ns::DATA_FORMS, "instructions") => form.instructions.push(child.text().into_owned()),
                (ns::DATA_FORMS, "field") => form.fields.push(FormField::decode(child)),
                (ns::DATA_LAYOUT, "page") => form.pages.push(Page::decode(child, SECTION_DEPTH_MAX)),
                _ => {}
            }
        }
        Some(form)
    }

    /// Writes the form.
    pub fn encode(&self) -> Element {
        let mut x = Element::new(ns::DATA_FORMS, "x").with_attr("type", self.kind.name());
        if let Some(title) = &self.title {
            x.push(text_element("title", ns::DATA_FORMS, title));
        }
        for line in &self.instructions {
            x.push(text_element("instructions", ns::DATA_FORMS, line));
        }
        for page in &self.pages {
            x.push(page.encode("page"));
        }
        for field in &self.fields {
            x.push(field.encode());
        }
        x
    }
}

impl FormKind {
    fn decode(name: Option<&str>) -> Self {
        match name {
            Some("cancel") => Self::Cancel,
            Some("result") => Self::Result,
            Some("submit") => Self::Submit,
            _ => Self::Form,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Form => "form",
            Self::Result => "result",
            Self::Submit => "submit",
        }
    }
}

impl FieldKind {
    /// Every kind, for tests and tables.
    pub const ALL: [Self; 10] = [
        Self::Boolean,
        Self::Fixed,
        Self::Hidden,
        Self::JidMulti,
        Self::JidSingle,
        Self::ListMulti,
        Self::ListSingle,
        Self::TextMulti,
        Self::TextPrivate,
        Self::TextSingle,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Fixed => "fixed",
            Self::Hidden => "hidden",
            Self::JidMulti => "jid-multi",
            Self::JidSingle => "jid-single",
            Self::ListMulti => "list-multi",
            Self::ListSingle => "list-single",
            Self::TextMulti => "text-multi",
            Self::TextPrivate => "text-private",
            Self::TextSingle => "text-single",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl FormField {
    /// A field to be filled in.
    pub fn new(kind: FieldKind, var: impl Into<String>) -> Self {
        Self { var: var.into(), kind: Some(kind), ..Self::default() }
    }

    /// The first value.
    pub fn value(&self) -> Option<&str> {
        self.values.first().map(String::as_str)
    }

    fn decode(element: &Element) -> Self {
        let mut field = Self {
            var: element.attr("var").unwrap_or_default().to_owned(),
            kind: element.attr("type").and_then(FieldKind::parse),
            label: element.attr("label").map(str::to_owned),
            ..Self::default()
        };
        for child in element.children() {
            match (child.namespace().as_str(), child.name()) {
                (ns::DATA_FORMS, "desc") => field.description = Some(child.text().into_owned()),
                (ns::DATA_FORMS, "required") => field.required = true,
                (ns::DATA_FORMS, "value") => field.values.push(child.text().into_owned()),
                (ns::DATA_FORMS, "option") => field.options.extend(FormOption::decode(child)),
                (ns::DATA_VALIDATE, "validate") => field.validation = Some(Validation::decode(child)),
                (ns::DATA_DYNAMIC, "notSame") => field.not_same = true,
                (ns::DATA_DYNAMIC, "readOnly") => field.read_only = true,
                (ns::DATA_DYNAMIC, "postBack") => field.post_back = true,
                (ns::DATA_DYNAMIC, "error") => field.error = Some(child.text().into_owned()),
                (ns::DATA_FORMS, _) => {}
                _ => field.extensions.push(child.clone()),
            }
        }
        field
    }

    /// The order of children is the one deployed clients produce themselves.
    fn encode(&self) -> Element {
        let mut element = Element::new(ns::DATA_FORMS, "field");
        if !self.var.is_empty() {
            element.set_attr("var", &self.var);
        }
        if let Some(kind) = self.kind {
            element.set_attr("type", kind.name());
        }
        if let Some(label) = &self.label {
            element.set_attr("label", label);
        }
        if let Some(description) = &self.description {
            element.push(text_element("desc", ns::DATA_FORMS, description));
        }
        if self.required {
            element.push(Element::new(ns::DATA_FORMS, "required"));
        }
        if let Some(validation) = &self.validation {
            element.push(validation.encode());
        }
        for (set, name) in [(self.not_same, "notSame"), (self.read_only, "readOnly"), (self.post_back, "postBack")] {
            if set {
                element.push(Element::new(ns::DATA_DYNAMIC, name));
            }
        }
        if let Some(error) = &self.error {
            element.push(text_element("error", ns::DATA_DYNAMIC, error));
        }
        for extension in &self.extensions {
            element.push(extension.clone());
        }
        for value in &self.values {
            element.push(text_element("value", ns::DATA_FORMS, value));
        }
        for option in &self.options {
            element.push(option.encode());
        }
        element
    }
}

impl FormOption {
    fn decode(element: &Element) -> Option<Self> {
        let value = element.child_text(ns::DATA_FORMS, "value")?.into_owned();
        Some(Self { value, label: element.attr("label").map(str::to_owned) })
    }

    fn encode(&self) -> Element {
        let mut option = Element::new(ns::DATA_FORMS, "option");
        if let Some(label) = &self.label {
            option.set_attr("label", label);
        }
        option.push(text_element("value", ns::DATA_FORMS, &self.value));
        option
    }
}

impl Validation {
    /// Checked by datatype alone.
    pub fn basic(datatype: impl Into<String>) -> Self {
        Self { datatype: datatype.into(), method: ValidationMethod::Basic }
    }

    fn decode(element: &Element) -> Self {
        let mut method = ValidationMethod::Basic;
        for child in element.children().filter(|child| *child.namespace() == *ns::DATA_VALIDATE) {
            match child.name() {
                "open" => method = ValidationMethod::Open,
                "range" => {
                    method = ValidationMethod::Range {
                        min: child.attr("min").map(str::to_owned),
                        max: child.attr("max").map(str::to_owned),
                    };
                }
                "regex" => method = ValidationMethod::Regex(child.text().into_owned()),
                _ => {}
            }
        }
        Self { datatype: element.attr("datatype").unwrap_or("xs:string").to_owned(), method }
    }

    fn encode(&self) -> Element {
        let method = match &self.method {
            ValidationMethod::Basic => Element::new(ns::DATA_VALIDATE, "basic"),
            ValidationMethod::Open => Element::new(ns::DATA_VALIDATE, "open"),
            ValidationMethod::Range { min, max } => {
                let mut range = Element::new(ns::DATA_VALIDATE, "range");
                for (name, bound) in [("min", min), ("max", max)] {
                    if let Some(bound) = bound {
                        range.set_attr(name, bound);
                    }
                }
                range
            }
            ValidationMethod::Regex(pattern) => text_element("regex", ns::DATA_VALIDATE, pattern),
        };
        Element::new(ns::DATA_VALIDATE, "validate").with_attr("datatype", &self.datatype).with_child(method)
    }
}

impl Page {
    fn decode(element: &Element, depth: usize) -> Self {
        let mut page = Self { label: element.attr("label").map(str::to_owned), items: Vec::new() };
        for child in element.children().filter(|child| *child.namespace() == *ns::DATA_LAYOUT) {
            match (child.name(), depth.checked_sub(1)) {
                ("fieldref", _) => {
                    page.items.extend(child.attr("var").map(|var| LayoutItem::Field(var.to_owned())));
                }
                ("text", _) => page.items.push(LayoutItem::Text(child.text().into_owned())),
                ("section", Some(depth)) => page.items.push(LayoutItem::Section(Self::decode(child, depth))),
                _ => {}
            }
        }
        page
    }

    fn encode(&self, name: &'static str) -> Element {
        let mut element = Element::new(ns::DATA_LAYOUT, name);
        if let Some(label) = &self.label {
            element.set_attr("label", label);
        }
        for item in &self.items {
            element.push(match item {
                LayoutItem::Field(var) => Element::new(ns::DATA_LAYOUT, "fieldref").with_attr("var", var),
                LayoutItem::Section(section) => section.encode("section"),
                LayoutItem::Text(text) => text_element("text", ns::DATA_LAYOUT, text),
            });
        }
        element
    }
}

fn text_element(name: &'static str, namespace: &'static str, text: &str) -> Element {
    Element::new(namespace, name).with_text(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse_document};

    fn decode(text: &str) -> Option<DataForm> {
        DataForm::decode(&parse_document(text, &Limits::CLIENT).unwrap())
    }

    #[test]
    fn a_form_reads_back_as_written() {
        let mut field = FormField::new(FieldKind::TextSingle, "Set Point");
        field.label = Some("Set point".into());
        field.description = Some("In degrees.".into());
        field.required = true;
        field.validation = Some(Validation {
            datatype: "xs:double".into(),
            method: ValidationMethod::Range { min: Some("0".into()), max: None },
        });
        (field.not_same, field.read_only, field.post_back) = (true, true, true);
        field.error = Some("Too low.".into());
        field.values = vec!["21.50".into(), "".into()];
        field.options = vec![FormOption { value: "1".into(), label: Some("one".into()) }];
        field.extensions = vec![Element::new("urn:nfi:iot:ctr:1.0", "pGroup").with_attr("n", "g")];
        let section = Page { label: None, items: vec![LayoutItem::Text("t".into())] };
        let form = DataForm {
            kind: FormKind::Form,
            title: Some("meter-7".into()),
            instructions: vec!["Fill in.".into()],
            pages: vec![Page {
                label: Some("Output".into()),
                items: vec![LayoutItem::Field("Set Point".into()), LayoutItem::Section(section)],
            }],
            fields: vec![field],
        };
        assert_eq!(DataForm::decode(&form.encode()), Some(form));
    }

    #[test]
    fn every_way_of_validation_reads_back_as_written() {
        for method in [
            ValidationMethod::Basic,
            ValidationMethod::Open,
            ValidationMethod::Regex("a+".into()),
            ValidationMethod::Range { min: None, max: Some("1".into()) },
        ] {
            let validation = Validation { datatype: "xs:int".into(), method };
            assert_eq!(Validation::decode(&validation.encode()), validation);
        }
    }

    #[test]
    fn a_form_without_type_is_one_to_fill_in() {
        let form = decode("<x xmlns='jabber:x:data'><field var='a'><value>1</value></field><new/></x>").unwrap();
        assert_eq!(form.kind, FormKind::Form);
        assert_eq!(form.field("a").and_then(FormField::value), Some("1"));
        assert_eq!(form.field("a").and_then(|field| field.kind), None);
    }

    #[test]
    fn another_element_is_no_form() {
        assert_eq!(decode("<x xmlns='urn:other'/>"), None);
    }

    #[test]
    fn sections_nested_too_deep_are_left_out() {
        let depth = SECTION_DEPTH_MAX + 3;
        let text = format!(
            "<x xmlns='jabber:x:data'><page xmlns='{}'>{}{}</page></x>",
            ns::DATA_LAYOUT,
            "<section>".repeat(depth),
            "</section>".repeat(depth)
        );
        let mut found = 0;
        let form = decode(&text).unwrap();
        let mut page = &form.pages[0];
        while let Some(LayoutItem::Section(section)) = page.items.first() {
            found += 1;
            page = section;
        }
        assert_eq!(found, SECTION_DEPTH_MAX);
    }
}
