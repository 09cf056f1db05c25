//! Packages of Debian, installed where this program may.

use std::path::Path;

use crate::process::{Outcome, Program};

/// Installs packages; an error says how somebody else can.
pub(crate) fn install(root: &Path, packages: &[&str]) -> Outcome {
    let by_hand = format!("apt-get install {}", packages.join(" "));
    if Program::new("id").arguments(&["-u"]).quiet(root)? != "0" {
        return Err(format!("as root: {by_hand}"));
    }
    println!("{by_hand}");
    let apt = || Program::new("apt-get").variable("DEBIAN_FRONTEND", "noninteractive");
    apt().arguments(&["update", "-q"]).minutes_max(5).quiet(root)?;
    let install = ["install", "-q", "-y", "--no-install-recommends"];
    apt().arguments(&install).arguments(packages).minutes_max(10).quiet(root)
}
