//! Other servers: where they are, whom we believe to be them, and why (RFC 6120 §3.2 and §13.7, XEP-0368, RFC 7673).
//!
//! [`Peers`] answers what a server-to-server stream asks ([`crate::s2s::Federation`]): the places of a domain, and what the
//! certificate that the other side showed proves about a domain. It opens no streams.
//!
//! # Why
//! - The default for servers not configured is `pkix`, and nothing weaker falls in for it: who can divert our packets
//!   could otherwise be anybody. `dialback` is there for servers whose certificates nobody here can check, one by one.
//! - Certificates of incoming peers are judged as those of *servers*: public authorities no longer put clientAuth into
//!   certificates, and peers have only the one.
//! - `hickory-resolver`: service records with time limits and a cache; without its TLS and DNSSEC features. DNSSEC is
//!   believed only from a resolver on the loopback, which validates better than a library and whose AD bit nobody forges.

mod book;
mod config;
mod dns;
mod judge;
mod names;
mod resolve;
#[cfg(test)]
mod tests;
mod validating;
mod verdict;

pub use book::{Peers, RESOLVE_TIME, Rule, authorities};
pub use config::{Address, Others, Peer, PeerSettings, Pin, PinError, Policy};
pub use dns::Dns;
pub use judge::pin_of;
pub use resolve::{
    ADDRESSES_MAX, Answer, DEFAULT_PORT, LookupError, Nowhere, Resolver, SERVICES_MAX, Service, TARGETS_MAX, Tlsa,
};
pub use verdict::{Doubt, Proof, Standing};
