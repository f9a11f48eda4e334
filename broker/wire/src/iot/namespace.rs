//! Which service an IoT namespace names, and in which generation, for all services and all four generations: what dispatch and memory
//! of generations go by.
//!
//! [`Interface`](super::Interface) names what a thing speaks and we have codecs for; this names everything there is, also what only
//! brokers speak, and the retracted XEPs.

use super::Generation;

/// A service of the neuro-foundation interfaces, by the token in its namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Clock synchronization.
    Clock,
    /// Nodes and data sources of a concentrator.
    Concentrator,
    /// Smart contracts.
    Contracts,
    /// Setting control parameters.
    Control,
    /// Decision support for devices.
    DecisionSupport,
    /// The registry of things.
    Discovery,
    /// End-to-end encryption.
    EndToEnd,
    /// Event subscription.
    Events,
    /// Places.
    Geo,
    /// Legal identities.
    Identities,
    /// Provisioning for owners.
    Owners,
    /// Peer-to-peer connections.
    PeerToPeer,
    /// Quality of service.
    Quality,
    /// Sensor data.
    SensorData,
    /// Software updates.
    Software,
    /// Tokens of services, devices and users.
    Tokens,
}

/// What an IoT namespace names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Named {
    /// The service.
    pub service: Service,
    /// The generation; `None` for the retracted XEPs (`urn:xmpp:iot:`), whose elements have other names.
    pub generation: Option<Generation>,
}

/// The only version there is of each service.
const VERSION: &str = ":1.0";

impl Service {
    /// Every service, in alphabetical order.
    pub const ALL: [Self; 16] = [
        Self::Clock,
        Self::Concentrator,
        Self::Contracts,
        Self::Control,
        Self::DecisionSupport,
        Self::Discovery,
        Self::EndToEnd,
        Self::Events,
        Self::Geo,
        Self::Identities,
        Self::Owners,
        Self::PeerToPeer,
        Self::Quality,
        Self::SensorData,
        Self::Software,
        Self::Tokens,
    ];

    /// How the namespaces since IEEE P1451.99 spell it.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Clock => "synchronization",
            Self::Concentrator => "concentrator",
            Self::Contracts => "leg:sc",
            Self::Control => "ctr",
            Self::DecisionSupport => "prov:d",
            Self::Discovery => "disco",
            Self::EndToEnd => "e2e",
            Self::Events => "events",
            Self::Geo => "geo",
            Self::Identities => "leg:id",
            Self::Owners => "prov:o",
            Self::PeerToPeer => "p2p",
            Self::Quality => "qos",
            Self::SensorData => "sd",
            Self::Software => "swu",
            Self::Tokens => "prov:t",
        }
    }

    /// The service of that token.
    pub fn of_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.token() == token)
    }

    /// How the retracted XEPs spell it (XEP-0323 to XEP-0326, XEP-0347).
    const fn retracted(self) -> Option<&'static str> {
        match self {
            Self::Concentrator => Some("concentrators"),
            Self::Control => Some("control"),
            Self::DecisionSupport => Some("provisioning"),
            Self::Discovery => Some("discovery"),
            Self::Events => Some("events"),
            Self::SensorData => Some("sensordata"),
            _ => None,
        }
    }
}

impl Named {
    /// What the namespace names; `None` if it is none of the IoT extensions, or a version or service that is unknown.
    pub fn parse(namespace: &str) -> Option<Self> {
        let rest = namespace.strip_prefix("urn:")?;
        let (prefix, rest) = rest.split_once(":iot:")?;
        if prefix == "xmpp" {
            let service = Service::ALL.into_iter().find(|service| service.retracted() == Some(rest))?;
            return Some(Named { service, generation: None });
        }
        let generation = Generation::of_prefix(prefix)?;
        let service = Service::of_token(rest.strip_suffix(VERSION)?)?;
        Some(Named { service, generation: Some(generation) })
    }
}

impl Generation {
    /// The generation of that prefix: `ieee`, `nf` or `nfi`.
    pub fn of_prefix(prefix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|generation| generation.to_string() == prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Interface;
    use super::*;

    #[test]
    fn every_service_is_found_in_every_generation() {
        for service in Service::ALL {
            for generation in Generation::ALL {
                let namespace = format!("urn:{generation}:iot:{}:1.0", service.token());
                assert_eq!(
                    Named::parse(&namespace),
                    Some(Named { service, generation: Some(generation) }),
                    "{namespace}"
                );
            }
            assert_eq!(Service::of_token(service.token()), Some(service));
        }
    }

    #[test]
    fn the_retracted_generation_is_known_by_its_own_names() {
        for (namespace, service) in [
            ("urn:xmpp:iot:sensordata", Service::SensorData),
            ("urn:xmpp:iot:control", Service::Control),
            ("urn:xmpp:iot:concentrators", Service::Concentrator),
            ("urn:xmpp:iot:events", Service::Events),
            ("urn:xmpp:iot:discovery", Service::Discovery),
            ("urn:xmpp:iot:provisioning", Service::DecisionSupport),
        ] {
            assert_eq!(Named::parse(namespace), Some(Named { service, generation: None }), "{namespace}");
        }
    }

    #[test]
    fn the_codecs_interfaces_are_among_the_services() {
        for interface in Interface::ALL {
            for generation in Generation::ALL {
                let named = Named::parse(generation.namespace(interface)).unwrap();
                assert_eq!(named.generation, Some(generation));
            }
        }
    }

    #[test]
    fn other_names_versions_and_prefixes_are_none() {
        for namespace in [
            "",
            "urn:nf:iot:sd",
            "urn:nf:iot:sd:2.0",
            "urn:nf:iot:sensordata",
            "urn:xmpp:iot:sd:1.0",
            "urn:other:iot:sd:1.0",
            "urn:NF:iot:sd:1.0",
            "jabber:client",
            "urn:xmpp:iot:interoperability",
        ] {
            assert_eq!(Named::parse(namespace), None, "{namespace}");
        }
    }
}
