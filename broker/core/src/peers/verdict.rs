//! What a server's certificate proves about a domain, and why, as values that can be logged, shown and tested.

use std::fmt;

use super::config::{Pin, Policy};

/// Why a certificate is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// DNS, signed, names this key or its authority.
    Dane {
        /// Usage of the TLSA record: 1, 2 or 3.
        usage: u8,
    },
    /// An authority that we trust has signed it for the domain.
    Pkix,
    /// The configuration names this key.
    Pin(Pin),
}

impl Proof {
    /// The one word for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Proof::Dane { .. } => "dane",
            Proof::Pkix => "pkix",
            Proof::Pin(_) => "pin",
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::Dane { usage } => write!(f, "the key stands in signed DNS (TLSA usage {usage})"),
            Proof::Pkix => f.write_str("a trusted authority has certified the domain"),
            Proof::Pin(pin) => write!(f, "the key is pinned in the configuration ({pin})"),
        }
    }
}

/// Why a certificate is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Doubt {
    /// It does not have one, or did not show it.
    #[error("it shows no certificate")]
    NoCertificate,
    /// It is not for this domain.
    #[error("its certificate is for {found}")]
    WrongName {
        /// The names in it.
        found: String,
    },
    /// Its time is over.
    #[error("its certificate ended on {until}")]
    Expired {
        /// Last day, as YYYY-MM-DD.
        until: String,
    },
    /// Its time has not come.
    #[error("its certificate begins on {from}; is the clock right?")]
    NotYet {
        /// First day, as YYYY-MM-DD.
        from: String,
    },
    /// Nobody we trust has signed it.
    #[error("its certificate is signed by {issuer}, which is not trusted here")]
    UnknownIssuer {
        /// Who signed it, as it says.
        issuer: String,
    },
    /// None of the configured keys.
    #[error("its key is {found}, which is not pinned")]
    OtherKey {
        /// The key it has.
        found: Pin,
    },
    /// No authentic TLSA record.
    #[error("DNS has no authentic TLSA record for it")]
    NoTlsa,
    /// The authentic TLSA records name other keys.
    #[error("its key is none of those in DNS (TLSA)")]
    TlsaDiffers,
    /// It cannot be used for something else.
    #[error("its certificate cannot be used: {0}")]
    Unusable(String),
    /// The operator refuses this domain.
    #[error("others than the configured peers are refused")]
    Refused,
}

/// How a domain became believed on a stream; for logs, `torg peer check` and administration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The policy in force for the domain.
    pub policy: Policy,
    /// What the certificate on this stream proved, or why nothing.
    pub found: Result<Proof, Doubt>,
}
