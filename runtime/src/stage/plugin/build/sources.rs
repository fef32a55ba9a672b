//! Sources of a plugin in a language that has no build system of its own here: found, compared with what the component
//! was made of, and laid out in a folder that holds nothing else, for the tools read no symbolic links.

use std::fs::{self, DirBuilder};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};

use super::BuildError;

/// Packages for the author's editor and tests, thousands of files; only at the top. Names that begin with a point are
/// not looked into either.
const PASSED_OVER: &str = "node_modules";
/// Where there is such a file, Python's own packages are, for the same.
const ENVIRONMENT: &str = "pyvenv.cfg";
const FILES_MAX: usize = 10_000;
/// A component may have as much.
const BYTES_MAX: usize = 64 << 20;
const CONTRACT: &str = include_str!("../../../../../plugins/wit/plugin.wit");

/// Of one plugin: those with the language's extension, as they were when they were found.
pub struct Sources {
    folder: PathBuf,
    /// In order of their paths, which are those in the folder.
    files: Vec<(PathBuf, Vec<u8>)>,
    bytes: usize,
}

/// The sources, and the contract, in a folder of their own, which goes when this goes.
pub struct Laid {
    pub sources: PathBuf,
    pub contract: PathBuf,
    folder: PathBuf,
}

impl Sources {
    pub fn find(folder: &Path, extension: &str) -> Result<Sources, BuildError> {
        let mut sources = Sources { folder: folder.to_owned(), files: Vec::new(), bytes: 0 };
        sources.look(folder, extension)?;
        sources.files.sort();
        Ok(sources)
    }

    fn look(&mut self, folder: &Path, extension: &str) -> Result<(), BuildError> {
        let at = |file: &Path| {
            let file = file.to_owned();
            move |cause: io::Error| BuildError::File { file, cause }
        };
        for entry in fs::read_dir(folder).map_err(at(folder))? {
            let path = entry.map_err(at(folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') || (name == PASSED_OVER && folder == self.folder) {
                continue;
            }
            if path.join(ENVIRONMENT).is_file() {
                continue;
            }
            if path.is_dir() {
                self.look(&path, extension)?;
            } else if path.extension().is_some_and(|found| found == extension) {
                self.add(&path).map_err(at(&path))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, file: &Path) -> io::Result<()> {
        let source = fs::read(file)?;
        self.bytes += source.len();
        self.files.push((file.strip_prefix(&self.folder).map_err(io::Error::other)?.to_owned(), source));
        if self.files.len() > FILES_MAX {
            return Err(io::Error::other(format!("it is one of more than {FILES_MAX} files of source")));
        }
        if self.bytes > BYTES_MAX {
            return Err(io::Error::other(format!("with it there are more than {} MiB of source", BYTES_MAX >> 20)));
        }
        Ok(())
    }

    /// What tells the components of two builds apart: sources, contract, and how they were built.
    pub fn mark(&self, built_by: &[&str]) -> Mark {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            // where a part ends is a part of it
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(CONTRACT.as_bytes());
        built_by.iter().for_each(|how| part(how.as_bytes()));
        for (path, source) in &self.files {
            part(path.as_os_str().as_encoded_bytes());
            part(source);
        }
        Mark(hash.finalize().into())
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
        for (file, source) in &self.files {
            let to = laid.sources.join(file);
            to.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(to, source)?;
        }
        Ok(())
    }
}

/// What a component was made of: a hash, in a section at its end that no engine looks into. So it goes wherever the
/// component goes, and an older one that was put back is known for what it is.
pub struct Mark([u8; 32]);

const MARK_NAME: &[u8] = b"millrace:built-of";

impl Mark {
    pub fn put_on(&self, mut component: Vec<u8>) -> Vec<u8> {
        component.extend(self.section());
        component
    }

    /// Is the component of this mark? Then it need not be built.
    pub fn is_on(&self, component: &Path) -> bool {
        let section = self.section();
        let mut end = Vec::new();
        let read = fs::File::open(component).and_then(|mut file| {
            file.seek(SeekFrom::End(-(section.len() as i64)))?;
            file.read_to_end(&mut end)
        });
        read.is_ok() && end == section
    }

    /// A custom section, as WebAssembly has it: 0, how long it is, its name and what is in it.
    fn section(&self) -> Vec<u8> {
        // these lengths are below 128: one byte each
        let length = 1 + MARK_NAME.len() + self.0.len();
        [&[0, length as u8, MARK_NAME.len() as u8], MARK_NAME, &self.0].concat()
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

    fn folder(name: &str, files: &[&str]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("millrace-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        for file in files {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().expect("a folder")).expect("our folder");
            fs::write(file, "x = 1").expect("our folder");
        }
        folder
    }

    #[test]
    fn what_is_source_and_what_is_not() {
        let sources =
            ["main.py", "sdk/part.py", "data/__init__.py", "cases/one/in.py", "target/a.py", "sdk/node_modules/b.py"];
        let others =
            [".git/x.py", "main.js", "__pycache__/main.pyc", "node_modules/c.py", "env/pyvenv.cfg", "env/lib/pip.py"];
        let files = sources.iter().chain(&others).map(|file| format!("plugin/{file}"));
        let files: Vec<_> = files.chain(["elsewhere/linked.py".to_owned()]).collect();
        let folder = folder("sources", &files.iter().map(|file| &**file).collect::<Vec<_>>());
        let elsewhere = folder.join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, folder.join("plugin/linked")).expect("our folder");

        let found = Sources::find(&folder.join("plugin"), "py").expect("sources");
        let laid = found.lay_out().expect("a folder for them");
        for file in sources.iter().chain(&["linked/linked.py"]) {
            assert!(laid.sources.join(file).is_file(), "{file}");
        }
        assert_eq!(found.files.len(), sources.len() + 1);
        assert!(!fs::symlink_metadata(laid.sources.join("linked")).expect("there").is_symlink());
        let gone = laid.folder.clone();
        drop(laid);
        assert!(!gone.exists());
        fs::remove_dir_all(&folder).expect("our folder");
    }

    #[test]
    fn a_component_is_known_by_what_it_was_made_of() {
        let folder = folder("mark", &["main.py", "part.py"]);
        let component = folder.join("p.wasm");
        let is_new = |how: &[&str]| Sources::find(&folder, "py").expect("sources").mark(how).is_on(&component);
        let build = || {
            let mark = Sources::find(&folder, "py").expect("sources").mark(&["tool", "1"]);
            fs::write(&component, mark.put_on(b"\0asm\x0d\0\x01\0".to_vec())).expect("our folder");
            wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
                .validate_all(&fs::read(&component).expect("there"))
                .expect("a component");
        };
        assert!(!is_new(&["tool", "1"]), "there is none");
        build();
        assert!(is_new(&["tool", "1"]));
        assert!(!is_new(&["tool", "2"]), "of another version");
        assert!(!is_new(&["tool1", ""]), "where a part ends");
        let source = |name: &str, text: &str| fs::write(folder.join(name), text).expect("our folder");
        source("part.py", "x = 2");
        let older = std::time::SystemTime::UNIX_EPOCH;
        fs::File::open(folder.join("part.py")).and_then(|file| file.set_modified(older)).expect("our file");
        assert!(!is_new(&["tool", "1"]), "an older file that was put back");
        source("part.py", "x = 1");
        assert!(is_new(&["tool", "1"]), "as it was");
        fs::rename(folder.join("part.py"), folder.join("parts.py")).expect("our file");
        assert!(!is_new(&["tool", "1"]), "another name");
        build();
        fs::remove_file(folder.join("parts.py")).expect("our file");
        assert!(!is_new(&["tool", "1"]), "a source that is gone");
        fs::write(&component, "short").expect("our folder");
        assert!(!is_new(&["tool", "1"]), "not a component");
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
