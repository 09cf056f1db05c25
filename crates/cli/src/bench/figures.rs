//! The counters of a mesh, read from its metrics before and after.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest metrics text.
const TEXT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Every counter by its name and labels.
pub(super) type Counters = BTreeMap<String, f64>;

/// Reads the counters at `http://host:port`; none if nobody answers there.
pub(super) async fn read(uri: &str) -> Counters {
    fetch(uri).await.map(|text| counters(&text)).unwrap_or_default()
}

async fn fetch(uri: &str) -> std::io::Result<String> {
    let address = uri.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.take(TEXT_BYTES_MAX).read_to_string(&mut text).await?;
    Ok(text)
}

/// Lines such as `planaria_rows_total{service="orchestrator"} 3`, also those of histograms' sums
/// and counts; everything else is no counter.
fn counters(text: &str) -> Counters {
    let counter = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        let plain = name.split('{').next()?;
        let counts = ["_total", "_count", "_sum"].iter().any(|end| plain.ends_with(end));
        counts.then_some((name.trim_start_matches("planaria_").to_owned(), value.parse().ok()?))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(counter).collect()
}

/// What each counter that moved grew by per step.
pub(super) fn per_step(before: &Counters, after: &Counters, steps: f64) -> Counters {
    let grown = |(name, value): (&String, &f64)| {
        let growth = value - before.get(name).copied().unwrap_or_default();
        (growth > 0.0).then(|| (name.clone(), growth / steps))
    };
    after.iter().filter_map(grown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counters_grew_by_is_told_per_step() {
        let before = counters("# HELP x\nplanaria_rows_total{service=\"orchestrator\"} 10\n");
        let after = counters(
            "HTTP/1.1 200 OK\r\n\r\n# TYPE x\nplanaria_rows_total{service=\"orchestrator\"} 40\n\
             planaria_queue{service=\"orchestrator\"} 7\nplanaria_commit_seconds_count 6\n# EOF",
        );
        let grown = per_step(&before, &after, 10.0);
        let grown: Vec<_> = grown.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let rows = ("rows_total{service=\"orchestrator\"}", 3.0);
        assert_eq!(grown, [("commit_seconds_count", 0.6), rows]);
    }
}
