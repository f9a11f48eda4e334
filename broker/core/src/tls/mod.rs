//! TLS of the broker: what we serve, how certificates are loaded and exchanged while running, the local authority for a
//! first start without certificates, the channel bindings SASL needs, and the client's side (RFC 6120 §5, RFC 7590, XEP-0368).
//!
//! TLS 1.2 and 1.3 only; no compression and no renegotiation exist in rustls. It opens no sockets: the shell wraps its
//! own with `tokio_rustls` and the configuration taken from [`ServerTls::current`] for each connection.
//!
//! # Why
//! - `rustls` with `aws-lc-rs`: memory-safe, no legacy protocols, hybrid post-quantum key exchange by default.
//! - `require_ems`: without extended master secret the exporter of TLS 1.2 does not name one connection (RFC 9266 §4.2).
//! - One configuration for each certificate, instead of a resolver inside one configuration: rustls does not tell which
//!   certificate a resolver chose, and `tls-server-end-point` must be the hash of exactly that one.
//! - `rcgen` makes the local authority, `x509-parser` reads dates and signature algorithms, `time` is rcgen's calendar.
//! - `rustls-native-certs`: a client without `--ca` trusts what the machine trusts.

mod authority;
mod binding;
mod certificate;
mod client;
mod devices;
mod error;
mod files;
mod peer;
mod server;
#[cfg(test)]
mod tests;

pub use authority::{Authority, LEAF_DAYS, LocalCertificate, RENEW_BEFORE_DAYS, SelfNames};
pub use binding::{client_bindings, server_bindings, server_end_point};
pub use certificate::{CertificateFiles, Loaded};
pub(crate) use client::roots;
pub use client::{ClientTls, Trust};
pub use devices::{DeviceAuthority, proven_addresses};
pub use error::TlsError;
pub use peer::ALPN_XMPP_SERVER;
pub use server::{ALPN_XMPP_CLIENT, Served, ServerTls};
