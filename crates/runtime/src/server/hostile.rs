//! Peers that mean harm are cut, and another one is answered meanwhile.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::tests::{World, start_with, whole};
use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: u32 = 11;
const GONE_WITHIN: Duration = Duration::from_secs(10);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// POST, http, and the path `/`, all from the static table.
const CALL: [u8; 3] = [0x83, 0x86, 0x84];

async fn connect(world: &World) -> TcpStream {
    let address = world.uri.trim_start_matches("http://");
    TcpStream::connect(address).await.unwrap()
}

/// Sends what comes next until the connection is over; the code of its goodbye, if there was one.
async fn flood(stream: TcpStream, mut next: impl FnMut() -> Vec<u8>) -> Option<u32> {
    let (mut read, mut write) = stream.into_split();
    let flooding = async move {
        let hello = [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[])].concat();
        write.write_all(&hello).await.unwrap();
        while write.write_all(&next()).await.is_ok() {}
    };
    let told = async {
        loop {
            let mut head = [0; 9];
            read.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            read.read_exact(&mut payload).await.ok()?;
            if head[3] == GOAWAY {
                return Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
            }
        }
    };
    let ended = async {
        tokio::pin!(told);
        tokio::select! {
            code = &mut told => code,
            () = flooding => told.await,
        }
    };
    tokio::time::timeout(GONE_WITHIN, ended).await.expect("the flood ends in time")
}

/// What becomes of an attack while another peer asks on.
async fn unharmed<T>(world: &World, attack: impl Future<Output = T>) -> T {
    let mut victim = world.client.clone();
    let served = async {
        loop {
            let answer = tokio::time::timeout(Duration::from_secs(2), victim.check(whole()));
            answer.await.expect("another peer waits").expect("another peer is refused");
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        outcome = attack => outcome,
        () = served => unreachable!("it asks for ever"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_end_the_connection() {
    let limits = ServerLimits { control_frames_per_second: 1_000, ..ServerLimits::default() };
    let world = start_with(Service::new("sample"), limits).await;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(100);
    let cut = unharmed(&world, flood(connect(&world).await, || pings.clone())).await;
    assert_eq!(cut, None);

    let world = start_with(Service::new("sample"), ServerLimits::default()).await;
    let mut number = 1;
    let resets = || {
        let mut bytes = Vec::new();
        for _ in 0..100 {
            bytes.extend(frame(HEADERS, END_HEADERS, number, &CALL));
            bytes.extend(frame(RST_STREAM, 0, number, &8_u32.to_be_bytes()));
            number += 2;
        }
        bytes
    };
    let told = unharmed(&world, flood(connect(&world).await, resets)).await;
    assert_eq!(told, Some(ENHANCE_YOUR_CALM));

    let mut first = true;
    let headers = || {
        let begun = std::mem::take(&mut first).then(|| frame(HEADERS, 0, 1, &CALL));
        [begun.unwrap_or_default(), frame(CONTINUATION, 0, 1, &[]).repeat(100)].concat()
    };
    let told = unharmed(&world, flood(connect(&world).await, headers)).await;
    assert_eq!(told, Some(ENHANCE_YOUR_CALM));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_too_little_or_takes_nothing_is_cut() {
    let limits = ServerLimits {
        first_byte_ms_max: 100,
        write_ms_max: 200,
        control_frames_per_second: u32::MAX,
        ..ServerLimits::default()
    };
    let world = start_with(Service::new("sample"), limits).await;
    for beginning in [&PREFACE[..0], &PREFACE[..1], &PREFACE[..PREFACE.len() - 1]] {
        let mut stream = connect(&world).await;
        stream.write_all(beginning).await.unwrap();
        // Either an end in order or a reset will do.
        let ended = async { drop(stream.read_to_end(&mut Vec::new()).await) };
        let ended = tokio::time::timeout(GONE_WITHIN, ended);
        unharmed(&world, ended).await.expect("it is closed in time");
    }
    let mut stream = connect(&world).await;
    let unread = async {
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        let pings = frame(PING, 0, 0, &[7; 8]).repeat(1_000);
        while stream.write_all(&pings).await.is_ok() {}
    };
    let unread = tokio::time::timeout(GONE_WITHIN, unread);
    unharmed(&world, unread).await.expect("it is cut in time");
}
