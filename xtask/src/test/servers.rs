//! Real servers for the tests: PostgreSQL and Redis, private to this run.

use std::path::{Path, PathBuf};

use planaria_test_servers::{Postgres, Redis, find_postgres, find_redis, postgres, redis};

use crate::debian;
use crate::process::{Outcome, Program};

/// Name the servers to the tests.
const POSTGRES: &str = "PLANARIA_TEST_POSTGRES_URL";
const REDIS: &str = "PLANARIA_TEST_REDIS_URL";

/// Both servers; they end with the value, and if this program is killed, soon after it.
pub(super) struct Servers {
    postgres: Postgres,
    redis: Redis,
    folder: PathBuf,
}

/// Whether both are installed, or are now.
pub(super) fn check(root: &Path) -> Outcome {
    let mut missing = String::new();
    if let Err(problem) = find_postgres()
        && let Err(by_hand) = debian::install(root, &["postgresql"])
    {
        missing += &format!("{problem}: {by_hand}\n");
    }
    if let Err(problem) = find_redis()
        && let Err(by_hand) = debian::install(root, &["redis-server"])
    {
        missing += &format!("{problem}: {by_hand}\n");
    }
    if !missing.is_empty() {
        return Err(missing);
    }
    let (_, major) = find_postgres()?;
    find_redis()?;
    Ok(format!("PostgreSQL {major}, Redis"))
}

/// Starts both.
pub(super) fn start() -> Result<Servers, String> {
    // Not below the repository: the server's own user must be able to come there.
    let name = format!("planaria-xtask-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let postgres = postgres(&folder)?;
    let redis = redis(&folder)?;
    Ok(Servers { postgres, redis, folder })
}

impl Servers {
    /// Tells a program where they are.
    pub(super) fn tell(&self, program: Program) -> Program {
        program.variable(POSTGRES, &self.postgres.url).variable(REDIS, &self.redis.url)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let stopped = [self.postgres.stop(), self.redis.stop()];
        for problem in stopped.into_iter().filter_map(Result::err) {
            println!("{problem}");
        }
        // What cannot be removed now is in the way of nobody.
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
