//! `millrace plugin build`: cargo makes a module for wasm32-unknown-unknown, and this a component of it.
//!
//! Invariant: the component is there whole or as it was; the same source and toolchain make the same bytes, wherever
//! the folder lies.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use wit_component::ComponentEncoder;

const TARGET: &str = "wasm32-unknown-unknown";

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

#[derive(Debug)]
pub enum BuildError {
    NotAPlugin(PathBuf),
    NoToolchain {
        packages: Vec<&'static str>,
    },
    Cargo {
        cause: String,
    },
    /// The package has no library of crate-type cdylib.
    NoModule {
        folder: PathBuf,
    },
    NotAComponent {
        module: PathBuf,
        cause: String,
    },
    Write {
        file: PathBuf,
        cause: std::io::Error,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::NotAPlugin(folder) => write!(f, "{} holds no Cargo.toml", folder.display()),
            BuildError::NoToolchain { packages } => write!(
                f,
                "no Rust toolchain here builds for {TARGET}.\nWith rustup: `rustup target add {TARGET}`\nOn Debian: \
                 `apt-get install {}`",
                packages.join(" ")
            ),
            BuildError::Cargo { cause } => write!(f, "cargo did not build it: {cause}"),
            BuildError::NoModule { folder } => write!(
                f,
                "{} builds no module: its Cargo.toml needs `[lib]` with `crate-type = [\"cdylib\"]`",
                folder.display()
            ),
            BuildError::NotAComponent { module, cause } => {
                write!(f, "no component can be made of {}: {cause}", module.display())
            }
            BuildError::Write { file, cause } => write!(f, "{} cannot be written: {cause}", file.display()),
        }
    }
}

impl std::error::Error for BuildError {}

/// Builds the plugin in this folder; the component's file, `<folder>/<name of the folder>.wasm`.
pub fn build(folder: &Path) -> Result<PathBuf, BuildError> {
    let not_a_plugin = || BuildError::NotAPlugin(folder.to_owned());
    let folder = folder.canonicalize().map_err(|_| not_a_plugin())?;
    let name = folder.file_name().filter(|_| folder.join("Cargo.toml").is_file()).ok_or_else(not_a_plugin)?;
    let module = module(&folder)?;
    let component = component(&module)
        .map_err(|cause| BuildError::NotAComponent { module: module.clone(), cause: format!("{cause:#}") })?;
    let file = folder.join(name).with_added_extension("wasm");
    write(&file, &component).map_err(|cause| BuildError::Write { file: file.clone(), cause })?;
    Ok(file)
}

/// Where the component of a plugin is, which is named by its folder or by itself; it may not be there.
pub fn component_of(plugin: &Path) -> PathBuf {
    let folder = plugin.canonicalize().unwrap_or_else(|_| plugin.to_owned());
    match folder.file_name().filter(|_| folder.is_dir()) {
        Some(name) => plugin.join(name).with_added_extension("wasm"),
        None => plugin.to_owned(),
    }
}

fn component(module: &Path) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let module = fs::read(module)?;
    Ok(ComponentEncoder::default().validate(true).module(&module)?.encode()?)
}

/// Whole or not at all.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = file.with_added_extension(format!("{}.new", std::process::id()));
    let written = fs::write(&new, bytes).and_then(|()| fs::File::open(&new)?.sync_all());
    let renamed = written.and_then(|()| fs::rename(&new, file));
    if renamed.is_err() {
        // what is left of it is of no use; the error that matters is the first
        let _ = fs::remove_file(&new);
    }
    renamed
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
    let cannot = |cause: String| BuildError::Cargo { cause };
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

    #[test]
    fn what_is_no_plugin() {
        let said = build(Path::new("/nowhere")).expect_err("no folder").to_string();
        assert_eq!(said, "/nowhere holds no Cargo.toml");
        let missing = BuildError::NoToolchain { packages: vec!["rust-web-src", "lld"] }.to_string();
        assert!(missing.ends_with("On Debian: `apt-get install rust-web-src lld`"), "{missing}");
    }

    #[test]
    fn written_whole_over_what_was_there() {
        let folder = std::env::temp_dir().join(format!("millrace-build-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder of our own");
        let file = folder.join("p.wasm");
        for bytes in [b"one", b"two"] {
            write(&file, bytes).expect("written");
            assert_eq!(fs::read(&file).expect("there"), bytes);
        }
        assert_eq!(fs::read_dir(&folder).expect("our folder").count(), 1);
        fs::remove_dir_all(&folder).expect("our folder");
    }
}
