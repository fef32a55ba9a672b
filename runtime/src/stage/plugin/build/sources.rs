//! Sources of a plugin in a language that has no build system of its own here: found, compared with the component, and
//! laid out in a folder that holds nothing else, for the tools read no symbolic links.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use super::BuildError;

/// No source is in there; names that begin with a point are not looked into either.
const PASSED_OVER: [&str; 5] = ["__pycache__", "cases", "data", "node_modules", "target"];
const FILES_MAX: usize = 10_000;
const CONTRACT: &str = include_str!("../../../../../plugins/wit/plugin.wit");

/// Of one plugin: those with the language's extension.
pub struct Sources {
    folder: PathBuf,
    files: Vec<PathBuf>,
    newest: SystemTime,
}

/// The sources, and the contract, in a folder of their own, which goes when this goes.
pub struct Laid {
    pub sources: PathBuf,
    pub contract: PathBuf,
    folder: PathBuf,
}

impl Sources {
    pub fn find(folder: &Path, extension: &str) -> Result<Sources, BuildError> {
        let mut sources = Sources { folder: folder.to_owned(), files: Vec::new(), newest: SystemTime::UNIX_EPOCH };
        sources.look(folder, extension)?;
        Ok(sources)
    }

    fn look(&mut self, folder: &Path, extension: &str) -> Result<(), BuildError> {
        let cannot = |cause: io::Error| BuildError::File { file: folder.to_owned(), cause };
        for entry in fs::read_dir(folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') || PASSED_OVER.contains(&&*name) {
                continue;
            }
            if path.is_dir() {
                self.look(&path, extension)?;
            } else if path.extension().is_some_and(|found| found == extension) {
                let changed = fs::metadata(&path).and_then(|file| file.modified()).map_err(cannot)?;
                self.newest = self.newest.max(changed);
                self.files.push(path);
            }
            if self.files.len() > FILES_MAX {
                let cause = io::Error::other(format!("more than {FILES_MAX} files of source"));
                return Err(BuildError::File { file: self.folder.clone(), cause });
            }
        }
        Ok(())
    }

    /// Is the component younger than all that it is made of? Then it need not be built.
    pub fn are_older_than(&self, component: &Path) -> bool {
        let changed = fs::metadata(component).and_then(|file| file.modified());
        // of the same instant nobody knows
        changed.is_ok_and(|changed| self.newest < changed)
    }

    pub fn lay_out(&self) -> Result<Laid, BuildError> {
        let folder = std::env::temp_dir().join(format!("millrace-build-{}", uuid::Uuid::new_v4()));
        let laid = Laid { sources: folder.join("sources"), contract: folder.join("wit"), folder };
        self.copy(&laid).map_err(|cause| BuildError::File { file: laid.folder.clone(), cause })?;
        Ok(laid)
    }

    fn copy(&self, laid: &Laid) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(&laid.folder)?;
        fs::create_dir(&laid.contract)?;
        fs::write(laid.contract.join("plugin.wit"), CONTRACT)?;
        for file in &self.files {
            let to = laid.sources.join(file.strip_prefix(&self.folder).map_err(io::Error::other)?);
            to.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::copy(file, to)?;
        }
        Ok(())
    }
}

impl Laid {
    /// Where the tool leaves the component.
    pub fn component(&self) -> PathBuf {
        self.folder.join("component.wasm")
    }
}

impl Drop for Laid {
    fn drop(&mut self) {
        // the system's folder for what is temporary: left behind it does no harm
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A tool in the folder `.millrace` of the plugin, or of a folder above it.
pub fn tool(folder: &Path, name: &str) -> Option<PathBuf> {
    folder.ancestors().map(|above| above.join(".millrace").join(name)).find(|tool| tool.is_dir())
}

/// Runs it; the component that it left.
pub fn run(mut command: Command, tool: &'static str, laid: &Laid, program: Missing<'_>) -> Result<Vec<u8>, BuildError> {
    let Output { status, stdout, stderr } = match command.output() {
        Ok(done) => done,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(program()),
        Err(error) => return Err(BuildError::Tool { tool, cause: error.to_string() }),
    };
    if !status.success() {
        let said = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).join("\n");
        return Err(BuildError::Tool { tool, cause: format!("{status}\n{}", said.trim()) });
    }
    let component = laid.component();
    fs::read(&component).map_err(|cause| BuildError::File { file: component, cause })
}

/// What to say where the program that runs the tool is not there.
pub type Missing<'a> = &'a dyn Fn() -> BuildError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_source_and_what_is_not() {
        let folder = std::env::temp_dir().join(format!("millrace-sources-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        for file in ["main.py", "sdk/part.py", "cases/one/in.py", ".git/x.py", "main.js", "__pycache__/main.py"] {
            let file = folder.join("plugin").join(file);
            fs::create_dir_all(file.parent().expect("a folder")).expect("our folder");
            fs::write(file, "x = 1").expect("our folder");
        }
        let elsewhere = folder.join("elsewhere");
        fs::create_dir_all(&elsewhere).expect("our folder");
        fs::write(elsewhere.join("linked.py"), "y = 2").expect("our folder");
        std::os::unix::fs::symlink(&elsewhere, folder.join("plugin/linked")).expect("our folder");
        let component = folder.join("plugin/plugin.wasm");
        let sources = Sources::find(&folder.join("plugin"), "py").expect("sources");
        assert!(!sources.are_older_than(&component), "there is none");
        fs::write(&component, "").expect("our folder");
        let later = sources.newest + std::time::Duration::from_secs(1);
        fs::File::open(&component).and_then(|file| file.set_modified(later)).expect("our file");
        assert!(sources.are_older_than(&component));
        fs::File::open(elsewhere.join("linked.py")).and_then(|file| file.set_modified(later)).expect("our file");
        assert!(!Sources::find(&folder.join("plugin"), "py").expect("sources").are_older_than(&component));

        let laid = sources.lay_out().expect("a folder for them");
        for file in ["main.py", "sdk/part.py", "linked/linked.py"] {
            assert!(laid.sources.join(file).is_file(), "{file}");
        }
        assert_eq!(fs::read_dir(&laid.sources).expect("sources").count(), 3);
        assert!(!fs::symlink_metadata(laid.sources.join("linked")).expect("there").is_symlink());
        let gone = laid.folder.clone();
        drop(laid);
        assert!(!gone.exists());
        fs::remove_dir_all(&folder).expect("our folder");
    }

    #[test]
    fn tools_are_beside_the_plugin_or_above_it() {
        let folder = std::env::temp_dir().join(format!("millrace-tools-{}", std::process::id()));
        fs::create_dir_all(folder.join("plugins/mine")).expect("our folder");
        assert_eq!(tool(&folder.join("plugins/mine"), "a-tool"), None);
        for above in ["", "plugins", "plugins/mine"] {
            let there = folder.join(above).join(".millrace/a-tool");
            fs::create_dir_all(&there).expect("our folder");
            assert_eq!(tool(&folder.join("plugins/mine"), "a-tool"), Some(there));
        }
        fs::remove_dir_all(&folder).expect("our folder");
    }
}
