//! A PostgreSQL server of this machine. It refuses to be root: then it runs as `postgres`, or as
//! `nobody` where there is no such user.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Error;
use crate::process::{self, Process, Spec};

const SETUP_MS_MAX: u64 = 60_000;
const READY_MS_MAX: u64 = 30_000;
const POLL_MS: u64 = 20;

/// Where it is and who may use it.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// Where it listens.
    pub address: SocketAddr,
    /// The owner of everything.
    pub user: String,
    /// The owner's password.
    pub password: String,
    /// The database that is made.
    pub database: String,
    /// Further arguments of the server, such as `-c max_connections=200`.
    pub arguments: Vec<String>,
    /// Its files are below this folder.
    pub folder: PathBuf,
}

impl Postgres {
    /// Makes the cluster and the database, where they are not there yet, and starts the server.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or says no.
    pub async fn create(&self) -> Result<Process, Error> {
        let data = self.data();
        if data.join("PG_VERSION").exists() {
            return self.start().await;
        }
        std::fs::create_dir_all(&self.folder).map_err(Error::file(&self.folder))?;
        let password_file = self.folder.join("password");
        std::fs::write(&password_file, &self.password).map_err(Error::file(&password_file))?;
        self.hand_over(&password_file)?;
        let pwfile = format!("--pwfile={}", password_file.display());
        let user = format!("--username={}", self.user);
        let folder = data.display().to_string();
        let words =
            ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "-D", &folder];
        let initdb = self.program("initdb", &[&words[..], &[&user, &pwfile]].concat())?;
        initdb.run(Duration::from_millis(SETUP_MS_MAX)).await?;
        let server = self.start().await?;
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let words = ["-h", &host, "-p", &port, "-U", &self.user, "--no-password", &self.database];
        let mut createdb = self.program("createdb", &words)?;
        createdb.environment.insert("PGPASSWORD".into(), self.password.clone());
        createdb.run(Duration::from_millis(SETUP_MS_MAX)).await?;
        Ok(server)
    }

    /// Starts the server on what is there, and waits until it accepts connections.
    ///
    /// # Errors
    /// It does not.
    pub async fn start(&self) -> Result<Process, Error> {
        let mut server = self.spec()?.start()?;
        let began = Instant::now();
        while !self.accepts().await {
            let poll = tokio::time::sleep(Duration::from_millis(POLL_MS));
            let ended = tokio::select! { () = poll => false, _ = server.ended() => true };
            if ended || began.elapsed() > Duration::from_millis(READY_MS_MAX) {
                let said = process::tail(&self.folder.join("postgres.log"), 10);
                return Err(Error::Failed(format!("PostgreSQL does not start\n{said}")));
            }
        }
        Ok(server)
    }

    /// How the server is started.
    ///
    /// # Errors
    /// PostgreSQL is not installed.
    pub fn spec(&self) -> Result<Spec, Error> {
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let folder = self.folder.display().to_string();
        let data = self.data().display().to_string();
        let words = ["-D", &data, "-h", &host, "-p", &port, "-k", &folder];
        let mut spec = self.program("postgres", &words)?;
        spec.arguments.extend(self.arguments.iter().cloned());
        Ok(spec)
    }

    /// Whether it lets clients in: it says no while it recovers from a crash.
    pub async fn accepts(&self) -> bool {
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let words = ["-q", "-h", &host, "-p", &port];
        let Ok(mut probe) = self.program("pg_isready", &words) else { return false };
        probe.log = "/dev/null".into();
        probe.run(Duration::from_secs(3)).await.is_ok()
    }

    /// `postgres://user:password@host:port/database`.
    #[must_use]
    pub fn url(&self) -> String {
        let Self { address, user, password, database, .. } = self;
        format!("postgres://{user}:{password}@{address}/{database}")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn program(&self, program: &str, arguments: &[&str]) -> Result<Spec, Error> {
        self.hand_over(&self.folder)?;
        Ok(Spec {
            name: program.to_owned(),
            program: find(program)?,
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            environment: BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]),
            folder: self.folder.clone(),
            log: self.folder.join("postgres.log"),
            user: owner().map(|(name, ..)| name),
        })
    }

    /// Gives a file to the user that the server runs as.
    fn hand_over(&self, path: &Path) -> Result<(), Error> {
        let Some((_, user, group)) = owner() else { return Ok(()) };
        chown(path, Some(user), Some(group)).map_err(Error::file(path))?;
        // The folders above must let that user through.
        for above in path.ancestors().skip(1) {
            let Ok(data) = above.metadata() else { continue };
            let mode = data.permissions().mode();
            if mode & 0o001 == 0 && above.starts_with(std::env::temp_dir()) {
                let open = std::fs::Permissions::from_mode(mode | 0o011);
                std::fs::set_permissions(above, open).map_err(Error::file(above))?;
            }
        }
        Ok(())
    }
}

/// Name, user and group that PostgreSQL runs as where this program is root.
fn owner() -> Option<(&'static str, u32, u32)> {
    if !process::is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    ["postgres", "nobody"].into_iter().find_map(|name| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut numbers = line.split(':').skip(2);
        Some((name, numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    })
}

/// Debian keeps the server's programs of each version in a folder of their own.
fn find(program: &str) -> Result<PathBuf, Error> {
    let mut folders: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin").join(program)))
        .filter(|path| path.is_file())
        .collect();
    folders.sort();
    folders.pop().or_else(|| process::find(program)).ok_or_else(|| Error::Missing {
        program: program.to_owned(),
        advice: "install PostgreSQL 14 or later (apt-get install postgresql)".into(),
    })
}
