//! External components: the listener `component` and the sections `[[broker.component]]`, as they are written and as they are checked.
//!
//! # Why
//! - XEP-0114 has no encryption, and all our links are encrypted: so its listeners are on the loopback, where nothing passes that the
//!   kernel does not already see. A component on another machine comes through a tunnel of the operator's own.
//! - The secret is the only thing between a local program and a domain of ours, so a file that others may read is refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use torg_thing::config::{ConfigError, Document};
use torg_wire::jid::{BareJid, DomainPart};
use torg_wire::secret::Secret;

use super::checked::FederationConfig;
use super::peers::ordinal;
use super::read::path;
use super::secret::read_secret;

/// Components in one configuration; a site has a handful.
pub const COMPONENTS_MAX: usize = 64;

/// A program that serves a domain of its own through this broker (XEP-0114).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawComponent {
    /// Its domain, such as "rooms.site.example".
    pub(super) domain: String,
    /// File with the secret it shares with the broker, in the first line; nobody else may read the file.
    pub(super) secret_file: String,
}

/// External components.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ComponentsConfig {
    /// Listeners for them, on loopback addresses.
    pub listen: Vec<SocketAddr>,
    /// Those that may connect.
    pub components: Vec<ComponentConfig>,
}

/// One component that may connect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ComponentConfig {
    /// Its domain.
    pub domain: DomainPart,
    /// File with its secret in the first line.
    pub secret_file: PathBuf,
}

impl ComponentConfig {
    /// Reads its secret.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn secret(&self) -> Result<Secret<String>, String> {
        read_secret(&self.secret_file)
    }
}

/// What a component's domain must not be.
pub(super) struct Taken<'a> {
    pub(super) own: Option<&'a BareJid>,
    /// Addresses of our own services.
    pub(super) services: &'a [String],
    pub(super) federation: Option<&'a FederationConfig>,
}

/// Checks the listeners, which were read already, and the sections.
pub(super) fn check(
    document: &Document<'_>,
    listen: Vec<SocketAddr>,
    raw: &[RawComponent],
    taken: &Taken<'_>,
    errors: &mut Vec<ConfigError>,
) -> ComponentsConfig {
    for (index, address) in listen.iter().enumerate().filter(|(_, address)| !address.ip().is_loopback()) {
        let message = format!("{address} can be reached from other machines, and components do not speak TLS");
        let error = document.error_at(&format!("broker.listen.component[{index}]"), message);
        errors.push(error.suggest(Some(format!("127.0.0.1:{}", address.port()))));
    }
    if listen.is_empty() && !raw.is_empty() {
        let message = "has no effect: [broker.listen] names no component";
        let error = document.error_at("broker.component[0]", message);
        errors.push(error.allowed("component = [\"127.0.0.1:5347\"]"));
    }
    if !listen.is_empty() && raw.is_empty() {
        let message = "lets nobody in: there is no [[broker.component]]";
        errors.push(document.error_at("broker.listen.component", message));
    }
    if raw.len() > COMPONENTS_MAX {
        let message = format!("there are {} components; at most {COMPONENTS_MAX} are taken", raw.len());
        errors.push(document.error_at(&format!("broker.component[{COMPONENTS_MAX}]"), message));
    }
    let mut seen = BTreeMap::new();
    let mut components = Vec::new();
    for (index, raw) in raw.iter().take(COMPONENTS_MAX).enumerate() {
        let at = |key: &str| format!("broker.component[{index}].{key}");
        let domain = check_domain(document, &at("domain"), &raw.domain, taken, errors);
        if let Some(domain) = &domain
            && let Some(first) = seen.insert(domain.clone(), index)
        {
            let message = format!("\"{}\" has a section already, the {}", domain.as_str(), ordinal(first));
            errors.push(document.error_at(&at("domain"), message));
        }
        let secret_file = path(document, &at("secret_file"), &raw.secret_file, errors);
        if let Err(text) = read_secret(&secret_file) {
            let advice = "a file that only its owner reads, made by: (umask 077; openssl rand -base64 32 > FILE)";
            errors.push(document.error_at(&at("secret_file"), text).allowed(advice));
        }
        components.extend(domain.map(|domain| ComponentConfig { domain, secret_file }));
    }
    ComponentsConfig { listen, components }
}

fn check_domain(
    document: &Document<'_>,
    key: &str,
    text: &str,
    taken: &Taken<'_>,
    errors: &mut Vec<ConfigError>,
) -> Option<DomainPart> {
    let jid = match BareJid::parse(text) {
        Ok(jid) if jid.local().is_none() && text.parse::<std::net::IpAddr>().is_err() => jid,
        Ok(jid) => {
            let error = document.error_at(key, format!("\"{jid}\" is not a domain"));
            let suggestion = jid.local().zip(taken.own).map(|(local, own)| format!("{local}.{own}"));
            errors.push(error.allowed("a name such as rooms.site.example").suggest(suggestion));
            return None;
        }
        Err(error) => {
            errors.push(document.error_at(key, format!("\"{text}\" is not a domain: {error}")));
            return None;
        }
    };
    let domain = jid.domain();
    if taken.own.is_some_and(|own| own.domain() == domain) {
        let error = document.error_at(key, format!("\"{domain}\" is this server's own domain"));
        errors.push(error.suggest(Some(format!("rooms.{domain}"))));
    } else if taken.services.iter().any(|service| service == domain) {
        errors.push(document.error_at(key, format!("\"{domain}\" is a service of this server itself")));
    } else if let Some(peer) = taken.federation.and_then(|federation| peer_of(federation, domain)) {
        let message = format!("\"{domain}\" belongs to the [[broker.peer]] {peer}, another server");
        errors.push(document.error_at(key, message));
    }
    DomainPart::parse(domain).ok()
}

/// The peer whose domain it is, or lies under.
fn peer_of<'a>(federation: &'a FederationConfig, domain: &str) -> Option<&'a str> {
    let under = |peer: &str| domain == peer || domain.strip_suffix(peer).is_some_and(|rest| rest.ends_with('.'));
    federation.peers.peers.iter().map(|peer| peer.domain.as_str()).find(|peer| under(peer))
}
