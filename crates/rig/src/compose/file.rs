//! The keys of a compose file that are understood. Others are errors.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::Value;

use super::interpolate::{self, Lookup};
use crate::Error;

/// A compose file with its variables replaced.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// By their host names.
    pub services: BTreeMap<String, Service>,
    /// Named volumes; here each is a folder.
    #[serde(default)]
    pub volumes: BTreeMap<String, Option<Empty>>,
}

/// What has no keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// One service, in any number of replicas.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The name of its image.
    pub image: String,
    /// How the image is built, if this repository builds it.
    #[serde(default)]
    pub build: Option<Build>,
    /// What its entry point is called with.
    #[serde(default)]
    pub command: Vec<String>,
    /// Its environment.
    #[serde(default, deserialize_with = "environment")]
    pub environment: BTreeMap<String, String>,
    /// Ports of the host that lead to it; not opened here.
    #[serde(default)]
    pub ports: Vec<String>,
    /// `volume:/folder` or `./file:/file:ro`.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// What must run before it.
    #[serde(default)]
    pub depends_on: BTreeMap<String, Dependency>,
    /// How its health is asked.
    #[serde(default)]
    pub healthcheck: Option<Healthcheck>,
    /// Whether it is started again when it ends.
    #[serde(default)]
    pub restart: Restart,
    /// It runs only if one of these is wanted.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// How long it may take to end.
    #[serde(default, deserialize_with = "duration")]
    pub stop_grace_period: Option<Duration>,
}

/// The image that this repository builds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The folder that is sent to the engine.
    pub context: String,
    /// Within it.
    pub dockerfile: String,
}

/// How far another service must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// Started, or healthy.
    pub condition: Condition,
}

/// How far a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its process runs.
    ServiceStarted,
    /// Its health check succeeded.
    ServiceHealthy,
}

/// What becomes of a service that ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It stays away.
    #[default]
    No,
    /// It is started again.
    UnlessStopped,
}

/// How its health is asked, from inside of the container.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Healthcheck {
    /// `CMD` with words, or `CMD-SHELL` with a text.
    pub test: Vec<String>,
    /// How often.
    #[serde(default, deserialize_with = "duration")]
    pub interval: Option<Duration>,
    /// How long one may take.
    #[serde(default, deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// Failures do not count before this.
    #[serde(default, deserialize_with = "duration")]
    pub start_period: Option<Duration>,
    /// So many failures in a row make it unhealthy.
    #[serde(default)]
    pub retries: Option<u32>,
}

impl File {
    /// Reads a file; variables come from this process's environment.
    ///
    /// # Errors
    /// It cannot be read, is not YAML, has a key that is not understood, or lacks a variable.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
        #[expect(clippy::disallowed_methods, reason = "as compose does")]
        let file = Self::parse(&text, &|name| std::env::var(name).ok());
        file.map_err(|problem| Error::Refused(format!("{}: {problem}", path.display())))
    }

    fn parse(text: &str, lookup: Lookup<'_>) -> Result<Self, String> {
        let document: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let mut document = interpolate::document(document, lookup)?;
        if let Some(members) = document.as_object_mut() {
            members.retain(|key, _| !key.starts_with("x-"));
        }
        let services = document.get("services").and_then(Value::as_object);
        // One by one, so that an error names its service.
        for (name, service) in services.into_iter().flatten() {
            let checked: Result<Service, _> = serde_json::from_value(service.clone());
            checked.map_err(|error| format!("service {name}: {error}"))?;
        }
        let file: Self = serde_json::from_value(document).map_err(|error| error.to_string())?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), String> {
        for (name, service) in &self.services {
            for dependency in service.depends_on.keys() {
                if !self.services.contains_key(dependency) {
                    return Err(format!("service {name} depends on {dependency}, which is none"));
                }
            }
            let named = service.volumes.iter().filter_map(|volume| volume.split(':').next());
            for volume in named.filter(|volume| !volume.starts_with(['.', '/'])) {
                if !self.volumes.contains_key(volume) {
                    return Err(format!("service {name}: there is no volume {volume}"));
                }
            }
        }
        Ok(())
    }

    /// The services that run when these profiles are wanted.
    #[must_use]
    pub fn active(&self, profiles: &[&str]) -> BTreeMap<&str, &Service> {
        let wanted = |service: &Service| {
            let profile = |profile: &String| profiles.contains(&profile.as_str());
            service.profiles.is_empty() || service.profiles.iter().any(profile)
        };
        let services = self.services.iter().filter(|(_, service)| wanted(service));
        services.map(|(name, service)| (name.as_str(), service)).collect()
    }
}

fn environment<'de, D>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
    let text = |(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Number(number) => Ok((name, number.to_string())),
        Value::Bool(truth) => Ok((name, truth.to_string())),
        _ => Err(D::Error::custom(format!("{name} must be a text, a number or a truth value"))),
    };
    values.into_iter().map(text).collect()
}

/// `1m30s`, `500ms`.
fn duration<'de, D>(deserializer: D) -> Result<Option<Duration>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    let mut rest = text.as_str();
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let number: u64 = number.parse().map_err(|_| D::Error::custom(format!("`{text}`")))?;
        sum += match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number * 60),
            _ => return Err(D::Error::custom(format!("`{text}` is not such as 1m30s"))),
        };
        rest = after;
    }
    Ok(Some(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "
x-base: &base
  restart: unless-stopped
  environment: &environment { LEVEL: '${LEVEL:-info}', PORT: 1 }
services:
  one:
    <<: *base
    image: postgres:17
    volumes: ['data:/data']
    healthcheck: { test: [CMD, check], interval: 1m30s, timeout: 500ms }
  two:
    <<: *base
    image: redis:8
    environment: { <<: *environment, MORE: true }
    depends_on: { one: { condition: service_healthy } }
    profiles: [extra]
volumes: { data: }
";

    fn parse(text: &str) -> Result<File, String> {
        File::parse(text, &|name| (name == "LEVEL").then(|| "debug".to_owned()))
    }

    #[test]
    fn a_file_is_understood_with_its_anchors_and_variables() {
        let file = parse(SMALL).unwrap();
        let two = &file.services["two"];
        let environment = [("LEVEL", "debug"), ("MORE", "true"), ("PORT", "1")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(two.environment, BTreeMap::from(environment));
        assert_eq!(two.depends_on["one"].condition, Condition::ServiceHealthy);
        let check = file.services["one"].healthcheck.clone().unwrap();
        assert_eq!(check.interval, Some(Duration::from_secs(90)));
        assert_eq!(check.timeout, Some(Duration::from_millis(500)));
        assert_eq!(file.services["one"].restart, Restart::UnlessStopped);
        assert_eq!(file.active(&[]).len(), 1);
        assert_eq!(file.active(&["extra"]).len(), 2);
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_names_it() {
        let cases = [
            (
                "image: redis:8",
                "image: redis:8\n    privileged: true",
                "service two: unknown field `privileged`",
            ),
            ("volumes: { data: }", "networks: {}", "unknown field `networks`"),
            ("'data:/data'", "'date:/data'", "service one: there is no volume date"),
            ("depends_on: { one:", "depends_on: { none:", "service two depends on none"),
            ("1m30s", "soon", "service one: `soon`"),
            ("unless-stopped", "sometimes", "unknown variant `sometimes`"),
        ];
        for (before, after, expected) in cases {
            let problem = parse(&SMALL.replace(before, after)).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
