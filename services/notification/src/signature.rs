//! Signatures as Standard Webhooks says: HMAC-SHA256 over id, time and body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::Secret;

/// The header `webhook-signature`: a signature by each secret.
pub(crate) fn header<'a>(
    secrets: impl IntoIterator<Item = &'a Secret>,
    id: &str,
    timestamp_s: u64,
    body: &[u8],
) -> String {
    let signed = |secret| format!("v1,{}", sign(secret, id, timestamp_s, body));
    let signatures: Vec<_> = secrets.into_iter().map(signed).collect();
    signatures.join(" ")
}

fn sign(secret: &Secret, id: &str, timestamp_s: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.key()).expect("keys may have any length");
    mac.update(format!("{id}.{timestamp_s}.").as_bytes());
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use planaria_runtime::clock;
    use standardwebhooks::Webhook;

    use super::*;

    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    /// The example of the specification.
    #[test]
    fn the_example_of_the_specification_comes_out() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let header = header([&secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, BODY);
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_of_a_rotation_verifies_by_itself() {
        let (former, new, other) = (Secret::generate(), Secret::generate(), Secret::generate());
        let now_s = clock::now_ms() / 1_000;
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "m1".parse().unwrap());
        headers.insert("webhook-timestamp", now_s.into());
        let signature = header([&new, &former], "m1", now_s, BODY);
        headers.insert("webhook-signature", signature.parse().unwrap());
        for secret in [&former, &new] {
            Webhook::new(secret.text()).unwrap().verify(BODY, &headers).unwrap();
        }
        assert!(Webhook::new(other.text()).unwrap().verify(BODY, &headers).is_err());
        let changed = br#"{"test": 2432232315}"#;
        assert!(Webhook::new(new.text()).unwrap().verify(changed, &headers).is_err());
        headers.insert("webhook-id", "m2".parse().unwrap());
        assert!(Webhook::new(new.text()).unwrap().verify(BODY, &headers).is_err());
    }
}
