//! The boards of Grafana speak of metrics that somebody serves.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::plan::{Plan, Program};
use crate::Error;

const PREFIX: &str = "planaria_";
/// What the text format puts behind the name of a metric.
const SUFFIXES: [&str; 4] = ["_total", "_bucket", "_count", "_sum"];
/// The admin port is so far above a service's own.
const ADMIN: u16 = 1_000;
const ANSWER_MS_MAX: u64 = 5_000;

/// Checks every board in a folder against what the replicas of the plan serve now; how many
/// metrics the boards name.
///
/// # Errors
/// A board names a metric that nobody serves, or a replica does not tell its metrics.
pub async fn check(folder: &Path, plan: &Plan) -> Result<usize, Error> {
    let mut named = BTreeSet::new();
    for file in std::fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = file.map_err(Error::file(folder))?.path();
        let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
        named.extend(names(&text));
    }
    let mut served = BTreeSet::new();
    for replica in &plan.replicas {
        let Program::Planaria(spec) = &replica.program else { continue };
        let listen = spec.arguments.iter().find_map(|word| word.parse::<SocketAddr>().ok());
        let listen = listen
            .ok_or_else(|| Error::Refused(format!("{} has no --listen ADDRESS", replica.name)))?;
        let text = metrics(replica.address, listen.port() + ADMIN).await;
        let text = text
            .ok_or_else(|| Error::Failed(format!("{} does not tell its metrics", replica.name)))?;
        served.extend(names(&text));
    }
    let missing: Vec<_> = named.difference(&served).map(String::as_str).collect();
    if named.is_empty() || !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(Error::Refused(format!("boards name metrics that nobody serves: {missing}")));
    }
    Ok(named.len())
}

/// The names of metrics in a text, without what the format puts behind them.
fn names(text: &str) -> BTreeSet<String> {
    let ends = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let found = text.match_indices(PREFIX).map(|(at, _)| {
        let name = &text[at..];
        let name = &name[..name.find(ends).unwrap_or(name.len())];
        let bare = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
        bare.unwrap_or(name).to_owned()
    });
    found.collect()
}

async fn metrics(address: Ipv4Addr, port: u16) -> Option<String> {
    let asked = async {
        let mut stream = TcpStream::connect((address, port)).await.ok()?;
        let request = "GET /metrics HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(answer)
    };
    tokio::time::timeout(Duration::from_millis(ANSWER_MS_MAX), asked).await.ok()?
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_are_found_in_boards_and_in_what_is_served() {
        let board = r#"{"expr": "sum(rate(planaria_calls_total[1m])) / planaria_open{a=\"b\"}"}"#;
        let served = "# TYPE planaria_calls counter\n# TYPE planaria_open gauge\nplanaria_open 1\n";
        assert_eq!(names(board), names(served));
        assert_eq!(names("planaria_lag_seconds_bucket{le=\"1\"} 2").len(), 1);
    }
}
