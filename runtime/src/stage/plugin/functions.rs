//! Compiled functions, kept from plugin to plugin: one in Python or JavaScript is its language's interpreter, and what
//! its author changed is data. What was compiled for one of them need not be compiled for the next.
//!
//! Invariant: compiled code is believed as it is, so the folder is one that `cache` believes too. A pack is there whole,
//! or it is not read; which version of the compiler made a function, and for what processor, the compiler looks at.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use wasmtime::CacheStore;

use super::cache;
use crate::hash::sha256;

/// Of all packs; beyond it the oldest go.
const BYTES_MAX: u64 = 512 << 20;
/// Less is compiled as fast as it is read.
const PACK_BYTES_MIN: usize = 1 << 20;
/// Of a component: an interpreter has ten times that, and what is smaller is compiled sooner than all packs are read.
const COMPONENT_BYTES_MIN: usize = 1 << 20;
const EXTENSION: &str = "pack";
const HASH_BYTES: usize = 64;

/// None: nothing is kept, as `cache` has said.
static FUNCTIONS: LazyLock<Option<Arc<Functions>>> = LazyLock::new(|| {
    let folder = cache::folder("functions")?;
    cache::prepare(&folder).ok().map(|folder| Arc::new(Functions { folder, known: Mutex::default() }))
});

pub fn store() -> Option<Arc<Functions>> {
    FUNCTIONS.clone()
}

/// Compiles a component of so many bytes. What is new of a large one is kept, and nothing stays in memory.
pub fn of<T>(bytes: usize, compile: impl FnOnce() -> T) -> T {
    match FUNCTIONS.as_ref().filter(|_| bytes >= COMPONENT_BYTES_MIN) {
        Some(functions) => functions.around(compile),
        None => compile(),
    }
}

#[derive(Debug)]
pub struct Functions {
    folder: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Large components that are compiled now: without one nothing is looked for.
    compiling: usize,
    /// None: nothing was asked for yet, and nothing is read.
    functions: Option<HashMap<Vec<u8>, Vec<u8>>>,
    /// Those that no pack holds.
    new: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("new", &self.new.len()).finish_non_exhaustive()
    }
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let mut known = self.known();
        let functions = known.functions(&self.folder)?;
        functions.get(key).cloned().map(Cow::Owned)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let mut known = self.known();
        let Some(functions) = known.functions(&self.folder) else { return false };
        functions.insert(key.to_owned(), value);
        known.new.push(key.to_owned());
        true
    }
}

impl Known {
    fn functions(&mut self, folder: &Path) -> Option<&mut HashMap<Vec<u8>, Vec<u8>>> {
        (self.compiling > 0).then(|| self.functions.get_or_insert_with(|| read_all(folder)))
    }
}

impl Functions {
    fn around<T>(&self, compile: impl FnOnce() -> T) -> T {
        self.known().compiling += 1;
        let compiled = compile();
        let mut known = self.known();
        known.compiling -= 1;
        if known.compiling == 0 {
            // nobody else's are among them
            let all = std::mem::take(&mut *known);
            drop(known);
            if let Err(error) = self.keep(all) {
                tracing::warn!("compiled functions are not kept: {}: {error}", self.folder.display());
            }
        }
        compiled
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, Known { functions, new, .. }: Known) -> io::Result<()> {
        let functions = functions.unwrap_or_default();
        let mut pack = Vec::new();
        for key in &new {
            if let Some(value) = functions.get(key) {
                [key, value].into_iter().for_each(|part| {
                    pack.extend((part.len() as u32).to_le_bytes());
                    pack.extend(part);
                });
            }
        }
        if pack.len() < PACK_BYTES_MIN {
            return Ok(());
        }
        let hash = sha256(&pack);
        let (file, new) = (
            self.folder.join(&hash).with_extension(EXTENSION),
            self.folder.join(format!("{}.new", uuid::Uuid::new_v4())),
        );
        let written = File::create(&new).and_then(|mut to| {
            to.write_all(hash.as_bytes())?;
            to.write_all(&pack)
        });
        written.and_then(|()| fs::rename(&new, &file)).inspect_err(|_| drop(fs::remove_file(&new)))
    }
}

/// What all packs hold, the newest first, as far as that is not too much.
fn read_all(folder: &Path) -> HashMap<Vec<u8>, Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut packs: Vec<(SystemTime, u64, PathBuf)> = entries
        .filter_map(|entry| {
            let data = entry.metadata().ok()?;
            Some((data.modified().ok()?, data.len(), entry.path()))
        })
        .collect();
    packs.sort();
    let (mut functions, mut bytes) = (HashMap::new(), 0);
    for (_, len, pack) in packs.into_iter().rev() {
        bytes += len;
        let is_pack = pack.extension().is_some_and(|extension| extension == EXTENSION);
        if bytes > BYTES_MAX || !is_pack || read(&pack, &mut functions).is_none() {
            drop(fs::remove_file(&pack));
        }
    }
    functions
}

/// None: it is not whole.
fn read(pack: &Path, into: &mut HashMap<Vec<u8>, Vec<u8>>) -> Option<()> {
    let (mut hash, mut bytes) = ([0; HASH_BYTES], Vec::new());
    let mut file = File::open(pack).ok()?;
    file.read_exact(&mut hash).ok()?;
    file.read_to_end(&mut bytes).ok()?;
    if sha256(&bytes).as_bytes() != hash {
        return None;
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (key, value) = (part(&mut rest)?, part(&mut rest)?);
        into.insert(key.to_owned(), value.to_owned());
    }
    Some(())
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, after) = rest.split_first_chunk()?;
    let (part, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *rest = after;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(name: &str) -> Functions {
        let folder = std::env::temp_dir().join(format!("millrace-functions-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        Functions { folder: cache::prepare(&folder).expect("a folder of our own"), known: Mutex::default() }
    }

    fn packs(functions: &Functions) -> Vec<PathBuf> {
        fs::read_dir(&functions.folder).expect("our folder").map(|entry| entry.expect("a file").path()).collect()
    }

    /// What a compiler asks of them, and hands to them.
    fn compile<T>(functions: &Functions, ask: impl FnOnce(&Functions) -> T) -> T {
        functions.around(|| ask(functions))
    }

    #[test]
    fn what_was_compiled_once_is_there() {
        let functions = functions("once");
        let large = vec![7; PACK_BYTES_MIN];
        compile(&functions, |it| {
            assert_eq!(it.get(b"large"), None);
            assert!(it.insert(b"large", large.clone()) && it.insert(b"", b"small".to_vec()));
            // another, beside it
            compile(it, |it| assert!(it.get(b"large").is_some()));
            assert!(it.known().functions.is_some(), "the first is not done");
        });
        assert_eq!(packs(&functions).len(), 1);
        assert!(functions.known().functions.is_none(), "nothing stays in memory");
        compile(&functions, |it| {
            assert_eq!(it.get(b"large").as_deref(), Some(&large[..]));
            assert_eq!(it.get(b"").as_deref(), Some(&b"small"[..]));
            assert_eq!(it.get(b"other"), None);
            // of little nothing is kept, nor of what is known
            assert!(it.insert(b"little", b"x".to_vec()));
        });
        assert_eq!((packs(&functions).len(), compile(&functions, |it| it.get(b"little").is_some())), (1, false));
        // a small component looks for nothing, and keeps nothing
        assert_eq!((functions.get(b"large"), functions.insert(b"other", large)), (None, false));
        assert!(functions.known().functions.is_none());
        fs::remove_dir_all(&functions.folder).expect("our folder");
    }

    #[test]
    fn a_pack_that_is_not_whole_is_nothing() {
        for damage in [|bytes: &mut Vec<u8>| bytes.truncate(100), |bytes: &mut Vec<u8>| bytes[200] ^= 1] {
            let functions = functions("damaged");
            compile(&functions, |it| it.insert(b"large", vec![7; PACK_BYTES_MIN]));
            let [pack] = &packs(&functions)[..] else { panic!("one pack") };
            let mut bytes = fs::read(pack).expect("a pack");
            damage(&mut bytes);
            fs::write(pack, bytes).expect("our folder");
            fs::write(functions.folder.join("half.new"), "").expect("our folder");
            assert!(!compile(&functions, |it| it.get(b"large").is_some()));
            assert_eq!(packs(&functions), Vec::<PathBuf>::new());
            fs::remove_dir_all(&functions.folder).expect("our folder");
        }
    }
}
