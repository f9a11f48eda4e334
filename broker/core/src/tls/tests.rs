//! Certificates made, loaded, renewed and exchanged; handshakes between our server and our client over memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, ServerConnection};
use tempfile::TempDir;
use torg_thing::Timestamp;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// The handshakes run on rustls's own clock, so the certificates of these tests must be valid today.
fn now() -> Timestamp {
    torg_thing::Clock::now(&torg_thing::SystemClock)
}

fn days(count: u32) -> Duration {
    DAY * count
}

fn local(directory: &Path) -> LocalCertificate {
    Authority::new(directory).certificate("site.example", SelfNames::DomainOnly, now()).expect("made")
}

fn load(local: &LocalCertificate) -> Loaded {
    local.files.load("site.example", now()).expect("loaded")
}

fn serial(loaded: &Loaded) -> Vec<u8> {
    loaded.certified.end_entity_cert().expect("leaf").to_vec()
}

/// Carries bytes between the two until neither has anything to say.
fn shake(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), rustls::Error> {
    for _ in 0..8 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("memory");
        }
        let mut bytes = wire.as_slice();
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).expect("memory");
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("memory");
        }
        let mut bytes = wire.as_slice();
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).expect("memory");
            client.process_new_packets()?;
        }
    }
    Ok(())
}

struct Pair {
    _directory: TempDir,
    local: LocalCertificate,
    server: ServerTls,
    client: ClientTls,
}

fn pair() -> Pair {
    let directory = tempfile::tempdir().expect("directory");
    let local = local(directory.path());
    let server = ServerTls::new(&load(&local)).expect("serves");
    let client = ClientTls::new(&Trust::File(local.authority.clone())).expect("trusts");
    Pair { _directory: directory, local, server, client }
}

fn connect(
    served: &Served,
    config: Arc<ClientConfig>,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let mut client = ClientConnection::new(config, ClientTls::server_name(name).expect("name")).expect("client");
    let mut server = ServerConnection::new(served.config()).expect("server");
    shake(&mut client, &mut server)?;
    Ok((client, server))
}

fn only(config: &ClientConfig, version: &'static rustls::SupportedProtocolVersion, roots: &Path) -> ClientConfig {
    let mut store = rustls::RootCertStore::empty();
    for authority in super::certificate::chain(roots).expect("authorities") {
        store.add(authority).expect("authority");
    }
    let mut only = ClientConfig::builder_with_provider(config.crypto_provider().clone())
        .with_protocol_versions(&[version])
        .expect("version")
        .with_root_certificates(store)
        .with_no_client_auth();
    only.require_ems = true;
    only
}

#[test]
fn both_sides_of_a_handshake_have_the_same_bindings() {
    let pair = pair();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = only(&pair.client.starttls(), version, &pair.local.authority);
        let served = pair.server.current();
        let (client, server) = connect(&served, Arc::new(config), "site.example").expect("handshake");
        let ours = served.bindings(&server);
        assert_eq!(ours, client_bindings(&client));
        assert!(ours.tls_exporter.is_some() && ours.tls_server_end_point.is_some());
    }
}

#[test]
fn each_connection_has_an_exporter_value_of_its_own() {
    let pair = pair();
    let served = pair.server.current();
    let exporter = || {
        let (_, server) = connect(&served, pair.client.starttls(), "site.example").expect("handshake");
        served.bindings(&server).tls_exporter
    };
    assert_ne!(exporter(), exporter());
}

#[test]
fn tls_1_2_without_extended_master_secret_is_refused() {
    let pair = pair();
    assert!(pair.server.current().config().require_ems);
    assert!(pair.client.direct().require_ems);
    assert!(pair.client.starttls().require_ems);
}

#[test]
fn direct_tls_agrees_on_xmpp_client() {
    let pair = pair();
    let (client, _) = connect(&pair.server.current(), pair.client.direct(), "site.example").expect("handshake");
    assert_eq!(client.alpn_protocol(), Some(ALPN_XMPP_CLIENT));
}

#[test]
fn another_protocol_by_alpn_is_refused() {
    let pair = pair();
    let mut config = (*pair.client.starttls()).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    assert!(connect(&pair.server.current(), Arc::new(config), "site.example").is_err());
}

#[test]
fn a_client_refuses_a_certificate_of_another_domain() {
    let pair = pair();
    let error =
        connect(&pair.server.current(), pair.client.starttls(), "other.example").map(|_| ()).expect_err("wrong name");
    assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
}

#[test]
fn a_client_refuses_an_authority_it_does_not_know() {
    let (pair, other) = (pair(), pair());
    let error = connect(&pair.server.current(), other.client.starttls(), "site.example")
        .map(|_| ())
        .expect_err("unknown authority");
    assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
}

#[test]
fn a_resumed_session_is_bound_to_its_own_channel() {
    let pair = pair();
    let served = pair.server.current();
    let config = pair.client.starttls();
    connect(&served, config.clone(), "site.example").expect("first handshake");
    let (client, server) = connect(&served, config, "site.example").expect("second handshake");
    assert_eq!(server.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    assert_eq!(served.bindings(&server).tls_exporter, client_bindings(&client).tls_exporter);
}

#[test]
fn a_replaced_certificate_serves_new_connections_and_old_ones_keep_theirs() {
    let (pair, other) = (pair(), pair());
    let before = pair.server.current();
    pair.server.replace(&load(&other.local)).expect("replaced");
    let after = pair.server.current();
    let (_, old) = connect(&before, pair.client.starttls(), "site.example").expect("old one");
    let (_, new) = connect(&after, other.client.starttls(), "site.example").expect("new one");
    assert_ne!(before.bindings(&old).tls_server_end_point, after.bindings(&new).tls_server_end_point);
}

// --- the local authority ---------------------------------------------------------------------------------------------

#[test]
fn the_authority_is_made_once_and_kept() {
    let directory = tempfile::tempdir().expect("directory");
    let first = local(directory.path());
    let second = local(directory.path());
    assert!(first.is_new && !second.is_new);
    assert_eq!(serial(&load(&first)), serial(&load(&second)));
}

#[test]
fn its_files_are_for_us_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().expect("directory");
    let inner = directory.path().join("tls");
    local(&inner);
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    for name in ["ca.pem", "ca.key", "leaf.pem", "leaf.key"] {
        assert_eq!(mode(&inner.join(name)), 0o600, "{name}");
    }
}

#[test]
fn how_to_trust_it_names_the_file() {
    let directory = tempfile::tempdir().expect("directory");
    let local = local(directory.path());
    assert!(local.how_to_trust().contains(&*directory.path().join("ca.pem").to_string_lossy()));
}

#[test]
fn a_leaf_is_renewed_before_its_end_and_not_sooner() {
    let directory = tempfile::tempdir().expect("directory");
    let first = serial(&load(&local(directory.path())));
    let at = |later: Duration| {
        let at = now().plus(later);
        let local =
            Authority::new(directory.path()).certificate("site.example", SelfNames::DomainOnly, at).expect("made");
        serial(&local.files.load("site.example", at).expect("loaded"))
    };
    let keep = u32::try_from(LEAF_DAYS - RENEW_BEFORE_DAYS).expect("days");
    assert_eq!(at(days(keep - 1)), first);
    assert_ne!(at(days(keep + 1)), first);
}

#[test]
fn a_leaf_for_another_domain_is_replaced() {
    let directory = tempfile::tempdir().expect("directory");
    local(directory.path());
    let moved =
        Authority::new(directory.path()).certificate("new.example", SelfNames::DomainOnly, now()).expect("made");
    assert!(!moved.is_new);
    assert!(moved.files.load("new.example", now()).is_ok());
}

#[test]
fn loopback_names_are_there_only_when_asked_for() {
    let directory = tempfile::tempdir().expect("directory");
    let authority = Authority::new(directory.path());
    let plain = authority.certificate("site.example", SelfNames::DomainOnly, now()).expect("made");
    assert!(plain.files.load("localhost", now()).is_err());
    let with = authority.certificate("site.example", SelfNames::Loopback, now()).expect("made");
    assert!(with.files.load("localhost", now()).is_ok() && with.files.load("127.0.0.1", now()).is_ok());
}

#[test]
fn a_damaged_or_half_written_leaf_is_made_anew() {
    let directory = tempfile::tempdir().expect("directory");
    local(directory.path());
    for name in ["leaf.pem", "leaf.key"] {
        std::fs::write(directory.path().join(name), "half").expect("written");
        load(&local(directory.path()));
    }
    std::fs::remove_file(directory.path().join("leaf.key")).expect("removed");
    load(&local(directory.path()));
}

#[test]
fn a_leaf_of_a_lost_authority_is_made_anew() {
    let directory = tempfile::tempdir().expect("directory");
    local(directory.path());
    let other = tempfile::tempdir().expect("directory");
    local(other.path());
    for name in ["leaf.pem", "leaf.key"] {
        std::fs::copy(other.path().join(name), directory.path().join(name)).expect("copied");
    }
    let foreign = std::fs::read(other.path().join("leaf.pem")).expect("read");
    local(directory.path());
    assert_ne!(std::fs::read(directory.path().join("leaf.pem")).expect("read"), foreign);
}

#[test]
fn a_domain_beyond_ascii_stands_in_its_certificate_as_a_labels() {
    let directory = tempfile::tempdir().expect("directory");
    let local = Authority::new(directory.path())
        .certificate("z\u{e4}hler.example", SelfNames::DomainOnly, now())
        .expect("made");
    assert!(local.files.load("z\u{e4}hler.example", now()).is_ok());
    assert!(local.files.load("xn--zhler-gra.example", now()).is_ok());
}

// --- loading ---------------------------------------------------------------------------------------------------------

fn spoil(name: &str, text: &str) -> TlsError {
    let directory = tempfile::tempdir().expect("directory");
    let local = local(directory.path());
    std::fs::write(directory.path().join(name), text).expect("written");
    local.files.load("site.example", now()).expect_err("spoiled")
}

#[test]
fn a_missing_file_is_named() {
    let files = CertificateFiles { certificate: "/nowhere/leaf.pem".into(), key: "/nowhere/leaf.key".into() };
    let error = files.load("site.example", now()).expect_err("missing").to_string();
    assert!(error.contains("cannot read /nowhere/leaf.pem"), "{error}");
}

#[test]
fn files_without_certificate_or_key_say_what_they_must_contain() {
    assert!(matches!(spoil("leaf.pem", "hello"), TlsError::ConfigNoCertificate { .. }));
    assert!(matches!(spoil("leaf.key", "hello"), TlsError::ConfigNoKey { .. }));
    assert!(matches!(
        spoil("leaf.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        TlsError::ConfigDamaged { .. }
    ));
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let other = tempfile::tempdir().expect("directory");
    local(other.path());
    let key = std::fs::read_to_string(other.path().join("leaf.key")).expect("read");
    assert!(matches!(spoil("leaf.key", &key), TlsError::ConfigKeyMismatch { .. }));
}

#[test]
fn a_certificate_of_another_domain_is_refused() {
    let directory = tempfile::tempdir().expect("directory");
    let error = local(directory.path()).files.load("other.example", now()).expect_err("wrong name");
    assert!(matches!(error, TlsError::ConfigWrongName { .. }), "{error}");
}

#[test]
fn a_certificate_outside_its_time_is_refused() {
    let directory = tempfile::tempdir().expect("directory");
    let local = local(directory.path());
    let late = now().plus(days(LEAF_DAYS.unsigned_abs().try_into().expect("days")) + DAY);
    let early = Timestamp::from_micros(0);
    for at in [late, early] {
        let error = local.files.load("site.example", at).expect_err("outside");
        assert!(matches!(error, TlsError::ConfigExpired { .. }), "{error}");
    }
}

// --- the end point hash ----------------------------------------------------------------------------------------------

fn hash_length(algorithm: &'static rcgen::SignatureAlgorithm) -> Option<usize> {
    let key = rcgen::KeyPair::generate_for(algorithm).expect("key");
    let params = rcgen::CertificateParams::new(vec!["site.example".to_owned()]).expect("params");
    let certificate = params.self_signed(&key).expect("certificate");
    server_end_point(certificate.der()).map(|hash| hash.len())
}

/// RFC 5929 §4.1.
#[test]
fn the_end_point_hash_follows_the_signature_s_hash() {
    assert_eq!(hash_length(&rcgen::PKCS_ECDSA_P256_SHA256), Some(32));
    assert_eq!(hash_length(&rcgen::PKCS_ECDSA_P384_SHA384), Some(48));
    assert_eq!(hash_length(&rcgen::PKCS_ED25519), None);
}

#[test]
fn what_is_no_certificate_has_no_end_point_hash() {
    assert_eq!(server_end_point(&CertificateDer::from(b"nonsense".to_vec())), None);
}
