//! PostgreSQL, with synced commits.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{find, free_port, is_superuser, read, run, start, write};
use crate::tenancy::Tenancy;

/// The first major release that will do.
const MAJOR_MIN: u32 = 14;

/// The user and password of the server's superuser.
const USER: &str = "planaria";
const PASSWORD: &str = "planaria-test";

/// It is started or ended within this.
const PATIENCE_S: u64 = 60;

/// A share of a server.
#[derive(Debug)]
pub struct Postgres {
    /// Of a superuser's database.
    pub url: String,
    _tenancy: Tenancy,
    server: Server,
}

#[derive(Debug, Clone)]
struct Server {
    programs: PathBuf,
    data: PathBuf,
    /// Who runs the programs, if not this user: the server refuses to run as the superuser.
    owner: Option<Owner>,
}

/// Numbers of a user and a group.
#[derive(Debug, Clone)]
struct Owner {
    user: String,
    group: String,
}

/// Where PostgreSQL's programs are, and its major release.
///
/// # Errors
/// None is installed, or only older ones.
pub fn find_postgres() -> Result<(PathBuf, u32), String> {
    let mut found = Vec::new();
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = installed.map(|entry| entry.path().join("bin")).collect();
    folders.extend(find("initdb", &[]).and_then(|file| Some(file.parent()?.to_owned())));
    for folder in folders {
        let version = run(Command::new(folder.join("postgres")).arg("--version"));
        let major = version.ok().as_deref().and_then(major);
        if let Some(major) = major.filter(|_| folder.join("initdb").is_file()) {
            found.push((major, folder));
        }
    }
    found.sort();
    match found.pop() {
        Some((major, folder)) if major >= MAJOR_MIN => Ok((folder, major)),
        Some((major, _)) => Err(format!("PostgreSQL {major} is too old: {MAJOR_MIN} or later")),
        None => Err(format!("PostgreSQL {MAJOR_MIN} or later is not installed")),
    }
}

/// 15 of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find(|word| word.starts_with(char::is_numeric))?;
    number.split(|digit: char| !digit.is_ascii_digit()).next()?.parse().ok()
}

/// The server of a folder, started if it does not run.
///
/// # Errors
/// PostgreSQL is missing or does not start; the text says why.
pub fn postgres(folder: &Path) -> Result<Postgres, String> {
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let tenancy = Tenancy::take(folder)?;
    let (programs, major) = find_postgres()?;
    let owner = if is_superuser() { Some(owner()?) } else { None };
    let data = folder.join(format!("postgres-{major}"));
    let server = Server { programs, data, owner };
    let port = tenancy.alone(|| {
        if server.program("pg_ctl").is_ok_and(|mut command| run(command.arg("status")).is_ok()) {
            return server.port();
        }
        server.create()?;
        server.start(folder)?;
        tenancy.watch(&server.stopping())?;
        server.port()
    })?;
    let url = format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres");
    Ok(Postgres { url, _tenancy: tenancy, server })
}

impl Postgres {
    /// Stops the server for everybody.
    ///
    /// # Errors
    /// It does not stop; the text says why.
    pub fn stop(&self) -> Result<(), String> {
        let stopping = self.server.stopping();
        run(Command::new(&stopping[0]).args(&stopping[1..]).current_dir("/")).map(drop)
    }
}

impl Server {
    /// The words of a command as the server's owner.
    fn words(&self, program: &str) -> Vec<String> {
        let program = self.programs.join(program).display().to_string();
        let Some(Owner { user, group }) = &self.owner else { return vec![program] };
        let who = [format!("--reuid={user}"), format!("--regid={group}")];
        let mut words = vec!["setpriv".to_owned()];
        words.extend(who);
        words.extend(["--clear-groups".to_owned(), program]);
        words
    }

    fn program(&self, program: &str) -> Result<Command, String> {
        let words = self.words(program);
        let [first, rest @ ..] = words.as_slice() else {
            return Err(format!("{program} has no name"));
        };
        let mut command = Command::new(first);
        command.args(rest).arg("-D").arg(&self.data).current_dir("/");
        Ok(command)
    }

    fn stopping(&self) -> Vec<String> {
        let mut words = self.words("pg_ctl");
        words.extend(["-D".to_owned(), self.data.display().to_string()]);
        words.extend(["-m", "fast", "-w", "stop"].map(str::to_owned));
        words
    }

    /// The files of an empty server, if they are missing.
    fn create(&self) -> Result<(), String> {
        if self.data.join("PG_VERSION").is_file() {
            return Ok(());
        }
        // What a killed predecessor left half made.
        drop(std::fs::remove_dir_all(&self.data));
        std::fs::create_dir_all(&self.data)
            .map_err(|error| format!("cannot make {}: {error}", self.data.display()))?;
        let password = self.data.with_extension("password");
        write(&password, PASSWORD)?;
        if let Some(Owner { user, group }) = &self.owner {
            let owned = [&self.data, &password];
            run(Command::new("chown").arg(format!("{user}:{group}")).args(owned))?;
        }
        let password = format!("--pwfile={}", password.display());
        let options = ["--auth-local=trust", "--auth-host=password", "--encoding=UTF8"];
        let mut initdb = self.program("initdb")?;
        initdb.args(options).args(["--no-locale", "--no-instructions", "--username", USER]);
        run(initdb.arg(password)).map(drop)
    }

    fn start(&self, folder: &Path) -> Result<(), String> {
        let port = free_port()?;
        let settings = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
             -c fsync=on -c synchronous_commit=on -c max_connections=300"
        );
        let log = self.data.join("server.log");
        let mut pg_ctl = self.program("pg_ctl")?;
        pg_ctl.arg("-l").arg(&log).args(["-w", "-t", &PATIENCE_S.to_string()]);
        start(pg_ctl.args(["-o", &settings, "start"])).map_err(|problem| {
            let said = read(&log).unwrap_or_default();
            let last = said.lines().rev().take(5).collect::<Vec<_>>();
            let last: Vec<_> = last.into_iter().rev().collect();
            format!("{problem} in {}: {}", folder.display(), last.join(" / "))
        })
    }

    /// Where the running server listens, from its own notes.
    fn port(&self) -> Result<u16, String> {
        let notes = read(&self.data.join("postmaster.pid")).unwrap_or_default();
        let port = notes.lines().nth(3).and_then(|port| port.trim().parse().ok());
        port.ok_or_else(|| format!("PostgreSQL in {} tells no port", self.data.display()))
    }
}

/// User and group that may run the server: the package's, or ones without rights.
fn owner() -> Result<Owner, String> {
    let number = |option: &str, user: &str| run(Command::new("id").args([option, user]));
    let known = ["postgres", "nobody"].into_iter().find(|user| number("-u", user).is_ok());
    let user = known.ok_or("PostgreSQL cannot run as root, and there is no user `postgres`")?;
    Ok(Owner { user: number("-u", user)?, group: number("-g", user)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(major("no such thing"), None);
    }
}
