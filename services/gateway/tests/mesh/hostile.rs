//! A client that speaks HTTP/2 byte by byte, so that it can say what no library would, and another
//! one that must not notice.

use std::time::{Duration, Instant};

use planaria_proto::monitoring::v1::GetOverviewRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{soon, watcher};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// Of SETTINGS and PING.
pub(crate) const ACK: u8 = 1;

/// Codes of GOAWAY and RST_STREAM.
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// Within this an attacker is gone.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(5);
/// The whole process, attacker included, grows by less.
const GROWN_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Half of the calls of another client are answered within this, whatever else goes on.
const USUAL_MAX: Duration = Duration::from_millis(100);
/// And all of them within this.
const LONGEST: Duration = Duration::from_secs(2);

/// How a conversation with an attacker ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With GOAWAY and this code.
    Told(u32),
    /// Without a word.
    Cut,
    /// One stream, with RST_STREAM and this code.
    Reset(u32),
    /// One stream was answered: the head of the answer.
    Answered(Vec<u8>),
}

pub(crate) struct Attacker {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
}

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The headers of a call, without compression.
pub(crate) fn call(path: &str) -> Vec<u8> {
    // Method POST and scheme http are in the static table.
    let mut block = vec![0x83, 0x86];
    literal(&mut block, ":path", path);
    literal(&mut block, ":authority", "localhost");
    literal(&mut block, "content-type", "application/grpc");
    literal(&mut block, "te", "trailers");
    block
}

/// A header that no table keeps.
pub(crate) fn literal(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        let length = text.len();
        if length < 127 {
            block.push(u8::try_from(length).unwrap());
        } else {
            block.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128 + 128).unwrap());
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap());
        }
        block.extend(text.as_bytes());
    }
}

impl Attacker {
    pub(crate) async fn connect(address: std::net::SocketAddr) -> Self {
        Self::with_settings(address, &[]).await
    }

    /// With these settings: a key and a value each.
    pub(crate) async fn with_settings(
        address: std::net::SocketAddr,
        settings: &[(u16, u32)],
    ) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (read, write) = stream.into_split();
        let mut attacker = Self { read, write };
        let mut payload = Vec::new();
        for (key, value) in settings {
            payload.extend(key.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &payload));
        attacker.send(&hello).await.unwrap();
        attacker
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write.write_all(bytes).await
    }

    /// The next frame: kind, flags, stream and payload; nothing at the end of the connection.
    pub(crate) async fn receive(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        next_frame(&mut self.read).await
    }

    /// Waits until the other side has seen everything that was sent. Not where that is over.
    pub(crate) async fn is_seen(&mut self) -> bool {
        if self.send(&frame(PING, 0, 0, b"are you?")).await.is_err() {
            return false;
        }
        loop {
            match self.receive().await {
                None | Some((GOAWAY, ..)) => return false,
                Some((PING, ACK, 0, _)) => return true,
                Some((PING, _, _, payload)) => {
                    self.send(&frame(PING, ACK, 0, &payload)).await.unwrap();
                }
                Some(_) => {}
            }
        }
    }

    /// Answers probes until one stream, or the connection, is over.
    pub(crate) async fn end_of(&mut self, stream: u32) -> End {
        loop {
            match self.receive().await {
                None => return End::Cut,
                Some((GOAWAY, _, _, payload)) => return End::Told(code(&payload[4..])),
                Some((RST_STREAM, _, of, payload)) if of == stream => {
                    return End::Reset(code(&payload));
                }
                Some((HEADERS, _, of, payload)) if of == stream => {
                    return End::Answered(payload);
                }
                Some((PING, 0, _, payload)) => {
                    // It fails where the connection is over, which is seen next.
                    let _over = self.send(&frame(PING, ACK, 0, &payload)).await;
                }
                Some(_) => {}
            }
        }
    }

    /// Sends what comes next, again and again, until the connection or this stream is over.
    pub(crate) async fn flood(self, stream: u32, mut next: impl FnMut() -> Vec<u8>) -> End {
        let Self { mut read, mut write } = self;
        let flooding = async { while write.write_all(&next()).await.is_ok() {} };
        let told = async {
            loop {
                match next_frame(&mut read).await {
                    None => return End::Cut,
                    Some((GOAWAY, _, _, payload)) => return End::Told(code(&payload[4..])),
                    Some((RST_STREAM, _, of, payload)) if of == stream => {
                        return End::Reset(code(&payload));
                    }
                    Some((HEADERS, _, of, payload)) if of == stream => {
                        return End::Answered(payload);
                    }
                    Some(_) => {}
                }
            }
        };
        let ended = async {
            tokio::pin!(told);
            tokio::select! {
                end = &mut told => end,
                // What it was told may still be on its way.
                () = flooding => told.await,
            }
        };
        tokio::time::timeout(GONE_WITHIN, ended).await.expect("the flood ends in time")
    }

    /// Sends the same again and again, and reads nothing, until that is over.
    pub(crate) async fn flood_unread(mut self, bytes: Vec<u8>) {
        let flooding = async { while self.send(&bytes).await.is_ok() {} };
        tokio::time::timeout(GONE_WITHIN, flooding).await.expect("the flood ends in time");
    }
}

async fn next_frame(read: &mut OwnedReadHalf) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    read.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let mut payload = vec![0; length];
    read.read_exact(&mut payload).await.ok()?;
    Some((head[3], head[4], stream, payload))
}

fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}

/// Memory of this process that is in use, in bytes.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

/// Whether another client is served as if nothing happened while something does.
pub(crate) async fn unharmed<T>(uri: &str, attack: impl Future<Output = T>) -> T {
    let mut victim = watcher(uri).await;
    soon(victim.get_overview(GetOverviewRequest {})).await.unwrap();
    let before = memory();
    let mut took = Vec::new();
    let served = async {
        loop {
            let began = Instant::now();
            let call = victim.get_overview(GetOverviewRequest {});
            let answer = tokio::time::timeout(LONGEST, call).await;
            answer.expect("another client waits").expect("another client is refused");
            took.push(began.elapsed());
            tokio::task::yield_now().await;
        }
    };
    let outcome = tokio::select! {
        outcome = attack => outcome,
        () = served => unreachable!("it asks for ever"),
    };
    soon(victim.get_overview(GetOverviewRequest {})).await.unwrap();
    took.sort();
    if let Some(usual) = took.get(took.len() / 2) {
        assert!(*usual < USUAL_MAX, "another client waits for {usual:?}");
    }
    let grown = memory().saturating_sub(before);
    assert!(grown < GROWN_BYTES_MAX, "grown by {grown} bytes");
    outcome
}
