//! The names in a server's certificate, and which domains they stand for (RFC 6120 §13.7.1.2, RFC 6125 §6, RFC 4985).
//!
//! Counted are dNSName (a wildcard for the whole left-most label), SRVName of `_xmpp-server` and XmppAddr. The subject's
//! common name is not: authorities have written the others for twenty years.

use std::fmt;

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

/// id-on-xmppAddr (RFC 6120 §13.7.1.4).
const XMPP_ADDR: &str = "1.3.6.1.5.5.7.8.5";
/// id-on-dnsSRV (RFC 4985 §2).
const SRV_NAME: &str = "1.3.6.1.5.5.7.8.7";
/// The service in an SRVName that covers server streams.
const SERVICE: &str = "_xmpp-server.";

/// Names looked at in one certificate: hosters put in a hundred, and each costs a comparison for every judgement.
const NAMES_MAX: usize = 512;

/// Names told in a message about a certificate for others.
const NAMES_TOLD: usize = 5;

/// The names of a certificate that can be a server's, in lower case, A-labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    dns: Vec<String>,
    /// From SRVName and XmppAddr: no wildcards there.
    exact: Vec<String>,
}

impl Names {
    /// Reads them; a certificate that cannot be read has none.
    pub(super) fn of(leaf: &CertificateDer<'_>) -> Names {
        let mut names = Names::default();
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(leaf) else { return names };
        let Ok(Some(extension)) = parsed.subject_alternative_name() else { return names };
        for name in extension.value.general_names.iter().take(NAMES_MAX) {
            match name {
                GeneralName::DNSName(name) => names.dns.push(name.to_ascii_lowercase()),
                GeneralName::OtherName(kind, value) => match (kind.to_id_string().as_str(), explicit_text(value)) {
                    (SRV_NAME, Some((IA5_STRING, text))) => {
                        let text = text.to_ascii_lowercase();
                        names.exact.extend(text.strip_prefix(SERVICE).map(str::to_owned));
                    }
                    (XMPP_ADDR, Some((UTF8_STRING, text))) => names.exact.extend(ascii(text)),
                    _ => {}
                },
                _ => {}
            }
        }
        names
    }

    /// Whether they stand for this domain (A-labels, lower case).
    pub(super) fn cover(&self, domain: &str) -> bool {
        self.exact.iter().any(|name| name == domain) || self.cover_host(domain)
    }

    /// Whether the DNS names alone do.
    pub(super) fn cover_host(&self, host: &str) -> bool {
        self.dns.iter().any(|pattern| matches(pattern, host))
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all: Vec<&str> = self.exact.iter().chain(&self.dns).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        if all.is_empty() {
            return f.write_str("no domain at all");
        }
        f.write_str(&all.iter().take(NAMES_TOLD).copied().collect::<Vec<_>>().join(", "))?;
        if all.len() > NAMES_TOLD { write!(f, " and {} more", all.len() - NAMES_TOLD) } else { Ok(()) }
    }
}

/// A domain as it stands in DNS and certificates; none if it cannot stand there, as an IP address cannot.
pub(super) fn ascii(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii(domain).ok()?;
    let is_address = ascii.parse::<std::net::IpAddr>().is_ok() || ascii.starts_with('[');
    (!ascii.is_empty() && ascii.len() <= 253 && !is_address).then_some(ascii)
}

/// RFC 6125 §6.4.3: a wildcard is the whole left-most label and stands for exactly one.
fn matches(pattern: &str, domain: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(rest) => domain.split_once('.').is_some_and(|(label, tail)| !label.is_empty() && tail == rest),
        None => !pattern.contains('*') && pattern == domain,
    }
}

/// ASN.1 tags of the two kinds of text (X.690 §8.23).
const UTF8_STRING: u8 = 0x0c;
const IA5_STRING: u8 = 0x16;
/// `[0] EXPLICIT` around the value of an otherName (RFC 5280 §4.2.1.6).
const EXPLICIT_0: u8 = 0xa0;

/// Tag and text of the value of an otherName.
fn explicit_text(value: &[u8]) -> Option<(u8, &str)> {
    let (outer, inside) = element(value)?;
    let (tag, text) = element(inside)?;
    (outer == EXPLICIT_0).then_some((tag, std::str::from_utf8(text).ok()?))
}

/// One DER element that fills its bytes: tag and content. Lengths up to 255 are enough for a domain.
fn element(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, content) = match length {
        0..=0x7f => (length, rest),
        0x81 => rest.split_first().map(|(length, rest)| (*length, rest))?,
        _ => return None,
    };
    (content.len() == usize::from(length)).then_some((tag, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(names: &[&str]) -> Names {
        Names { dns: names.iter().map(|name| (*name).to_owned()).collect(), exact: Vec::new() }
    }

    #[test]
    fn a_wildcard_stands_for_one_whole_label() {
        let names = dns(&["*.site.example"]);
        assert!(names.cover("a.site.example"));
        assert!(!names.cover("site.example"));
        assert!(!names.cover("a.b.site.example"));
        assert!(!names.cover(".site.example"));
    }

    #[test]
    fn a_wildcard_elsewhere_stands_for_nothing() {
        for pattern in ["a*.site.example", "a.*.example", "*", "*.*.example"] {
            assert!(!dns(&[pattern]).cover("aa.site.example"), "{pattern}");
            assert!(!dns(&[pattern]).cover("a.b.example"), "{pattern}");
        }
    }

    #[test]
    fn a_name_in_the_service_form_covers_exactly_its_domain() {
        let names = Names { dns: Vec::new(), exact: vec!["site.example".into()] };
        assert!(names.cover("site.example"));
        assert!(!names.cover("a.site.example"));
        assert!(!names.cover_host("site.example"));
    }

    #[test]
    fn an_address_is_no_domain() {
        assert_eq!(ascii("192.0.2.1"), None);
        assert_eq!(ascii("[2001:db8::1]"), None);
        assert_eq!(ascii("bücher.example").as_deref(), Some("xn--bcher-kva.example"));
    }

    #[test]
    fn text_in_an_other_name_needs_its_whole_length() {
        assert_eq!(explicit_text(b"\xa0\x04\x0c\x02ab"), Some((UTF8_STRING, "ab")));
        assert_eq!(explicit_text(b"\xa0\x05\x0c\x02ab"), None);
        assert_eq!(explicit_text(b"\xa0\x04\x0c\x03ab"), None);
        assert_eq!(explicit_text(b"\xa0\x04\x0c\x02abc"), None);
        assert_eq!(explicit_text(b"\x0c\x02ab"), None);
        assert_eq!(explicit_text(b""), None);
    }
}
