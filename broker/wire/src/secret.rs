//! A value that must never be printed: passwords, derived keys, server secrets.
//!
//! It has no `Display`, its `Debug` prints `***`, comparison takes constant time and the memory is overwritten on drop.
//! It does not lock pages against swapping; the appliance runs without swap or trusts it.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Holds a secret and hands it out only by name: [`Secret::expose`].
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes a value in as a secret.
    pub fn new(value: T) -> Secret<T> {
        Secret(value)
    }

    /// The value itself. Callers must not log, print or store it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Secret<T>) -> bool {
        self.0.as_ref().ct_eq(other.0.as_ref()).into()
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_the_value() {
        let secret = Secret::new(String::from("pencil"));
        assert_eq!(format!("{secret:?}"), "***");
    }

    #[test]
    fn equal_values_are_equal_and_others_are_not() {
        let secret = Secret::new(b"pencil".to_vec());
        assert_eq!(secret, Secret::new(b"pencil".to_vec()));
        assert_ne!(secret, Secret::new(b"pencils".to_vec()));
        assert_ne!(secret, Secret::new(b"pensil".to_vec()));
    }
}
