//! Clients that mean harm: they are cut off or refused, cost little, and nobody else notices.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod mesh;

use std::time::{Duration, Instant};

use bytes::Bytes;
use mesh::hostile::*;
use mesh::*;
use planaria_gateway::Config;
use planaria_proto::monitoring::v1::{GetOverviewRequest, ListHealingsRequest};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

const OVERVIEW: &str = "/planaria.monitoring.v1.MonitoringService/GetOverview";
const WATCH: &str = "/planaria.monitoring.v1.MonitoringService/WatchHealings";
const BEAT: &str = "/planaria.failure_detector.v1.FailureDetectorService/Heartbeat";
const INITIAL_WINDOW: u16 = 4;
/// The longest frame that the gateway takes by default.
const FRAME_BYTES_MAX: usize = 64 * 1024;

struct Scene {
    gateway: Running<Result<(), planaria_gateway::Error>>,
    _monitoring: Running<()>,
    _detector: Running<()>,
}

impl Scene {
    async fn new(config: Config) -> Self {
        let (monitoring, detector) = (monitoring().await, failure_detector().await);
        let upstreams =
            [("monitoring", monitoring.address), ("failure-detector", detector.address)];
        let gateway = gateway(config, &upstreams).await;
        Self { gateway, _monitoring: monitoring, _detector: detector }
    }

    async fn attacker(&self) -> Attacker {
        Attacker::connect(self.gateway.address).await
    }

    /// What becomes of an attack, which nobody else notices.
    async fn under<T>(&self, attack: impl Future<Output = T>) -> T {
        unharmed(&self.gateway.uri(), attack).await
    }
}

/// A client that a library made, for those that break no rule of HTTP/2.
async fn h2_client(scene: &Scene) -> h2::client::SendRequest<Bytes> {
    let stream = TcpStream::connect(scene.gateway.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

fn request(path: &str) -> http::Request<()> {
    let request = http::Request::post(format!("http://localhost{path}"));
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    request.body(()).unwrap()
}

/// Streams that nobody had before.
fn numbers() -> impl FnMut() -> u32 {
    let mut next = 1;
    move || {
        next += 2;
        next - 2
    }
}

/// A config whose listener is changed.
fn listener(change: impl FnOnce(&mut planaria_gateway::ListenerLimits)) -> Config {
    let mut config = Config::default();
    change(&mut config.listener);
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_opened_to_be_reset_end_the_connection() {
    let scene = Scene::new(Config::default()).await;
    let mut number = numbers();
    let resets = || {
        let one = |_| {
            let number = number();
            let opened = frame(HEADERS, END_HEADERS, number, &call(BEAT));
            [opened, frame(RST_STREAM, 0, number, &CANCEL.to_be_bytes())].concat()
        };
        (0..100).flat_map(one).collect()
    };
    let end = scene.under(scene.attacker().await.flood(0, resets)).await;
    assert_eq!(end, End::Told(ENHANCE_YOUR_CALM));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_reset_once_they_were_accepted_end_the_connection_too() {
    let scene = Scene::new(listener(|limits| limits.control_frames_per_second = 100)).await;
    let mut attacker = scene.attacker().await;
    let mut number = numbers();
    let resetting = async {
        let began = Instant::now();
        for round in 0_u32.. {
            let number = number();
            let opened = frame(HEADERS, END_HEADERS, number, &call(BEAT));
            attacker.send(&opened).await.unwrap();
            if !attacker.is_seen().await {
                // One probe and one reset each.
                assert!(round >= 49 || began.elapsed() > Duration::from_secs(1), "{round}");
                return;
            }
            let reset = frame(RST_STREAM, 0, number, &CANCEL.to_be_bytes());
            if attacker.send(&reset).await.is_err() {
                return;
            }
        }
    };
    scene.under(soon(resetting)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_whose_faults_make_the_gateway_reset_them_end_the_connection() {
    let scene = Scene::new(Config::default()).await;
    let mut number = numbers();
    // A window may not grow beyond all bounds.
    let faults = || {
        let one = |_| {
            let number = number();
            let opened = frame(HEADERS, END_HEADERS, number, &call(BEAT));
            [opened, frame(WINDOW_UPDATE, 0, number, &[0x7f, 0xff, 0xff, 0xff])].concat()
        };
        (0..100).flat_map(one).collect()
    };
    let end = scene.under(scene.attacker().await.flood(0, faults)).await;
    assert_eq!(end, End::Told(ENHANCE_YOUR_CALM));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end_end_the_connection() {
    let scene = Scene::new(Config::default()).await;
    let mut more = Vec::new();
    literal(&mut more, "x-flood", &"x".repeat(8_000));
    // Also when each piece is as small as it can be.
    for continuation in [frame(CONTINUATION, 0, 1, &more), frame(CONTINUATION, 0, 1, &[])] {
        let mut attacker = scene.attacker().await;
        attacker.send(&frame(HEADERS, 0, 1, &call(OVERVIEW))).await.unwrap();
        let pieces = continuation.repeat(100);
        let end = scene.under(attacker.flood(1, || pieces.clone())).await;
        assert_eq!(end, End::Told(ENHANCE_YOUR_CALM));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_headers_are_refused_and_far_too_many_end_the_connection() {
    let scene = Scene::new(Config::default()).await;
    let asked = async |headers: usize| {
        let mut attacker = scene.attacker().await;
        let mut block = call(OVERVIEW);
        for number in 0..headers {
            literal(&mut block, &format!("x-{number}"), &"x".repeat(1_000));
        }
        let (first, rest) = block.split_at(block.len().min(FRAME_BYTES_MAX));
        let begun = frame(HEADERS, END_STREAM, 1, first);
        let ended = frame(CONTINUATION, END_HEADERS, 1, rest);
        attacker.send(&[begun, ended].concat()).await.unwrap();
        scene.under(soon(attacker.end_of(1))).await
    };
    let status = |status: &str| {
        let mut block = Vec::new();
        literal(&mut block, ":status", status);
        block
    };
    for (headers, refused) in [(14, false), (20, true)] {
        let End::Answered(head) = asked(headers).await else { panic!("no answer") };
        // Both are spelled out or not by the rules of compression: 200 is in the static table.
        assert_eq!(head.first() != Some(&0x88), refused, "{headers} headers: {head:?}");
        assert_ne!(head, status("200"));
    }
    assert_eq!(asked(80).await, End::Told(ENHANCE_YOUR_CALM));
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_carry_nothing_end_the_connection() {
    let scene = Scene::new(Config::default()).await;
    // The same setting again: the size of the table of headers.
    let settings = frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 16, 0]);
    let window = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    // Priorities, and a kind that nobody knows.
    let priority = frame(2, 0, 1, &[0, 0, 0, 0, 1]);
    let unknown = frame(77, 0, 0, &[]);
    for one in [frame(PING, 0, 0, &[7; 8]), settings, window, priority, unknown] {
        let kind = one[3];
        let many = one.repeat(1_000);
        let end = scene.under(scene.attacker().await.flood(0, || many.clone())).await;
        assert_eq!(end, End::Cut, "kind {kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_answers_is_cut() {
    let scene = Scene::new(listener(|limits| {
        limits.write_ms_max = 300;
        limits.control_frames_per_second = u32::MAX;
    }))
    .await;
    let settings = frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 16, 0]);
    for one in [frame(PING, 0, 0, &[7; 8]), settings] {
        let flood = scene.attacker().await.flood_unread(one.repeat(1_000));
        scene.under(flood).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_frames_with_nothing_in_them_is_not_waited_for() {
    let config = Config { request_ms_max: 300, ..Config::default() };
    let scene = Scene::new(config).await;
    let mut attacker = scene.attacker().await;
    attacker.send(&frame(HEADERS, END_HEADERS, 1, &call(OVERVIEW))).await.unwrap();
    let empty = frame(DATA, 0, 1, &[]).repeat(100);
    let end = scene.under(attacker.flood(1, || empty.clone())).await;
    assert!(matches!(end, End::Cut | End::Told(ENHANCE_YOUR_CALM)), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_too_slowly_is_refused_and_its_place_is_free() {
    let config = Config { request_ms_max: 300, calls_max: 4, ..Config::default() };
    let scene = Scene::new(config).await;
    // The beginning of a message, whose rest never comes.
    let mut client = h2_client(&scene).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let (answer, mut body) = client.send_request(request(OVERVIEW), false).unwrap();
        body.send_data(Bytes::from_static(&[0, 0, 0, 0, 9, 1]), false).unwrap();
        slow.push((answer, body));
    }
    let ended = async {
        for (answer, _body) in slow {
            let answer = answer.await.unwrap();
            let status = tonic::Status::from_header_map(answer.headers()).unwrap();
            let told = (status.code(), reason(&status));
            assert_eq!(told, (Code::DeadlineExceeded, "REQUEST_TOO_SLOW".to_owned()));
        }
    };
    scene.under(soon(ended)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_begins_too_slowly_is_closed() {
    let scene = Scene::new(listener(|limits| {
        limits.first_byte_ms_max = 200;
        limits.http1_header_ms_max = 200;
    }))
    .await;
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r", "POST / HTTP/1.1\r\nx-slow: "] {
        let mut socket = TcpStream::connect(scene.gateway.address).await.unwrap();
        socket.write_all(beginning.as_bytes()).await.unwrap();
        let ended = async {
            let mut answer = Vec::new();
            // Either an end in order or a reset will do.
            let _either = socket.read_to_end(&mut answer).await;
        };
        scene.under(soon(ended)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_its_answer_loses_it() {
    let scene = Scene::new(listener(|limits| limits.unread_ms_max = 300)).await;
    // No window at all, one that is too small for anything, and one that opens byte by byte.
    for (window, trickle) in [(0, false), (5, false), (0, true)] {
        let settings = [(INITIAL_WINDOW, window)];
        let mut attacker = Attacker::with_settings(scene.gateway.address, &settings).await;
        let opened = frame(HEADERS, END_HEADERS, 1, &call(WATCH));
        attacker.send(&opened).await.unwrap();
        attacker.send(&frame(DATA, END_STREAM, 1, &[0; 5])).await.unwrap();
        let starved = async {
            assert!(matches!(attacker.end_of(1).await, End::Answered(_)));
            let end = async {
                loop {
                    if trickle {
                        attacker.send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await.unwrap();
                    }
                    let looked = Duration::from_millis(50);
                    match tokio::time::timeout(looked, attacker.end_of(1)).await {
                        Ok(end) => return end,
                        Err(_) if trickle => {}
                        Err(_) => return attacker.end_of(1).await,
                    }
                }
            };
            soon(end).await
        };
        let end = scene.under(starved).await;
        assert_eq!(end, End::Reset(CANCEL), "window {window}, trickle {trickle}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_answers_are_kept_within_bounds() {
    let mut config = Config::default();
    config.upstream.connection_window_bytes = 1024 * 1024;
    let scene = Scene::new(config).await;
    let uri = scene.gateway.uri();
    let mut attackers = Vec::new();
    let opening = async {
        for _ in 0..4 {
            let settings = [(INITIAL_WINDOW, 0)];
            let mut attacker = Attacker::with_settings(scene.gateway.address, &settings).await;
            let mut number = numbers();
            let streams: Vec<u32> = (0..20).map(|_| number()).collect();
            for number in &streams {
                let opened = frame(HEADERS, END_HEADERS, *number, &call(WATCH));
                attacker.send(&opened).await.unwrap();
                attacker.send(&frame(DATA, END_STREAM, *number, &[0; 5])).await.unwrap();
            }
            let mut answered = 0;
            while answered < streams.len() {
                let (kind, ..) = attacker.receive().await.expect("it stands");
                answered += usize::from(kind == HEADERS);
            }
            attackers.push(attacker);
        }
        // Long enough for what sends without end to fill whatever has no bound.
        let mut other = watcher(&uri).await;
        for _ in 0..500 {
            other.get_overview(GetOverviewRequest {}).await.unwrap();
        }
    };
    scene.under(soon(opening)).await;
}

/// A call whose message has this many bytes, and what it is answered.
async fn answered(config: Config, bytes: usize) -> (Code, String) {
    let scene = Scene::new(config).await;
    let mut client = watcher(&scene.gateway.uri()).await;
    let mut request = ListHealingsRequest { workflow_id: "x".repeat(bytes), ..Default::default() };
    let over = request.encoded_len() - bytes;
    request.workflow_id.truncate(bytes - over);
    assert_eq!(request.encoded_len(), bytes);
    let status = scene.under(soon(client.list_healings(request))).await.unwrap_err();
    // The connection is as good as before.
    soon(client.get_overview(GetOverviewRequest {})).await.unwrap();
    (status.code(), reason(&status))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_be_as_long_as_the_limit_and_not_a_byte_longer() {
    let passes = (Code::NotFound, "WORKFLOW_NOT_FOUND".to_owned());
    let refused = (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned());
    for max in [1_000, 300_000] {
        let config = || Config { message_bytes_max: max, ..Config::default() };
        assert_eq!(answered(config(), max as usize).await, passes, "{max}");
        assert_eq!(answered(config(), max as usize + 1).await, refused, "{max}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_is_a_lie_is_refused_before_anything_is_kept() {
    let scene = Scene::new(Config::default()).await;
    let lie = async |path: &str| {
        let mut client = h2_client(&scene).await;
        let (answer, mut body) = client.send_request(request(path), false).unwrap();
        body.send_data(Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff]), false).unwrap();
        let (head, mut body) = answer.await.unwrap().into_parts();
        // In the head of an answer, or at the end of one that has begun.
        match tonic::Status::from_header_map(&head.headers) {
            Some(status) => status,
            None => {
                while body.data().await.is_some() {}
                let trailers = body.trailers().await.unwrap().unwrap();
                tonic::Status::from_header_map(&trailers).unwrap()
            }
        }
    };
    for path in [OVERVIEW, BEAT] {
        let status = scene.under(soon(lie(path))).await;
        let told = (status.code(), reason(&status));
        assert_eq!(told, (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned()), "{path}");
    }
}
