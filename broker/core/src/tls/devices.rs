//! Certificates of devices: who signs them, and which addresses they prove (XEP-0178 §2, RFC 6120 §13.7.1.4).
//!
//! A client is asked for a certificate and need not have one. One it shows must be signed by the site's own authority, be in its
//! time and be meant for clients; otherwise the handshake fails. There is no revocation list: the account of a lost device is
//! switched off.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use torg_thing::Timestamp;
use torg_wire::jid::BareJid;
use x509_parser::extensions::GeneralName;

use super::{TlsError, certificate};

/// id-on-xmppAddr (RFC 6120 §13.7.1.4).
const XMPP_ADDR: &str = "1.3.6.1.5.5.7.8.5";
/// Addresses read from one certificate: a device has one, perhaps one more for its replacement.
const ADDRESSES_MAX: usize = 8;

/// Who signs the certificates of devices.
#[derive(Clone)]
pub struct DeviceAuthority {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl fmt::Debug for DeviceAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceAuthority")
    }
}

impl DeviceAuthority {
    /// Reads the authority's certificates from a PEM file.
    ///
    /// # Errors
    /// The file cannot be read or holds no authority.
    pub fn load(path: &Path) -> Result<DeviceAuthority, TlsError> {
        let damaged = |text: String| TlsError::ConfigDamaged { path: path.into(), text };
        let mut roots = RootCertStore::empty();
        for authority in certificate::chain(path)? {
            roots.add(authority).map_err(|error| damaged(error.to_string()))?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| damaged(error.to_string()))?;
        Ok(DeviceAuthority { verifier })
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }
}

/// The addresses that the certificate of a finished handshake proves; none without one.
pub fn proven_addresses(connection: &rustls::ServerConnection, now: Timestamp) -> Vec<BareJid> {
    let leaf = connection.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    leaf.map(|leaf| addresses(leaf, now)).unwrap_or_default()
}

/// Each `id-on-xmppAddr` of the certificate that is the address of an account. A resumed handshake shows the certificate of the
/// first one without looking at it again, so its time is looked at here.
fn addresses(leaf: &CertificateDer<'_>, now: Timestamp) -> Vec<BareJid> {
    let Ok((from, until)) = certificate::validity(leaf) else { return Vec::new() };
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(leaf) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    if now < from || until < now {
        return Vec::new();
    }
    let address = |name: &GeneralName<'_>| match name {
        GeneralName::OtherName(kind, value) if kind.to_id_string() == XMPP_ADDR => {
            BareJid::parse(explicit_utf8(value)?).ok().filter(|jid| jid.local().is_some())
        }
        _ => None,
    };
    names.value.general_names.iter().filter_map(address).take(ADDRESSES_MAX).collect()
}

/// The text in `[0] EXPLICIT UTF8String` (RFC 5280 §4.2.1.6).
fn explicit_utf8(value: &[u8]) -> Option<&str> {
    const EXPLICIT_0: u8 = 0xa0;
    const UTF8_STRING: u8 = 0x0c;
    std::str::from_utf8(content(UTF8_STRING, content(EXPLICIT_0, value)?)?).ok()
}

/// The content of a DER element with this tag that fills the bytes (X.690 §8.1.3: lengths of one to three bytes).
fn content(tag: u8, bytes: &[u8]) -> Option<&[u8]> {
    let (length, content) = match bytes.strip_prefix(&[tag])? {
        [0x82, high, low, content @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), content),
        [0x81, length, content @ ..] => (usize::from(*length), content),
        [length @ 0..=0x7f, content @ ..] => (usize::from(*length), content),
        _ => return None,
    };
    (content.len() == length).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_other_name_is_read_with_each_form_of_length() {
        let wrapped = |text: &str| {
            let length = |n: usize| match u8::try_from(n) {
                Ok(n @ 0..=0x7f) => vec![n],
                Ok(n) => vec![0x81, n],
                Err(_) => [&[0x82][..], &u16::try_from(n).expect("short").to_be_bytes()].concat(),
            };
            let inner = [&[0x0c][..], &length(text.len()), text.as_bytes()].concat();
            [&[0xa0][..], &length(inner.len()), &inner].concat()
        };
        for n in [0, 1, 0x7d, 0x7e, 0x7f, 0x80, 0xfc, 0xfd, 0xff, 0x100, 3_071] {
            let text = "a".repeat(n);
            assert_eq!(explicit_utf8(&wrapped(&text)), Some(text.as_str()), "{n}");
        }
        let good = wrapped("anna@site.example");
        for cut in 0..good.len() {
            assert_eq!(explicit_utf8(good.get(..cut).expect("shorter")), None, "{cut}");
        }
        assert_eq!(explicit_utf8(&[&good[..], &[0]].concat()), None, "something behind it");
        assert_eq!(explicit_utf8(&[0xa0, 3, 0x16, 1, b'a']), None, "another kind of text");
    }
}
