//! What was offered, as both ends saw it: if somebody between them took a mechanism or a channel binding out of the list, the
//! hashes differ, and the hash is signed with the password (XEP-0474).

use super::{ScramHash, message};

/// Between two entries of a list; cannot stand in XML, so no name contains it.
const ENTRY: char = '\u{1e}';
/// Between the list of mechanisms and that of channel bindings.
const LIST: char = '\u{1f}';

/// The lists of mechanisms and channel bindings of one offer, in the form that is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer(String);

impl Offer {
    /// Takes the names as advertised, in any order; `bindings` is `None` if no list of them was sent (XEP-0440).
    pub fn new<'a>(
        mechanisms: impl IntoIterator<Item = &'a str>,
        bindings: Option<impl IntoIterator<Item = &'a str>>,
    ) -> Offer {
        let mut text = String::new();
        append(&mut text, mechanisms.into_iter().collect());
        if let Some(bindings) = bindings {
            text.push(LIST);
            append(&mut text, bindings.into_iter().collect());
        }
        Offer(text)
    }

    /// The value of the attribute `h` in the server's first message (XEP-0474 §5.1).
    pub(super) fn attribute(&self, hash: ScramHash) -> String {
        message::encode(hash.hash(self.0.as_bytes()).bytes())
    }
}

/// Sorted byte by byte, which is the order of `str`.
fn append(text: &mut String, mut names: Vec<&str>) {
    names.sort_unstable();
    for (index, name) in names.into_iter().enumerate() {
        if index > 0 {
            text.push(ENTRY);
        }
        text.push_str(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// XEP-0474 §5.3: the example.
    #[test]
    fn the_example_of_the_standard_holds() {
        let bindings = ["tls-server-end-point", "tls-exporter"];
        let offer = Offer::new(["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"], Some(bindings));
        assert_eq!(offer.attribute(ScramHash::Sha1), "G6k/rBLDqgOhRRaCuuatSDFkJ08=");
    }

    #[test]
    fn order_does_not_matter_and_every_name_does() {
        let none = None::<[&str; 0]>;
        assert_eq!(Offer::new(["b", "a"], none), Offer::new(["a", "b"], none));
        assert_ne!(Offer::new(["a"], none), Offer::new(["a", "b"], none));
        assert_ne!(Offer::new(["a"], none), Offer::new(["a"], Some([])), "an empty list is a list");
        assert_ne!(Offer::new(["a"], Some(["x"])), Offer::new(["a", "x"], none));
    }
}
