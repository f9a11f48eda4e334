//! The namespace generations of the neuro-foundation interfaces and how an interface is named in each.
//!
//! IEEE P1451.99 renamed its namespaces twice without changing a single element, so a generation is a value: one
//! codec per interface reads all three, and an answer is written in the generation of its question. The retracted
//! XEPs (`urn:xmpp:iot:`) came before and used other names; [`xep`] turns theirs into these and back.
//!
//! # Why
//! There is no negotiation in the standard. Deployed clients speak only one generation and treat the others as
//! unknown, so a server that answered everything in the newest one would be unusable to them.

use std::fmt;

use super::xep;

/// One of the namespace prefixes, oldest first. The last three share the short element names.
///
/// The derived order is the order of age: `Xmpp < Ieee < Nf < Nfi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generation {
    /// `urn:xmpp:iot:`, the retracted XEPs. Its elements are encoded and decoded in short names too; see
    /// [`xep`].
    Xmpp,
    /// `urn:ieee:iot:`, of the years under IEEE P1451.99.
    Ieee,
    /// `urn:nf:iot:`, what most deployed software speaks.
    Nf,
    /// `urn:nfi:iot:`, the published text since August 2025.
    Nfi,
}

/// An interface that exists in all three generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    /// Nodes and data sources of a concentrator.
    Concentrator,
    /// Setting control parameters.
    Control,
    /// Event subscription.
    Events,
    /// Sensor data request and response.
    SensorData,
    /// Clock synchronization.
    Synchronization,
}

/// Namespace of harmonized interfaces; it exists in the newest generation only.
pub const NS_HARMONIZED: &str = "urn:nfi:iot:hi:1.0";
/// Namespace of the older interoperability request that deployed clients send instead of [`NS_HARMONIZED`].
pub const NS_INTEROPERABILITY: &str = "urn:xmpp:iot:interoperability";

impl Generation {
    /// The three with short names, newest first: the order in which a client should choose and in which features are
    /// listed.
    pub const ALL: [Self; 3] = [Self::Nfi, Self::Nf, Self::Ieee];

    /// The namespace of `interface` in this generation.
    pub const fn namespace(self, interface: Interface) -> &'static str {
        match (self, interface) {
            (Self::Ieee, Interface::Concentrator) => "urn:ieee:iot:concentrator:1.0",
            (Self::Ieee, Interface::Control) => "urn:ieee:iot:ctr:1.0",
            (Self::Ieee, Interface::Events) => "urn:ieee:iot:events:1.0",
            (Self::Ieee, Interface::SensorData) => "urn:ieee:iot:sd:1.0",
            (Self::Ieee, Interface::Synchronization) => "urn:ieee:iot:synchronization:1.0",
            (Self::Nf, Interface::Concentrator) => "urn:nf:iot:concentrator:1.0",
            (Self::Nf, Interface::Control) => "urn:nf:iot:ctr:1.0",
            (Self::Nf, Interface::Events) => "urn:nf:iot:events:1.0",
            (Self::Nf, Interface::SensorData) => "urn:nf:iot:sd:1.0",
            (Self::Nf, Interface::Synchronization) => "urn:nf:iot:synchronization:1.0",
            (Self::Nfi, Interface::Concentrator) => "urn:nfi:iot:concentrator:1.0",
            (Self::Nfi, Interface::Control) => "urn:nfi:iot:ctr:1.0",
            (Self::Nfi, Interface::Events) => "urn:nfi:iot:events:1.0",
            (Self::Nfi, Interface::SensorData) => "urn:nfi:iot:sd:1.0",
            (Self::Nfi, Interface::Synchronization) => "urn:nfi:iot:synchronization:1.0",
            (Self::Xmpp, Interface::Concentrator) => xep::NS_CONCENTRATOR,
            (Self::Xmpp, Interface::Control) => xep::NS_CONTROL,
            (Self::Xmpp, Interface::Events) => xep::NS_EVENTS,
            (Self::Xmpp, Interface::SensorData) => xep::NS_SENSOR_DATA,
            // It had none; the oldest there is stands in.
            (Self::Xmpp, Interface::Synchronization) => "urn:ieee:iot:synchronization:1.0",
        }
    }

    /// The generation a client should speak to a peer that advertises `features`: the newest one listed for `interface`.
    /// The XEPs are left out, since [`xep`] does not read what their things say.
    pub fn newest_of<'a>(interface: Interface, features: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        features
            .into_iter()
            .filter_map(Interface::of_namespace)
            .filter_map(|(found, generation)| (found == interface).then_some(generation))
            .filter(|generation| *generation != Self::Xmpp)
            .max()
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ieee => "ieee",
            Self::Nf => "nf",
            Self::Nfi => "nfi",
            Self::Xmpp => "xmpp",
        })
    }
}

impl Interface {
    /// Every interface, in alphabetical order.
    pub const ALL: [Self; 5] =
        [Self::Concentrator, Self::Control, Self::Events, Self::SensorData, Self::Synchronization];

    /// Which interface and generation a namespace names, if it is one of ours.
    pub fn of_namespace(namespace: &str) -> Option<(Self, Generation)> {
        Self::ALL.into_iter().find_map(|interface| {
            let mut all = Generation::ALL.into_iter().chain([Generation::Xmpp]);
            let generation = all.find(|generation| generation.namespace(interface) == namespace)?;
            Some((interface, generation))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_namespace_names_its_interface_and_generation() {
        for interface in Interface::ALL {
            for generation in Generation::ALL {
                let namespace = generation.namespace(interface);
                assert_eq!(Interface::of_namespace(namespace), Some((interface, generation)));
                assert!(namespace.starts_with(&format!("urn:{generation}:iot:")));
            }
        }
    }

    #[test]
    fn unknown_namespaces_are_no_generation() {
        for namespace in ["urn:xmpp:iot:provisioning", "urn:nfi:iot:sd:2.0", "urn:nfi:iot:sd", ""] {
            assert_eq!(Interface::of_namespace(namespace), None);
        }
    }

    #[test]
    fn a_client_takes_the_newest_generation_listed() {
        let features = ["urn:ieee:iot:sd:1.0", "urn:nfi:iot:ctr:1.0", "urn:nf:iot:sd:1.0", "urn:xmpp:iot:events"];
        assert_eq!(Generation::newest_of(Interface::SensorData, features), Some(Generation::Nf));
        assert_eq!(Generation::newest_of(Interface::Events, features), None);
    }
}
