//! Which other servers a server talks to, for those who draw maps of the network (XEP-0485). Written here, never read: it concerns no
//! decision of ours.

use std::collections::BTreeMap;

use crate::ns;
use crate::xml::Element;

/// Name of the node at the publish-subscribe service (XEP-0485 §5).
pub const NODE: &str = "serverinfo";

/// In which direction a connection carries stanzas, seen from the server that tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Both.
    Bidi,
    /// From the other server.
    Incoming,
    /// To the other server.
    Outgoing,
}

/// What a server tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FederationInfo {
    /// Its domain.
    pub domain: String,
    /// Other servers, each with its connections. Only those may be named that tell of themselves (XEP-0485 §7).
    pub remotes: BTreeMap<String, Vec<Direction>>,
}

impl FederationInfo {
    /// The payload of the item.
    pub fn encode(&self) -> Element {
        let element = |name: &'static str| Element::new(ns::FEDERATION_INFO, name);
        let remotes = self.remotes.iter().map(|(name, directions)| {
            let connection = |direction: &Direction| element("connection").with_attr("type", direction.name());
            element("remote-domain").with_attr("name", name).with_children(directions.iter().map(connection))
        });
        let domain = element("domain").with_attr("name", &self.domain);
        element("serverinfo").with_child(domain.with_child(element("federation").with_children(remotes)))
    }
}

impl Direction {
    const fn name(self) -> &'static str {
        match self {
            Direction::Bidi => "bidi",
            Direction::Incoming => "incoming",
            Direction::Outgoing => "outgoing",
        }
    }
}

/// Where the node is, as other servers are told (XEP-0060 §12.22).
pub fn uri(service: &str) -> String {
    format!("xmpp:{service}?;node={NODE}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse_document};

    #[test]
    fn the_standard_s_example_comes_out() {
        let remotes = [
            ("denmark.lit".to_owned(), vec![Direction::Incoming, Direction::Outgoing]),
            ("montague.net".to_owned(), vec![Direction::Bidi]),
        ];
        let info = FederationInfo { domain: "shakespeare.lit".into(), remotes: remotes.into_iter().collect() };
        let example = "<serverinfo xmlns='urn:xmpp:serverinfo:0'><domain name='shakespeare.lit'><federation>\
             <remote-domain name='denmark.lit'><connection type='incoming'/><connection type='outgoing'/></remote-domain>\
             <remote-domain name='montague.net'><connection type='bidi'/></remote-domain></federation></domain></serverinfo>";
        assert_eq!(info.encode(), parse_document(example, &Limits::CLIENT).unwrap());
    }

    #[test]
    fn a_server_that_talks_to_nobody_says_so() {
        let info = FederationInfo { domain: "shakespeare.lit".into(), remotes: BTreeMap::new() };
        let example = "<serverinfo xmlns='urn:xmpp:serverinfo:0'><domain name='shakespeare.lit'><federation/></domain></serverinfo>";
        assert_eq!(info.encode(), parse_document(example, &Limits::CLIENT).unwrap());
    }

    #[test]
    fn the_node_has_an_address() {
        assert_eq!(uri("pubsub.shakespeare.lit"), "xmpp:pubsub.shakespeare.lit?;node=serverinfo");
    }
}
