//! Certificates from an authority that asks for proof by itself (RFC 8555), over TLS-ALPN-01 (RFC 8737) or HTTP-01.
//!
//! The account and the certificate stand in the folder `acme` beside the store, for us only. The certificate in use stays in use until
//! another one is there, whole and checked; a failure waits longer each time and is told in the log, in the status and in the metrics.
//!
//! # Why
//! - `instant-acme`: orders, nonces and signatures of RFC 8555 over hyper and rustls, which are here anyway, and nothing else; when to
//!   order, what to keep and how to prove is ours.
//! - Renewal at two thirds of the life, as authorities advise: a certificate of 90 days leaves a month for failures to be noticed.

mod challenges;
mod order;
mod task;

use std::path::PathBuf;
use std::time::Duration;

use torg_core::tls::{CertificateFiles, TlsError};
use torg_thing::Timestamp;

pub use challenges::{ALPN, Challenges};
pub use order::{Account, check};
pub use task::{Report, run};

/// How the authority is shown that the domain is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A text on the listener `http`, which it reaches at port 80.
    Http01,
    /// A certificate on the listener `https`, which it reaches at port 443.
    TlsAlpn01,
}

/// What to order, where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeConfig {
    /// URL of the authority's directory.
    pub directory: String,
    /// Mail address for warnings of the authority.
    pub contact: Option<String>,
    /// Names in the certificate, the broker's domain first.
    pub domains: Vec<String>,
    /// How to prove that they are ours.
    pub challenge: Challenge,
    /// PEM file with the authority to trust for the directory itself; none means those of the system.
    pub ca: Option<PathBuf>,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcmeError {
    /// The authority's own certificate file cannot be used.
    #[error("the file {path} cannot be used: {text}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        text: String,
    },
    /// The authority refused or did not answer.
    #[error("the authority says: {0}")]
    Authority(#[from] instant_acme::Error),
    /// It does not offer this challenge for this name.
    #[error("the authority offers no {challenge} for {name}")]
    NoChallenge {
        /// The challenge.
        challenge: &'static str,
        /// The name.
        name: String,
    },
    /// It looked and did not find the proof.
    #[error("the authority did not find the proof for {name}: {why}")]
    NotProven {
        /// The name.
        name: String,
        /// In its words.
        why: String,
    },
    /// It took longer than it may.
    #[error("the authority took longer than {} s", .0.as_secs())]
    Slow(Duration),
    /// What it issued is too old already, by our clock.
    #[error(
        "the new certificate, of {from} to {until}, would have to be renewed at once: is the clock of this machine right?"
    )]
    Clock {
        /// Begin of its validity.
        from: Timestamp,
        /// End of its validity.
        until: Timestamp,
    },
    /// What it issued cannot be served.
    #[error("the new certificate cannot be used: {0}")]
    Certificate(#[from] TlsError),
    /// A file beside the store.
    #[error("{path} cannot be written: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A library refused what cannot be wrong.
    #[error("an internal step failed: {0}")]
    Internal(String),
}

impl AcmeError {
    /// The authority does not know our account any more (RFC 8555 §6.7).
    fn is_unknown_account(&self) -> bool {
        const UNKNOWN: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
        matches!(self, AcmeError::Authority(instant_acme::Error::Api(problem)) if problem.r#type.as_deref() == Some(UNKNOWN))
    }
}

/// When a certificate is to be renewed: at two thirds of its life, earlier by up to a twelfth of it so that a fleet does not come at once.
///
/// `spread` is a number from 0 to 255 that each site draws for itself.
#[must_use]
pub fn renewal(from: Timestamp, until: Timestamp, spread: u8) -> Timestamp {
    let life = until.since(from);
    let earlier = (life / 12).saturating_mul(u32::from(spread)) / 255;
    from.plus((life * 2 / 3).saturating_sub(earlier))
}

/// The files of a folder.
#[must_use]
pub fn files(folder: &std::path::Path) -> CertificateFiles {
    CertificateFiles { certificate: folder.join("certificate.pem"), key: folder.join("certificate.key") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn day_of_renewal(days: u64, spread: u8) -> u64 {
        let from = Timestamp::from_micros(0);
        renewal(from, from.plus(Duration::from_secs(days * DAY)), spread).since(from).as_secs() / DAY
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_life_or_a_little_earlier() {
        assert_eq!(day_of_renewal(90, 0), 60);
        assert_eq!(day_of_renewal(90, 255), 52);
        assert_eq!(day_of_renewal(6, 0), 4);
    }

    #[test]
    fn a_certificate_that_ended_before_it_began_is_renewed_at_once() {
        let (late, early) = (Timestamp::from_micros(2_000_000), Timestamp::from_micros(1_000_000));
        assert_eq!(renewal(late, early, 9), late);
    }
}
