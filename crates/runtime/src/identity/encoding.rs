//! The header: `1:<role>:<key id>:<namespace>:<expiry in Unix ms>:<MAC>`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use super::{ALL_NAMESPACES, IDENTITY_MS_MAX, Identity, Refused, Role, Secret, is_name};

const VERSION: &str = "1";
/// Keeps what is signed here apart from whatever else is made with the same secret.
const PURPOSE: &str = "planaria-identity:";
const MAC_BYTES: usize = 32;

impl Identity {
    /// The header that says so, signed.
    ///
    /// # Errors
    /// A name that cannot stand in a header: a key id or namespace that [`is_name`] refuses.
    pub fn encode(&self, secret: &Secret) -> Result<HeaderValue, Refused> {
        let Self { key_id, namespace, role, expires_at_ms } = self;
        let known = is_name(namespace) || **namespace == *ALL_NAMESPACES;
        if !is_name(key_id) || !known {
            return Err(Refused::Invalid);
        }
        let role = role.name();
        let said = format!("{VERSION}:{role}:{key_id}:{namespace}:{expires_at_ms}");
        let mac = URL_SAFE_NO_PAD.encode(secret.sign(PURPOSE, &said));
        HeaderValue::try_from(format!("{said}:{mac}")).map_err(|_| Refused::Invalid)
    }

    /// Reads a header and proves it. The clocks of issuer and reader may differ by `skew_ms_max`.
    ///
    /// # Errors
    /// It is not one of this mesh's, or it is too old.
    pub fn decode(
        header: &HeaderValue,
        secret: &Secret,
        now_ms: u64,
        skew_ms_max: u64,
    ) -> Result<Self, Refused> {
        let (said, mac) =
            header.to_str().ok().and_then(|text| text.rsplit_once(':')).ok_or(Refused::Invalid)?;
        let mut given = [0; MAC_BYTES];
        match URL_SAFE_NO_PAD.decode_slice(mac, &mut given) {
            Ok(MAC_BYTES) if secret.verifies(PURPOSE, said, &given) => {}
            _ => return Err(Refused::Invalid),
        }
        let identity = parse(said).ok_or(Refused::Invalid)?;
        let latest_ms = now_ms.saturating_add(IDENTITY_MS_MAX).saturating_add(skew_ms_max);
        let earliest_ms = now_ms.saturating_sub(skew_ms_max);
        if (earliest_ms..=latest_ms).contains(&identity.expires_at_ms) {
            Ok(identity)
        } else {
            Err(Refused::Expired { key_id: identity.key_id })
        }
    }
}

fn parse(said: &str) -> Option<Identity> {
    let mut parts = said.split(':');
    let version = parts.next()?;
    let role = Role::parse(parts.next()?)?;
    let (key_id, namespace) = (parts.next()?.into(), parts.next()?.into());
    let expires_at_ms = parts.next()?.parse().ok()?;
    let whole = version == VERSION && parts.next().is_none();
    whole.then_some(Identity { key_id, namespace, role, expires_at_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;
    const SKEW_MS: u64 = 30_000;

    fn secret() -> Secret {
        Secret::new("0123456789abcdef0123456789abcdef").unwrap()
    }

    fn identity() -> Identity {
        let expires_at_ms = NOW_MS + IDENTITY_MS_MAX;
        Identity { expires_at_ms, ..Identity::new("k7", "shop", Role::Operator) }
    }

    fn read(header: &HeaderValue) -> Result<Identity, Refused> {
        Identity::decode(header, &secret(), NOW_MS, SKEW_MS)
    }

    #[test]
    fn what_was_said_is_read() {
        assert_eq!(read(&identity().encode(&secret()).unwrap()), Ok(identity()));
    }

    #[test]
    fn every_flipped_bit_every_cut_and_another_secret_are_refused() {
        let header = identity().encode(&secret()).unwrap();
        for bit in 0..header.len() * 8 {
            let mut forged = header.as_bytes().to_vec();
            forged[bit / 8] ^= 1 << (bit % 8);
            let Ok(forged) = HeaderValue::from_bytes(&forged) else { continue };
            assert_eq!(read(&forged), Err(Refused::Invalid), "bit {bit}");
        }
        for length in 0..header.len() {
            let cut = HeaderValue::from_bytes(&header.as_bytes()[..length]).unwrap();
            assert_eq!(read(&cut), Err(Refused::Invalid), "length {length}");
        }
        let other = Secret::new("another secret, as long as it must be").unwrap();
        let read = Identity::decode(&header, &other, NOW_MS, SKEW_MS);
        assert_eq!(read, Err(Refused::Invalid));
        let read = Identity::decode(&header, &Secret::default(), NOW_MS, SKEW_MS);
        assert_eq!(read, Err(Refused::Invalid));
    }

    #[test]
    fn it_is_believed_for_a_minute_and_the_skew_of_clocks() {
        let expired = Err(Refused::Expired { key_id: "k7".into() });
        for (expires_at_ms, believed) in [
            (NOW_MS - SKEW_MS, true),
            (NOW_MS - SKEW_MS - 1, false),
            (NOW_MS + IDENTITY_MS_MAX + SKEW_MS, true),
            (NOW_MS + IDENTITY_MS_MAX + SKEW_MS + 1, false),
        ] {
            let identity = Identity { expires_at_ms, ..identity() };
            let header = identity.encode(&secret()).unwrap();
            let expected = if believed { Ok(identity) } else { expired.clone() };
            assert_eq!(read(&header), expected, "{expires_at_ms}");
        }
    }

    #[test]
    fn a_name_that_would_say_more_is_not_signed() {
        for (key_id, namespace) in [("k:admin", "shop"), ("k7", "shop:*"), ("", "shop"), ("k7", "")]
        {
            let identity = Identity::new(key_id, namespace, Role::Reader);
            assert_eq!(identity.encode(&secret()), Err(Refused::Invalid));
        }
    }
}
