//! The book of peers: settings, resolver and clock behind the questions that streams ask.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use torg_thing::Clock;

use super::config::{Address, Others, Peer, PeerSettings, Pin, Policy};
use super::judge::{Belief, Subject, judge};
use super::names::ascii;
use super::resolve::{
    ADDRESSES_MAX, Choice, DEFAULT_PORT, LookupError, Nowhere, Resolver, SERVICES_MAX, TARGETS_MAX, Tlsa, order,
};
use super::verdict::{Doubt, Proof, Standing};
use crate::s2s::{Federation, Target, Unreachable, Verdict};
use crate::tls::{TlsError, Trust, roots};

/// Time to learn where a domain is, all questions together: two slow resolvers, tried twice.
pub const RESOLVE_TIME: Duration = Duration::from_secs(15);

/// What is known about other servers. Shared by all streams; the settings can be exchanged while they run.
#[derive(Debug)]
pub struct Peers {
    rules: ArcSwap<Rules>,
    resolver: Arc<dyn Resolver>,
    clock: Arc<dyn Clock>,
}

/// What holds for a domain.
#[derive(Debug)]
pub struct Rule {
    /// The configured domain; none for the others.
    domain: Option<String>,
    address: Option<Address>,
    policy: Policy,
    roots: Arc<RootCertStore>,
    pins: Vec<Pin>,
    dialback_without_certificate: bool,
}

#[derive(Debug)]
struct Rules {
    /// The longest domain first.
    listed: Vec<Arc<Rule>>,
    others: Option<Arc<Rule>>,
}

impl Rule {
    /// The policy in force.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The configured domain that matched; none for a server not configured.
    pub fn configured(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// Whether a server that shows a certificate which proves nothing, or none, may prove itself by dialback.
    pub fn allows_dialback(&self, shows_certificate: bool) -> bool {
        self.policy == Policy::Dialback || self.dialback_without_certificate && !shows_certificate
    }

    pub(super) fn judge(
        &self,
        subject: &Subject<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Proof, Doubt> {
        judge(&Belief { policy: self.policy, roots: &self.roots, pins: &self.pins }, subject, chain, now)
    }
}

impl Rules {
    fn new(settings: &PeerSettings) -> Result<Rules, TlsError> {
        // A machine without authorities still has peers that are pinned or have their own; the rest is told as untrusted.
        let system = Arc::new(match roots(&Trust::System) {
            Ok(roots) => roots,
            Err(TlsError::ConfigNoAuthorities) => RootCertStore::empty(),
            Err(error) => return Err(error),
        });
        let mut listed = Vec::with_capacity(settings.peers.len());
        for peer in &settings.peers {
            listed.push(Arc::new(rule(peer, &system)?));
        }
        listed.sort_by_key(|rule| std::cmp::Reverse(rule.domain.as_ref().map_or(0, String::len)));
        let others = match settings.others {
            Others::Refused => None,
            Others::Welcome(policy) => {
                let rule = Rule {
                    domain: None,
                    address: None,
                    policy,
                    roots: system,
                    pins: Vec::new(),
                    dialback_without_certificate: false,
                };
                Some(Arc::new(rule))
            }
        };
        Ok(Rules { listed, others })
    }
}

fn rule(peer: &Peer, system: &Arc<RootCertStore>) -> Result<Rule, TlsError> {
    let roots = match &peer.ca {
        Some(file) => Arc::new(roots(&Trust::File(file.clone()))?),
        None => Arc::clone(system),
    };
    let domain = ascii(&peer.domain).ok_or_else(|| TlsError::ConfigDomain { domain: peer.domain.clone() })?;
    let (address, policy, pins) = (peer.address.clone(), peer.policy, peer.pins.clone());
    let dialback_without_certificate = peer.dialback_without_certificate;
    Ok(Rule { domain: Some(domain), address, policy, roots, pins, dialback_without_certificate })
}

/// Number of authorities in a PEM file, if it can be used.
///
/// # Errors
/// What is wrong with it.
pub fn authorities(file: &Path) -> Result<usize, TlsError> {
    roots(&Trust::File(file.to_owned())).map(|roots| roots.len())
}

impl Peers {
    /// Reads what the settings name.
    ///
    /// # Errors
    /// A file of authorities cannot be used.
    pub fn new(settings: &PeerSettings, resolver: Arc<dyn Resolver>, clock: Arc<dyn Clock>) -> Result<Peers, TlsError> {
        Ok(Peers { rules: ArcSwap::from_pointee(Rules::new(settings)?), resolver, clock })
    }

    /// Takes other settings into use, for streams that begin from now on.
    ///
    /// # Errors
    /// As [`Peers::new`]; the old ones stay in force.
    pub fn replace(&self, settings: &PeerSettings) -> Result<(), TlsError> {
        self.rules.store(Arc::new(Rules::new(settings)?));
        Ok(())
    }

    /// What holds for a domain; none if it is refused.
    pub fn rule(&self, domain: &str) -> Option<Arc<Rule>> {
        self.rule_of(&ascii(domain)?)
    }

    fn rule_of(&self, domain: &str) -> Option<Arc<Rule>> {
        let rules = self.rules.load();
        let covers = |rule: &&Arc<Rule>| {
            let above = rule.domain.as_deref().and_then(|above| domain.strip_suffix(above));
            above.is_some_and(|below| below.is_empty() || below.ends_with('.'))
        };
        rules.listed.iter().find(covers).or(rules.others.as_ref()).cloned()
    }

    /// The places to try for a domain, best first; never empty.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn places_of(&self, domain: &str) -> Result<Vec<Target>, Nowhere> {
        let asked = tokio::time::timeout(RESOLVE_TIME, self.find(domain)).await;
        asked.unwrap_or_else(|_| Err(Nowhere::Slow { domain: domain.into(), seconds: RESOLVE_TIME.as_secs() }))
    }

    /// What the certificates that a peer showed, leaf first, prove about a domain, and why; none shown is an empty slice.
    ///
    /// `target` is where we connected to; without one, policy `dane` asks DNS.
    pub async fn examine(&self, domain: &str, chain: &[CertificateDer<'_>], target: Option<&Target>) -> Standing {
        let name = ascii(domain);
        let Some((name, rule)) = name.and_then(|name| self.rule_of(&name).map(|rule| (name, rule))) else {
            return Standing { policy: Policy::Pkix, found: Err(Doubt::Refused) };
        };
        let asked;
        let targets = match (rule.policy, target) {
            (_, Some(target)) => std::slice::from_ref(target),
            (Policy::Dane, None) if !chain.is_empty() => {
                asked = self.places_of(domain).await.unwrap_or_default();
                &asked
            }
            _ => &[],
        };
        let vouched = targets.iter().filter(|target| !target.dane.is_empty());
        let hosts: Vec<&str> = vouched.clone().map(|target| target.host.as_str()).collect();
        let tlsa: Vec<Tlsa> =
            vouched.flat_map(|target| target.dane.iter().filter_map(|packed| Tlsa::unpack(packed))).collect();
        let subject = Subject { domain: &name, hosts: &hosts, tlsa: &tlsa };
        Standing { policy: rule.policy, found: rule.judge(&subject, chain, self.now()) }
    }

    fn now(&self) -> UnixTime {
        let seconds = u64::try_from(self.clock.now().micros().div_euclid(1_000_000)).unwrap_or_default();
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    async fn find(&self, domain: &str) -> Result<Vec<Target>, Nowhere> {
        let name = ascii(domain).ok_or_else(|| Nowhere::NoName { domain: domain.into() })?;
        let rule = self.rule_of(&name).ok_or_else(|| Nowhere::Refused { domain: domain.into() })?;
        let places = match &rule.address {
            Some(address) => vec![Place {
                host: address.host.clone(),
                port: address.port,
                direct_tls: address.direct_tls,
                authentic: true,
            }],
            None => self.services(domain, &name).await?,
        };
        let mut targets = Vec::new();
        let mut silent = None;
        for place in &places {
            let addresses = match self.addresses(&place.host).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    silent = Some(error);
                    continue;
                }
            };
            // What strangers write into DNS must not make us knock at doors inside this machine.
            let usable = addresses.into_iter().filter(|ip| rule.domain.is_some() || is_public(*ip)).take(ADDRESSES_MAX);
            let usable: Vec<IpAddr> = usable.collect();
            let tlsa = match rule.policy {
                Policy::Dane if place.authentic && !usable.is_empty() => self.tlsa(place).await?,
                _ => Vec::new(),
            };
            targets.extend(usable.into_iter().map(|ip| Target {
                address: SocketAddr::new(ip, place.port),
                host: place.host.clone(),
                direct_tls: place.direct_tls,
                dane: tlsa.clone(),
            }));
        }
        targets.truncate(TARGETS_MAX);
        match silent {
            _ if !targets.is_empty() => Ok(targets),
            Some(error) => Err(error.into()),
            None => {
                let mut asked: Vec<&str> = places.iter().map(|place| place.host.as_str()).collect();
                asked.dedup();
                Err(Nowhere::NoAddress { domain: domain.into(), asked: asked.join(", ") })
            }
        }
    }

    /// Hosts and ports from the service records, or the domain itself.
    async fn services(&self, domain: &str, name: &str) -> Result<Vec<Place>, Nowhere> {
        let (direct_name, plain_name) = (format!("_xmpps-server._tcp.{name}"), format!("_xmpp-server._tcp.{name}"));
        let (direct, plain) = tokio::join!(self.resolver.services(&direct_name), self.resolver.services(&plain_name));
        let mut choices = Vec::new();
        let mut failed = None;
        let mut refused = false;
        for (answer, direct_tls) in [(direct, true), (plain, false)] {
            match answer {
                Ok(answer) => {
                    refused |= answer.records.iter().any(|service| service.host.is_empty());
                    let records = answer.records.into_iter().take(SERVICES_MAX);
                    let authentic = answer.authentic;
                    choices.extend(records.map(|service| Choice { service, direct_tls, authentic }));
                }
                Err(error) => failed = Some(error),
            }
        }
        let ordered = order(choices, chance);
        if !ordered.is_empty() {
            let place = |choice: Choice| Place {
                host: choice.service.host,
                port: choice.service.port,
                direct_tls: choice.direct_tls,
                authentic: choice.authentic,
            };
            return Ok(ordered.into_iter().map(place).collect());
        }
        match failed {
            Some(error) => Err(error.into()),
            None if refused => Err(Nowhere::NotOffered { domain: domain.into() }),
            // Without service records the domain is its own host (RFC 6120 §3.2.2).
            None => Ok(vec![Place { host: name.into(), port: DEFAULT_PORT, direct_tls: false, authentic: true }]),
        }
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        match host.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![ip]),
            Err(_) => self.resolver.addresses(host).await,
        }
    }

    async fn tlsa(&self, place: &Place) -> Result<Vec<Vec<u8>>, LookupError> {
        let answer = self.resolver.tlsa(&format!("_{}._tcp.{}", place.port, place.host)).await?;
        Ok(if answer.authentic { answer.records.iter().map(Tlsa::pack).collect() } else { Vec::new() })
    }
}

#[async_trait]
impl Federation for Peers {
    fn allows(&self, remote: &str) -> bool {
        self.rule(remote).is_some()
    }

    fn allows_dialback(&self, remote: &str, shows_certificate: bool) -> bool {
        self.rule(remote).is_some_and(|rule| rule.allows_dialback(shows_certificate))
    }

    async fn targets(&self, remote: &str) -> Result<Vec<Target>, Unreachable> {
        self.places_of(remote).await.map_err(|nowhere| nowhere.for_streams())
    }

    async fn judge(&self, remote: &str, chain: &[CertificateDer<'static>], target: Option<&Target>) -> Verdict {
        match self.examine(remote, chain, target).await.found {
            Ok(proof) => Verdict::Proven(proof.name()),
            Err(doubt) => Verdict::Unproven(doubt.to_string()),
        }
    }
}

/// A host and port, before its addresses are known.
struct Place {
    host: String,
    port: u16,
    direct_tls: bool,
    /// Whether DNSSEC vouches for the way from the domain to this host, or there was none to go.
    authentic: bool,
}

/// Whether an address may be another machine.
fn is_public(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(local || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

/// A number from 0 to `max`; the first choice if the system has no randomness, since this is about load only.
fn chance(max: u32) -> u32 {
    let mut bytes = [0; 4];
    if getrandom::fill(&mut bytes).is_err() {
        return 0;
    }
    u32::from_le_bytes(bytes).checked_rem(max.saturating_add(1)).unwrap_or_default()
}
