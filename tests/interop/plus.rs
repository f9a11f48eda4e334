//! SCRAM-SHA-256-PLUS with `tls-exporter` (RFC 5802, RFC 9266), proven with tokio-xmpp: given a binding, its SASL knows
//! only the PLUS mechanisms, and the test gives it no other to choose. A login that gets through is bound; one through
//! somebody in the middle, with a certificate that the client trusts, must not get through.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use sasl::common::{ChannelBinding, Credentials};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};
use tokio_xmpp::{
    client_login,
    error::AuthError,
    parsers::sasl::DefinedCondition,
    xmlstream::{FallibleStreamElement, StreamHeader, Timeouts, initiate_stream},
};

use crate::support::site::{DOMAIN, Site, password};

const ACCOUNT: &str = "anna";
const MECHANISM: &str = "SCRAM-SHA-256-PLUS";
/// RFC 9266 §2: label and length of the exported value; its context is empty.
const EXPORTER: (&[u8], usize) = (b"EXPORTER-Channel-Binding", 32);

fn site() -> Site {
    Site::start("", &[], &[ACCOUNT])
}

fn trusting(authorities: &[CertificateDer<'static>]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().cloned());
    TlsConnector::from(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

fn authority(site: &Site) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(site.authority()).expect("the authority that the first start made")
}

async fn direct_tls(port: u16, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    connector.connect(ServerName::try_from(DOMAIN).unwrap(), tcp).await.unwrap()
}

/// RFC 6120 §5, with no stanza but what it takes.
async fn starttls(port: u16, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let header = format!(
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='{DOMAIN}' version='1.0'>"
    );
    let mut seen = String::new();
    for (send, until) in [
        (header.as_str(), "</stream:features>"),
        ("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
    ] {
        tcp.write_all(send.as_bytes()).await.unwrap();
        seen.clear();
        while !seen.replace('"', "'").contains(until) {
            let mut byte = [0];
            assert_eq!(tcp.read(&mut byte).await.unwrap(), 1, "closed after {seen}");
            seen.push(byte[0].into());
        }
    }
    connector.connect(ServerName::try_from(DOMAIN).unwrap(), tcp).await.unwrap()
}

/// Lets tokio-xmpp log in over `tls` with nothing but the PLUS mechanism.
async fn log_in(tls: TlsStream<TcpStream>) -> Result<(), tokio_xmpp::Error> {
    let (label, length) = EXPORTER;
    let binding = tls.get_ref().1.export_keying_material(vec![0; length], label, Some(&[])).unwrap();
    let header = StreamHeader { to: Some(Cow::Borrowed(DOMAIN)), from: None, id: None };
    let stream = initiate_stream(BufStream::new(tls), "jabber:client", header, Timeouts::tight()).await?;
    let (features, stream) = stream.recv_features::<FallibleStreamElement>().await?;
    assert!(features.sasl_mechanisms.contains(MECHANISM), "{:?}", features.sasl_mechanisms);
    let credentials = Credentials::default()
        .with_username(ACCOUNT)
        .with_password(password(ACCOUNT))
        .with_channel_binding(ChannelBinding::TlsExporter(binding));
    client_login(stream, BTreeSet::from([MECHANISM.to_owned()]), credentials).await.map(drop)
}

#[tokio::test]
async fn tokio_xmpp_binds_its_login_to_direct_tls() {
    let site = site();
    log_in(direct_tls(site.c2s_tls, &trusting(&[authority(&site)])).await).await.unwrap();
}

#[tokio::test]
async fn tokio_xmpp_binds_its_login_to_starttls() {
    let site = site();
    log_in(starttls(site.c2s, &trusting(&[authority(&site)])).await).await.unwrap();
}

#[tokio::test]
async fn a_trusted_certificate_in_the_middle_does_not_get_a_bound_login_through() {
    let site = site();
    let (port, false_authority) = man_in_the_middle(&site).await;
    let refused = log_in(direct_tls(port, &trusting(&[false_authority])).await).await.unwrap_err();
    assert!(
        matches!(&refused, tokio_xmpp::Error::Auth(AuthError::Fail(DefinedCondition::NotAuthorized))),
        "{refused:?}"
    );
}

/// Ends TLS with a certificate of its own authority and passes everything on to the site over TLS of its own.
async fn man_in_the_middle(site: &Site) -> (u16, CertificateDer<'static>) {
    let mut authority_params = CertificateParams::new(Vec::new()).unwrap();
    authority_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(authority_params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![DOMAIN.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (upstream_port, connector) = (site.c2s_tls, trusting(&[authority(site)]));
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let mut client = acceptor.accept(client).await.unwrap();
        let mut server = direct_tls(upstream_port, &connector).await;
        // Either side may end it; the test looks at what the client was told.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    (port, issuer.der().clone())
}
