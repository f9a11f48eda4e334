//! The lists of addresses in `[broker.listen]`.

use std::net::SocketAddr;

use torg_thing::config::{ConfigError, Document};

/// Addresses to listen on. A list that is absent has one entry: every IPv4 interface on the standard port.
pub(super) fn listeners(
    document: &Document<'_>,
    key: &str,
    texts: Option<Vec<String>>,
    port: u16,
    errors: &mut Vec<ConfigError>,
) -> Vec<SocketAddr> {
    let Some(texts) = texts else {
        return vec![SocketAddr::from(([0, 0, 0, 0], port))];
    };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let at = format!("{key}[{index}]");
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 && addresses.contains(&address) => {
                errors.push(document.error_at(&at, format!("{address} is listed twice")));
            }
            Ok(address) => addresses.push(address),
            Err(_) => {
                let error = document.error_at(&at, format!("\"{text}\" is not an address to listen on"));
                let error =
                    error.allowed(format!("IP and port, such as 127.0.0.1:{port}, 0.0.0.0:{port} or [::]:{port}"));
                errors.push(error.suggest(listener_like(text, port)));
            }
        }
    }
    addresses
}

/// What was probably meant by an address to listen on.
fn listener_like(text: &str, port: u16) -> Option<String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, found)) if found.parse::<u16>().is_ok() => (host, found.to_owned()),
        _ => (text, port.to_string()),
    };
    let host = match host {
        "localhost" => "127.0.0.1",
        "" | "*" => "0.0.0.0",
        host => host,
    };
    let candidate = format!("{host}:{port}");
    candidate.parse::<SocketAddr>().is_ok().then_some(candidate)
}

/// A port speaks what one listener speaks; those that the system chooses are all different.
pub(super) fn one_port_one_kind(
    document: &Document<'_>,
    kinds: &[(&'static str, &[SocketAddr])],
    errors: &mut Vec<ConfigError>,
) {
    for (later, (kind, addresses)) in kinds.iter().enumerate() {
        for (index, address) in addresses.iter().enumerate().filter(|(_, address)| address.port() != 0) {
            let taken = kinds.iter().take(later).find(|(_, others)| others.contains(address));
            if let Some((other, _)) = taken {
                let message = format!("{address} is in {other} too; one port speaks one of the two");
                errors.push(document.error_at(&format!("broker.listen.{kind}[{index}]"), message));
            }
        }
    }
}
