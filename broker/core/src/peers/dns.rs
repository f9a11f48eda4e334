//! Questions to real DNS, through hickory's stub resolver with its cache, or straight to a validating server on this machine.
//!
//! The system's servers are read again when `/etc/resolv.conf` changes: a gateway gets its network after it has booted,
//! and moves between networks in ten years.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Resolver as Hickory, TokioResolver};

use super::resolve::{Answer, LookupError, Resolver, Service, Tlsa};
use super::validating;

/// Time for one try of one question; with [`TRIES`] less than the time for all questions about a domain.
const TRY_TIME: Duration = Duration::from_secs(3);
/// Tries of a question with each server.
const TRIES: usize = 2;
/// Answers kept; each is some hundred bytes, and a site talks to few domains.
const CACHED: u64 = 512;
/// How long the word that there is nothing is believed at most, so that a new record is found within minutes.
const NOTHING_FOR: Duration = Duration::from_secs(300);
/// Where the system names its servers.
const SYSTEM: &str = "/etc/resolv.conf";
/// Port of DNS.
const PORT: u16 = 53;

/// Asks DNS servers.
#[derive(Debug)]
pub struct Dns {
    /// Empty means those of the system.
    servers: Vec<SocketAddr>,
    built: Mutex<Option<Built>>,
}

/// A resolver for the servers known at one time.
#[derive(Clone)]
struct Built {
    of: Option<SystemTime>,
    resolver: Arc<TokioResolver>,
    /// A server on this machine, if there are no others: its word that an answer is authentic counts.
    validating: Option<SocketAddr>,
}

impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built").field("of", &self.of).field("validating", &self.validating).finish_non_exhaustive()
    }
}

impl Dns {
    /// Asks these servers; none means those of the system.
    pub fn new(servers: Vec<SocketAddr>) -> Dns {
        Dns { servers, built: Mutex::default() }
    }

    fn built(&self, name: &str) -> Result<Built, LookupError> {
        let changed = || std::fs::metadata(Path::new(SYSTEM)).and_then(|about| about.modified()).ok();
        let of = if self.servers.is_empty() { changed() } else { None };
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = built.as_ref().filter(|built| built.of == of) {
            return Ok(built.clone());
        }
        let fresh = build(&self.servers, of).map_err(|text| LookupError { name: name.into(), text })?;
        Ok(built.insert(fresh).clone())
    }

    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<Record>, LookupError> {
        let resolver = self.built(name)?.resolver;
        match resolver.lookup(absolute(name), kind).await {
            Ok(lookup) => Ok(lookup.answers().to_vec()),
            Err(error) => nothing(name, &error).map(|()| Vec::new()),
        }
    }

    /// Records of a kind, with the word of the validating server if there is one.
    async fn judged<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, LookupError> {
        let (records, authentic) = match self.built(name)?.validating {
            Some(server) => {
                let failed = |text: String| LookupError { name: name.into(), text };
                validating::ask(server, &absolute(name), kind).await.map_err(failed)?
            }
            None => (self.records(name, kind).await?, false),
        };
        Ok(Answer { records: records.iter().filter_map(|record| read(&record.data)).collect(), authentic })
    }
}

#[async_trait]
impl Resolver for Dns {
    async fn services(&self, name: &str) -> Result<Answer<Service>, LookupError> {
        let read = |data: &RData| match data {
            RData::SRV(srv) => Some(Service {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                host: srv.target.to_ascii().trim_end_matches('.').to_ascii_lowercase(),
            }),
            _ => None,
        };
        self.judged(name, RecordType::SRV, read).await
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        let resolver = self.built(host)?.resolver;
        match resolver.lookup_ip(absolute(host)).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) => nothing(host, &error).map(|()| Vec::new()),
        }
    }

    async fn tlsa(&self, name: &str) -> Result<Answer<Tlsa>, LookupError> {
        let read = |data: &RData| match data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        };
        self.judged(name, RecordType::TLSA, read).await
    }
}

/// With the final dot, so that no search list of the system is tried.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

/// `Ok` if the error is the word that there is nothing.
fn nothing(name: &str, error: &NetError) -> Result<(), LookupError> {
    if error.is_no_records_found() || error.is_nx_domain() {
        Ok(())
    } else {
        Err(LookupError { name: name.into(), text: error.to_string() })
    }
}

fn build(servers: &[SocketAddr], of: Option<SystemTime>) -> Result<Built, String> {
    let (config, addresses) = if servers.is_empty() {
        let (config, _) = read_system_conf().map_err(|error| format!("{SYSTEM} cannot be used: {error}"))?;
        let addresses = config.name_servers().iter().map(|server| SocketAddr::new(server.ip, PORT)).collect();
        (config, addresses)
    } else {
        (ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect()), servers.to_vec())
    };
    if addresses.is_empty() {
        return Err(format!("{SYSTEM} names no DNS server"));
    }
    let mut options = ResolverOpts::default();
    options.timeout = TRY_TIME;
    options.attempts = TRIES;
    options.cache_size = CACHED;
    options.negative_max_ttl = Some(NOTHING_FOR);
    options.use_hosts_file = if servers.is_empty() { ResolveHosts::Auto } else { ResolveHosts::Never };
    let builder = Hickory::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options);
    let resolver = Arc::new(builder.build().map_err(|error| error.to_string())?);
    let validating = addresses.first().copied().filter(|_| addresses.iter().all(|server| server.ip().is_loopback()));
    Ok(Built { of, resolver, validating })
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}
