//! Software version (XEP-0092): name and version of a program.

use crate::ns;
use crate::xml::Element;

/// What a program tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Version {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Operating system; best left out, it helps attackers most.
    pub system: Option<String>,
}

/// The question.
pub fn request() -> Element {
    Element::new(ns::VERSION, "query")
}

/// Whether `element` is the question.
pub fn is_request(element: &Element) -> bool {
    element.is(ns::VERSION, "query")
}

impl Version {
    /// Reads an answer; `None` if `element` is not one.
    pub fn decode(element: &Element) -> Option<Self> {
        let text = |name: &str| element.child_text(ns::VERSION, name).map(|text| text.into_owned());
        is_request(element).then(|| Self {
            name: text("name").unwrap_or_default(),
            version: text("version").unwrap_or_default(),
            system: text("os"),
        })
    }

    /// Writes an answer.
    pub fn encode(&self) -> Element {
        let child = |name: &'static str, text: &str| Element::new(ns::VERSION, name).with_text(text);
        Element::new(ns::VERSION, "query")
            .with_child(child("name", &self.name))
            .with_child(child("version", &self.version))
            .with_child_opt(self.system.as_deref().map(|system| child("os", system)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_reads_back_as_written() {
        for system in [None, Some("any".to_owned())] {
            let version = Version { name: "Torg".into(), version: "1".into(), system };
            assert_eq!(Version::decode(&version.encode()), Some(version));
        }
    }
}
