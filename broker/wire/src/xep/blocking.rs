//! Blocking Command (XEP-0191): a list of addresses an account wants to have nothing to do with, and which of them an address matches.

use crate::jid::Jid;
use crate::ns;
use crate::xml::Element;

/// What an account does with its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Puts addresses on the list; at least one.
    Block(Vec<Jid>),
    /// Takes addresses off the list; all of them if none is named.
    Unblock(Vec<Jid>),
}

/// Why an element is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// An item has an address that is none.
    Address,
    /// Nothing is to be blocked, an item has no address, or there is something else than items (§3.3).
    Shape,
}

impl Request {
    /// Reads `<block/>` and `<unblock/>`; `None` for other elements.
    ///
    /// # Errors
    /// See [`Malformed`].
    pub fn decode(element: &Element) -> Option<Result<Self, Malformed>> {
        if element.is(ns::BLOCKING, "block") {
            return Some(
                items(element)
                    .and_then(|items| if items.is_empty() { Err(Malformed::Shape) } else { Ok(Request::Block(items)) }),
            );
        }
        element.is(ns::BLOCKING, "unblock").then(|| items(element).map(Request::Unblock))
    }

    /// Writes the request; a push to the account's sessions looks the same.
    pub fn encode(&self) -> Element {
        let (name, jids) = match self {
            Request::Block(jids) => ("block", jids),
            Request::Unblock(jids) => ("unblock", jids),
        };
        Element::new(ns::BLOCKING, name).with_children(jids.iter().map(item))
    }
}

/// The whole list as an answer.
pub fn list<'a>(jids: impl IntoIterator<Item = &'a Jid>) -> Element {
    Element::new(ns::BLOCKING, "blocklist").with_children(jids.into_iter().map(item))
}

/// What an error about an outgoing stanza to a blocked address carries (§3.3).
pub fn blocked() -> Element {
    Element::new(ns::BLOCKING_ERRORS, "blocked")
}

/// The entries that match an address, most particular first (§5): the very address, then the account or the resource of the domain,
/// then the domain. An account without a resource is what a bare address of it means.
pub fn matching(jid: &Jid) -> impl Iterator<Item = &str> {
    let full = jid.resource().is_some().then(|| jid.as_str());
    let bare = jid.bare_str();
    let domain = Some(jid.domain()).filter(|domain| *domain != bare);
    full.into_iter().chain(Some(bare)).chain(domain)
}

fn item(jid: &Jid) -> Element {
    Element::new(ns::BLOCKING, "item").with_attr("jid", jid)
}

fn items(element: &Element) -> Result<Vec<Jid>, Malformed> {
    let mut jids = Vec::new();
    for child in element.children() {
        if !child.is(ns::BLOCKING, "item") {
            return Err(Malformed::Shape);
        }
        let jid = Jid::parse(child.attr("jid").ok_or(Malformed::Shape)?).map_err(|_| Malformed::Address)?;
        if !jids.contains(&jid) {
            jids.push(jid);
        }
    }
    Ok(jids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    #[test]
    fn requests_read_back_as_written() {
        let some = vec![jid("romeo@montague.net"), jid("capulet.example")];
        for request in [Request::Block(some.clone()), Request::Unblock(some), Request::Unblock(Vec::new())] {
            assert_eq!(Request::decode(&request.encode()), Some(Ok(request)));
        }
        assert_eq!(Request::decode(&list([])), None);
    }

    #[test]
    fn blocking_nothing_or_nonsense_is_refused() {
        let block = Element::new(ns::BLOCKING, "block");
        assert_eq!(Request::decode(&block), Some(Err(Malformed::Shape)));
        let item = Element::new(ns::BLOCKING, "item");
        assert_eq!(Request::decode(&block.clone().with_child(item.clone())), Some(Err(Malformed::Shape)));
        assert_eq!(
            Request::decode(&block.clone().with_child(item.with_attr("jid", "@"))),
            Some(Err(Malformed::Address))
        );
        assert_eq!(Request::decode(&block.with_child(Element::new("urn:example", "x"))), Some(Err(Malformed::Shape)));
    }

    #[test]
    fn the_same_address_twice_is_one() {
        let twice = Request::Block(vec![jid("a@b"), jid("a@b")]).encode();
        assert_eq!(Request::decode(&twice), Some(Ok(Request::Block(vec![jid("a@b")]))));
    }

    #[test]
    fn an_address_is_matched_by_itself_its_account_and_its_domain() {
        let found = |text: &str| matching(&jid(text)).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(found("user@domain/resource"), ["user@domain/resource", "user@domain", "domain"]);
        assert_eq!(found("user@domain"), ["user@domain", "domain"]);
        assert_eq!(found("domain/resource"), ["domain/resource", "domain"]);
        assert_eq!(found("domain"), ["domain"]);
    }
}
