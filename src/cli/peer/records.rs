//! What DNS must say of our own domain, so that clients and other servers find it: service records (RFC 2782) for STARTTLS and for TLS
//! from the first byte (XEP-0368), and where browsers look (XEP-0156). It only says what follows from the configuration; it asks nobody.

use std::net::SocketAddr;

use serde::Serialize;

use crate::config::BrokerConfig;

/// What is to be written into the zone, and what is to be seen to besides.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Wanted {
    /// Lines of a zone file.
    pub(super) records: Vec<String>,
    /// In words.
    pub(super) remarks: Vec<String>,
}

/// What a site of this configuration wants. Listeners on the loopback are nobody else's.
pub(super) fn wanted(broker: &BrokerConfig) -> Wanted {
    let domain = broker.domain.domain();
    let (s2s, s2s_tls) = broker.federation.as_ref().map_or((&[][..], &[][..]), |on| (&on.s2s, &on.s2s_tls));
    let mut records = Vec::new();
    let mut add = |service: &str, of: &str, listeners: &[SocketAddr]| {
        records.extend(port(listeners).map(|port| format!("{service}._tcp.{of}. 3600 IN SRV 0 0 {port} {domain}.")));
    };
    add("_xmpp-client", domain, &broker.c2s);
    add("_xmpps-client", domain, &broker.c2s_tls);
    let services = broker.services();
    for of in std::iter::once(domain).chain(services.iter().map(String::as_str)) {
        add("_xmpp-server", of, s2s);
        add("_xmpps-server", of, s2s_tls);
    }
    let mut remarks = vec![
        format!(
            "{domain} itself needs an A or AAAA record with the address of this machine, or put its name at the end of the lines."
        ),
        "Where a router stands in front, the ports are those that it forwards to this machine.".to_owned(),
    ];
    match port(&broker.web.https) {
        Some(443) => remarks.push(format!("Browsers look at https://{domain}/.well-known/host-meta, which is answered here.")),
        Some(port) => remarks.push(format!(
            "Browsers look at https://{domain}/.well-known/host-meta on port 443; have that lead to port {port} here, or copy the file."
        )),
        None => {}
    }
    if records.is_empty() {
        remarks.push("Every listener is on the loopback: nobody else can connect.".to_owned());
    }
    Wanted { records, remarks }
}

/// The first port that others can reach.
fn port(listeners: &[SocketAddr]) -> Option<u16> {
    listeners.iter().find(|address| !address.ip().is_loopback()).map(SocketAddr::port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;

    fn of(listen: &str) -> Wanted {
        let text = format!("[broker]\ndomain = \"site.example\"\n[broker.listen]\n{listen}\n");
        wanted(&crate::config::parse("torg.toml", &text, catalog::BRIDGES).unwrap().settings.broker)
    }

    #[test]
    fn each_listener_that_others_reach_has_its_record() {
        let wanted =
            of("c2s = [\"127.0.0.1:5222\", \"0.0.0.0:5222\"]\nc2s_tls = [\"[::]:443\"]\ns2s = [\"0.0.0.0:5269\"]");
        assert_eq!(
            wanted.records,
            [
                "_xmpp-client._tcp.site.example. 3600 IN SRV 0 0 5222 site.example.",
                "_xmpps-client._tcp.site.example. 3600 IN SRV 0 0 443 site.example.",
                "_xmpp-server._tcp.site.example. 3600 IN SRV 0 0 5269 site.example.",
                "_xmpp-server._tcp.pubsub.site.example. 3600 IN SRV 0 0 5269 site.example.",
            ]
        );
    }

    #[test]
    fn a_site_for_itself_wants_nothing() {
        let wanted = of("c2s = [\"127.0.0.1:5222\"]\nc2s_tls = []");
        assert!(wanted.records.is_empty() && wanted.remarks.concat().contains("nobody else can connect"));
    }

    #[test]
    fn browsers_are_led_to_another_port() {
        assert!(of("https = [\"0.0.0.0:443\"]").remarks.concat().contains("which is answered here"));
        assert!(of("https = [\"0.0.0.0:5281\"]").remarks.concat().contains("lead to port 5281 here"));
        assert!(!of("").remarks.concat().contains("host-meta"));
    }
}
