//! [`Files`] on a local directory: what an embedded pipeline has in the place of HDFS.
//!
//! Invariant: what is answered Ok is on disk: files are synced before they are closed, folders after they change.
//! Paths are those of HDFS, below the root. A disk makes callers wait: the runtime is told, and must have more threads.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use millrace_embedded::advice;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tokio::task::block_in_place;

use super::files::{FileError, Files, ReadFiles};
use crate::error::Error;

pub struct Local {
    root: PathBuf,
}

impl Local {
    pub fn new(root: PathBuf) -> Local {
        Local { root }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

impl Files for Local {
    type File = (PathBuf, File);

    fn place(&self, path: &str) -> String {
        self.at(path).display().to_string()
    }

    async fn list(&self, path: &str, mut each: impl FnMut(&str) + Send) -> Result<(), FileError> {
        block_in_place(|| {
            let path = self.at(path);
            let entries = fs::read_dir(&path).map_err(|cause| failed("listing", &path, cause))?;
            for entry in entries {
                let entry = entry.map_err(|cause| failed("listing", &path, cause))?;
                // a name that is no text is none of ours
                entry.file_name().to_str().iter().for_each(|name| each(name));
            }
            Ok(())
        })
    }

    async fn make_directory(&self, path: &str) -> Result<(), FileError> {
        block_in_place(|| {
            let path = self.at(path);
            fs::create_dir_all(&path).map_err(|cause| failed("making", &path, cause))?;
            let made = path.ancestors().take_while(|ancestor| ancestor.starts_with(&self.root));
            made.map(Path::parent).try_for_each(|parent| parent.map_or(Ok(()), sync))
        })
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        block_in_place(|| {
            let (from, to) = (self.at(from), self.at(to));
            renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE)
                .map_err(|cause| failed(&format!("renaming {} to", from.display()), &to, cause.into()))?;
            [from, to].iter().filter_map(|path| path.parent()).try_for_each(sync)
        })
    }

    async fn delete(&self, path: &str) -> Result<(), FileError> {
        block_in_place(|| {
            let path = self.at(path);
            let deleted = match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
                Ok(_) => fs::remove_file(&path),
                Err(cause) => Err(cause),
            };
            match deleted {
                Err(cause) if cause.kind() != ErrorKind::NotFound => Err(failed("deleting", &path, cause)),
                _ => Ok(()),
            }
        })
    }

    async fn create(&self, path: &str) -> Result<(PathBuf, File), FileError> {
        block_in_place(|| {
            let path = self.at(path);
            let file = OpenOptions::new().write(true).create_new(true).open(&path);
            file.map_err(|cause| failed("creating", &path, cause)).map(|file| (path, file))
        })
    }

    async fn append(&self, (path, file): &mut (PathBuf, File), bytes: Vec<u8>) -> Result<(), FileError> {
        block_in_place(|| file.write_all(&bytes).map_err(|cause| failed("writing", path, cause)))
    }

    async fn close(&self, (path, file): (PathBuf, File)) -> Result<(), FileError> {
        block_in_place(|| {
            file.sync_all().map_err(|cause| failed("syncing", &path, cause))?;
            path.parent().map_or(Ok(()), sync)
        })
    }
}

impl ReadFiles for Local {
    async fn read(&self, path: &str, from: u64, bytes_max: usize) -> Result<Vec<u8>, FileError> {
        block_in_place(|| {
            let (path, mut bytes) = (self.at(path), Vec::new());
            let read = File::open(&path).and_then(|mut file| {
                file.seek(SeekFrom::Start(from))?;
                file.take(bytes_max as u64).read_to_end(&mut bytes)
            });
            read.map(|_length| bytes).map_err(|cause| failed("reading", &path, cause))
        })
    }
}

/// A folder's entries are on disk only after this.
fn sync(folder: &Path) -> Result<(), FileError> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // taken over by another writer, who syncs it
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        synced => synced.map_err(|cause| failed("syncing", folder, cause)),
    }
}

fn failed(what: &str, path: &Path, cause: std::io::Error) -> FileError {
    let kind = cause.kind();
    let what = format!("{what} {}: {cause}{}", path.display(), advice(&cause));
    // room, rights, mounts: all of them are mended from outside
    let error = Error::retry(what);
    match kind {
        ErrorKind::AlreadyExists => FileError::Exists(error),
        ErrorKind::NotFound => FileError::Missing(error),
        _ => FileError::Other(error),
    }
}
