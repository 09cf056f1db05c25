//! How spans of time are spread, in fixed buckets, so that what was counted apart can be merged.
//!
//! Buckets are exact up to 31 ms; from there on sixteen share each doubling, so that a bound is
//! off by no more than 6.25 %.

use std::collections::BTreeMap;

use prost::encoding::{decode_varint, encode_varint};

/// Buckets that share a doubling, as a power of two.
const SHARE_BITS: u32 = 4;
const SHARE: u64 = 1 << SHARE_BITS;

/// Counts of spans (milliseconds) by bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    counts: BTreeMap<u64, u64>,
}

/// The bytes are no histogram.
#[derive(Debug, thiserror::Error)]
#[error("the stored histogram is damaged")]
pub(crate) struct Damaged;

impl Histogram {
    pub(crate) fn add(&mut self, span_ms: u64) {
        *self.counts.entry(bucket(span_ms)).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            let sum = self.counts.entry(*bucket).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The span (milliseconds) that this part of all is not longer than; nothing of nothing.
    /// Nearest rank, per thousand.
    pub(crate) fn quantile(&self, per_mille: u64) -> Option<u64> {
        let rank = (self.count() * per_mille).div_ceil(1_000).max(1);
        let mut passed = 0;
        let found = self.counts.iter().find(|(_, count)| {
            passed += **count;
            passed >= rank
        });
        found.map(|(bucket, _)| last_of(*bucket))
    }

    /// The longest span of each bucket (milliseconds) and how many are in it, ascending; without
    /// empty ones.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.counts.iter().map(|(bucket, count)| (last_of(*bucket), *count))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.counts.len() * 3);
        for (bucket, count) in &self.counts {
            encode_varint(*bucket, &mut bytes);
            encode_varint(*count, &mut bytes);
        }
        bytes
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, Damaged> {
        let mut counts = BTreeMap::new();
        while !bytes.is_empty() {
            let bucket = decode_varint(&mut bytes).map_err(|_| Damaged)?;
            let count = decode_varint(&mut bytes).map_err(|_| Damaged)?;
            if bucket > self::bucket(u64::MAX) {
                return Err(Damaged);
            }
            counts.insert(bucket, count);
        }
        Ok(Self { counts })
    }
}

fn bucket(span_ms: u64) -> u64 {
    if span_ms < SHARE {
        return span_ms;
    }
    let doubling = span_ms.ilog2();
    let part = (span_ms >> (doubling - SHARE_BITS)) & (SHARE - 1);
    u64::from(doubling - SHARE_BITS + 1) * SHARE + part
}

/// The longest span in a bucket.
fn last_of(bucket: u64) -> u64 {
    if bucket < SHARE {
        return bucket;
    }
    let (doubling, part) = (bucket / SHARE - 1, bucket % SHARE);
    let first = (SHARE + part) << doubling;
    first + ((1 << doubling) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_is_in_a_bucket_that_reaches_it_and_not_far_beyond() {
        let spans = (0..20_000).chain((0..64).map(|power| 1_u64 << power)).chain([u64::MAX]);
        for span_ms in spans {
            let last = last_of(bucket(span_ms));
            assert!(last >= span_ms && last - span_ms <= span_ms / 16, "{span_ms} {last}");
            assert_eq!(bucket(last), bucket(span_ms));
            if last < u64::MAX {
                assert_eq!(bucket(last + 1), bucket(last) + 1, "{span_ms}");
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_the_merged_whole() {
        let mut first = Histogram::default();
        let mut second = Histogram::default();
        assert_eq!(first.quantile(500), None);
        (1..=20).for_each(|span_ms| first.add(span_ms));
        (1..=10).for_each(|_| second.add(31));
        first.merge(&second);
        assert_eq!(first.count(), 30);
        assert_eq!(first.quantile(500), Some(15));
        assert_eq!(first.quantile(990), Some(31));
        assert_eq!(first.quantile(0), Some(1));
        assert_eq!(first.buckets().last(), Some((31, 10)));
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let mut histogram = Histogram::default();
        [0, 5, 5, 900, u64::MAX].into_iter().for_each(|span_ms| histogram.add(span_ms));
        let bytes = histogram.encode();
        assert_eq!(Histogram::decode(&bytes).unwrap(), histogram);
        assert!(Histogram::decode(&bytes[..bytes.len() - 1]).is_err());
        assert_eq!(Histogram::decode(&[]).unwrap(), Histogram::default());
    }
}
