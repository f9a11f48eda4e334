//! Service discovery: what an entity is and can do, and what hangs below it (XEP-0030), with the hash that stands for
//! the former in presence (XEP-0115). Extended information in forms (XEP-0128) is carried along, and hashed.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::data_forms::{DataForm, FieldKind};
use crate::jid::Jid;
use crate::ns;
use crate::xml::Element;

/// What an entity is and can do: the `disco#info` query in an answer.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Info {
    /// The node asked about, if one was.
    pub node: Option<String>,
    /// What it is.
    pub identities: Vec<Identity>,
    /// Namespaces it understands.
    pub features: BTreeSet<String>,
    /// Extended information.
    pub forms: Vec<DataForm>,
}

/// What an entity is, in the words of the XMPP registrar.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Such as `client` or `server`.
    pub category: String,
    /// The `type`, such as `pc` or `im`.
    pub kind: String,
    /// Language of the name.
    pub lang: Option<String>,
    /// Name for people.
    pub name: Option<String>,
}

/// What hangs below an entity: the `disco#items` query in an answer.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Items {
    /// The node asked about, if one was.
    pub node: Option<String>,
    /// The items in order.
    pub items: Vec<Item>,
}

/// One item.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its address.
    pub jid: Jid,
    /// Its node, if it is one of several behind the address.
    pub node: Option<String>,
    /// Name for people.
    pub name: Option<String>,
}

/// The element that asks for [`Info`].
pub fn info_request(node: Option<&str>) -> Element {
    Element::new(ns::DISCO_INFO, "query").with_attr_opt("node", node)
}

/// The element that asks for [`Items`].
pub fn items_request(node: Option<&str>) -> Element {
    Element::new(ns::DISCO_ITEMS, "query").with_attr_opt("node", node)
}

impl Identity {
    /// An identity with a name in no particular language.
    pub fn new(category: impl Into<String>, kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { category: category.into(), kind: kind.into(), lang: None, name: Some(name.into()) }
    }
}

impl Info {
    /// Adds features.
    #[must_use]
    pub fn with_features<'a>(mut self, features: impl IntoIterator<Item = &'a str>) -> Self {
        self.features.extend(features.into_iter().map(str::to_owned));
        self
    }

    /// Whether a namespace is understood.
    pub fn has(&self, feature: &str) -> bool {
        self.features.contains(feature)
    }

    /// Reads an answer; `None` if `element` is not one.
    pub fn decode(element: &Element) -> Option<Self> {
        if !element.is(ns::DISCO_INFO, "query") {
            return None;
        }
        let mut info = Self { node: element.attr("node").map(str::to_owned), ..Self::default() };
        for child in element.children() {
            if child.is(ns::DISCO_INFO, "feature") {
                info.features.extend(child.attr("var").map(str::to_owned));
            } else if child.is(ns::DISCO_INFO, "identity") {
                info.identities.push(Identity::decode(child));
            } else {
                info.forms.extend(DataForm::decode(child));
            }
        }
        Some(info)
    }

    /// Writes an answer.
    pub fn encode(&self) -> Element {
        let features = self.features.iter().map(|var| Element::new(ns::DISCO_INFO, "feature").with_attr("var", var));
        Element::new(ns::DISCO_INFO, "query")
            .with_attr_opt("node", self.node.as_deref())
            .with_children(self.identities.iter().map(Identity::encode))
            .with_children(features)
            .with_children(self.forms.iter().map(DataForm::encode))
    }

    /// The verification string that stands for this information in presence: SHA-1, base64 (XEP-0115 §5.1).
    pub fn verification(&self) -> String {
        STANDARD.encode(Sha1::digest(self.verification_text().as_bytes()))
    }

    /// The text whose hash is the verification string. Forms without a hidden `FORM_TYPE` do not count (§5.4).
    pub fn verification_text(&self) -> String {
        let mut text = String::new();
        let mut identities: Vec<_> = self.identities.iter().collect();
        identities.sort_by_key(|id| (&id.category, &id.kind, &id.lang));
        for identity in identities {
            let part = |text: &Option<String>| text.clone().unwrap_or_default();
            text.push_str(&format!(
                "{}/{}/{}/{}<",
                identity.category,
                identity.kind,
                part(&identity.lang),
                part(&identity.name)
            ));
        }
        for feature in &self.features {
            text.push_str(feature);
            text.push('<');
        }
        let form_type = |form: &DataForm| {
            let field = form.field("FORM_TYPE").filter(|field| field.kind == Some(FieldKind::Hidden))?;
            field.value().map(str::to_owned)
        };
        let mut forms: Vec<_> = self.forms.iter().filter_map(|form| Some((form_type(form)?, form))).collect();
        forms.sort_by(|a, b| a.0.cmp(&b.0));
        for (kind, form) in forms {
            text.push_str(&kind);
            text.push('<');
            let mut fields: Vec<_> = form.fields.iter().filter(|field| field.var != "FORM_TYPE").collect();
            fields.sort_by(|a, b| a.var.cmp(&b.var));
            for field in fields {
                text.push_str(&field.var);
                text.push('<');
                let mut values = field.values.clone();
                values.sort();
                for value in values {
                    text.push_str(&value);
                    text.push('<');
                }
            }
        }
        text
    }

    /// The `c` element of presence for this information (XEP-0115 §4); `software` is a URI that names the program.
    pub fn capabilities(&self, software: &str) -> Element {
        Element::new(ns::CAPS, "c")
            .with_attr("hash", "sha-1")
            .with_attr("node", software)
            .with_attr("ver", self.verification())
    }
}

impl Identity {
    fn decode(element: &Element) -> Self {
        let text = |name| element.attr(name).unwrap_or_default().to_owned();
        Self {
            category: text("category"),
            kind: text("type"),
            lang: element.lang().map(str::to_owned),
            name: element.attr("name").map(str::to_owned),
        }
    }

    fn encode(&self) -> Element {
        let element = Element::new(ns::DISCO_INFO, "identity")
            .with_attr("category", &self.category)
            .with_attr("type", &self.kind)
            .with_attr_opt("name", self.name.as_deref());
        match &self.lang {
            Some(lang) => element.with_lang(lang),
            None => element,
        }
    }
}

impl Items {
    /// Reads an answer; `None` if `element` is not one. Items without a valid address are left out.
    pub fn decode(element: &Element) -> Option<Self> {
        if !element.is(ns::DISCO_ITEMS, "query") {
            return None;
        }
        let items = element
            .children_named(ns::DISCO_ITEMS, "item")
            .filter_map(|item| {
                Some(Item {
                    jid: Jid::parse(item.attr("jid")?).ok()?,
                    node: item.attr("node").map(str::to_owned),
                    name: item.attr("name").map(str::to_owned),
                })
            })
            .collect();
        Some(Self { node: element.attr("node").map(str::to_owned), items })
    }

    /// Writes an answer.
    pub fn encode(&self) -> Element {
        let items = self.items.iter().map(|item| {
            Element::new(ns::DISCO_ITEMS, "item")
                .with_attr("jid", &item.jid)
                .with_attr_opt("node", item.node.as_deref())
                .with_attr_opt("name", item.name.as_deref())
        });
        Element::new(ns::DISCO_ITEMS, "query").with_attr_opt("node", self.node.as_deref()).with_children(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of XEP-0115 §5.2.
    #[test]
    fn the_verification_string_is_the_one_of_the_standard() {
        let info = Info { identities: vec![Identity::new("client", "pc", "Exodus 0.9.1")], ..Info::default() }
            .with_features([
                "http://jabber.org/protocol/disco#info",
                "http://jabber.org/protocol/disco#items",
                "http://jabber.org/protocol/muc",
                "http://jabber.org/protocol/caps",
            ]);
        assert_eq!(info.verification(), "QgayPKawpkPSDYmwT/WM94uAlu0=");
    }

    #[test]
    fn information_reads_back_as_written() {
        let info = Info {
            node: Some("a".into()),
            identities: vec![Identity { lang: Some("sv".into()), ..Identity::new("thing", "gateway", "Mätare") }],
            forms: vec![DataForm::submit().with_value("FORM_TYPE", "x")],
            ..Info::default()
        }
        .with_features(["b", "a"]);
        assert_eq!(Info::decode(&info.encode()), Some(info));
    }

    #[test]
    fn items_without_an_address_are_left_out() {
        let query = Element::new(ns::DISCO_ITEMS, "query")
            .with_child(Element::new(ns::DISCO_ITEMS, "item"))
            .with_child(Element::new(ns::DISCO_ITEMS, "item").with_attr("jid", "a.example").with_attr("name", "A"));
        let items = Items::decode(&query).unwrap();
        assert_eq!(items.items.len(), 1);
        assert_eq!(Items::decode(&items.encode()), Some(items));
    }
}
