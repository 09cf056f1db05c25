//! The mesh under test: its processes, their addresses, and the links between them.
//!
//! Everybody reaches a replica through the link in front of it; every service reaches PostgreSQL
//! and Redis, and every worker its gateway, through a link of its own. So each can be cut off.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::member::{Member, Program};
use super::run::{Settings, Store};
use crate::Error;
use crate::postgres::Postgres;
use crate::process::{self, Spec};
use crate::proxy::Link;
use crate::redis::Redis;

const READY_MS_MAX: u64 = 60_000;
const POLL_MS: u64 = 50;
const LOG_LINES: usize = 8;
/// What the services of the mesh know each other by.
const SECRET: &str = "the secret of a mesh that lives for minutes";
/// The role that services have in the database.
const USER: &str = "planaria";

/// A service, its port, and how many replicas of it there are on PostgreSQL.
pub(super) const SERVICES: [(&str, u16, u8); 6] = [
    ("gateway", 8080, 2),
    ("orchestrator", 7301, 2),
    ("failure-detector", 7303, 2),
    ("retry-engine", 7304, 2),
    ("notification", 7305, 2),
    ("monitoring", 7306, 2),
];
const POSTGRES_PORT: u16 = 5432;
const REDIS_PORT: u16 = 6379;

/// What a replica can be cut off from.
#[derive(Debug, Clone)]
pub(super) struct Links {
    /// Those who call it.
    pub(super) front: Option<Link>,
    pub(super) postgres: Option<Link>,
    pub(super) redis: Option<Link>,
    pub(super) gateway: Option<Link>,
}

/// A replica under test.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) service: &'static str,
    pub(super) member: Member,
    pub(super) links: Links,
}

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) targets: Vec<Target>,
    pub(super) postgres: Option<Postgres>,
    pub(super) redis: Option<Redis>,
    /// Where clients go.
    pub(super) gateways: Vec<String>,
    /// The gateway that each worker comes through.
    pub(super) gateway_of: BTreeMap<String, String>,
    folder: PathBuf,
}

struct Ground<'a> {
    settings: &'a Settings,
    network: u8,
    folder: &'a Path,
    postgres: Option<&'a Postgres>,
    redis: Option<&'a Redis>,
}

impl Ground<'_> {
    fn at(&self, third: u8, fourth: u8, port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(127, self.network, third, fourth), port))
    }
}

impl Cluster {
    /// Starts everything and waits until it answers.
    pub(super) async fn start(settings: &Settings, folder: &Path) -> Result<Self, Error> {
        let network = u8::try_from(std::process::id() % 200).unwrap_or(0) + 16;
        let mut ground = Ground { settings, network, folder, postgres: None, redis: None };
        let mut targets = Vec::new();
        let plain = Links { front: None, postgres: None, redis: None, gateway: None };
        let (mut postgres, mut redis) = (None, None);
        if settings.store == Store::Postgres {
            let server = Postgres {
                address: ground.at(8, 1, POSTGRES_PORT),
                user: USER.into(),
                password: "chaos".into(),
                database: USER.into(),
                arguments: ["-c", "max_connections=300"].map(str::to_owned).into(),
                folder: folder.join("postgres"),
            };
            let bus = Redis {
                address: ground.at(9, 1, REDIS_PORT),
                password: String::new(),
                arguments: Vec::new(),
                folder: folder.join("redis"),
            };
            let member = Member::start("postgres", Program::Postgres(server.clone()));
            started(&member).await?;
            targets.push(Target { service: "postgres", member, links: plain.clone() });
            let member = Member::start("redis", Program::Redis(bus.clone()));
            started(&member).await?;
            targets.push(Target { service: "redis", member, links: plain });
            (postgres, redis) = (Some(server), Some(bus));
        }
        ground.postgres = postgres.as_ref();
        ground.redis = redis.as_ref();
        let mut cluster = Self {
            targets,
            postgres: postgres.clone(),
            redis: redis.clone(),
            gateways: Vec::new(),
            gateway_of: BTreeMap::new(),
            folder: folder.to_owned(),
        };
        cluster.services(&ground).await?;
        cluster.workers(&ground).await?;
        cluster.serving().await?;
        Ok(cluster)
    }

    async fn services(&mut self, ground: &Ground<'_>) -> Result<(), Error> {
        let config = ground.folder.join("planaria.toml");
        std::fs::write(&config, directory(ground)).map_err(Error::file(&config))?;
        for (third, (service, port, replicas)) in (1..).zip(SERVICES) {
            for replica in 1..=replicas_of(ground.settings.store, replicas) {
                let (front, back) =
                    (ground.at(third, replica, port), ground.at(100 + third, replica, port));
                let mut links = Links {
                    front: Some(Link::open(front, back).await?),
                    postgres: None,
                    redis: None,
                    gateway: None,
                };
                let mut environment = BTreeMap::new();
                if let (Some(postgres), Some(redis)) = (ground.postgres, ground.redis) {
                    let own = |port| ground.at(150 + third, replica, port);
                    let store = Postgres { address: own(POSTGRES_PORT), ..postgres.clone() };
                    let bus = Redis { address: own(REDIS_PORT), ..redis.clone() };
                    links.postgres = Some(Link::open(store.address, postgres.address).await?);
                    links.redis = Some(Link::open(bus.address, redis.address).await?);
                    environment.insert("PLANARIA__STORE__URL".into(), store.url());
                    environment.insert("PLANARIA__BUS__URL".into(), bus.url());
                }
                if service == "gateway" {
                    self.gateways.push(format!("http://{front}"));
                }
                let name = format!("{service}-{replica}");
                let mut spec = ground.planaria(&name, service, back, &config);
                spec.environment.extend(environment);
                // Others come through the link.
                spec.arguments.extend(["--advertise".to_owned(), format!("http://{front}")]);
                let member = Member::start(&name, Program::Plain(spec));
                self.targets.push(Target { service, member, links });
            }
        }
        Ok(())
    }

    async fn workers(&mut self, ground: &Ground<'_>) -> Result<(), Error> {
        let ledger = ground.folder.join("ledger");
        std::fs::create_dir_all(&ledger).map_err(Error::file(&ledger))?;
        let (third, (_, port, replicas)) = (180, SERVICES[0]);
        for worker in 1..=ground.settings.workers {
            let gateway = 1 + worker % replicas_of(ground.settings.store, replicas);
            let (front, back) = (ground.at(third, worker, port), ground.at(1, gateway, port));
            let link = Link::open(front, back).await?;
            let name = format!("worker-{worker}");
            self.gateway_of.insert(name.clone(), format!("gateway-{gateway}"));
            let spec = Spec {
                program: ground.settings.worker.clone(),
                arguments: vec![
                    name.clone(),
                    format!("http://{front}"),
                    ledger.display().to_string(),
                    String::new(),
                ],
                ..ground.spec(&name)
            };
            let links = Links { front: None, postgres: None, redis: None, gateway: Some(link) };
            let member = Member::start(&name, Program::Plain(spec));
            self.targets.push(Target { service: "worker", member, links });
        }
        Ok(())
    }

    /// Waits until every service answers.
    async fn serving(&self) -> Result<(), Error> {
        let began = Instant::now();
        for target in &self.targets {
            let Some(link) = &target.links.front else { continue };
            while tokio::net::TcpStream::connect(link.back).await.is_err() {
                let (name, problem) = (&target.member.name, target.member.life().problem);
                if problem.is_some() || began.elapsed() > Duration::from_millis(READY_MS_MAX) {
                    let problem = problem.unwrap_or_default();
                    let said = self.last_words();
                    let text = format!("{name} does not answer {problem}\n{said}");
                    return Err(Error::Failed(text));
                }
                tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
            }
        }
        Ok(())
    }

    /// Ends everything: the services, then what they stand on.
    pub(super) async fn end(&self) {
        let grace = Duration::from_secs(12);
        let (below, above): (Vec<_>, Vec<_>) =
            self.targets.iter().partition(|target| ["postgres", "redis"].contains(&target.service));
        for targets in [above, below] {
            for target in &targets {
                target.member.end(grace);
            }
            for target in &targets {
                target.member.until(grace * 2, |life| life.pid.is_none()).await;
            }
        }
    }

    /// The last lines of every log.
    pub(super) fn last_words(&self) -> String {
        let mut text = String::new();
        for target in &self.targets {
            let name = &target.member.name;
            let said = process::tail(&self.folder.join(format!("{name}.log")), LOG_LINES);
            let _infallible = write!(text, "{name}\n{said}");
        }
        text
    }
}

impl Ground<'_> {
    fn spec(&self, name: &str) -> Spec {
        Spec {
            name: name.to_owned(),
            program: PathBuf::new(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            folder: self.folder.to_owned(),
            log: self.folder.join(format!("{name}.log")),
            user: None,
        }
    }

    fn planaria(&self, name: &str, service: &str, listen: SocketAddr, config: &Path) -> Spec {
        let listen = listen.to_string();
        let config = config.display().to_string();
        let data = self.folder.join("data").display().to_string();
        let words =
            ["serve", service, "--listen", &listen, "--config", &config, "--data-dir", &data];
        let arguments = words.map(str::to_owned).into();
        Spec { program: self.settings.planaria.clone(), arguments, ..self.spec(name) }
    }
}

/// One replica of each service where the store is a file.
fn replicas_of(store: Store, replicas: u8) -> u8 {
    if store == Store::Postgres { replicas } else { 1 }
}

/// Where everybody is, for everybody.
fn directory(ground: &Ground<'_>) -> String {
    let mut text = format!(
        "[telemetry]\nlevel = \"info\"\n\n[mesh]\nsecret = \"{SECRET}\"\n\n\
         [directory]\nworker = []\n"
    );
    for (third, (service, port, replicas)) in (1..).zip(SERVICES) {
        let count = replicas_of(ground.settings.store, replicas);
        let front = |replica| format!("\"http://{}\"", ground.at(third, replica, port));
        let fronts: Vec<_> = (1..=count).map(front).collect();
        let _infallible = writeln!(text, "{service} = [{}]", fronts.join(", "));
    }
    text
}

async fn started(member: &Member) -> Result<(), Error> {
    let limit = Duration::from_millis(READY_MS_MAX);
    let life = member.until(limit, |life| life.pid.is_some() || life.problem.is_some()).await;
    match life {
        Some(life) if life.pid.is_some() => Ok(()),
        life => {
            let problem = life.and_then(|life| life.problem).unwrap_or_default();
            Err(Error::Failed(format!("{} does not start: {problem}", member.name)))
        }
    }
}
