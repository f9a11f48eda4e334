//! One order, from the account to files that can be served.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use instant_acme::{
    AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use tokio::time::timeout;
use torg_core::tls::Loaded;
use torg_thing::Timestamp;

use super::{AcmeConfig, AcmeError, Challenge, Challenges, files};

/// Time for a whole order: authorities validate within seconds and may ask to wait a minute.
const ORDER_WITHIN: Duration = Duration::from_secs(300);
/// How long the authority is asked whether it is done.
const POLL: RetryPolicy = RetryPolicy::new().initial_delay(Duration::from_millis(250)).timeout(Duration::from_secs(90));
/// Bytes of a credentials file; ours have some 400.
const CREDENTIALS_MAX: u64 = 64 * 1024;

/// An account at the authority, kept in a folder.
pub struct Account {
    account: instant_acme::Account,
    folder: PathBuf,
}

impl Account {
    /// Opens the account of the folder, or registers one. An account of another directory is set aside, as `account.old.json`.
    ///
    /// # Errors
    /// The authority refuses or is not there, or the folder cannot be used.
    pub async fn open(config: &AcmeConfig, folder: &Path) -> Result<Account, AcmeError> {
        timeout(ORDER_WITHIN, Account::open_now(config, folder)).await.map_err(|_| AcmeError::Slow(ORDER_WITHIN))?
    }

    async fn open_now(config: &AcmeConfig, folder: &Path) -> Result<Account, AcmeError> {
        make_folder(folder)?;
        let file = folder.join("account.json");
        if let Some(credentials) = read_credentials(&file, &config.directory) {
            let account = builder(config)?.from_credentials(credentials).await?;
            return Ok(Account { account, folder: folder.to_owned() });
        }
        set_aside(&file)?;
        let contact = config.contact.as_ref().map(|mail| format!("mailto:{mail}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder(config)?.create(&new, config.directory.clone(), None).await?;
        let text = serde_json::to_string(&credentials).map_err(|error| AcmeError::Internal(error.to_string()))?;
        write(&file, &text)?;
        Ok(Account { account, folder: folder.to_owned() })
    }

    /// Sets the account aside: the authority does not know it any more, and the next one to be opened is new.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn forget(self) -> Result<(), AcmeError> {
        set_aside(&self.folder.join("account.json"))
    }

    /// Orders a certificate and puts it in place; the one before stays untouched unless all went well.
    ///
    /// # Errors
    /// What went wrong, and whose fault it is.
    pub async fn order(
        &self,
        config: &AcmeConfig,
        challenges: &Challenges,
        now: impl Fn() -> Timestamp,
    ) -> Result<Loaded, AcmeError> {
        let ordered = timeout(ORDER_WITHIN, self.order_now(config, challenges)).await;
        challenges.clear();
        let (chain, key) = ordered.map_err(|_| AcmeError::Slow(ORDER_WITHIN))??;
        self.keep(config, &chain, &key, now())
    }

    async fn order_now(&self, config: &AcmeConfig, challenges: &Challenges) -> Result<(String, String), AcmeError> {
        let names: Vec<Identifier> = config.domains.iter().cloned().map(Identifier::Dns).collect();
        let mut order = self.account.new_order(&NewOrder::new(&names)).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            let name = authorization.identifier().to_string();
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let (kind, called) = match config.challenge {
                Challenge::Http01 => (ChallengeType::Http01, "http-01"),
                Challenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
            };
            let none = || AcmeError::NoChallenge { challenge: called, name: name.clone() };
            let mut challenge = authorization.challenge(kind).ok_or_else(none)?;
            let answer = challenge.key_authorization();
            match config.challenge {
                Challenge::Http01 => challenges.put_http(&challenge.token, answer.as_str()),
                Challenge::TlsAlpn01 => challenges.put_tls(&name, answer.digest().as_ref())?,
            }
            challenge.set_ready().await?;
        }
        match order.poll_ready(&POLL).await {
            Ok(OrderStatus::Ready | OrderStatus::Valid) => {}
            Ok(_) => return Err(not_proven(&mut order).await.unwrap_or_else(|| unexplained(config))),
            Err(error) => return Err(not_proven(&mut order).await.unwrap_or(AcmeError::Authority(error))),
        }
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&POLL).await?;
        Ok((chain, key))
    }

    /// First beside, checked as what is served is checked, then renamed: the key before the certificate, for a start in between finds a
    /// pair that does not fit, which is ordered anew, and never a key without its secrecy.
    fn keep(&self, config: &AcmeConfig, chain: &str, key: &str, now: Timestamp) -> Result<Loaded, AcmeError> {
        let target = files(&self.folder);
        let part = files(&self.folder.join("new"));
        make_folder(&self.folder.join("new"))?;
        write(&part.key, key)?;
        write(&part.certificate, chain)?;
        let mut loaded = None;
        for domain in config.domains.iter().rev() {
            loaded = Some(part.load(domain, now)?);
        }
        let loaded = loaded.ok_or_else(|| AcmeError::Internal("no domains".to_owned()))?;
        for (from, to) in [(&part.key, &target.key), (&part.certificate, &target.certificate)] {
            fs::rename(from, to).map_err(|error| AcmeError::File { path: to.clone(), error })?;
        }
        Ok(loaded)
    }
}

/// Asks the authority for its directory and the account, without ordering anything.
///
/// # Errors
/// As [`Account::open`].
pub async fn check(config: &AcmeConfig, folder: &Path) -> Result<(), AcmeError> {
    Account::open(config, folder).await.map(drop)
}

/// In which name the proof was not found, and why, if that is what went wrong.
async fn not_proven(order: &mut instant_acme::Order) -> Option<AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(why) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            let why = why.detail.clone().unwrap_or_else(|| "no reason given".to_owned());
            return Some(AcmeError::NotProven { name, why });
        }
    }
    None
}

fn unexplained(config: &AcmeConfig) -> AcmeError {
    AcmeError::NotProven { name: config.domains.join(", "), why: "no reason given".to_owned() }
}

fn builder(config: &AcmeConfig) -> Result<instant_acme::AccountBuilder, AcmeError> {
    match &config.ca {
        None => Ok(instant_acme::Account::builder()?),
        Some(path) => instant_acme::Account::builder_with_root(path)
            .map_err(|error| AcmeError::Config { path: path.clone(), text: error.to_string() }),
    }
}

/// The credentials, if they are there, whole and for this directory.
fn read_credentials(file: &Path, directory: &str) -> Option<AccountCredentials> {
    if fs::metadata(file).ok()?.len() > CREDENTIALS_MAX {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    if value.get("directory").and_then(serde_json::Value::as_str) != Some(directory) {
        return None;
    }
    serde_json::from_value(value).ok()
}

/// Whose account it was may want it back.
fn set_aside(file: &Path) -> Result<(), AcmeError> {
    match fs::rename(file, file.with_extension("old.json")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(AcmeError::File { path: file.to_owned(), error }),
        _ => Ok(()),
    }
}

fn make_folder(folder: &Path) -> Result<(), AcmeError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| AcmeError::File { path: folder.to_owned(), error })
}

/// Writes a file that is for us only; a power cut leaves the old one or the new one.
fn write(path: &Path, text: &str) -> Result<(), AcmeError> {
    let part = path.with_extension("part");
    let _ = fs::remove_file(&part); // what a power cut left may be readable by others
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&part, path));
    written.map_err(|error| AcmeError::File { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_written_is_for_us_only_even_if_a_power_cut_left_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("account.json");
        let left = folder.path().join("account.part");
        fs::write(&left, "{").unwrap();
        fs::set_permissions(&left, fs::Permissions::from_mode(0o644)).unwrap();
        write(&file, "{}").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&file).unwrap(), "{}");
    }

    #[test]
    fn credentials_of_another_directory_or_cut_short_are_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("account.json");
        assert!(read_credentials(&file, "https://a.example/").is_none());
        for text in ["", "{", "{}", "{\"directory\":\"https://b.example/\"}"] {
            write(&file, text).unwrap();
            assert!(read_credentials(&file, "https://a.example/").is_none(), "{text}");
        }
    }

    #[test]
    fn an_account_is_set_aside_and_not_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("account.json");
        set_aside(&file).unwrap();
        write(&file, "{}").unwrap();
        set_aside(&file).unwrap();
        assert!(!file.exists() && folder.path().join("account.old.json").exists());
    }
}
