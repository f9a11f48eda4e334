//! Which certificate is served: the configured one, or a leaf of a local authority beside the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use torg_core::tls::{Authority, CertificateFiles, Loaded, LocalCertificate, SelfNames};
use torg_thing::Clock;
use tracing::{info, warn};

use super::error::StartError;
use crate::config::{BrokerConfig, Settings};

/// A certificate that may be served.
pub(super) struct Certificate {
    pub(super) loaded: Loaded,
    /// The local authority's certificate, if that signed it.
    pub(super) authority: Option<PathBuf>,
}

/// Where the local authority keeps its files: beside the store.
pub(super) fn authority_directory(store: &Path) -> PathBuf {
    store.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
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
    let (broker, directory) = (settings.broker.clone(), authority_directory(&settings.store));
    // Files and key generation block.
    let work = tokio::task::spawn_blocking(move || load_now(&broker, directory, names, &*clock));
    work.await.map_err(|error| StartError::Internal(error.to_string()))?
}

fn load_now(
    broker: &BrokerConfig,
    directory: PathBuf,
    names: SelfNames,
    clock: &dyn Clock,
) -> Result<Certificate, StartError> {
    let domain = broker.domain.domain();
    let now = clock.now();
    if let Some(files) = &broker.tls {
        let files = CertificateFiles { certificate: files.certificate.clone(), key: files.key.clone() };
        let loaded = files.load(domain, now)?;
        if loaded.until.since(now) < WARN_BEFORE {
            warn!(until = %loaded.until, certificate = %files.certificate.display(), "The certificate ends soon; put a new one in its place and reload.");
        }
        return Ok(Certificate { loaded, authority: None });
    }
    let local = Authority::new(directory).certificate(domain, names, now)?;
    tell(&local);
    Ok(Certificate { loaded: local.files.load(domain, now)?, authority: Some(local.authority) })
}

/// A configured certificate that ends sooner than this is told at each start and reload.
const WARN_BEFORE: std::time::Duration = std::time::Duration::from_secs(14 * 24 * 3600);

fn tell(local: &LocalCertificate) {
    if local.is_new {
        // The text is for the operator who reads it once; it names the file.
        warn!(authority = %local.authority.display(), "{}", local.how_to_trust());
    } else {
        info!(authority = %local.authority.display(), "The certificate is of the local authority.");
    }
}
