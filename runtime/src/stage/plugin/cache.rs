//! Where compiled plugins are kept from start to start: wasmtime's own cache, by the hash of component and compiler.
//!
//! Invariant: compiled code is believed as it is, so nothing is loaded that anybody but this user and root could write
//! or put there: only this user enters the folder, all in it is this user's, and nobody else can put another in its
//! place. Where that does not hold, or there is no place, plugins are compiled at each start.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use wasmtime::{Cache, CacheConfig};

/// Beyond these the oldest go, now and then.
const FILES_MAX: u64 = 128;
const BYTES_MAX: u64 = 1 << 30;

const ROOT: u32 = 0;
const OPEN_TO_OTHERS: u32 = 0o077;
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// In such a folder (`/tmp`) each may remove and rename what is his only.
const STICKY: u32 = 0o1000;

/// None: nothing is kept; it is said why, where somebody can mend it.
pub fn open() -> Option<Cache> {
    let folder = folder("compiled")?;
    match at(&folder) {
        Ok(cache) => Some(cache),
        Err(why) => {
            let folder = folder.display();
            tracing::warn!("compiled plugins are not kept, and each start compiles them again: {folder}: {why}");
            None
        }
    }
}

/// Of this name, for what was compiled.
pub fn folder(name: &str) -> Option<PathBuf> {
    caches(|name| std::env::var_os(name)).map(|caches| caches.join(name))
}

/// As the XDG base directories have it.
fn caches(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("millrace"))
}

pub fn at(folder: &Path) -> Result<Cache, String> {
    let folder = prepare(folder)?;
    let mut config = CacheConfig::new();
    config.with_directory(folder).with_file_count_soft_limit(FILES_MAX).with_files_total_size_soft_limit(BYTES_MAX);
    Cache::new(config).map_err(|error| format!("{error:#}"))
}

/// It is there, and what is in it can be believed.
pub fn prepare(folder: &Path) -> Result<PathBuf, String> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| error.to_string())?;
    let folder = folder.canonicalize().map_err(|error| error.to_string())?;
    only_ours(&folder)?;
    Ok(folder)
}

fn only_ours(folder: &Path) -> Result<(), String> {
    let user = rustix::process::geteuid().as_raw();
    for above in folder.ancestors().skip(1) {
        let found = look(above)?;
        let owned = found.uid() == user || found.uid() == ROOT;
        let kept = found.mode() & WRITABLE_BY_OTHERS == 0 || found.mode() & STICKY != 0;
        safe(owned && kept, above, "another user can write to")?;
    }
    let found = look(folder)?;
    safe(found.uid() == user && found.mode() & OPEN_TO_OTHERS == 0, folder, "not only this user can enter")?;
    all_in(folder, &|path| {
        let found = match fs::symlink_metadata(path) {
            // another process has renamed it, or made room
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.map_err(|error| format!("{}: {error}", path.display()))?,
        };
        safe(found.uid() == user && !found.is_symlink(), path, "it is not this user's:")
    })
}

fn look(path: &Path) -> Result<Metadata, String> {
    fs::symlink_metadata(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn safe(safe: bool, path: &Path, why: &str) -> Result<(), String> {
    let help = "let XDG_CACHE_HOME name a folder of your own, or mend who owns it and its mode";
    if safe { Ok(()) } else { Err(format!("{why} {}; {help}", path.display())) }
}

fn all_in(folder: &Path, check: &impl Fn(&Path) -> Result<(), String>) -> Result<(), String> {
    let cannot = |error: io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        check(&entry.path())?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all_in(&entry.path(), check)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn temporary(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("millrace-cache-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a file of our own");
    }

    #[test]
    fn the_place_is_the_users() {
        let env = |set: &'static [(&'static str, &'static str)]| {
            caches(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        assert_eq!(env(&[("HOME", "/h")]), Some("/h/.cache/millrace".into()));
        assert_eq!(env(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]), Some("/c/millrace".into()));
        assert_eq!(env(&[("XDG_CACHE_HOME", "relative")]), None);
        assert_eq!(env(&[]), None);
    }

    #[test]
    fn what_others_can_write_is_not_believed() {
        let above = temporary("others");
        let folder = above.join("compiled");
        at(&folder).expect("a folder of our own");
        assert_eq!(fs::metadata(&folder).expect("made").mode() & 0o777, 0o700);
        for (path, bad, why) in [(&above, 0o777, "another user can write to"), (&folder, 0o750, "not only this user")] {
            let good = fs::metadata(path).expect("made").mode();
            chmod(path, bad);
            let said = at(&folder).expect_err("others can write");
            assert!(said.starts_with(why) && said.contains(&path.display().to_string()), "{said}");
            chmod(path, good);
            at(&folder).expect("nobody else can write");
        }
        let inside = folder.join("modules");
        fs::create_dir_all(&inside).expect("in our folder");
        std::os::unix::fs::symlink("/etc/passwd", inside.join("code")).expect("in our folder");
        assert!(at(&folder).expect_err("it leads elsewhere").starts_with("it is not this user's: "));
        fs::remove_dir_all(&above).expect("our folder");
    }

    #[test]
    fn code_is_compiled_once() {
        let folder = temporary("once");
        let cache = at(&folder).expect("a folder of our own");
        let mut config = wasmtime::Config::new();
        config.cache(Some(cache.clone()));
        for (hits, misses) in [(0, 1), (1, 1)] {
            let engine = wasmtime::Engine::new(&config).expect("an engine");
            let bytes = wat::parse_str("(component)").expect("WebAssembly text");
            wasmtime::component::Component::new(&engine, bytes).expect("a component");
            assert_eq!((cache.cache_hits(), cache.cache_misses()), (hits, misses));
        }
        // the cache has a thread of its own, which may still write beside what it keeps
        drop(fs::remove_dir_all(&folder));
    }
}
