//! PLAIN: name and password in the clear, inside TLS only and off unless switched on (RFC 4616).

use super::prep::Prepared;
use super::{CREDENTIAL_BYTES_MAX, Failure, PrepError};
use crate::secret::Secret;

/// The one message of PLAIN, its names prepared.
#[derive(Debug)]
pub(super) struct PlainMessage {
    pub(super) authzid: Option<String>,
    pub(super) username: String,
    pub(super) password: Secret<String>,
}

impl PlainMessage {
    /// Reads `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).
    pub(super) fn parse(message: &[u8]) -> Result<PlainMessage, Failure> {
        let malformed = Failure::MalformedRequest;
        if message.len() > super::MESSAGE_BYTES_MAX {
            return Err(malformed);
        }
        let text = std::str::from_utf8(message).map_err(|_| malformed)?;
        let mut parts = text.split('\0');
        let (authzid, username, password) =
            (parts.next().ok_or(malformed)?, parts.next().ok_or(malformed)?, parts.next().ok_or(malformed)?);
        if parts.next().is_some() || username.is_empty() || password.is_empty() || password.len() > CREDENTIAL_BYTES_MAX
        {
            return Err(malformed);
        }
        Ok(PlainMessage {
            authzid: if authzid.is_empty() {
                None
            } else {
                Some(super::saslprep(authzid).map_err(|_| Failure::InvalidAuthzid)?)
            },
            username: super::saslprep(username).map_err(|_| Failure::NotAuthorized)?,
            password: Secret::new(password.into()),
        })
    }
}

/// The client's message.
pub(super) fn encode(username: &str, password: &Secret<String>) -> Result<Secret<Vec<u8>>, PrepError> {
    let password = Prepared::password(password)?;
    let mut message = vec![0];
    message.extend_from_slice(username.as_bytes());
    message.push(0);
    message.extend_from_slice(password.as_bytes());
    Ok(Secret::new(message))
}
