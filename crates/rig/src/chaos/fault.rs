//! Faults: what is done to whom, and how it is known that it was.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::cluster::{Cluster, Target};
use super::member::Life;
use crate::journal::now_ms;
use crate::postgres::Postgres;
use crate::proxy::Cut;
use crate::redis::Redis;

/// What can be done to a process of the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Killed without a word, away for so long.
    Kill { down_ms: u64 },
    /// Told to end, away for so long.
    Terminate { down_ms: u64 },
    /// Stopped for so long.
    Stop { ms: u64 },
    /// Cut off for so long.
    Cut { place: Place, cut: Cut, ms: u64 },
    /// PostgreSQL ends as by a crash, and recovers.
    Crash { down_ms: u64 },
    /// Redis loses everything that it holds.
    Flush,
}

/// Which of its links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Front,
    Postgres,
    Redis,
    Gateway,
}

const SIGNAL_MS_MAX: u64 = 3_000;
const DRAIN_MS_MAX: u64 = 15_000;
const BACK_MS_MAX: u64 = 30_000;
const PROBE_MS_MAX: u64 = 500;
const POLL_MS: u64 = 10;

impl Fault {
    /// As in the fault log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Terminate { .. } => "terminate",
            Self::Stop { .. } => "stop",
            Self::Cut { cut: Cut::Reset, .. } => "reset",
            Self::Cut { .. } => "blackhole",
            Self::Crash { .. } => "crash",
            Self::Flush => "flush",
        }
    }

    /// Does it, undoes it, and says what came of it: `bitten` is how it is known, or null.
    pub(super) async fn apply(self, target: &Target, cluster: &Cluster) -> Value {
        let at_ms = now_ms();
        let mut told = match self {
            Self::Kill { down_ms } => ended(target, Signal::KILL, SIGNAL_MS_MAX, down_ms).await,
            Self::Terminate { down_ms } => ended(target, Signal::TERM, DRAIN_MS_MAX, down_ms).await,
            Self::Stop { ms } => stopped(target, ms).await,
            Self::Cut { place, cut, ms } => cut_off(target, place, cut, ms).await,
            Self::Crash { down_ms } => crashed(target, cluster.postgres.as_ref(), down_ms).await,
            Self::Flush => flushed(cluster.redis.as_ref()).await,
        };
        told["kind"] = self.name().into();
        told["how"] = format!("{self:?}").into();
        told["target"] = target.member.name.to_string().into();
        told["service"] = target.service.into();
        told["at_ms"] = at_ms.into();
        told["until_ms"] = now_ms().into();
        told
    }
}

/// Ends it by a signal and has it started again.
async fn ended(target: &Target, signal: Signal, limit_ms: u64, down_ms: u64) -> Value {
    let member = &target.member;
    let before = member.life();
    let Some(pid) = before.pid else { return skipped("it was not running") };
    member.hold(true);
    member.signal(signal);
    let gone = |life: &Life| life.pid != Some(pid);
    let life = member.until(Duration::from_millis(limit_ms), gone).await;
    let gone_ms = now_ms();
    let status = life.as_ref().and_then(|life| life.ended);
    let bitten = match (signal, status) {
        (Signal::KILL, Some(status)) if status.signal() == Some(9) => Some("exit by signal 9"),
        // In good order, or by the signal itself if it had not begun yet.
        (Signal::TERM, Some(status)) if status.success() => Some("ended in good order"),
        (Signal::TERM, Some(_)) => Some("ended, not in good order"),
        (_, Some(_)) => Some("ended by something else"),
        (_, None) => None,
    };
    if life.is_none() {
        // It did not hear: the run must go on.
        member.signal(Signal::KILL);
    }
    tokio::time::sleep(Duration::from_millis(down_ms)).await;
    member.hold(false);
    let back = back(target, before.starts).await;
    json!({ "bitten": bitten, "pid": pid, "gone_ms": gone_ms, "back_ms": back })
}

/// When it listens again, in its next life.
async fn back(target: &Target, starts: u32) -> Option<u64> {
    let limit = Duration::from_millis(BACK_MS_MAX);
    target.member.until(limit, |life| life.pid.is_some() && life.starts > starts).await?;
    let Some(link) = &target.links.front else { return Some(now_ms()) };
    let deadline = Instant::now() + limit;
    while TcpStream::connect(link.back).await.is_err() {
        if Instant::now() > deadline {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
    }
    Some(now_ms())
}

async fn stopped(target: &Target, ms: u64) -> Value {
    let Some(pid) = target.member.life().pid else { return skipped("it was not running") };
    target.member.signal(Signal::STOP);
    let deadline = Instant::now() + Duration::from_millis(SIGNAL_MS_MAX);
    while state(pid) != Some('T') && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
    }
    let stopped = state(pid) == Some('T');
    if !stopped && target.member.life().pid != Some(pid) {
        return skipped("it crashed by itself just before");
    }
    tokio::time::sleep(Duration::from_millis(ms)).await;
    // Somebody else may have ended it meanwhile; nobody continues it but this.
    let still = state(pid) == Some('T');
    target.member.signal(Signal::CONT);
    let bitten = (stopped && still).then_some("state T from beginning to end");
    json!({ "bitten": bitten, "pid": pid, "back_ms": now_ms() })
}

/// The state letter of a process, behind its name in parentheses.
fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

async fn cut_off(target: &Target, place: Place, cut: Cut, ms: u64) -> Value {
    let links = &target.links;
    let link = match place {
        Place::Front => &links.front,
        Place::Postgres => &links.postgres,
        Place::Redis => &links.redis,
        Place::Gateway => &links.gateway,
    };
    let Some(link) = link else { return skipped("it has no such link") };
    let greeting = greeting(place);
    let hits = link.hits();
    link.set(cut);
    let answered = answers(link.front, greeting).await;
    tokio::time::sleep(Duration::from_millis(ms)).await;
    let met = link.hits() - hits;
    link.set(Cut::Open);
    let bitten = (!answered && met > 0).then(|| format!("no answer, {met} connections met it"));
    json!({ "bitten": bitten, "back_ms": now_ms(), "place": format!("{place:?}") })
}

/// What makes a server answer at once.
fn greeting(place: Place) -> &'static [u8] {
    match place {
        Place::Front | Place::Gateway => {
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        }
        // A request for TLS, which is answered with one letter.
        Place::Postgres => b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        Place::Redis => b"PING\r\n",
    }
}

async fn answers(address: SocketAddr, greeting: &[u8]) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(greeting).await.ok()?;
        let mut byte = [0];
        (stream.read(&mut byte).await.ok()? == 1).then_some(())
    };
    let limit = Duration::from_millis(PROBE_MS_MAX);
    matches!(tokio::time::timeout(limit, asked).await, Ok(Some(())))
}

async fn crashed(target: &Target, postgres: Option<&Postgres>, down_ms: u64) -> Value {
    let Some(postgres) = postgres else { return skipped("there is none") };
    let member = &target.member;
    let before = member.life();
    let Some(pid) = before.pid else { return skipped("it was not running") };
    member.hold(true);
    // The immediate shutdown: nothing is written, the next start recovers.
    member.signal(Signal::QUIT);
    let gone = member.until(Duration::from_millis(SIGNAL_MS_MAX), |life| life.pid != Some(pid));
    let gone = gone.await.is_some();
    let refused = TcpStream::connect(postgres.address).await.is_err();
    tokio::time::sleep(Duration::from_millis(down_ms)).await;
    member.hold(false);
    let limit = Duration::from_millis(BACK_MS_MAX);
    let back = member.until(limit, |life| life.pid.is_some() && life.starts > before.starts).await;
    let bitten = (gone && refused).then_some("gone, connections refused");
    json!({ "bitten": bitten, "pid": pid, "back_ms": back.map(|_| now_ms()) })
}

async fn flushed(redis: Option<&Redis>) -> Value {
    let Some(redis) = redis else { return skipped("there is none") };
    let before = redis.command(&["DBSIZE"]).await;
    let answer = redis.command(&["FLUSHALL"]).await;
    let done = answer.is_some_and(|answer| answer.starts_with("+OK"));
    let bitten =
        done.then(|| format!("flushed, {} keys before", before.unwrap_or_default().trim()));
    json!({ "bitten": bitten, "back_ms": now_ms() })
}

/// It was not done: the target was away already.
fn skipped(why: &str) -> Value {
    json!({ "bitten": null, "skipped": why })
}
