//! Counts the frames of HTTP/2 that carry neither a call nor data, as the bytes pass.

use std::time::Duration;

use tokio::time::Instant;

/// What every connection of HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length, kind, flags and stream.
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;
const SECOND: Duration = Duration::from_secs(1);

/// More such frames came within a second than may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// Where the bytes of a connection stand, and what passed.
#[derive(Debug)]
pub(super) struct Frames {
    state: State,
    per_second: u32,
    count: u32,
    since: Instant,
}

#[derive(Debug)]
enum State {
    /// So many bytes of the preface passed.
    Preface(usize),
    /// Not HTTP/2: nothing is counted.
    Other,
    Head {
        bytes: [u8; HEAD_BYTES],
        have: usize,
    },
    /// What is left of a frame.
    Payload(usize),
}

const BETWEEN_FRAMES: State = State::Head { bytes: [0; HEAD_BYTES], have: 0 };

impl Frames {
    pub(super) fn new(per_second: u32) -> Self {
        Self { state: State::Preface(0), per_second, count: 0, since: Instant::now() }
    }

    /// Whether it is known what the connection speaks.
    pub(super) const fn have_begun(&self) -> bool {
        !matches!(self.state, State::Preface(_))
    }

    /// Lets bytes pass.
    ///
    /// # Errors
    /// There were too many frames of no use among them.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) -> Result<(), TooMany> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Other => return Ok(()),
                State::Preface(have) => {
                    let here = bytes.len().min(PREFACE.len() - *have);
                    if bytes[..here] != PREFACE[*have..*have + here] {
                        self.state = State::Other;
                        return Ok(());
                    }
                    bytes = &bytes[here..];
                    *have += here;
                    if *have == PREFACE.len() {
                        self.state = BETWEEN_FRAMES;
                    }
                }
                State::Head { bytes: head, have } => {
                    let here = bytes.len().min(HEAD_BYTES - *have);
                    head[*have..*have + here].copy_from_slice(&bytes[..here]);
                    bytes = &bytes[here..];
                    *have += here;
                    if *have < HEAD_BYTES {
                        return Ok(());
                    }
                    let [a, b, c, kind, flags, ..] = *head;
                    let length = u32::from_be_bytes([0, a, b, c]) as usize;
                    self.state = if length > 0 { State::Payload(length) } else { BETWEEN_FRAMES };
                    // An empty frame may be what ends a request.
                    let is_data = kind == DATA && (length > 0 || flags & END_STREAM != 0);
                    if kind != HEADERS && !is_data {
                        self.count()?;
                    }
                }
                State::Payload(left) => {
                    let here = bytes.len().min(*left);
                    bytes = &bytes[here..];
                    *left -= here;
                    if *left == 0 {
                        self.state = BETWEEN_FRAMES;
                    }
                }
            }
        }
        Ok(())
    }

    /// Looks at the clock once for as many frames as may come in a second.
    fn count(&mut self) -> Result<(), TooMany> {
        self.count += 1;
        if self.count <= self.per_second {
            return Ok(());
        }
        let now = Instant::now();
        let took = now.duration_since(self.since);
        (self.count, self.since) = (1, now);
        if took >= SECOND { Ok(()) } else { Err(TooMany) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + usize::from(length), 7);
        frame
    }

    /// How many of these frames pass, with the bytes cut into chunks of this size.
    fn passed(frames: &mut Frames, all: &[Vec<u8>], chunk: usize) -> Result<(), TooMany> {
        all.concat().chunks(chunk).try_for_each(|chunk| frames.pass(chunk))
    }

    #[tokio::test(start_paused = true)]
    async fn however_the_bytes_are_cut_the_useless_frames_are_counted() {
        let mut end = frame(DATA, 0);
        end[4] = END_STREAM;
        let useful = vec![vec![frame(HEADERS, 20), frame(DATA, 1), end]; 50].concat();
        let all = |pings: usize| {
            let pings = std::iter::repeat_n(frame(PING, 8), pings);
            let empty = [frame(DATA, 0)];
            let preface = [PREFACE.to_vec()];
            preface.into_iter().chain(useful.clone()).chain(pings).chain(empty).collect::<Vec<_>>()
        };
        for chunk in 1..200 {
            assert_eq!(passed(&mut Frames::new(10), &all(9), chunk), Ok(()), "{chunk}");
            assert_eq!(passed(&mut Frames::new(10), &all(10), chunk), Err(TooMany), "{chunk}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_as_may_come_may_come_again_after_a_second() {
        let mut frames = Frames::new(10);
        frames.pass(PREFACE).unwrap();
        for _ in 0..5 {
            assert_eq!(passed(&mut frames, &vec![frame(PING, 8); 10], 64), Ok(()));
            tokio::time::advance(SECOND).await;
        }
        assert_eq!(passed(&mut frames, &vec![frame(PING, 8); 10], 64), Ok(()));
        assert_eq!(passed(&mut frames, &[frame(PING, 8)], 64), Err(TooMany));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_http_2_is_let_alone_and_known_at_once() {
        let mut frames = Frames::new(0);
        frames.pass(b"P").unwrap();
        assert!(!frames.have_begun());
        frames.pass(b"OST / HTTP/1.1\r\n").unwrap();
        assert!(frames.have_begun());
        assert_eq!(frames.pass(&frame(PING, 8)), Ok(()));
        let mut frames = Frames::new(0);
        frames.pass(&PREFACE[..PREFACE.len() - 1]).unwrap();
        assert!(!frames.have_begun());
        frames.pass(&PREFACE[PREFACE.len() - 1..]).unwrap();
        assert!(frames.have_begun());
    }
}
