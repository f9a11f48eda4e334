//! Starts the servers that are compared: each in its own folder, on free loopback ports, with the same certificate
//! authority, accounts and stored-key iterations, and stops them by their own process id.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::client::{Account, Dialler, mac, salt_password};

const DOMAIN: &str = "localhost";
/// What RFC 7677 recommends as a minimum is 4,096; servers today store 10,000 and more.
const ROUNDS: u32 = 10_000;
/// A server that is not up by then will not come.
const START: Duration = Duration::from_secs(30);

/// Starts a server in a folder of its own below the given one, with these accounts.
pub(crate) type Start = fn(&Path, &[Account]) -> Result<Server>;

/// A running server; dropping it ends it.
pub(crate) struct Server {
    /// What the table calls it.
    pub(crate) name: String,
    child: Child,
    direct_tls: SocketAddr,
    authority: PathBuf,
}

impl Server {
    /// The id of the process that is measured.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Opens sessions on this server.
    pub(crate) fn dialler(&self) -> Result<Dialler> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.authority)?)?;
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"xmpp-client".to_vec()];
        // Every login is a whole one: a resumed session would hide the cost of the handshake.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Dialler::new(self.direct_tls, DOMAIN, config))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that is gone already is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prosody as Debian ships it, with the modules that answer what Torg answers, and no rate limit.
pub(crate) fn prosody(folder: &Path, accounts: &[Account]) -> Result<Server> {
    let home = folder.join("prosody");
    let authority = certificate(&home)?;
    let stored = home.join("data/localhost/accounts");
    fs::create_dir_all(&stored)?;
    for account in accounts {
        let salt = format!("salt-of-{}", account.user);
        let salted = salt_password(&account.password, salt.as_bytes(), ROUNDS);
        let stored_key = hex(&<sha2::Sha256 as sha2::Digest>::digest(mac(&salted, b"Client Key")));
        let server_key = hex(&mac(&salted, b"Server Key"));
        let row = format!(
            "return {{ [\"iteration_count\"] = {ROUNDS}; [\"salt\"] = \"{salt}\"; \
             [\"stored_key\"] = \"{stored_key}\"; [\"server_key\"] = \"{server_key}\"; }};\n"
        );
        fs::write(stored.join(format!("{}.dat", account.user)), row)?;
    }
    let direct_tls = free_address()?;
    let here = home.display();
    let config = format!(
        "run_as_root = true\npidfile = \"{here}/pid\"\ndata_path = \"{here}/data\"\ncertificates = \"{here}\"\n\
         log = {{ error = \"*console\" }}\ninterfaces = {{ \"127.0.0.1\" }}\nc2s_ports = {{ }}\ns2s_ports = {{ }}\n\
         c2s_direct_tls_ports = {{ {port} }}\nmodules_disabled = {{ \"s2s\" }}\n\
         modules_enabled = {{ \"roster\", \"saslauth\", \"tls\", \"disco\", \"ping\", \"offline\" }}\n\
         authentication = \"internal_hashed\"\npassword_hash = \"SHA-256\"\n\
         c2s_direct_tls_ssl = {{ key = \"{here}/leaf.key\", certificate = \"{here}/leaf.pem\" }}\n\
         VirtualHost \"localhost\"\n",
        port = direct_tls.port()
    );
    let file = home.join("prosody.cfg.lua");
    fs::write(&file, config)?;
    let log = fs::File::create(home.join("log"))?;
    let child = Command::new("prosody")
        .args(["--root", "-F", "--config"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("prosody does not start; `make bench` installs it")?;
    let server = Server { name: "Prosody".to_owned(), child, direct_tls, authority };
    wait_for(direct_tls).with_context(|| fs::read_to_string(home.join("log")).unwrap_or_default())?;
    Ok(server)
}

/// The binary of this build.
pub(crate) fn torg(folder: &Path, accounts: &[Account]) -> Result<Server> {
    let home = folder.join("torg");
    let authority = certificate(&home)?;
    let direct_tls = free_address()?;
    let starttls = free_address()?;
    let file = home.join("torg.toml");
    fs::write(
        &file,
        format!(
            "[broker]\ndomain = \"{DOMAIN}\"\n[broker.listen]\nc2s = [\"{starttls}\"]\nc2s_tls = [\"{direct_tls}\"]\n\
             [broker.tls]\ncertificate = \"leaf.pem\"\nkey = \"leaf.key\"\n[store]\npath = \"torg.db\"\n"
        ),
    )?;
    let binary = env!("CARGO_BIN_EXE_torg");
    for account in accounts {
        let mut add = Command::new(binary)
            .args(["account", "add", &format!("{}@{DOMAIN}", account.user), "--password-stdin", "--config"])
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        writeln!(add.stdin.take().context("no stdin")?, "{}", account.password)?;
        if !add.wait()?.success() {
            bail!("`torg account add {}` failed", account.user);
        }
    }
    let mut child = Command::new(binary)
        .args(["run", "--config"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(home.join("log"))?)
        .spawn()?;
    let stdout = BufReader::new(child.stdout.take().context("no stdout")?);
    let server = Server { name: "Torg".to_owned(), child, direct_tls, authority };
    let ready = stdout.lines().map_while(Result::ok).any(|line| line.contains("READY"));
    if !ready {
        bail!("torg did not start: {}", fs::read_to_string(home.join("log")).unwrap_or_default());
    }
    Ok(server)
}

/// A certificate authority and a leaf for the domain, in `home`; returns the file of the authority.
fn certificate(home: &Path) -> Result<PathBuf> {
    fs::create_dir_all(home)?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "Load test authority");
    let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec![DOMAIN.to_owned()])?.signed_by(&key, &issuer)?;
    fs::write(home.join("leaf.pem"), leaf.pem())?;
    fs::write(home.join("leaf.key"), key.serialize_pem())?;
    let file = home.join("ca.pem");
    fs::write(&file, issuer.pem())?;
    Ok(file)
}

/// A loopback address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn wait_for(address: SocketAddr) -> Result<()> {
    let end = Instant::now() + START;
    while Instant::now() < end {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("nothing listens on {address} after {START:?}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
