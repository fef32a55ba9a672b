//! Folders to begin with: `millrace new plugin`.
//!
//! Invariant: what is made builds without this repository, for the SDK and the contract come along; a folder that is
//! there is never written to.

mod files;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::stage::plugin::build::{self, Language};

const NAME_BYTES_MAX: usize = 64;
/// What the templates are called.
const TEMPLATE: &str = "my-plugin";
const TEMPLATE_TYPE: &str = "MyPlugin";

#[derive(Debug)]
pub enum NewError {
    Name(String),
    IsThere(PathBuf),
    Write { file: PathBuf, cause: io::Error },
}

impl fmt::Display for NewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NewError::Name(name) => write!(
                f,
                "`{name}` cannot be the name of a plugin: expected small letters, digits and `-`, a letter first, no more \
                 than {NAME_BYTES_MAX}"
            ),
            NewError::IsThere(folder) => {
                write!(f, "{} is there already: choose another name, or remove it", folder.display())
            }
            NewError::Write { file, cause } => write!(f, "{} cannot be written: {cause}", file.display()),
        }
    }
}

impl std::error::Error for NewError {}

/// Makes the folder, which is named as the plugin is; the files in it, without the SDK's.
pub fn plugin(folder: &Path, language: Language) -> Result<Vec<PathBuf>, NewError> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !is_name(&name) {
        return Err(NewError::Name(name));
    }
    if folder.exists() {
        return Err(NewError::IsThere(folder.to_owned()));
    }
    let tools = build::tools(language).map(|(tool, install)| {
        format!("{tool} builds it, from the folder `.millrace` here or in a folder above:\n\n```sh\n{install}\n```\n\n")
    });
    let filled = |text: &str| {
        let text = text.replace(TEMPLATE, &name).replace(TEMPLATE_TYPE, &type_name(&name));
        let text = text.replace("SOURCE", files::source(language)).replace("FUEL", &files::fuel(language));
        text.replace("TOOLS", tools.as_deref().unwrap_or_default())
    };
    for (file, text) in files::template(language) {
        write(&folder.join(file), &filled(text))?;
    }
    for (file, text) in files::sdk(language) {
        write(&folder.join("millrace").join(file), &alone(text))?;
    }
    Ok(files::template(language).map(|(file, _)| folder.join(file)).collect())
}

/// The workspace of this repository's plugins, of which only the SDK comes along.
fn alone(text: &str) -> String {
    let line = |line: &str| match line.starts_with("members = [") {
        true => "members = [\"sdk\", \"sdk-derive\"]\n".to_owned(),
        false => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn write(file: &Path, text: &str) -> Result<(), NewError> {
    let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(file, text));
    written.map_err(|cause| NewError::Write { file: file.to_owned(), cause })
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && name.len() <= NAME_BYTES_MAX
}

/// `my-plugin` as types are named: `MyPlugin`.
fn type_name(name: &str) -> String {
    let parts = name.split('-').filter_map(|part| part.split_at_checked(1));
    parts.map(|(first, rest)| first.to_ascii_uppercase() + rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "flight-features", "v2", "a-"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "A", "2a", "-a", "a_b", "a b", "é", "..", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
        assert_eq!(type_name("flight-features-2"), "FlightFeatures2");
        assert_eq!(type_name("a-"), "A");
    }

    #[test]
    fn a_folder_that_is_there_stays_as_it_is() {
        let folder = std::env::temp_dir().join(format!("millrace-new-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder of our own");
        assert!(matches!(plugin(&folder, Language::Rust), Err(NewError::IsThere(_))));
        assert_eq!(fs::read_dir(&folder).expect("our folder").count(), 0);
        fs::remove_dir_all(&folder).expect("our folder");
        let named = plugin(Path::new("/nowhere/Bad Name"), Language::Rust).expect_err("no name");
        assert!(named.to_string().starts_with("`Bad Name` cannot be the name of a plugin: "), "{named}");
    }
}
