//! What a listener shows to whoever connects: its certificate, and answers over HTTP. With a TLS of our own choosing, so that names and
//! authorities are really checked.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

/// Longest silence of a server.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects to a port of the loopback.
pub(crate) fn dial(port: u16) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("a listener");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    socket
}

/// Begins TLS, and has the certificate checked against this authority and name.
pub(crate) fn secure(
    socket: TcpStream,
    name: &str,
    authority: &Path,
    alpn: &str,
) -> Result<StreamOwned<ClientConnection, TcpStream>, std::io::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority).expect("an authority") {
        roots.add(certificate.expect("PEM")).expect("an authority");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut connection = ClientConnection::new(Arc::new(config), name).expect("a configuration");
    let mut socket = socket;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(connection, socket))
}

/// The certificate that a port of TLS from the first byte serves, checked.
pub(crate) fn leaf(port: u16, name: &str, authority: &Path, alpn: &str) -> Vec<u8> {
    shown(&secure(dial(port), name, authority, alpn).expect("a good certificate"))
}

/// The certificate that a port with STARTTLS serves, checked. `namespace` is that of its stanzas.
pub(crate) fn leaf_after_starttls(port: u16, name: &str, authority: &Path, namespace: &str) -> Vec<u8> {
    let mut socket = dial(port);
    let header = format!(
        "<stream:stream xmlns='{namespace}' xmlns:stream='http://etherx.jabber.org/streams' to='{name}' version='1.0'>"
    );
    socket.write_all(header.as_bytes()).expect("written");
    until(&mut socket, "</stream:features>");
    socket.write_all(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").expect("written");
    until(&mut socket, "<proceed");
    let alpn = if namespace == "jabber:server" { "xmpp-server" } else { "xmpp-client" };
    shown(&secure(socket, name, authority, alpn).expect("a good certificate"))
}

/// What a GET of this path over TLS is answered with, head and body.
pub(crate) fn get(port: u16, name: &str, authority: &Path, path: &str) -> String {
    get_on(dial(port), name, authority, path)
}

/// The same, on a connection.
pub(crate) fn get_on(socket: TcpStream, name: &str, authority: &Path, path: &str) -> String {
    let stream = secure(socket, name, authority, "http/1.1").expect("a good certificate");
    exchange(stream, &request(name, path))
}

/// What a GET of this path without TLS is answered with, head and body.
pub(crate) fn get_bare(port: u16, host: &str, path: &str) -> String {
    exchange(dial(port), &request(host, path))
}

/// Writes a request and reads to the end.
pub(crate) fn exchange(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("written");
    let mut answer = Vec::new();
    // Whoever closes without a farewell of TLS has still said all.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// The body of an answer.
pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn shown(stream: &StreamOwned<ClientConnection, TcpStream>) -> Vec<u8> {
    stream.conn.peer_certificates().and_then(<[_]>::first).expect("a certificate").to_vec()
}

fn until(socket: &mut TcpStream, wanted: &str) {
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&heard).contains(wanted) {
        let length = socket.read(&mut buffer).expect("an answer");
        assert!(length > 0, "no {wanted} in {}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&buffer[..length]);
    }
}
