//! Folders of this host: can they be written, and is there room?

use std::io;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use super::Finding;

const FREE_BYTES_MIN: u64 = 100 << 20;

/// One that is there, or would be made.
pub fn folder(what: &str, path: &Path) -> Finding {
    let here = path.display();
    let there = path.ancestors().map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let Some(there) = there.into_iter().find(|path| path.exists()) else {
        return Finding::wrong(what, format!("{here}: no folder above it is there"), "name another folder");
    };
    if let Err(cause) = writable(there) {
        let fix = format!("give this user the right to write in {}, or name another folder", there.display());
        return Finding::wrong(what, format!("{here}: {} cannot be written: {cause}", there.display()), fix);
    }
    let said =
        if there == path { format!("{here}, writable") } else { format!("{here}, to be made in {}", there.display()) };
    match free(there) {
        Ok(bytes) if bytes < FREE_BYTES_MIN => {
            Finding::odd(what, format!("{said}; {} MiB free", bytes >> 20), "make room on that disk")
        }
        Ok(bytes) => Finding::good(what, format!("{said}; {:.1} GiB free", bytes as f64 / f64::from(1 << 30))),
        Err(cause) => Finding::odd(what, format!("{said}; room unknown: {cause}"), "look at that disk"),
    }
}

fn writable(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

fn free(folder: &Path) -> io::Result<u64> {
    let found = statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
