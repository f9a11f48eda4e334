//! Where a domain's server is: service records of both kinds in one order (RFC 6120 §3.2, RFC 2782, XEP-0368 §3), then
//! the addresses of each host.
//!
//! The questions go through [`Resolver`], so that tests answer them; the order is a pure function of answers and chance.

use std::fmt::Debug;
use std::net::IpAddr;

use async_trait::async_trait;

use crate::s2s::Unreachable;

/// Port of a server that has no service records (RFC 6120 §3.2.2).
pub const DEFAULT_PORT: u16 = 5269;

/// Service records looked at for one domain: large sites have a handful; a hostile zone may have thousands.
pub const SERVICES_MAX: usize = 16;

/// Addresses tried for one host; more are round robin of the same thing.
pub const ADDRESSES_MAX: usize = 4;

/// Addresses tried for one domain.
pub const TARGETS_MAX: usize = 24;

/// One SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Lower ones are tried first.
    pub priority: u16,
    /// Share of the load among equal priorities.
    pub weight: u16,
    /// Port.
    pub port: u16,
    /// Host, without the final dot; empty means that the service is not offered here (RFC 2782, target `.`).
    pub host: String,
}

/// An answer and whether DNSSEC vouches for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was found; empty if the name or the kind of record does not exist.
    pub records: Vec<T>,
    /// Whether a validating resolver on this very machine says that the answer is authentic.
    pub authentic: bool,
}

/// One TLSA record (RFC 6698 §2.1): numbers as in DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlsa {
    /// 0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE.
    pub usage: u8,
    /// 0 whole certificate, 1 its public key.
    pub selector: u8,
    /// 0 as it is, 1 SHA-256, 2 SHA-512.
    pub matching: u8,
    /// What it must be.
    pub data: Vec<u8>,
}

impl Tlsa {
    /// One value for [`crate::s2s::Target::dane`]: the three numbers, then the data.
    pub(super) fn pack(&self) -> Vec<u8> {
        let mut packed = vec![self.usage, self.selector, self.matching];
        packed.extend_from_slice(&self.data);
        packed
    }

    /// Back from [`Tlsa::pack`].
    pub(super) fn unpack(packed: &[u8]) -> Option<Tlsa> {
        match packed {
            [usage, selector, matching, data @ ..] => {
                Some(Tlsa { usage: *usage, selector: *selector, matching: *matching, data: data.to_vec() })
            }
            _ => None,
        }
    }
}

/// A question to DNS got no answer: neither records nor the word that there are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DNS gives no answer for {name}: {text}")]
pub struct LookupError {
    /// The question's name.
    pub name: String,
    /// What the resolver said.
    pub text: String,
}

/// Asks DNS. Implementations limit the time of a question and cache answers.
#[async_trait]
pub trait Resolver: Send + Sync + Debug {
    /// SRV records of a name such as `_xmpp-server._tcp.site.example`.
    async fn services(&self, name: &str) -> Result<Answer<Service>, LookupError>;

    /// Addresses of a host, of both families.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError>;

    /// TLSA records of a name such as `_5269._tcp.host.example`; not authentic unless a validating resolver is on this machine.
    async fn tlsa(&self, name: &str) -> Result<Answer<Tlsa>, LookupError>;
}

/// Why a server cannot be looked for, or not be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Nowhere {
    /// The operator said not to talk to it.
    #[error("{domain} is not among the configured peers, and others are refused")]
    Refused {
        /// The domain.
        domain: String,
    },
    /// It is no name that DNS could know.
    #[error("{domain} is no DNS name")]
    NoName {
        /// The domain.
        domain: String,
    },
    /// Its service records say that it takes no servers' streams.
    #[error("{domain} says in DNS that it does not federate (SRV target \".\")")]
    NotOffered {
        /// The domain.
        domain: String,
    },
    /// Its hosts have no addresses, or none that may be connected to.
    #[error("{domain} has no usable address in DNS (asked: {asked})")]
    NoAddress {
        /// The domain.
        domain: String,
        /// Hosts whose addresses were asked for.
        asked: String,
    },
    /// DNS does not answer.
    #[error(transparent)]
    Dns(#[from] LookupError),
    /// The configured authorities cannot be read.
    #[error("the peer's settings cannot be used: {0}")]
    Settings(String),
    /// DNS took too long.
    #[error("DNS did not tell within {seconds} s where {domain} is")]
    Slow {
        /// The domain.
        domain: String,
        /// How long we waited.
        seconds: u64,
    },
}

impl Nowhere {
    /// As the streams take it.
    pub(super) fn for_streams(&self) -> Unreachable {
        match self {
            Nowhere::Refused { .. } | Nowhere::Settings(_) => Unreachable::Policy(self.to_string()),
            Nowhere::NoAddress { .. } | Nowhere::NoName { .. } | Nowhere::NotOffered { .. } => {
                Unreachable::NotFound(self.to_string())
            }
            Nowhere::Dns(_) | Nowhere::Slow { .. } => Unreachable::Timeout(self.to_string()),
        }
    }
}

/// A service record with its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) service: Service,
    pub(super) direct_tls: bool,
    pub(super) authentic: bool,
}

/// Both kinds of records in the order in which to try them: by priority, among equals by chance in proportion to the
/// weights (RFC 2782), the kinds mixed (XEP-0368 §3). `chance` gives numbers from 0 to its argument, both included.
pub(super) fn order(mut records: Vec<Choice>, mut chance: impl FnMut(u32) -> u32) -> Vec<Choice> {
    records.retain(|choice| !choice.service.host.is_empty());
    records.sort_by_key(|choice| (choice.service.priority, choice.service.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|choice| choice.service.priority) {
        let equals = records.iter().take_while(|choice| choice.service.priority == priority);
        let total = equals.clone().map(|choice| u32::from(choice.service.weight)).fold(0, u32::saturating_add);
        let wanted = chance(total);
        let mut sum = 0_u32;
        let picked = equals.clone().position(|choice| {
            sum = sum.saturating_add(u32::from(choice.service.weight));
            sum >= wanted
        });
        ordered.push(records.remove(picked.unwrap_or_default()));
    }
    ordered
}
