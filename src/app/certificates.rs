//! Which certificate is served: the configured one, that of an authority that was asked for it, or a leaf of our own authority beside
//! the store; and how long it is good.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use torg_core::tls::{Authority, CertificateFiles, Loaded, LocalCertificate, SelfNames};
use torg_thing::Clock;
use tracing::{error, info, warn};

use super::error::StartError;
use crate::acme;
use crate::config::{BrokerConfig, Settings};

/// A certificate that may be served.
pub(super) struct Certificate {
    pub(super) loaded: Loaded,
    /// The local authority's certificate, if that signed it.
    pub(super) authority: Option<PathBuf>,
}

/// Where the local authority keeps its files: beside the store.
pub(crate) fn authority_directory(store: &Path) -> PathBuf {
    store.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Where account and certificate of another authority are.
pub(super) fn acme_folder(store: &Path) -> PathBuf {
    authority_directory(store).join("acme")
}

/// Where the certificate comes from, in one word.
pub(super) fn source(broker: &BrokerConfig) -> &'static str {
    match (&broker.tls, &broker.acme) {
        (Some(_), _) => "files",
        (None, Some(_)) => "acme",
        (None, None) => "authority",
    }
}

/// As [`load`], for an appliance that serves a certificate already: `None` if that one is to stay. One of an authority does: whoever
/// orders the next one puts it into use, and files that are being replaced at this moment must not bring our own leaf back.
///
/// # Errors
/// As [`load`].
pub(super) async fn load_again(
    settings: &Settings,
    names: SelfNames,
    clock: Arc<dyn Clock>,
) -> Result<Option<Certificate>, StartError> {
    match source(&settings.broker) {
        "acme" => Ok(None),
        _ => load(settings, names, clock).await.map(Some),
    }
}

/// Loads the configured certificate, or makes or renews one of the local authority.
///
/// # Errors
/// What an operator has to mend.
pub(super) async fn load(
    settings: &Settings,
    names: SelfNames,
    clock: Arc<dyn Clock>,
) -> Result<Certificate, StartError> {
    let (broker, store) = (settings.broker.clone(), settings.store.clone());
    // Files and key generation block.
    let work = tokio::task::spawn_blocking(move || load_now(&broker, &store, names, &*clock));
    work.await.map_err(|error| StartError::Internal(error.to_string()))?
}

fn load_now(
    broker: &BrokerConfig,
    store: &Path,
    names: SelfNames,
    clock: &dyn Clock,
) -> Result<Certificate, StartError> {
    let domain = broker.domain.domain();
    let now = clock.now();
    if let Some(files) = &broker.tls {
        let files = CertificateFiles { certificate: files.certificate.clone(), key: files.key.clone() };
        return Ok(Certificate { loaded: files.load(domain, now)?, authority: None });
    }
    if broker.acme.is_some() {
        match acme::files(&acme_folder(store)).load(domain, now) {
            Ok(loaded) => return Ok(Certificate { loaded, authority: None }),
            // The first start, or one after a long sleep: the order follows, and until then something must be served.
            Err(error) => info!(%error, "There is no certificate of the authority yet; until then our own is served."),
        }
    }
    let local = Authority::new(authority_directory(store)).certificate_for(domain, &broker.services(), names, now)?;
    if broker.acme.is_none() {
        tell(&local);
    }
    Ok(Certificate { loaded: local.files.load(domain, now)?, authority: Some(local.authority) })
}

fn tell(local: &LocalCertificate) {
    if local.is_new {
        // The text is for the operator who reads it once; it names the file.
        warn!(authority = %local.authority.display(), "{}", local.how_to_trust());
    } else {
        info!(authority = %local.authority.display(), "The certificate is of the local authority.");
    }
}

/// Sees that the configured files have changed, so that whoever renews them need not tell us.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<(i64, i64, u64, u64)>>);

impl Stamp {
    /// As the files are now; always the same without files.
    pub(super) fn of(broker: &BrokerConfig) -> Stamp {
        let files = broker.tls.iter().flat_map(|files| [&files.certificate, &files.key]);
        let stamp = |file: &PathBuf| {
            let found = std::fs::metadata(file).ok()?;
            Some((found.mtime(), found.mtime_nsec(), found.size(), found.ino()))
        };
        Stamp(files.map(stamp).collect())
    }
}

/// Days before the end at which a certificate is warned of, each once.
const WARN_AT_DAYS: [i64; 4] = [1, 7, 14, 30];

/// Says once at each threshold that the certificate ends.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    said: Option<i64>,
}

impl Warnings {
    /// The threshold that is reached now and was not told before.
    pub(super) fn due(&mut self, days_left: i64) -> Option<i64> {
        let reached = WARN_AT_DAYS.into_iter().find(|threshold| days_left <= *threshold);
        if reached == self.said {
            return None;
        }
        self.said = reached;
        reached
    }

    /// Tells what has to be told. Our own leaf is renewed long before, so only a failure to do so brings it here.
    pub(super) fn tell(&mut self, days_left: i64, until: &str) {
        match self.due(days_left) {
            Some(_) if days_left < 0 => error!(until, "The certificate has ended; clients and servers refuse us."),
            Some(1) => error!(until, days_left, "The certificate ends within a day."),
            Some(_) => warn!(until, days_left, "The certificate ends soon."),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_threshold_is_told_once() {
        let mut warnings = Warnings::default();
        let told: Vec<Option<i64>> = [90, 31, 30, 29, 14, 13, 7, 1, 0, -1].map(|days| warnings.due(days)).into();
        let (a, b, c, d) = (Some(30), Some(14), Some(7), Some(1));
        assert_eq!(told, [None, None, a, None, b, None, c, d, None, None]);
    }

    #[test]
    fn a_renewed_certificate_is_told_of_again_when_it_ends() {
        let mut warnings = Warnings::default();
        assert_eq!(warnings.due(5), Some(7));
        assert_eq!(warnings.due(90), None);
        assert_eq!(warnings.due(5), Some(7));
    }
}
