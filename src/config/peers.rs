//! Other servers: the sections `[broker.federation]` and `[[broker.peer]]`, as they are written and as they are checked.
//!
//! Federation is on if `[broker.listen]` names `s2s` or `s2s_tls`, with an empty list for a server that only connects.
//!
//! # Why
//! - No switch of its own: nothing is open that nobody asked for, and who names no listener has not asked. Outgoing
//!   streams are off then too, since a server that cannot be asked back can prove itself to few others.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;
use torg_core::peers::{Address, Others, Peer, PeerSettings, Pin, Policy, authorities};
use torg_thing::config::{ConfigError, Document};
use torg_wire::jid::BareJid;

use super::checked::FederationConfig;
use super::read::path;

/// Peers in one configuration; a city's servers fit, a generated list of the whole world is a mistake.
pub const PEERS_MAX: usize = 1_000;

/// Servers that are not among the peers, and how servers are found.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFederation {
    /// Why servers that are no [[broker.peer]] are believed, or "refuse". Default: "pkix".
    pub(super) others: Option<RawOthers>,
    /// "IP:PORT" of the DNS servers to ask. Default: those of the system (/etc/resolv.conf).
    #[serde(default)]
    pub(super) dns: Vec<String>,
}

/// Why servers that are no [[broker.peer]] are believed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawOthers {
    /// Their keys stand in signed DNS.
    Dane,
    /// Whoever answers at their address is believed.
    Dialback,
    /// A trusted authority has certified their domain.
    Pkix,
    /// They are not: stanzas from and to them are refused.
    Refuse,
}

/// Another server, and its subdomains.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPeer {
    /// Its domain, such as "other.example"; subdomains follow it unless they have a section of their own.
    pub(super) domain: String,
    /// "HOST:PORT" where it takes streams of servers. Default: as DNS says.
    pub(super) address: Option<String>,
    /// Whether TLS begins with the first byte at that address. Default: false, which is STARTTLS.
    #[serde(default)]
    pub(super) direct_tls: bool,
    /// PEM file with the only authorities that may certify it. Default: those the system trusts.
    pub(super) ca: Option<String>,
    /// Why it is believed. Default: "pin" if pins are given, else "pkix".
    pub(super) policy: Option<RawPolicy>,
    /// What becomes of it when it comes to us without any certificate: "refuse", or "dialback", where the server that answers for its
    /// domain has to vouch for it and to show a certificate that satisfies the policy. Default: "refuse".
    pub(super) without_certificate: Option<RawWithout>,
    /// Its public keys, each "sha256/" and the base64 of the digest; `torg peer check` shows what it has.
    #[serde(default)]
    pub(super) pin: Vec<String>,
}

/// Why a server is believed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawPolicy {
    /// Its key stands in signed DNS.
    Dane,
    /// Whoever answers at its address is believed.
    Dialback,
    /// Its key is one of the pins.
    Pin,
    /// A trusted authority has certified its domain.
    Pkix,
}

/// What becomes of a server without a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawWithout {
    /// It proves itself by dialback.
    Dialback,
    /// It is refused.
    Refuse,
}

/// Where servers connect, and what is said about them.
pub(super) struct RawParts {
    pub(super) s2s: Option<Vec<SocketAddr>>,
    pub(super) s2s_tls: Option<Vec<SocketAddr>>,
    pub(super) federation: Option<RawFederation>,
    pub(super) peers: Vec<RawPeer>,
}

/// Checks both sections. `None` if federation is off.
pub(super) fn check(
    document: &Document<'_>,
    raw: RawParts,
    own: Option<&BareJid>,
    errors: &mut Vec<ConfigError>,
) -> Option<FederationConfig> {
    if raw.s2s.is_none() && raw.s2s_tls.is_none() {
        let named = [("broker.federation", raw.federation.is_some()), ("broker.peer[0]", !raw.peers.is_empty())];
        if let Some((key, _)) = named.into_iter().find(|(_, is_named)| *is_named) {
            let message = "has no effect: federation is off, because [broker.listen] names neither s2s nor s2s_tls";
            let error = document.error_at(key, message);
            errors.push(error.allowed("s2s = [\"0.0.0.0:5269\"], or s2s = [] to connect to others only"));
        }
        return None;
    }
    let federation = raw.federation.unwrap_or_default();
    let others = match federation.others {
        None | Some(RawOthers::Pkix) => Others::Welcome(Policy::Pkix),
        Some(RawOthers::Dane) => Others::Welcome(Policy::Dane),
        Some(RawOthers::Dialback) => Others::Welcome(Policy::Dialback),
        Some(RawOthers::Refuse) => Others::Refused,
    };
    let dns = name_servers(document, &federation.dns, errors);
    if raw.peers.len() > PEERS_MAX {
        let message = format!("there are {} peers; at most {PEERS_MAX} are taken", raw.peers.len());
        errors.push(document.error_at(&format!("broker.peer[{PEERS_MAX}]"), message));
    }
    let mut peers = Vec::new();
    let mut seen = BTreeMap::new();
    for (index, raw) in raw.peers.iter().take(PEERS_MAX).enumerate() {
        let key = format!("broker.peer[{index}]");
        let peer = check_peer(document, &key, raw, own, errors);
        if let Some(first) = seen.insert(peer.domain.clone(), index) {
            let message = format!("\"{}\" has a section already, the {}.", peer.domain, ordinal(first));
            errors.push(document.error_at(&format!("{key}.domain"), message));
        }
        peers.push(peer);
    }
    let dane =
        peers.iter().position(|peer| peer.policy == Policy::Dane).map(|index| format!("broker.peer[{index}].policy"));
    let dane = dane.or((others == Others::Welcome(Policy::Dane)).then(|| "broker.federation.others".to_owned()));
    if let (Some(key), Some(far)) = (dane, dns.iter().find(|server| !server.ip().is_loopback())) {
        let message = format!("dane needs a validating DNS server on this machine, and {far} is another one");
        errors
            .push(document.error_at(&key, message).allowed("dns = [\"127.0.0.1:53\"] with a validating unbound there"));
    }
    Some(FederationConfig {
        s2s: raw.s2s.unwrap_or_default(),
        s2s_tls: raw.s2s_tls.unwrap_or_default(),
        peers: PeerSettings { peers, others },
        dns,
    })
}

fn check_peer(
    document: &Document<'_>,
    key: &str,
    raw: &RawPeer,
    own: Option<&BareJid>,
    errors: &mut Vec<ConfigError>,
) -> Peer {
    let domain = peer_domain(document, &format!("{key}.domain"), &raw.domain, own, errors);
    let address = peer_address(document, key, raw, errors);
    let at = |part: &str| format!("{key}.{part}");
    let policy = match raw.policy {
        None if raw.pin.is_empty() => Policy::Pkix,
        None | Some(RawPolicy::Pin) => Policy::Pin,
        Some(RawPolicy::Dane) => Policy::Dane,
        Some(RawPolicy::Dialback) => Policy::Dialback,
        Some(RawPolicy::Pkix) => Policy::Pkix,
    };
    if policy == Policy::Pin && raw.pin.is_empty() {
        let error = document.error_at(&at("policy"), "is \"pin\", and no pin is given");
        errors.push(error.allowed(format!("pin = [\"sha256/...\"]; torg peer check {} shows its key", raw.domain)));
    }
    if policy != Policy::Pin && !raw.pin.is_empty() {
        let message = format!("is not looked at with policy \"{policy}\"");
        errors.push(document.error_at(&at("pin"), message).allowed("policy = \"pin\", or no pin"));
    }
    let mut pins = Vec::new();
    for (index, text) in raw.pin.iter().enumerate() {
        match text.parse::<Pin>() {
            Ok(pin) => pins.push(pin),
            Err(error) => {
                let error = document.error_at(&format!("{key}.pin[{index}]"), format!("\"{text}\" is no pin: {error}"));
                errors.push(error.suggest(Pin::like(text).map(|pin| pin.to_string())));
            }
        }
    }
    let ca = raw.ca.as_deref().map(|text| path(document, &at("ca"), text, errors));
    if let Some(file) = &ca {
        if matches!(policy, Policy::Pin | Policy::Dialback) {
            let message = format!("is not looked at with policy \"{policy}\"");
            errors.push(document.error_at(&at("ca"), message).allowed("policy = \"pkix\", or no ca"));
        } else if let Err(error) = authorities(file) {
            errors.push(document.error_at(&at("ca"), error.to_string()));
        }
    }
    if policy == Policy::Dialback && raw.without_certificate.is_some() {
        let error = document.error_at(&at("without_certificate"), "is not looked at with policy \"dialback\"");
        errors.push(error.allowed("policy = \"pkix\", or no without_certificate"));
    }
    let dialback_without_certificate = raw.without_certificate == Some(RawWithout::Dialback);
    Peer { domain, address, ca, policy, pins, dialback_without_certificate }
}

fn peer_domain(
    document: &Document<'_>,
    key: &str,
    text: &str,
    own: Option<&BareJid>,
    errors: &mut Vec<ConfigError>,
) -> String {
    match BareJid::parse(text) {
        Ok(jid) if jid.local().is_some() => {
            let error = document.error_at(key, format!("is an account, not a domain: found \"{jid}\""));
            errors.push(error.suggest(Some(jid.domain())));
        }
        Ok(jid) if own.is_some_and(|own| own.domain() == jid.domain()) => {
            errors.push(document.error_at(key, format!("\"{jid}\" is this server's own domain")));
        }
        Ok(jid) if text.parse::<std::net::IpAddr>().is_err() => return jid.domain().to_owned(),
        Ok(jid) => {
            let error = document.error_at(key, format!("\"{jid}\" is an address, not a domain"));
            errors.push(error.allowed("domain = \"other.example\" and address = \"192.0.2.7:5269\""));
        }
        Err(error) => errors.push(document.error_at(key, format!("\"{text}\" is not a domain: {error}"))),
    }
    text.to_owned()
}

fn peer_address(document: &Document<'_>, key: &str, raw: &RawPeer, errors: &mut Vec<ConfigError>) -> Option<Address> {
    let Some(text) = &raw.address else {
        if raw.direct_tls {
            let message = "is for a given address; without one, DNS says where TLS begins with the first byte";
            errors.push(document.error_at(&format!("{key}.direct_tls"), message));
        }
        return None;
    };
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let host_of = |host: &str| host.trim_start_matches('[').trim_end_matches(']').to_owned();
    match parts {
        Some((host, port))
            if !host_of(host).is_empty() && port != 0 && (!host.contains(':') || host.starts_with('[')) =>
        {
            Some(Address { host: host_of(host), port, direct_tls: raw.direct_tls })
        }
        _ => {
            let port = if raw.direct_tls { 5270 } else { 5269 };
            let error = document.error_at(&format!("{key}.address"), format!("\"{text}\" is no host with a port"));
            let error = error
                .allowed(format!("HOST:PORT, such as 192.0.2.7:{port}, host.example:{port} or [2001:db8::7]:{port}"));
            errors.push(
                error.suggest(Some(format!("{text}:{port}")).filter(|_| !text.is_empty() && !text.contains(':'))),
            );
            None
        }
    }
}

fn name_servers(document: &Document<'_>, texts: &[String], errors: &mut Vec<ConfigError>) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match text.parse::<SocketAddr>() {
            Ok(server) => servers.push(server),
            Err(_) => {
                let error = document
                    .error_at(&format!("broker.federation.dns[{index}]"), format!("\"{text}\" is no DNS server"));
                let error = error.allowed("IP and port, such as 127.0.0.1:53");
                errors.push(error.suggest(Some(format!("{text}:53")).filter(|all| all.parse::<SocketAddr>().is_ok())));
            }
        }
    }
    servers
}

pub(super) fn ordinal(index: usize) -> String {
    match index {
        0 => "first".into(),
        1 => "second".into(),
        2 => "third".into(),
        more => format!("{}th", more + 1),
    }
}
