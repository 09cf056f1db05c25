//! What the bus in Redis survives: every trouble costs hints, never the caller.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use planaria_bus::{Condition, EventBus, open};
use planaria_runtime::BusSettings;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tracing_subscriber::fmt::MakeWriter;

use crate::server::Server;
use crate::{PATIENCE, condition, gap, news};

fn bus(settings: &BusSettings) -> Arc<dyn EventBus> {
    open(settings).expect("the address is good")
}

#[tokio::test]
async fn a_flush_is_told_and_hints_flow_on() {
    let server = Server::start();
    let bus = bus(&server.settings());
    let mut every = bus.subscribe(&["orders"]);
    let mut one = bus.subscribe_group("orders", "packers", "one");
    for round in ["first", "second"] {
        gap(&mut every).await;
        gap(&mut one).await;
        bus.publish("orders", Bytes::from(round));
        assert_eq!(news(&mut every).await.1, round);
        assert_eq!(news(&mut one).await.1, round);
        server.ask::<()>(&["FLUSHALL"]);
    }
}

/// Ids go backwards when a flush meets a clock that was set back.
#[tokio::test]
async fn a_flushed_stream_with_lower_ids_is_read() {
    let server = Server::start();
    let bus = bus(&server.settings());
    let mut subscription = bus.subscribe(&["orders"]);
    gap(&mut subscription).await;
    bus.publish("orders", Bytes::from_static(b"now"));
    assert_eq!(news(&mut subscription).await.1, "now");
    server.ask::<()>(&["FLUSHALL"]);
    server.ask::<()>(&["XADD", "planaria:bus:topic:orders", "5-1", "body", "long ago"]);
    assert_eq!(news(&mut subscription).await, ("orders".into(), "long ago".into(), 1));
}

#[tokio::test]
async fn a_restart_costs_hints_and_nothing_else() {
    let mut server = Server::start();
    let bus = bus(&server.settings());
    let mut subscription = bus.subscribe(&["orders"]);
    gap(&mut subscription).await;
    server.kill();
    condition(&bus, |condition| matches!(condition, Condition::Away(_))).await;
    // More than the queue holds: the caller is never held up.
    for _ in 0..10_000 {
        bus.publish("orders", Bytes::from_static(b"lost"));
    }
    server.run();
    condition(&bus, Condition::is_up).await;
    gap(&mut subscription).await;
    assert!(bus.counters().dropped.get() > 5_000);
    bus.publish("orders", Bytes::from_static(b"found"));
    while news(&mut subscription).await.1 != "found" {}
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let mut server = Server::absent();
    let bus = bus(&server.settings());
    let mut subscription = bus.subscribe(&["orders"]);
    let away = condition(&bus, |condition| matches!(condition, Condition::Away(_))).await;
    assert!(away.to_string().starts_with("away: "), "{away}");
    bus.publish("orders", Bytes::from_static(b"lost"));
    server.run();
    gap(&mut subscription).await;
    condition(&bus, Condition::is_up).await;
    bus.publish("orders", Bytes::from_static(b"found"));
    while news(&mut subscription).await.1 != "found" {}
}

#[tokio::test]
async fn a_server_at_its_memory_limit_drops_hints_until_it_has_room() {
    let server = Server::start();
    let bus = bus(&server.settings());
    let mut subscription = bus.subscribe(&["orders"]);
    gap(&mut subscription).await;
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    bus.publish("orders", Bytes::from_static(b"lost"));
    let full = condition(&bus, |condition| matches!(condition, Condition::Full(_))).await;
    assert!(full.to_string().contains("maxmemory"), "{full}");
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    gap(&mut subscription).await;
    condition(&bus, Condition::is_up).await;
    bus.publish("orders", Bytes::from_static(b"found"));
    assert_eq!(news(&mut subscription).await.1, "found");
    assert_eq!(bus.counters().dropped.get(), 1);
}

#[tokio::test]
async fn a_wrong_password_is_said_and_tried_until_it_is_right() {
    let server = Server::start();
    server.ask::<()>(&["CONFIG", "SET", "requirepass", "secret"]);
    let wrong = BusSettings { url: server.url(":hunter2@"), ..server.settings() };
    for settings in [server.settings(), wrong.clone()] {
        let bus = bus(&settings);
        let _waiting = bus.subscribe(&["orders"]);
        let refused = condition(&bus, |is| matches!(is, Condition::Refused(_))).await;
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
        bus.publish("orders", Bytes::from_static(b"lost"));
    }
    let bus = bus(&wrong);
    let mut subscription = bus.subscribe(&["orders"]);
    condition(&bus, |is| matches!(is, Condition::Refused(_))).await;
    let mut operator = redis::Client::open(server.url(":secret@"))
        .and_then(|client| client.get_connection())
        .expect("the right password");
    redis::cmd("CONFIG")
        .arg(&["SET", "requirepass", "hunter2"])
        .exec(&mut operator)
        .expect("the operator may");
    gap(&mut subscription).await;
    condition(&bus, Condition::is_up).await;
}

#[tokio::test]
async fn streams_are_trimmed_and_expire_and_a_reader_behind_the_trimming_is_told() {
    const KEY: &str = "planaria:bus:topic:orders";
    let server = Server::start();
    let settings = BusSettings { stream_entries_max: 100, ..server.settings() };
    let bus = bus(&settings);
    let mut subscription = bus.subscribe(&["orders"]);
    gap(&mut subscription).await;
    // This thread runs the reader too: it sees little of this before all is written.
    for number in 0..1_000 {
        let number = number.to_string();
        server.ask::<()>(&["XADD", KEY, "MAXLEN", "~", "100", "*", "body", &number]);
    }
    let (mut seen, mut gaps) = (0, 0);
    loop {
        let (_, body, before) = news(&mut subscription).await;
        (seen, gaps) = (seen + 1, gaps + before);
        if body == "999" {
            break;
        }
    }
    assert!(seen < 1_000 && gaps > 0, "{seen} of 1000 and {gaps} gaps");
    for number in 0..1_000_u32 {
        bus.publish("orders", number.to_string().into());
    }
    while news(&mut subscription).await.1 != "999" {}
    assert!(server.ask::<u64>(&["XLEN", KEY]) < 300);
    assert!(server.ask::<i64>(&["TTL", KEY]) > 0);
}

/// The lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_trouble_is_logged_once_and_so_is_its_end() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).finish();
    // All tasks of this test run on this thread.
    let _logged = tracing::subscriber::set_default(subscriber);
    let mut server = Server::absent();
    let broken = TcpListener::bind(("127.0.0.1", server.port())).await.expect("a free port");
    let bus = bus(&server.settings());
    let mut subscription = bus.subscribe(&["orders"]);
    for _ in 0..6 {
        let accepted = timeout(PATIENCE, broken.accept()).await.expect("it is tried for ever");
        drop(accepted);
    }
    drop(broken);
    server.run();
    gap(&mut subscription).await;
    condition(&bus, Condition::is_up).await;
    let log = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    let log = String::from_utf8_lossy(&log);
    assert_eq!(log.matches("the bus is away").count(), 1, "{log}");
    assert_eq!(log.matches("the bus works again").count(), 1, "{log}");
}
