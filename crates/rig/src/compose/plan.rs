//! From a compose file to processes: addresses, host names, programs.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{Condition, File, Healthcheck, Restart, Service};
use crate::Error;
use crate::postgres::Postgres;
use crate::process::Spec;
use crate::redis::Redis;

/// How many replicas of which service, where it is not one.
pub type Scale = BTreeMap<String, u8>;

/// The variables of the settings that take a list of addresses.
const LISTS: &str = "PLANARIA__DIRECTORY__";
/// Tells built-in workers of one host apart.
const ORDINAL: &str = "PLANARIA__WORKER__ORDINAL";
/// How long a service may take to end where the file does not say.
const GRACE_S: u64 = 10;
const POSTGRES_PORT: u16 = 5432;
const REDIS_PORT: u16 = 6379;

/// What is to be started, in an order in which everything comes after what it depends on.
#[derive(Debug)]
pub struct Plan {
    /// All replicas.
    pub replicas: Vec<Replica>,
}

/// One container-to-be.
#[derive(Debug, Clone)]
pub struct Replica {
    /// The service that it is one of.
    pub service: String,
    /// `service-1`.
    pub name: String,
    /// Its own loopback address.
    pub address: Ipv4Addr,
    /// What runs.
    pub program: Program,
    /// How its health is asked; it runs to its end.
    pub check: Option<Check>,
    /// Whether it is started again when it ends.
    pub restart: Restart,
    /// How long it may take to end.
    pub grace: Duration,
    /// What must be how far before it is started.
    pub after: Vec<(String, Condition)>,
}

/// What runs in a container.
#[derive(Debug, Clone)]
pub enum Program {
    /// A service of Planaria.
    Planaria(Spec),
    /// The database.
    Postgres(Postgres),
    /// The bus.
    Redis(Redis),
}

/// A health check.
#[derive(Debug, Clone)]
pub struct Check {
    /// The program; it is healthy if this succeeds.
    pub probe: Spec,
    /// How long one run may take.
    pub timeout: Duration,
}

/// Where everything is on this machine.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The folder of the compose file.
    pub root: &'a Path,
    /// The binary.
    pub planaria: &'a Path,
    /// Where everything writes.
    pub folder: &'a Path,
    /// The second number of all addresses, so that two meshes do not meet.
    pub network: u8,
}

/// The addresses of each service's replicas.
type Hosts<'a> = BTreeMap<&'a str, Vec<Ipv4Addr>>;

impl Plan {
    /// Plans the services without a profile.
    ///
    /// # Errors
    /// The file asks for what this machine cannot do.
    pub fn new(file: &File, scale: &Scale, ground: &Ground<'_>) -> Result<Self, Error> {
        let services = file.active(&[]);
        for name in scale.keys() {
            if !services.contains_key(name.as_str()) {
                return Err(Error::Refused(format!("--scale: no service is called {name}")));
            }
        }
        let mut hosts = Hosts::new();
        for (index, name) in (1..=u8::MAX).zip(services.keys()) {
            let count = scale.get(*name).copied().unwrap_or(1);
            let address = |ordinal| Ipv4Addr::new(127, ground.network, index, ordinal);
            hosts.insert(name, (1..=count).map(address).collect());
        }
        let mut replicas = Vec::new();
        for name in ordered(&services)? {
            for (ordinal, address) in (1..).zip(&hosts[name]) {
                let place = Place { name, ordinal, address: *address, hosts: &hosts, ground };
                replicas.push(place.replica(services[name])?);
            }
        }
        Ok(Self { replicas })
    }

    /// The replicas of a service.
    pub fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Replica> {
        self.replicas.iter().filter(move |replica| replica.service == service)
    }
}

/// The names, each after those that it depends on.
fn ordered<'a>(services: &BTreeMap<&'a str, &Service>) -> Result<Vec<&'a str>, Error> {
    let mut order: Vec<&str> = Vec::new();
    while order.len() < services.len() {
        let before = order.len();
        for (name, service) in services {
            let ready = service.depends_on.keys().all(|other| order.contains(&other.as_str()));
            if ready && !order.contains(name) {
                order.push(name);
            }
        }
        if order.len() == before {
            return Err(Error::Refused("services depend on each other in a circle".into()));
        }
    }
    Ok(order)
}

/// One replica's view.
struct Place<'a> {
    name: &'a str,
    ordinal: u8,
    address: Ipv4Addr,
    hosts: &'a Hosts<'a>,
    ground: &'a Ground<'a>,
}

impl Place<'_> {
    fn replica(&self, service: &Service) -> Result<Replica, Error> {
        let name = format!("{}-{}", self.name, self.ordinal);
        let folder = self.ground.folder.join(&name);
        std::fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        let environment = self.environment(service);
        let check = service.healthcheck.as_ref();
        let check = check.map(|check| self.check(check, &environment, &folder)).transpose()?;
        let after = service.depends_on.iter().map(|(name, how)| (name.clone(), how.condition));
        Ok(Replica {
            service: self.name.to_owned(),
            address: self.address,
            program: self.program(service, environment, folder)?,
            name,
            check,
            restart: service.restart,
            grace: service.stop_grace_period.unwrap_or(Duration::from_secs(GRACE_S)),
            after: after.collect(),
        })
    }

    fn environment(&self, service: &Service) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        for (name, value) in &service.environment {
            let mut values = located(value, self.address, self.hosts);
            let value = if values.len() > 1 && name.starts_with(LISTS) {
                format!(
                    "[{}]",
                    values
                        .iter()
                        .map(|value| format!("\"{value}\""))
                        .collect::<Vec<_>>()
                        .join(", ")
                )
            } else {
                // One of them, as a name server would say.
                values.swap_remove(usize::from(self.ordinal) % values.len())
            };
            environment.insert(name.clone(), value);
        }
        if service.command.iter().any(|word| word == "worker") {
            environment.entry(ORDINAL.into()).or_insert_with(|| self.ordinal.to_string());
        }
        environment
    }

    fn words(&self, words: &[String]) -> Vec<String> {
        let located = |word: &String| located(word, self.address, self.hosts).swap_remove(0);
        words.iter().map(located).collect()
    }

    fn program(
        &self,
        service: &Service,
        environment: BTreeMap<String, String>,
        folder: PathBuf,
    ) -> Result<Program, Error> {
        let arguments = self.words(&service.command);
        let image = service.image.split(':').next().unwrap_or_default();
        let at = |port| SocketAddr::from((self.address, port));
        match image.rsplit('/').next().unwrap_or_default() {
            _ if service.build.is_some() => {
                self.check_image(service)?;
                Ok(Program::Planaria(Spec {
                    name: format!("{}-{}", self.name, self.ordinal),
                    program: self.ground.planaria.to_owned(),
                    arguments,
                    environment,
                    log: folder.join("log"),
                    folder,
                    user: None,
                }))
            }
            "postgres" => {
                let variable = |name: &str| {
                    let missing = || Error::Refused(format!("service {}: no {name}", self.name));
                    environment.get(name).cloned().ok_or_else(missing)
                };
                Ok(Program::Postgres(Postgres {
                    address: at(POSTGRES_PORT),
                    user: variable("POSTGRES_USER")?,
                    password: variable("POSTGRES_PASSWORD")?,
                    database: variable("POSTGRES_DB")?,
                    arguments: self.after("postgres", arguments)?,
                    folder,
                }))
            }
            "redis" | "valkey" => {
                let arguments = self.after("redis-server", arguments)?;
                let password = option(&arguments, "--requirepass").unwrap_or_default();
                Ok(Program::Redis(Redis { address: at(REDIS_PORT), password, arguments, folder }))
            }
            other => Err(Error::Refused(format!(
                "service {}: there is no local program for the image {other}",
                self.name
            ))),
        }
    }

    /// The words behind the server's name.
    fn after(&self, program: &str, mut words: Vec<String>) -> Result<Vec<String>, Error> {
        match words.first() {
            None => Ok(words),
            Some(first) if first == program => Ok(words.split_off(1)),
            Some(first) => Err(Error::Refused(format!(
                "service {}: its command starts with {first}, not with {program}",
                self.name
            ))),
        }
    }

    /// The command's first program is the image's entry point: it must be the binary.
    fn check_image(&self, service: &Service) -> Result<(), Error> {
        let Some(build) = &service.build else { return Ok(()) };
        let path = self.ground.root.join(&build.context).join(&build.dockerfile);
        let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
        let last = |word: &str| text.lines().rfind(|line| line.starts_with(word));
        let entry = last("ENTRYPOINT ").and_then(|line| line.split_once(' '));
        if entry.map(|(_, words)| words) != Some("[\"planaria\"]") {
            let text = format!("{}: ENTRYPOINT must be [\"planaria\"]", path.display());
            return Err(Error::Refused(text));
        }
        Ok(())
    }

    fn check(
        &self,
        check: &Healthcheck,
        environment: &BTreeMap<String, String>,
        folder: &Path,
    ) -> Result<Check, Error> {
        let refuse = || Error::Refused(format!("service {}: healthcheck.test", self.name));
        let (kind, words) = check.test.split_first().ok_or_else(refuse)?;
        let mut words = self.words(words);
        if kind == "CMD-SHELL" {
            words.splice(0..0, ["/bin/sh".to_owned(), "-c".to_owned()]);
        } else if kind != "CMD" {
            return Err(refuse());
        }
        let program = words.first().cloned().ok_or_else(refuse)?;
        let program = if program == "planaria" {
            self.ground.planaria.to_owned()
        } else {
            PathBuf::from(program)
        };
        let probe = Spec {
            name: format!("the health check of {}-{}", self.name, self.ordinal),
            program,
            arguments: words.split_off(1),
            environment: environment.clone(),
            folder: folder.to_owned(),
            log: folder.join("health.log"),
            user: None,
        };
        let timeout = check.timeout.unwrap_or(Duration::from_secs(30));
        Ok(Check { probe, timeout })
    }
}

/// The word behind an option.
fn option(words: &[String], name: &str) -> Option<String> {
    let at = words.iter().position(|word| word == name)?;
    words.get(at + 1).cloned()
}

/// The text with addresses instead of host names: one text for each replica of the service that it
/// names. At most one service with several replicas can be named in one text.
fn located(text: &str, own: Ipv4Addr, hosts: &Hosts<'_>) -> Vec<String> {
    let mut texts = vec![text.to_owned()];
    for name in ["0.0.0.0", "127.0.0.1", "localhost"] {
        texts = vec![replaced(&texts[0], name, own)];
    }
    for (name, addresses) in hosts {
        if replaced(&texts[0], name, own) != texts[0] {
            let located = |text: &String| {
                addresses.iter().map(|address| replaced(text, name, *address)).collect::<Vec<_>>()
            };
            texts = texts.iter().flat_map(located).collect();
        }
    }
    texts
}

/// A host name ends before the port, or before what ends a host in a command; it begins a word, or
/// follows what precedes hosts in URLs and lists.
fn replaced(text: &str, name: &str, address: Ipv4Addr) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, found) = rest.split_at(at);
        let after = &found[name.len()..];
        let begins =
            before.chars().next_back().map_or(whole.is_empty(), |last| "/@,\" ='".contains(last));
        let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let ends = after.strip_prefix(':').is_some_and(digit)
            || (after.is_empty() && !name.starts_with(|c: char| c.is_ascii_alphabetic()));
        whole.push_str(before);
        if begins && ends {
            whole.push_str(&address.to_string());
        } else {
            whole.push_str(name);
        }
        rest = after;
    }
    whole + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_become_addresses_and_nothing_else_does() {
        let one = vec![Ipv4Addr::new(127, 9, 1, 1)];
        let two = vec![Ipv4Addr::new(127, 9, 2, 1), Ipv4Addr::new(127, 9, 2, 2)];
        let hosts = Hosts::from([("postgres", one), ("orchestrator", two)]);
        let own = Ipv4Addr::new(127, 9, 7, 7);
        let located = |text| located(text, own, &hosts).join(" ");
        for (text, expected) in [
            (
                "postgres://postgres:postgres@postgres:5432/postgres",
                "postgres://postgres:postgres@127.9.1.1:5432/postgres",
            ),
            ("http://orchestrator:7301", "http://127.9.2.1:7301 http://127.9.2.2:7301"),
            ("0.0.0.0:8080", "127.9.7.7:8080"),
            ("http://localhost:8080", "http://127.9.7.7:8080"),
            ("127.0.0.1", "127.9.7.7"),
            ("orchestrator", "orchestrator"),
            ("my-orchestrator:7301", "my-orchestrator:7301"),
        ] {
            assert_eq!(located(text), expected);
        }
    }
}
