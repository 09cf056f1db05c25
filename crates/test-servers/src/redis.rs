//! Redis, or Valkey, that keeps nothing on disk.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::programs::{find, free_port, pause, read, run, start, write};
use crate::tenancy::Tenancy;

/// The first major release that will do; Valkey began at 7.
const MAJOR_MIN: u32 = 6;

/// It is started within this.
const PATIENCE: Duration = Duration::from_secs(20);

/// A share of a server.
#[derive(Debug)]
pub struct Redis {
    /// Without a password.
    pub url: String,
    _tenancy: Tenancy,
    pid: PathBuf,
}

/// Where the server's program is.
///
/// # Errors
/// None is installed, or only an older one.
pub fn find_redis() -> Result<PathBuf, String> {
    let program = ["redis-server", "valkey-server"].iter().find_map(|name| find(name, &[]));
    let program = program.ok_or("Redis (or Valkey) is not installed")?;
    let version = run(Command::new(&program).arg("--version"))?;
    match major(&version) {
        Some(major) if major >= MAJOR_MIN => Ok(program),
        _ => Err(format!("{version}: {MAJOR_MIN} or later is needed")),
    }
}

/// 7 of `Redis server v=7.0.15 sha=00000000:0 …`.
fn major(version: &str) -> Option<u32> {
    let number = version.split_once("v=")?.1;
    number.split('.').next()?.parse().ok()
}

/// The server of a folder, started if it does not run.
///
/// # Errors
/// Redis is missing or does not start; the text says why.
pub fn redis(folder: &Path) -> Result<Redis, String> {
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let tenancy = Tenancy::take(folder)?;
    let (pid, port_file) = (folder.join("redis.pid"), folder.join("redis.port"));
    let port = tenancy.alone(|| {
        let known = read(&port_file).and_then(|port| port.parse().ok());
        if let Some(port) = known.filter(|port| runs(&pid) && answers(*port)) {
            return Ok(port);
        }
        let port = free_port()?;
        start_at(port, folder, &pid)?;
        write(&port_file, &port.to_string())?;
        // By number: the folder may be removed before the last user is gone.
        let number = read(&pid).ok_or("Redis left no number")?;
        tenancy.watch(&["kill".to_owned(), number])?;
        Ok(port)
    })?;
    Ok(Redis { url: format!("redis://127.0.0.1:{port}"), _tenancy: tenancy, pid })
}

impl Redis {
    /// Stops the server for everybody.
    ///
    /// # Errors
    /// It does not stop; the text says why.
    pub fn stop(&self) -> Result<(), String> {
        let number = read(&self.pid).ok_or("Redis left no number")?;
        run(Command::new("kill").arg(number)).map(drop)
    }
}

fn start_at(port: u16, folder: &Path, pid: &Path) -> Result<(), String> {
    let mut server = Command::new(find_redis()?);
    server.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--daemonize", "yes"]);
    server.args(["--save", "", "--appendonly", "no"]);
    server.arg("--dir").arg(folder).arg("--logfile").arg(folder.join("redis.log"));
    start(server.arg("--pidfile").arg(pid))?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if runs(pid) && answers(port) {
            return Ok(());
        }
        pause();
    }
    let said = read(&folder.join("redis.log")).unwrap_or_default();
    Err(format!("Redis does not start: {}", said.lines().last().unwrap_or_default()))
}

fn runs(pid: &Path) -> bool {
    read(pid).is_some_and(|number| Path::new("/proc").join(number).exists())
}

fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, PATIENCE).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_its_last_user_though_its_folder_is_gone() {
        let name = format!("planaria-redis-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let server = redis(&folder).unwrap();
        let port: u16 = server.url.rsplit_once(':').unwrap().1.parse().unwrap();
        assert!(answers(port));
        std::fs::remove_dir_all(&folder).unwrap();
        drop(server);
        let end = Instant::now() + PATIENCE;
        while answers(port) {
            assert!(Instant::now() < end, "it still runs");
            pause();
        }
    }

    #[test]
    fn releases_are_read() {
        assert_eq!(major("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc"), Some(7));
        assert_eq!(major("Server v=8.1.1 sha=00000000:0"), Some(8));
        assert_eq!(major("no such thing"), None);
    }
}
