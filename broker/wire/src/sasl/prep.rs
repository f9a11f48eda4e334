//! Preparation of user names and passwords before they are compared or hashed: SASLprep (RFC 4013, RFC 5802 §2.2).
//!
//! # Why
//! SCRAM names SASLprep, and every client in use applies it; PRECIS OpaqueString (RFC 8265) differs for compatibility
//! characters, so that a password typed in full-width letters would stop working with half of the clients.

use crate::secret::Secret;

/// Longest user name or password, in bytes before preparation: RFC 7622 §3.3 allows 1,023 for a local part.
pub const CREDENTIAL_BYTES_MAX: usize = 1_023;

/// A user name or password that cannot be used. The user is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrepError {
    /// Nothing is left of it.
    #[error("it is empty")]
    Empty,
    /// It has a character that SASLprep forbids, or mixes writing directions.
    #[error("it contains a character or a mix of writing directions that SASLprep (RFC 4013) forbids")]
    Forbidden,
    /// It is longer than [`CREDENTIAL_BYTES_MAX`].
    #[error("it is longer than {CREDENTIAL_BYTES_MAX} bytes")]
    Long,
}

/// A prepared password.
#[derive(Debug, Clone)]
pub(super) struct Prepared(Secret<String>);

impl Prepared {
    pub(super) fn password(password: &Secret<String>) -> Result<Prepared, PrepError> {
        saslprep(password.expose()).map(|text| Prepared(Secret::new(text)))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

/// Prepares a user name or password.
///
/// # Errors
/// See [`PrepError`].
pub fn saslprep(text: &str) -> Result<String, PrepError> {
    if text.len() > CREDENTIAL_BYTES_MAX {
        return Err(PrepError::Long);
    }
    let prepared = stringprep::saslprep(text).map_err(|_| PrepError::Forbidden)?;
    if prepared.is_empty() {
        return Err(PrepError::Empty);
    }
    Ok(prepared.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4013 §3: the examples.
    #[test]
    fn the_examples_of_the_standard_hold() {
        assert_eq!(saslprep("I\u{ad}X").as_deref(), Ok("IX"));
        assert_eq!(saslprep("user").as_deref(), Ok("user"));
        assert_eq!(saslprep("USER").as_deref(), Ok("USER"));
        assert_eq!(saslprep("\u{aa}").as_deref(), Ok("a"));
        assert_eq!(saslprep("\u{2168}").as_deref(), Ok("IX"));
        assert_eq!(saslprep("\u{7}"), Err(PrepError::Forbidden));
        assert_eq!(saslprep("\u{627}1"), Err(PrepError::Forbidden));
    }

    #[test]
    fn nothing_left_is_refused() {
        assert_eq!(saslprep(""), Err(PrepError::Empty));
        assert_eq!(saslprep("\u{ad}"), Err(PrepError::Empty));
    }

    #[test]
    fn length_is_limited() {
        assert!(saslprep(&"a".repeat(CREDENTIAL_BYTES_MAX)).is_ok());
        assert_eq!(saslprep(&"a".repeat(CREDENTIAL_BYTES_MAX + 1)), Err(PrepError::Long));
    }
}
