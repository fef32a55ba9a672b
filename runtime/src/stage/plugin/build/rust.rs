//! Rust: cargo makes a module for wasm32-unknown-unknown, and this a component of it.
//!
//! Invariant: the same source and toolchain make the same bytes, wherever the folder lies.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use wit_component::ComponentEncoder;

use super::BuildError;

pub const TARGET: &str = "wasm32-unknown-unknown";

/// Where Debian's rustc-web, cargo-web, rust-web-src and lld put what is needed, and what brings it.
const DEBIAN_BIN: &str = "/usr/bin";
const DEBIAN: [(&str, &str); 4] = [
    ("/usr/bin/rustc", "rustc-web"),
    ("/usr/bin/cargo", "cargo-web"),
    ("/usr/lib/rustlib/src/rust/library/std/Cargo.toml", "rust-web-src"),
    ("/usr/bin/wasm-ld", "lld"),
];

/// Set from outside they would make another component, or use another toolchain than the one that was found.
const NOT_INHERITED: [&str; 9] = [
    "CARGO",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// As in `plugins/Cargo.toml`: plugins live elsewhere too.
const PROFILE: [&str; 4] = [
    "profile.release.codegen-units=1",
    "profile.release.lto=\"fat\"",
    "profile.release.panic=\"abort\"",
    "profile.release.strip=true",
];

/// Of the plugin in this folder.
pub fn component(folder: &Path) -> Result<Vec<u8>, BuildError> {
    let module = module(folder)?;
    encode(&module).map_err(|cause| BuildError::NotAComponent { module: module.clone(), cause: format!("{cause:#}") })
}

fn encode(module: &Path) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let module = fs::read(module)?;
    Ok(ComponentEncoder::default().validate(true).module(&module)?.encode()?)
}

/// Runs cargo in the folder; the module that it made.
fn module(folder: &Path) -> Result<PathBuf, BuildError> {
    let toolchain = Toolchain::find(folder)?;
    let mut cargo = toolchain.cargo();
    cargo.current_dir(folder).args(["build", "--release", "--target", TARGET]);
    cargo.arg("--message-format=json-render-diagnostics");
    PROFILE.iter().for_each(|setting| {
        cargo.args(["--config", setting]);
    });
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(&workspace(&toolchain, folder)));
    let cannot = |cause: String| BuildError::Tool { tool: "cargo", cause };
    let built = cargo.stderr(Stdio::inherit()).output().map_err(|error| cannot(error.to_string()))?;
    if !built.status.success() {
        return Err(cannot(format!("{}; its words are above", built.status)));
    }
    let manifest = folder.join("Cargo.toml");
    let artifacts = built.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let module = artifacts.filter_map(|artifact: Value| module_of(&artifact, &manifest)).next_back();
    module.ok_or_else(|| BuildError::NoModule { folder: folder.to_owned() })
}

/// The file, where this line of cargo's is about the plugin's cdylib.
fn module_of(artifact: &Value, manifest: &Path) -> Option<PathBuf> {
    let of_plugin = artifact["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest);
    let files = artifact["filenames"].as_array().filter(|_| of_plugin)?;
    let mut files = files.iter().filter_map(Value::as_str).map(PathBuf::from);
    files.find(|file| file.extension() == Some(OsStr::new("wasm")))
}

/// The folder of the plugin's workspace: what tells two checkouts apart is above it.
fn workspace(toolchain: &Toolchain, folder: &Path) -> PathBuf {
    let mut cargo = toolchain.cargo();
    cargo.current_dir(folder).args(["locate-project", "--workspace", "--message-format=plain"]);
    let manifest = cargo.output().ok().map(|located| PathBuf::from(String::from_utf8_lossy(&located.stdout).trim()));
    // without one, building says what is wrong with the manifest
    manifest.as_deref().and_then(Path::parent).unwrap_or(folder).to_owned()
}

/// Panics name their source files: without the folders of this machine.
fn flags(workspace: &Path) -> OsString {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let mut flags = OsString::new();
    for (from, to) in [(workspace, "plugin"), (&cargo_home, "cargo")] {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push(format!("={to}"));
    }
    flags
}

enum Toolchain {
    /// The one in PATH has the target's library.
    Installed,
    /// Debian's, which brings the library's source.
    Debian,
}

impl Toolchain {
    fn find(folder: &Path) -> Result<Toolchain, BuildError> {
        if has_target(folder) {
            return Ok(Toolchain::Installed);
        }
        let missing = DEBIAN.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package);
        let packages: Vec<_> = missing.collect();
        if packages.is_empty() { Ok(Toolchain::Debian) } else { Err(BuildError::NoToolchain { packages }) }
    }

    fn cargo(&self) -> Command {
        let mut cargo = match self {
            Toolchain::Installed => Command::new("cargo"),
            Toolchain::Debian => Command::new(Path::new(DEBIAN_BIN).join("cargo")),
        };
        NOT_INHERITED.iter().for_each(|name| {
            cargo.env_remove(name);
        });
        if let Toolchain::Debian = self {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = [PathBuf::from(DEBIAN_BIN)].into_iter().chain(std::env::split_paths(&path));
            cargo.env("PATH", std::env::join_paths(folders).unwrap_or(path.clone()));
            // -Z is not stable, and Debian's is a stable compiler
            cargo.env("RUSTC_BOOTSTRAP", "1");
            cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld");
            cargo.arg("-Zbuild-std=std,panic_abort");
        }
        cargo
    }
}

/// Has the toolchain of this folder the target's standard library?
fn has_target(folder: &Path) -> bool {
    let mut rustc = Command::new("rustc");
    NOT_INHERITED.iter().for_each(|name| {
        rustc.env_remove(name);
    });
    let asked = rustc.current_dir(folder).args(["--print", "target-libdir", "--target", TARGET]).output();
    asked.is_ok_and(|asked| {
        let folder = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        asked.status.success() && Path::new(&folder).is_dir()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_module_among_what_cargo_says() {
        let manifest = Path::new("/p/Cargo.toml");
        let artifact =
            |path: &str, files: &[&str]| module_of(&json!({ "manifest_path": path, "filenames": files }), manifest);
        assert_eq!(artifact("/p/Cargo.toml", &["/t/p.wasm"]), Some("/t/p.wasm".into()));
        assert_eq!(artifact("/p/Cargo.toml", &["/t/libp.rlib"]), None);
        assert_eq!(artifact("/sdk/Cargo.toml", &["/t/sdk.wasm"]), None);
        assert_eq!(module_of(&json!({ "reason": "build-finished" }), manifest), None);
    }
}
