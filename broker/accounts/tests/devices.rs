//! Certificates of devices instead of passwords: a broker with its accounts, rustls on both sides, both SASL profiles.
#![cfg(test)]

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, OtherNameValue, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use torg_accounts::{Accounts, MIGRATIONS};
use torg_core::tls::{Authority, ClientTls, DeviceAuthority, SelfNames, ServerTls, Trust};
use torg_core::{Broker, PipeConnector, pipe};
use torg_store::{Sqlite, migrate};
use torg_thing::{Clock, SystemClock};
use torg_wire::jid::{BareJid, DomainPart};
use torg_wire::sasl::{AccountClass, Policy};
use torg_wire::secret::Secret;

const HEADER: &str = "<stream:stream to='site.example' version='1.0' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";
const CLASSIC: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
const SECOND: &str = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='EXTERNAL'><initial-response/>\
                      <bind xmlns='urn:xmpp:bind:0'><tag>meter</tag></bind></authenticate>";

/// id-on-xmppAddr.
const XMPP_ADDR: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 5];

struct Signer {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Signer {
    fn new() -> Signer {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let pem = params.self_signed(&key).expect("signed").pem();
        Signer { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these addresses; `change` may spoil it.
    fn device(&self, addresses: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Device {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        let name = |text: &&str| SanType::OtherName((XMPP_ADDR.to_vec(), OtherNameValue::Utf8String((*text).into())));
        params.subject_alt_names = addresses.iter().map(name).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Device { chain: vec![certificate.der().clone()], key: key.serialize_der() }
    }
}

struct Device {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

struct Site {
    _broker: Broker,
    direct: PipeConnector,
    authority: std::path::PathBuf,
    signer: Signer,
    _directory: tempfile::TempDir,
}

async fn site() -> Site {
    let directory = tempfile::tempdir().expect("directory");
    let now = SystemClock.now();
    let local = Authority::new(directory.path()).certificate("site.example", SelfNames::DomainOnly, now).expect("made");
    let loaded = local.files.load("site.example", now).expect("loaded");
    let signer = Signer::new();
    let pem = directory.path().join("devices.pem");
    std::fs::write(&pem, &signer.pem).expect("written");
    let devices = DeviceAuthority::load(&pem).expect("an authority");
    let store = Arc::new(Sqlite::in_memory().expect("memory"));
    migrate(&*store, &[MIGRATIONS]).await.expect("migrated");
    let clock = Arc::new(SystemClock);
    let domain = DomainPart::parse("site.example").expect("a domain");
    let accounts = Accounts::new(store.clone(), domain, clock.clone());
    let policy = Policy { external: true, ..Policy::new(accounts.server_secret().await.expect("secret")) };
    let tls = Arc::new(ServerTls::with_devices(&loaded, Some(devices)).expect("serves"));
    let domain = BareJid::parse("site.example").expect("a domain");
    let builder = Broker::builder(domain, store, Arc::new(accounts.clone()), clock, tls);
    let broker = builder.policy(policy).start().await.expect("started");
    for name in ["meter", "relay"] {
        let account = accounts.parse_new(name).expect("a name");
        accounts.create_as(&account, Secret::new("unused".into()), AccountClass::Thing).await.expect("created");
    }
    let (direct, listener) = pipe();
    broker.listen_c2s_tls(listener);
    Site { _broker: broker, direct, authority: local.authority, signer, _directory: directory }
}

impl Site {
    async fn connect(&self, device: Option<Device>) -> std::io::Result<TlsStream<DuplexStream>> {
        let name = ClientTls::server_name("site.example").expect("a name");
        let config = match device {
            None => ClientTls::new(&Trust::File(self.authority.clone())).expect("trusts").direct(),
            Some(device) => Arc::new(client_config(&self.authority, device)),
        };
        TlsConnector::from(config).connect(name, self.direct.connect().await?).await
    }

    /// What the server says to these lines; an error if it hangs up before it says what is waited for.
    async fn talk(&self, device: Option<Device>, lines: &[(&str, &str)]) -> Result<String, String> {
        let mut stream = self.connect(device).await.map_err(|error| error.to_string())?;
        let mut said = String::new();
        for (line, until) in lines {
            stream.write_all(line.as_bytes()).await.map_err(|error| error.to_string())?;
            said.clear();
            while !said.contains(until) {
                let mut bytes = [0; 4_096];
                match stream.read(&mut bytes).await {
                    Ok(0) => return Err(said),
                    Ok(count) => said.push_str(&String::from_utf8_lossy(bytes.get(..count).unwrap_or_default())),
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
        Ok(said)
    }
}

fn client_config(authority: &Path, device: Device) -> rustls::ClientConfig {
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).expect("a certificate")).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(device.chain, PrivateKeyDer::try_from(device.key).expect("a key"))
        .expect("a certificate of its own")
}

const FEATURES: &str = "</stream:features>";

#[tokio::test]
async fn a_device_logs_in_with_its_certificate_in_both_profiles() {
    let site = site().await;
    let device = || site.signer.device(&["meter@site.example"], |_| {});
    let said = site.talk(Some(device()), &[(HEADER, FEATURES)]).await.expect("features");
    assert_eq!(said.matches("<mechanism>EXTERNAL</mechanism>").count(), 2, "{said}");
    site.talk(Some(device()), &[(HEADER, FEATURES), (CLASSIC, "<success")]).await.expect("in");
    let said = site.talk(Some(device()), &[(HEADER, FEATURES), (SECOND, "</success>")]).await.expect("in");
    assert!(said.contains("<authorization-identifier>meter@site.example/meter/"), "{said}");
}

#[tokio::test]
async fn a_client_without_a_certificate_is_neither_disturbed_nor_offered_external() {
    let site = site().await;
    let said = site.talk(None, &[(HEADER, FEATURES)]).await.expect("features");
    assert!(said.contains("SCRAM-SHA-256-PLUS") && !said.contains("EXTERNAL"), "{said}");
    for (login, refused) in [(CLASSIC, "<invalid-mechanism"), (SECOND, "<invalid-mechanism")] {
        site.talk(None, &[(HEADER, FEATURES), (login, refused)]).await.expect("refused");
    }
}

#[tokio::test]
async fn a_certificate_of_nobody_s_or_for_something_else_ends_the_handshake() {
    let site = site().await;
    let stranger = Signer::new().device(&["meter@site.example"], |_| {});
    let server = site.signer.device(&["meter@site.example"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let expired = site.signer.device(&["meter@site.example"], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    for (name, device) in [("stranger", stranger), ("server", server), ("expired", expired)] {
        let outcome = site.talk(Some(device), &[(HEADER, FEATURES)]).await;
        assert!(outcome.as_ref().is_err_and(|text| !text.contains("features")), "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn only_what_the_certificate_names_can_be_had() {
    let site = site().await;
    let features = async |device| site.talk(Some(device), &[(HEADER, FEATURES)]).await.expect("features");
    // Names that prove no account of ours: none, a domain, an account elsewhere.
    for addresses in [&[][..], &["site.example"], &["meter@other.example"]] {
        assert!(!features(site.signer.device(addresses, |_| {})).await.contains("EXTERNAL"), "{addresses:?}");
    }
    let nobody = || site.signer.device(&["nobody@site.example"], |_| {});
    site.talk(Some(nobody()), &[(HEADER, FEATURES), (CLASSIC, "<not-authorized")]).await.expect("refused");
    // `relay` is an account here, but not this device's.
    let device = || site.signer.device(&["meter@site.example"], |_| {});
    let other = CLASSIC.replace(">=<", ">cmVsYXlAc2l0ZS5leGFtcGxl<");
    site.talk(Some(device()), &[(HEADER, FEATURES), (&other, "<invalid-authzid")]).await.expect("refused");
}
