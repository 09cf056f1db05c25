//! Pages of deliveries.

use crate::error::Error;
use crate::records::Delivery;

/// The token of the next page; empty behind the last.
pub(crate) fn write(page: &[Delivery], limit: u32) -> String {
    match page.last() {
        Some(last) if page.len() >= limit as usize => {
            format!("{}.{}", last.created_at_ms, last.id)
        }
        _ => String::new(),
    }
}

/// Where the last page ended: creation time and id.
pub(crate) fn read(token: &str) -> Result<Option<(u64, String)>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let (created_at_ms, id) = token.split_once('.').ok_or(Error::PageTokenInvalid)?;
    let created_at_ms = created_at_ms.parse().map_err(|_| Error::PageTokenInvalid)?;
    Ok(Some((created_at_ms, id.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_former_pages() {
        assert!(read("").unwrap().is_none());
        assert_eq!(read("17.w_1-2-0").unwrap(), Some((17, "w_1-2-0".to_owned())));
        for token in ["17", "x.w", ".w"] {
            assert!(read(token).is_err(), "{token}");
        }
    }
}
