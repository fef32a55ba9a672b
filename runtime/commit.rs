//! For build scripts.

use std::process::Command;

/// The commit that this is built from, where it is built from a checkout, or is told so.
pub fn commit() -> Option<String> {
    println!("cargo::rerun-if-env-changed=MILLRACE_GIT");
    if let Ok(told) = std::env::var("MILLRACE_GIT") {
        return Some(told);
    }
    let git = |arguments: &[&str]| {
        let done = Command::new("git").args(arguments).output().ok().filter(|done| done.status.success())?;
        Some(String::from_utf8(done.stdout).ok()?.trim().to_owned())
    };
    println!("cargo::rerun-if-changed={}", git(&["rev-parse", "--git-path", "logs/HEAD"])?);
    git(&["rev-parse", "--short=12", "HEAD"])
}
