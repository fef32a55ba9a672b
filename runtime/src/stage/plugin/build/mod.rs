//! `millrace plugin build`: a folder with a plugin's source to the component in it, in whatever language it is.
//!
//! Invariant: the component is there whole or as it was. What a build needs and is not there is said with the command
//! that installs it.

mod javascript;
mod python;
mod rust;
mod sources;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::FUEL_PER_ROW_MAX;

/// What tells a plugin's language: the file that its folder holds.
const LANGUAGES: [(&str, Language); 3] =
    [("Cargo.toml", Language::Rust), ("main.py", Language::Python), ("main.js", Language::JavaScript)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Rust,
    Python,
    JavaScript,
}

/// An interpreter takes tens of thousands of instructions a row, and the rows of a call share what one may take.
const INTERPRETED_FUEL_PER_ROW_MAX: u64 = 20_000_000;

impl Language {
    /// What a row may cost where its author says nothing: `millrace new` writes it into the pipeline, and the commands
    /// for a plugin alone take it.
    pub fn fuel_per_row_max(self) -> u64 {
        match self {
            Language::Rust => FUEL_PER_ROW_MAX,
            Language::Python | Language::JavaScript => INTERPRETED_FUEL_PER_ROW_MAX,
        }
    }
}

#[derive(Debug)]
pub enum BuildError {
    NotAPlugin(PathBuf),
    NoToolchain {
        packages: Vec<&'static str>,
    },
    /// Something is not there that a language needs.
    Missing {
        what: &'static str,
        why: String,
        install: String,
    },
    Tool {
        tool: &'static str,
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
    /// Of the source, or of the component.
    File {
        file: PathBuf,
        cause: io::Error,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::NotAPlugin(folder) => {
                let files = LANGUAGES.map(|(file, _)| file).join(", ");
                let is_none = if folder.is_dir() { "holds no plugin" } else { "is no folder" };
                write!(f, "{} {is_none}: a plugin's folder has one of {files}", folder.display())
            }
            BuildError::NoToolchain { packages } => write!(
                f,
                "no Rust toolchain here builds for {target}.\nWith rustup: `rustup target add {target}`\nOn Debian: \
                 `apt-get install {}`",
                packages.join(" "),
                target = rust::TARGET
            ),
            BuildError::Missing { what, why, install } => {
                write!(f, "{what} is not there: {why}.\nInstall it: {install}")
            }
            BuildError::Tool { tool, cause } => write!(f, "{tool} did not build it: {cause}"),
            BuildError::NoModule { folder } => write!(
                f,
                "{} builds no module: its Cargo.toml needs `[lib]` with `crate-type = [\"cdylib\"]`",
                folder.display()
            ),
            BuildError::NotAComponent { module, cause } => {
                write!(f, "no component can be made of {}: {cause}", module.display())
            }
            BuildError::File { file, cause } => write!(f, "{}: {cause}", file.display()),
        }
    }
}

impl std::error::Error for BuildError {}

/// Builds the plugin in this folder; the component's file, `<folder>/<name of the folder>.wasm`.
pub fn build(folder: &Path) -> Result<PathBuf, BuildError> {
    let not_a_plugin = || BuildError::NotAPlugin(folder.to_owned());
    let folder = folder.canonicalize().map_err(|_| not_a_plugin())?;
    let language = language(&folder).ok_or_else(not_a_plugin)?;
    let file = component_of(&folder);
    let component = match language {
        Language::Rust => Some(rust::component(&folder)?),
        Language::Python => python::component(&folder, &file)?,
        Language::JavaScript => javascript::component(&folder, &file)?,
    };
    if let Some(component) = component {
        write(&file, &component).map_err(|cause| BuildError::File { file: file.clone(), cause })?;
    }
    Ok(file)
}

/// Of the plugin in this folder, or of the component that was built in one.
pub fn language_of(plugin: &Path) -> Option<Language> {
    let plugin = plugin.canonicalize().ok()?;
    match plugin.is_dir() {
        true => language(&plugin),
        false => plugin.parent().filter(|folder| component_of(folder) == plugin).and_then(language),
    }
}

fn language(folder: &Path) -> Option<Language> {
    LANGUAGES.iter().find(|(file, _)| folder.join(file).is_file()).map(|(_, language)| *language)
}

/// Where the component of a plugin is, which is named by its folder or by itself; it may not be there.
pub fn component_of(plugin: &Path) -> PathBuf {
    let folder = plugin.canonicalize().unwrap_or_else(|_| plugin.to_owned());
    match folder.file_name().filter(|_| folder.is_dir()) {
        Some(name) => plugin.join(name).with_added_extension("wasm"),
        None => plugin.to_owned(),
    }
}

/// The folder of a plugin, or of the component that should be in one.
pub fn folder_of(plugin: &Path) -> Option<&Path> {
    let folder = match plugin.parent() {
        _ if plugin.is_dir() => plugin,
        // a file's name alone is one here
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        parent => parent?,
    };
    language(folder).map(|_| folder)
}

/// What builds a language that Rust's toolchain does not, and the command that installs it, in the plugin's folder.
pub fn tools(language: Language) -> Option<(&'static str, String)> {
    match language {
        Language::Rust => None,
        Language::Python => Some((python::TOOL, python::install(Path::new("")))),
        Language::JavaScript => Some((javascript::TOOL, javascript::install(Path::new("")))),
    }
}

/// Whole or not at all.
fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = file.with_added_extension(format!("{}.new", std::process::id()));
    let written = fs::write(&new, bytes).and_then(|()| fs::File::open(&new)?.sync_all());
    let renamed = written.and_then(|()| fs::rename(&new, file));
    if renamed.is_err() {
        // what is left of it is of no use; the error that matters is the first
        let _ = fs::remove_file(&new);
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plugin() {
        let said = build(Path::new("/nowhere")).expect_err("no folder").to_string();
        assert_eq!(said, "/nowhere is no folder: a plugin's folder has one of Cargo.toml, main.py, main.js");
        let missing = BuildError::NoToolchain { packages: vec!["rust-web-src", "lld"] }.to_string();
        assert!(missing.ends_with("On Debian: `apt-get install rust-web-src lld`"), "{missing}");
    }

    #[test]
    fn a_component_is_of_the_folders_language() {
        let folder = std::env::temp_dir().join(format!("millrace-language-{}", std::process::id()));
        fs::create_dir_all(folder.join("p")).expect("a folder of our own");
        for file in ["p/main.py", "p/p.wasm", "p/other.wasm", "alone.wasm"] {
            fs::write(folder.join(file), "").expect("our folder");
        }
        for (plugin, language) in
            [("p", Some(Language::Python)), ("p/p.wasm", Some(Language::Python)), ("p/other.wasm", None), ("x", None)]
        {
            assert_eq!(language_of(&folder.join(plugin)), language, "{plugin}");
        }
        assert_eq!(language_of(&folder.join("alone.wasm")), None);
        fs::remove_dir_all(&folder).expect("our folder");
    }

    #[test]
    fn written_whole_over_what_was_there() {
        let folder = std::env::temp_dir().join(format!("millrace-write-{}", std::process::id()));
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
