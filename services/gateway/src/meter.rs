//! Measures the messages of a gRPC body as they pass: a flag byte and four bytes of length
//! before each.

/// Where a body stands between and inside its messages.
#[derive(Debug)]
pub(crate) struct Meter {
    bytes_max: u32,
    /// The part of a prefix that has passed.
    prefix: [u8; 5],
    prefix_bytes: usize,
    /// What is left of the current message.
    left: usize,
}

impl Meter {
    pub(crate) fn new(bytes_max: u32) -> Self {
        Self { bytes_max, prefix: [0; 5], prefix_bytes: 0, left: 0 }
    }

    /// Lets a chunk pass.
    ///
    /// # Errors
    /// The length of the first message that is over the limit.
    pub(crate) fn pass(&mut self, mut chunk: &[u8]) -> Result<(), u32> {
        while !chunk.is_empty() {
            if self.left > 0 {
                let here = self.left.min(chunk.len());
                self.left -= here;
                chunk = &chunk[here..];
                continue;
            }
            let here = (self.prefix.len() - self.prefix_bytes).min(chunk.len());
            self.prefix[self.prefix_bytes..self.prefix_bytes + here]
                .copy_from_slice(&chunk[..here]);
            self.prefix_bytes += here;
            chunk = &chunk[here..];
            if self.prefix_bytes == self.prefix.len() {
                let [_, a, b, c, d] = self.prefix;
                let length = u32::from_be_bytes([a, b, c, d]);
                if length > self.bytes_max {
                    return Err(length);
                }
                self.prefix_bytes = 0;
                self.left = length as usize;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(lengths: &[u32]) -> Vec<u8> {
        let message = |length: &u32| {
            let mut bytes = vec![0];
            bytes.extend(length.to_be_bytes());
            bytes.resize(5 + *length as usize, 7);
            bytes
        };
        lengths.iter().flat_map(message).collect()
    }

    #[test]
    fn however_a_body_is_cut_the_long_message_is_found() {
        for (lengths, expected) in
            [(vec![], Ok(())), (vec![0, 10, 3], Ok(())), (vec![3, 0, 11, 2], Err(11))]
        {
            let bytes = body(&lengths);
            for size in 1..=bytes.len().max(1) {
                let mut meter = Meter::new(10);
                let result = bytes.chunks(size).try_for_each(|chunk| meter.pass(chunk));
                assert_eq!(result, expected, "{lengths:?} in chunks of {size}");
            }
        }
    }

    #[test]
    fn a_length_alone_is_enough_to_refuse() {
        assert_eq!(Meter::new(10).pass(&[0, 0xff, 0xff, 0xff, 0xff]), Err(u32::MAX));
    }
}
