//! Entity capabilities: the hash in presence that stands for a whole `disco#info` answer, and the check that an answer
//! is really the one behind a hash (XEP-0115 §5.4). Knows nothing of caches and questions.
//!
//! # Why
//! The text that is hashed marks the end of each part with `<` but does not say what kind of part it was, so a name with a `<` inside
//! counts as two, and an identity or a form can hide a feature (XEP-0115 §9.3). We use one thing from an answer: the features that
//! end in `+notify`. So an answer is refused if any part contains `<`, and if anything but a feature ends in `+notify`: then all
//! answers with one hash have the same `+notify` features, and nobody can poison a cache with another set of them.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::disco::Info;
use crate::ns;
use crate::stanza::Stanza;
use crate::xml::Element;

/// End of a feature that asks for notifications of the node it names (XEP-0060 §9.2).
pub const NOTIFY: &str = "+notify";

/// A hash function of the `hash` attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CapsHash {
    /// `sha-1`, mandatory to implement (XEP-0115 §9.1).
    Sha1,
    /// `sha-256`.
    Sha256,
}

/// What a presence says of its sender's capabilities.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caps {
    /// The hash function by name; `None` within if it is none of ours.
    pub hash: Option<CapsHash>,
    /// A URI that names the software.
    pub node: String,
    /// The hash, base64.
    pub ver: String,
}

/// Why an answer cannot stand for a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapsFault {
    /// It says something twice, or hides one thing in another.
    IllFormed,
    /// It has another hash.
    Mismatch,
}

/// Characters of `node` and `ver`: real ones have fewer than 100.
const TEXT_MAX: usize = 512;

impl CapsHash {
    fn digest(self, text: &str) -> String {
        match self {
            CapsHash::Sha1 => STANDARD.encode(Sha1::digest(text.as_bytes())),
            CapsHash::Sha256 => STANDARD.encode(Sha256::digest(text.as_bytes())),
        }
    }
}

impl Caps {
    /// What the presence says; `None` without capabilities, with the legacy format that has no hash, and with ones that are too long.
    pub fn of(presence: &Stanza) -> Option<Self> {
        let c = presence.child(ns::CAPS, "c")?;
        let hash = match c.attr("hash")? {
            "sha-1" => Some(CapsHash::Sha1),
            "sha-256" => Some(CapsHash::Sha256),
            _ => None,
        };
        let caps = Caps { hash, node: c.attr("node")?.to_owned(), ver: c.attr("ver")?.to_owned() };
        let fits = caps.node.len() <= TEXT_MAX && caps.ver.len() <= TEXT_MAX && !caps.ver.is_empty();
        fits.then_some(caps)
    }

    /// The node of the question that asks what is behind the hash (XEP-0115 §6.2).
    pub fn query_node(&self) -> String {
        format!("{}#{}", self.node, self.ver)
    }

    /// Whether the `disco#info` answer is the one that the hash stands for.
    ///
    /// # Errors
    /// See [`CapsFault`]; nothing that was learnt may then be said of anybody else. A hash function that is none of ours is a mismatch.
    pub fn verify(&self, answer: &Element) -> Result<(), CapsFault> {
        let info = Info::decode(answer).ok_or(CapsFault::IllFormed)?;
        if says_twice(answer, &info) || hides_something(&info) {
            return Err(CapsFault::IllFormed);
        }
        let found = self.hash.map(|hash| hash.digest(&info.verification_text()));
        if found.as_deref() == Some(self.ver.as_str()) { Ok(()) } else { Err(CapsFault::Mismatch) }
    }
}

/// The nodes whose notifications an answer asks for.
pub fn wanted(answer: &Element) -> BTreeSet<String> {
    let features = answer.children_named(ns::DISCO_INFO, "feature").filter_map(|feature| feature.attr("var"));
    features
        .filter_map(|feature| feature.strip_suffix(NOTIFY))
        .filter(|node| !node.is_empty())
        .map(str::to_owned)
        .collect()
}

/// XEP-0115 §5.4 step 3, points 3 to 5.
fn says_twice(answer: &Element, info: &Info) -> bool {
    let features =
        answer.children_named(ns::DISCO_INFO, "feature").filter(|feature| feature.attr("var").is_some()).count();
    let identities: BTreeSet<_> = info.identities.iter().collect();
    let types: Vec<_> = info.forms.iter().filter_map(|form| form.field("FORM_TYPE")).collect();
    let distinct: BTreeSet<_> = types.iter().map(|field| field.value()).collect();
    let ambiguous = types.iter().any(|field| field.values.iter().collect::<BTreeSet<_>>().len() > 1);
    features != info.features.len()
        || identities.len() != info.identities.len()
        || distinct.len() != types.len()
        || ambiguous
}

/// See "Why" above.
fn hides_something(info: &Info) -> bool {
    let identities = info.identities.iter().flat_map(|identity| {
        [Some(&identity.category), Some(&identity.kind), identity.lang.as_ref(), identity.name.as_ref()]
    });
    let fields = info.forms.iter().flat_map(|form| &form.fields);
    let fields = fields.flat_map(|field| std::iter::once(&field.var).chain(&field.values));
    identities.flatten().chain(fields).any(|text| text.contains('<') || text.ends_with(NOTIFY))
        || info.features.iter().any(|feature| feature.contains('<'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::PresenceType;
    use crate::xml::{Limits, parse_document};

    fn query(children: &str) -> Element {
        let xml = format!("<query xmlns='{}'>{children}</query>", ns::DISCO_INFO);
        parse_document(xml, &Limits::CLIENT).unwrap()
    }

    fn caps(hash: Option<CapsHash>, ver: &str) -> Caps {
        Caps { hash, node: "http://code.example".into(), ver: ver.into() }
    }

    const EXODUS: &str = "<identity category='client' type='pc' name='Exodus 0.9.1'/>\
        <feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>\
        <feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>";
    const EXODUS_VER: &str = "QgayPKawpkPSDYmwT/WM94uAlu0=";
    /// The example of XEP-0115 §5.3.
    const PSI: &str = "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
        <identity xml:lang='el' category='client' name='\u{3a8} 0.11' type='pc'/>\
        <feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>\
        <feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>\
        <x xmlns='jabber:x:data' type='result'>\
        <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>\
        <field var='ip_version' type='text-multi'><value>ipv4</value><value>ipv6</value></field>\
        <field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>\
        <field var='software'><value>Psi</value></field><field var='software_version'><value>0.11</value></field></x>";
    const PSI_VER: &str = "q07IKJEyjvHSyhy//CH0CxmKi8w=";

    #[test]
    fn the_examples_of_the_standard_verify() {
        assert_eq!(caps(Some(CapsHash::Sha1), EXODUS_VER).verify(&query(EXODUS)), Ok(()));
        assert_eq!(caps(Some(CapsHash::Sha1), PSI_VER).verify(&query(PSI)), Ok(()));
    }

    #[test]
    fn another_answer_another_hash_and_an_unknown_function_do_not() {
        let more = format!("{EXODUS}<feature var='urn:example:tune+notify'/>");
        assert_eq!(caps(Some(CapsHash::Sha1), EXODUS_VER).verify(&query(&more)), Err(CapsFault::Mismatch));
        assert_eq!(caps(Some(CapsHash::Sha256), EXODUS_VER).verify(&query(EXODUS)), Err(CapsFault::Mismatch));
        assert_eq!(caps(None, EXODUS_VER).verify(&query(EXODUS)), Err(CapsFault::Mismatch));
    }

    #[test]
    fn an_answer_that_says_something_twice_is_ill_formed() {
        for twice in [
            "<feature var='http://jabber.org/protocol/muc'/>",
            "<identity category='client' type='pc' name='Exodus 0.9.1'/>",
            "<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>a</value><value>b</value></field></x>",
            "<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>a</value></field></x>\
             <x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>a</value></field></x>",
        ] {
            let answer = query(&format!("{EXODUS}{twice}"));
            assert_eq!(caps(Some(CapsHash::Sha1), EXODUS_VER).verify(&answer), Err(CapsFault::IllFormed), "{twice}");
        }
    }

    /// Each of these has the very hash of the honest answer, but hides its wish to be notified, or invents one.
    #[test]
    fn answers_that_differ_in_what_they_want_cannot_share_a_hash() {
        let honest = "<identity category='client' type='pc' name='x'/><feature var='a'/><feature var='u:tune+notify'/>";
        let ver = CapsHash::Sha1.digest("client/pc//x<a<u:tune+notify<");
        let caps = caps(Some(CapsHash::Sha1), &ver);
        assert_eq!(caps.verify(&query(honest)), Ok(()));
        for poisoned in [
            "<identity category='client' type='pc' name='x'/><feature var='a&lt;u:tune+notify'/>",
            "<identity category='client' type='pc' name='x&lt;a&lt;u:tune+notify'/>",
            "<identity category='client' type='pc' name='x'/><x xmlns='jabber:x:data'>\
             <field var='FORM_TYPE' type='hidden'><value>a</value></field><field var='u:tune+notify'/></x>",
        ] {
            let answer = query(poisoned);
            assert_eq!(CapsHash::Sha1.digest(&Info::decode(&answer).unwrap().verification_text()), ver, "{poisoned}");
            assert_eq!(caps.verify(&answer), Err(CapsFault::IllFormed), "{poisoned}");
        }
    }

    #[test]
    fn only_features_with_a_name_before_the_ending_are_wanted() {
        let answer =
            query("<feature var='b+notify'/><feature var='a+notify'/><feature var='+notify'/><feature var='c'/>");
        assert_eq!(wanted(&answer).into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn presence_without_a_usable_hash_says_nothing() {
        let of = |c: Element| Caps::of(&Stanza::presence(PresenceType::Available).with_child(c));
        let c = || Element::new(ns::CAPS, "c").with_attr("node", "n").with_attr("ver", "v");
        assert_eq!(of(c()), None, "the legacy format");
        assert_eq!(of(c().with_attr("hash", "sha-1")).unwrap().hash, Some(CapsHash::Sha1));
        assert_eq!(of(c().with_attr("hash", "md5")).unwrap().hash, None);
        assert_eq!(of(c().with_attr("hash", "sha-1").with_attr("ver", "v".repeat(TEXT_MAX + 1))), None);
        assert_eq!(of(c().with_attr("hash", "sha-1")).unwrap().query_node(), "n#v");
    }
}
