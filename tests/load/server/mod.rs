//! Starts the servers that are compared: each in its own folder, on free loopback ports, with the same certificate
//! authority, accounts and (where it can be chosen) stored-key iterations, and stops them by their own process id.
//!
//! The load hits the rate limits of all of them, so all have theirs raised by configuration: Prosody loads no `mod_limits`,
//! ejabberd has no shapers, Torg's `[broker.limits]` are wide. Floods are run against Torg with its limits as delivered.

mod ejabberd;
mod prosody;
mod torg;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    client::{ClientSessionStore, Resumption},
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{
    client::{Account, Dialler},
    support::dns::Dns,
};

pub(crate) use ejabberd::ejabberd;
pub(crate) use prosody::prosody;
pub(crate) use torg::{Limits, torg, torg_with};

pub(crate) const DOMAIN: &str = "localhost";
/// A server that is not up by then will not come; ejabberd derives the keys of all accounts first.
const START: Duration = Duration::from_secs(300);

/// What a server is set up with.
pub(crate) struct Setup<'run> {
    /// It gets a folder of its own below this one.
    pub(crate) folder: &'run Path,
    pub(crate) authority: &'run Authority,
    pub(crate) domain: &'run str,
    pub(crate) accounts: &'run [Account],
    pub(crate) neighbour: Option<Neighbour<'run>>,
}

/// Another server that it talks to.
#[derive(Clone, Copy)]
pub(crate) struct Neighbour<'run> {
    /// Where each finds the other.
    pub(crate) dns: &'run Dns,
    pub(crate) domain: &'run str,
}

/// Prepares a server.
pub(crate) type Prepare = fn(&Setup<'_>) -> Result<Server>;

/// A server, running or not; dropping it ends it.
pub(crate) struct Server {
    /// What the table calls it.
    pub(crate) name: String,
    pub(crate) domain: String,
    home: PathBuf,
    command: Box<dyn Fn() -> Command>,
    /// What it prints when it is ready.
    ready: Option<&'static str>,
    child: Option<Child>,
    /// Where it takes clients with TLS from the first byte.
    pub(crate) direct_tls: SocketAddr,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(&mut self) -> Result<()> {
        let log = fs::File::create(self.home.join("log"))?;
        let mut command = (self.command)();
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn().with_context(|| format!("{} does not start", self.name))?);
        let end = Instant::now() + START;
        while Instant::now() < end {
            let said = self.said();
            if self.ready.is_none_or(|ready| said.contains(ready)) && TcpStream::connect(self.direct_tls).is_ok() {
                return Ok(());
            }
            if self.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_some())) {
                bail!("{} ended: {said}", self.name);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("{} is not ready after {START:?}: {}", self.name, self.said())
    }

    /// What it has printed.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    /// Ends it; it can be started again.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A server that is gone already is what we want.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The id of the process that is measured.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Opens sessions on this server. Every login is a whole one: a resumed session would hide the cost of the handshake.
    pub(crate) fn dialler(&self) -> Result<Dialler> {
        self.dialler_with(Resumption::disabled())
    }

    /// As [`Server::dialler`], with TLS sessions that are resumed from here.
    pub(crate) fn resuming_dialler(&self, store: Arc<dyn ClientSessionStore>) -> Result<Dialler> {
        self.dialler_with(Resumption::store(store))
    }

    fn dialler_with(&self, resumption: Resumption) -> Result<Dialler> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.home.join("ca.pem"))?)?;
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"xmpp-client".to_vec()];
        config.resumption = resumption;
        Ok(Dialler::new(self.direct_tls, &self.domain, config))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The certificate authority of all servers of a run.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let mut authority = valid(CertificateParams::new(Vec::new())?);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "Load test authority");
        Ok(Self(CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?))
    }
}

impl Setup<'_> {
    /// A folder with the authority and a leaf (P-256) for the domain: `ca.pem`, `leaf.pem`, `leaf.key`, and both in `both.pem`.
    fn home(&self, program: &str) -> Result<PathBuf> {
        let home = self.folder.join(format!("{program}-{}", self.domain));
        fs::create_dir_all(&home)?;
        let key = KeyPair::generate()?;
        let leaf = valid(CertificateParams::new(vec![self.domain.to_owned()])?).signed_by(&key, &self.authority.0)?;
        fs::write(home.join("leaf.pem"), leaf.pem())?;
        fs::write(home.join("leaf.key"), key.serialize_pem())?;
        fs::write(home.join("both.pem"), format!("{}{}", leaf.pem(), key.serialize_pem()))?;
        fs::write(home.join("ca.pem"), self.authority.0.pem())?;
        Ok(home)
    }

    /// A port for streams of other servers, which DNS knows from now on.
    fn s2s_port(&self) -> Result<Option<u16>> {
        let Some(neighbour) = &self.neighbour else { return Ok(None) };
        let port = free_address()?.port();
        neighbour.dns.server(self.domain, port, 0);
        Ok(Some(port))
    }
}

/// For a time that servers can bear: ejabberd sets a timer for the end, and one of two thousand years is too long for Erlang.
fn valid(mut params: CertificateParams) -> CertificateParams {
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2100, 1, 1);
    params
}

/// A loopback address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
