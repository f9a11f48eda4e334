//! A small authoritative DNS server on the loopback: SRV and A answers from a table that a test can change.
//!
//! It answers over UDP and TCP (RFC 1035), for every name; what is not in the table does not exist. Answers are not to be kept (TTL 0).

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

const A: u16 = 1;
const SRV: u16 = 33;

/// Data of a record: its type and bytes.
type Records = HashMap<(String, u16), Vec<Vec<u8>>>;

/// A running server; it ends with the process.
#[derive(Clone)]
pub(crate) struct Dns {
    address: SocketAddr,
    table: Arc<Mutex<Records>>,
}

impl Dns {
    pub(crate) fn start() -> Self {
        let (socket, listener) = bind();
        let dns = Self { address: socket.local_addr().expect("an address"), table: Arc::default() };
        dns.set("localhost", A, vec![Ipv4Addr::LOCALHOST.octets().to_vec()]);
        let table = dns.table.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                if let Some(answer) = answer(&buffer[..length], &table.lock().expect("no panic")) {
                    // Who asked may have gone.
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        let table = dns.table.clone();
        thread::spawn(move || {
            // One question for each connection, as its clients here do it.
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = answer_stream(stream, &table);
            }
        });
        dns
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says that servers of `domain` listen on these ports of the loopback; 0 says nothing.
    pub(crate) fn server(&self, domain: &str, starttls: u16, direct: u16) {
        for (service, port) in [("_xmpp-server", starttls), ("_xmpps-server", direct)] {
            let data = [&[0, 10, 0, 0], port.to_be_bytes().as_slice(), &name_bytes("localhost")].concat();
            let records = if port == 0 { Vec::new() } else { vec![data] };
            self.set(&format!("{service}._tcp.{domain}"), SRV, records);
        }
    }

    /// Says that this name is this machine's.
    pub(crate) fn host(&self, name: &str) {
        self.set(name, A, vec![Ipv4Addr::LOCALHOST.octets().to_vec()]);
    }

    fn set(&self, name: &str, kind: u16, data: Vec<Vec<u8>>) {
        self.table.lock().expect("no panic").insert((name.to_owned(), kind), data);
    }
}

/// The same port for both.
fn bind() -> (UdpSocket, TcpListener) {
    let both = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        Some((UdpSocket::bind(listener.local_addr().ok()?).ok()?, listener))
    };
    (0..100).find_map(|_| both()).expect("a free port")
}

/// Messages have their length before them (RFC 1035 §4.2.2).
fn answer_stream(mut stream: TcpStream, table: &Mutex<Records>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut question)?;
    let answer = answer(&question, &table.lock().expect("no panic")).unwrap_or_default();
    let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?.to_be_bytes();
    stream.write_all(&[&length[..], &answer].concat())
}

fn name_bytes(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).expect("a label"));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn answer(question: &[u8], table: &Records) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*question.get(at)?);
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(question.get(at + 1..=at + length)?).to_ascii_lowercase());
        at += 1 + length;
    }
    let name = labels.join(".");
    let kind = u16::from_be_bytes([*question.get(at + 1)?, *question.get(at + 2)?]);
    let asked = question.get(12..at + 5)?;
    let found = table.get(&(name.clone(), kind)).cloned().unwrap_or_default();
    let exists = table.keys().any(|(known, _)| *known == name);
    // Response, authoritative, recursion as wished and available, NXDOMAIN.
    let flags = [0x84 | (question[2] & 1), 0x80 | if exists { 0 } else { 3 }];
    let count = u16::try_from(found.len()).ok()?.to_be_bytes();
    let mut bytes = [&question[..2], &flags, &[0, 1], &count, &[0, 0, 0, 0], asked].concat();
    for data in found {
        let length = u16::try_from(data.len()).ok()?.to_be_bytes();
        bytes.extend([&[0xc0, 12], kind.to_be_bytes().as_slice(), &[0, 1, 0, 0, 0, 0], &length, &data].concat());
    }
    Some(bytes)
}
