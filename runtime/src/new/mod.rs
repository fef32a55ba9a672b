//! Folders to begin with: `millrace new plugin`; and the SDK of one that is there: `millrace plugin renew`.
//!
//! Invariant: what is made builds without this repository, for the SDK and the contract come along. Of a folder that is
//! there nothing is written but the SDK's own, when that is asked for.

mod files;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::stage::plugin::build::{self, BuildError, Language};

const NAME_BYTES_MAX: usize = 64;
/// What the templates are called.
const TEMPLATE: &str = "my-plugin";
/// What no crate of an author's may be called: the SDK's crates beside it, the language's own, and its words.
const RUST_TAKEN: &str = "millrace-plugin millrace-plugin-derive alloc core proc-macro std test abstract as async await \
                          become box break const continue crate do dyn else enum extern false final fn for gen if impl \
                          in let loop macro match mod move mut override priv pub ref return self static struct super \
                          trait true try type typeof unsafe unsized use virtual where while yield";
/// Of a plugin's folder, the SDK's.
const SDK: &str = "millrace";

#[derive(Debug)]
pub enum NewError {
    Name(String),
    Taken(String),
    IsThere(PathBuf),
    NoPlugin(BuildError),
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
            NewError::Taken(name) => {
                write!(f, "`{name}` cannot be the name of a crate: it is one of Rust's own, or of the SDK's")
            }
            NewError::IsThere(folder) => {
                write!(f, "{} is there already: choose another name, or remove it", folder.display())
            }
            NewError::NoPlugin(error) => error.fmt(f),
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
    if language == Language::Rust && RUST_TAKEN.split(' ').any(|taken| taken == name) {
        return Err(NewError::Taken(name));
    }
    if folder.exists() {
        return Err(NewError::IsThere(folder.to_owned()));
    }
    let tools = build::tools(language).map(|(tool, install)| {
        format!("{tool} builds it, from the folder `.millrace` here or in a folder above:\n\n```sh\n{install}\n```\n\n")
    });
    let filled = |text: &str| {
        let text = text.replace(TEMPLATE, &name);
        let text = text.replace("SOURCE", files::source(language)).replace("FUEL", &files::fuel(language));
        text.replace("TOOLS", tools.as_deref().unwrap_or_default())
    };
    for (file, text) in files::template(language) {
        write(&folder.join(file), &filled(text))?;
    }
    write_sdk(&folder.join(SDK), language)?;
    Ok(files::template(language).map(|(file, _)| folder.join(file)).collect())
}

/// The SDK in a plugin's folder as this binary has it; its folder.
pub fn renew(folder: &Path) -> Result<PathBuf, NewError> {
    let sdk = folder.join(SDK);
    let language =
        build::language_of(folder).ok_or_else(|| NewError::NoPlugin(BuildError::NotAPlugin(folder.to_owned())))?;
    // beside it first: what was there is there until all of the new one is
    let new = folder.join(".millrace-sdk");
    let replaced = |cause| NewError::Write { file: sdk.clone(), cause };
    if new.exists() {
        fs::remove_dir_all(&new).map_err(replaced)?;
    }
    write_sdk(&new, language)?;
    // a link, as this repository's own plugins have it, leads to an SDK that is not this plugin's
    if sdk.is_symlink() {
        fs::remove_file(&sdk).map_err(replaced)?;
    } else if sdk.exists() {
        fs::remove_dir_all(&sdk).map_err(replaced)?;
    }
    fs::rename(&new, &sdk).map_err(replaced)?;
    Ok(sdk)
}

fn write_sdk(folder: &Path, language: Language) -> Result<(), NewError> {
    files::sdk(language).iter().try_for_each(|(file, text)| write(&folder.join(file), &alone(text)))
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
    }

    #[test]
    fn the_sdk_alone_is_made_anew() {
        let above = std::env::temp_dir().join(format!("millrace-renew-{}", std::process::id()));
        let folder = above.join("mine");
        plugin(&folder, Language::Python).expect("a folder of our own");
        fs::write(folder.join("main.py"), "# an author's").expect("our folder");
        fs::write(folder.join("millrace/guest.py"), "# of another version").expect("our folder");
        fs::write(folder.join("millrace/old.py"), "").expect("our folder");
        assert_eq!(renew(&folder).expect("a plugin"), folder.join("millrace"));
        let read = |file: &str| fs::read_to_string(folder.join(file)).expect(file);
        assert_eq!((read("main.py").as_str(), folder.join("millrace/old.py").exists()), ("# an author's", false));
        let (_, guest) = files::sdk(Language::Python).iter().find(|(file, _)| *file == "guest.py").expect("of the SDK");
        assert_eq!(read("millrace/guest.py"), *guest);
        // an SDK that several plugins share is nobody's to replace
        fs::rename(folder.join("millrace"), above.join("shared")).expect("our folder");
        std::os::unix::fs::symlink("../shared", folder.join("millrace")).expect("our folder");
        fs::write(above.join("shared/old.py"), "").expect("our folder");
        renew(&folder).expect("a plugin");
        assert!(!folder.join("millrace").is_symlink() && above.join("shared/old.py").exists());
        let none = renew(&above).expect_err("no plugin").to_string();
        assert!(none.ends_with("a plugin's folder has one of Cargo.toml, main.py, main.js"), "{none}");
        fs::remove_dir_all(&above).expect("our folder");
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
        for taken in ["millrace-plugin", "core", "match", "fn"] {
            let named = plugin(&Path::new("/nowhere").join(taken), Language::Rust).expect_err("taken").to_string();
            assert_eq!(
                named,
                format!("`{taken}` cannot be the name of a crate: it is one of Rust's own, or of the SDK's")
            );
        }
    }
}
