//! Secrets of webhooks, as Standard Webhooks writes them: `whsec_` and base64.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const PREFIX: &str = "whsec_";
/// Bytes of a secret: those that are allowed, and those that are made.
const BYTES_MIN: usize = 24;
const BYTES_MAX: usize = 64;
const BYTES_MADE: usize = 32;

/// A secret; never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    text: String,
    key: Vec<u8>,
}

/// The text is no secret.
#[derive(Debug, thiserror::Error)]
#[error("a secret is {PREFIX:?} and base64 of {BYTES_MIN} to {BYTES_MAX} bytes")]
pub(crate) struct NotASecret;

impl Secret {
    /// A new one.
    pub(crate) fn generate() -> Self {
        let key: [u8; BYTES_MADE] = rand::random();
        Self { text: format!("{PREFIX}{}", STANDARD.encode(key)), key: key.to_vec() }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, NotASecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(NotASecret)?;
        let key = STANDARD.decode(encoded).map_err(|_| NotASecret)?;
        let sound = (BYTES_MIN..=BYTES_MAX).contains(&key.len());
        if sound { Ok(Self { text: text.to_owned(), key }) } else { Err(NotASecret) }
    }

    /// As its owner writes it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What signs.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_secrets_differ_and_are_read_as_they_are_written() {
        let secret = Secret::generate();
        assert_ne!(secret, Secret::generate());
        assert_eq!(Secret::parse(secret.text()).unwrap(), secret);
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn what_is_too_short_or_too_long_or_no_base64_is_refused() {
        let written = |bytes: usize| format!("{PREFIX}{}", STANDARD.encode(vec![7; bytes]));
        for bytes in [BYTES_MIN, BYTES_MAX] {
            assert!(Secret::parse(&written(bytes)).is_ok(), "{bytes}");
        }
        for text in [&written(23), &written(65), "", PREFIX, "whsec_%", &written(24)[6..]] {
            assert!(Secret::parse(text).is_err(), "{text}");
        }
    }
}
