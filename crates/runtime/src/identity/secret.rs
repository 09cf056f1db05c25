//! The mesh's secret: given, read from a file, or made once in the data folder.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::Error;

/// The file in the data folder, when nothing else is said.
const FILE: &str = "mesh.secret";
/// The shortest secret: 128 bits in hexadecimal.
const SECRET_BYTES_MIN: usize = 32;
/// Of a secret that is made here.
const RANDOM_BYTES: usize = 32;

/// Section `[mesh]`: what proves that a call comes from a service of this mesh.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MeshSettings {
    /// The secret itself, at least 32 bytes; the same for every service of a mesh.
    #[serde(serialize_with = "hidden")]
    pub secret: String,
    /// A file that holds it. Neither: `mesh.secret` in the data folder, made on first use.
    pub secret_file: PathBuf,
    /// The clocks of the machines may differ by this.
    pub clock_skew_ms_max: u64,
}

impl Default for MeshSettings {
    fn default() -> Self {
        Self { secret: String::new(), secret_file: PathBuf::new(), clock_skew_ms_max: 30_000 }
    }
}

impl fmt::Debug for MeshSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("MeshSettings");
        debug.field("secret_file", &self.secret_file).finish_non_exhaustive()
    }
}

/// Settings are printed; a secret is not.
fn hidden<S: serde::Serializer>(secret: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if secret.is_empty() { "" } else { "(hidden)" })
}

/// Signs and verifies; cheap to clone, and never printed.
///
/// The default is known to everybody who reads this file: services that are built by hand, as
/// tests do, understand each other. A host that serves others sets another one, always.
#[derive(Clone)]
pub struct Secret {
    keyed: Hmac<Sha256>,
    skew_ms_max: u64,
}

impl Default for Secret {
    fn default() -> Self {
        Self::keyed(b"planaria: known to everybody, for tests alone")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Secret {
    /// A secret that was given.
    ///
    /// # Errors
    /// It is too short to be one.
    pub fn new(secret: &str) -> Result<Self, Error> {
        let secret = secret.trim();
        if secret.len() < SECRET_BYTES_MIN {
            let text = format!("it must have at least {SECRET_BYTES_MIN} bytes");
            return Err(Error::Secret { place: "[mesh] secret".into(), why: text });
        }
        Ok(Self::keyed(secret.as_bytes()))
    }

    /// The secret that the settings speak of; made in the data folder if they speak of none and
    /// there is none yet. However many processes do that at once, they get the same.
    ///
    /// # Errors
    /// The file cannot be read or made, can be read by others, or holds no secret.
    pub fn load(settings: &MeshSettings, data_dir: &Path) -> Result<Self, Error> {
        let secret = if !settings.secret.is_empty() {
            Self::new(&settings.secret)?
        } else if settings.secret_file.as_os_str().is_empty() {
            let path = data_dir.join(FILE);
            if !path.exists() {
                make(&path)?;
            }
            read(&path)?
        } else {
            read(&settings.secret_file)?
        };
        Ok(Self { skew_ms_max: settings.clock_skew_ms_max, ..secret })
    }

    fn keyed(secret: &[u8]) -> Self {
        let keyed = Hmac::new_from_slice(secret).expect("HMAC takes keys of any length");
        Self { keyed, skew_ms_max: MeshSettings::default().clock_skew_ms_max }
    }

    /// The clocks of the mesh may differ by this.
    pub(super) const fn skew_ms_max(&self) -> u64 {
        self.skew_ms_max
    }

    pub(super) fn sign(&self, purpose: &str, text: &str) -> [u8; 32] {
        self.mac(purpose, text).finalize().into_bytes().into()
    }

    /// In constant time, whatever was given.
    pub(super) fn verifies(&self, purpose: &str, text: &str, given: &[u8]) -> bool {
        self.mac(purpose, text).verify_slice(given).is_ok()
    }

    fn mac(&self, purpose: &str, text: &str) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(purpose.as_bytes());
        mac.update(text.as_bytes());
        mac
    }

    /// A key that only the mesh's own processes can know, by a name: with it a service that is a
    /// client of the gateway, such as the built-in worker, proves itself like any client.
    #[must_use]
    pub fn derived_key(&self, name: &str) -> String {
        let secret = URL_SAFE_NO_PAD.encode(self.sign("planaria-derived-key:", name));
        format!("planaria_mesh-{name}_{secret}")
    }
}

fn refuse(path: &Path, why: impl Into<String>) -> Error {
    Error::Secret { place: path.display().to_string(), why: why.into() }
}

fn read(path: &Path) -> Result<Secret, Error> {
    let text = fs::read_to_string(path).map_err(|error| refuse(path, error.to_string()))?;
    Secret::new(&text).map_err(|_| {
        refuse(path, format!("it must hold at least {SECRET_BYTES_MIN} bytes of text"))
    })
}

/// Made beside its place and linked into it, so that nobody reads half of it and the first wins.
fn make(path: &Path) -> Result<(), Error> {
    let failed = |error: std::io::Error| refuse(path, error.to_string());
    let random: [u8; RANDOM_BYTES] = rand::random();
    let mark: u64 = rand::random();
    let draft = path.with_extension(format!("{mark:016x}"));
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
    let text = format!("{}\n", URL_SAFE_NO_PAD.encode(random));
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(error)),
        _ => removed.map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn load(data_dir: &Path) -> Secret {
        Secret::load(&MeshSettings::default(), data_dir).unwrap()
    }

    #[test]
    fn processes_that_share_a_folder_agree_however_they_start() {
        let data_dir = tempfile::tempdir().unwrap();
        let folder = data_dir.path();
        let keys: Vec<String> = std::thread::scope(|scope| {
            let start = || scope.spawn(|| load(folder).derived_key("worker"));
            let started: Vec<_> = (0..16).map(|_| start()).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn another_folder_another_secret() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = folders.each_ref().map(|folder| load(folder.path()).derived_key("w"));
        assert_ne!(one, other);
        assert_ne!(one, Secret::default().derived_key("w"));
    }

    #[test]
    fn what_is_no_secret_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("short");
        fs::write(&path, "short").unwrap();
        let short = MeshSettings { secret: "short".into(), ..MeshSettings::default() };
        let file = MeshSettings { secret_file: path, ..MeshSettings::default() };
        let none = MeshSettings { secret_file: "/nowhere/s".into(), ..MeshSettings::default() };
        for (settings, place) in [(short, "[mesh] secret"), (file, "short"), (none, "/nowhere/s")] {
            let error = Secret::load(&settings, folder.path()).unwrap_err().to_string();
            assert!(error.contains(place) && !error.contains("short short"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let settings = MeshSettings { secret: "s3cr3t".repeat(6), ..MeshSettings::default() };
        let printed = format!("{settings:?} {}", toml::to_string(&settings).unwrap());
        assert!(!printed.contains("s3cr3t"), "{printed}");
        assert_eq!(format!("{:?}", Secret::default()), "Secret");
    }
}
