//! What can go wrong with the folder, and what to do about it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use rusqlite::{ErrorCode, ffi};

#[derive(Debug)]
pub enum Error {
    /// The folder cannot be used, and will not be by waiting.
    Unusable(String),
    /// Somebody else holds the file for longer than a transaction takes, or it may not be written to: the disk is full,
    /// the mount read-only, the rights are gone. All of these are mended from outside.
    Busy(String),
    /// A position is not where the writer left it: somebody else has moved it.
    Moved(String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unusable(said) | Error::Busy(said) | Error::Moved(said) => f.write_str(said),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    pub(crate) fn sqlite(what: &str, file: &Path, cause: rusqlite::Error) -> Error {
        let said = |help: &str| format!("{what} in {}: {cause}{help}", file.display());
        match cause.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Error::Busy(said("; another process writes, or its disk stands still"))
            }
            Some(ErrorCode::DiskFull) => Error::Busy(said(ROOM)),
            Some(ErrorCode::SystemIoFailure) if is_of_writing(&cause) => Error::Busy(said(ROOM)),
            Some(ErrorCode::SystemIoFailure) => Error::Unusable(said("; look at the disk: it cannot be read")),
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Error::damaged(what, file, &cause.to_string())
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Error::Busy(said(WRITABLE))
            }
            _ => Error::Unusable(said("")),
        }
    }

    pub(crate) fn damaged(what: &str, file: &Path, found: &str) -> Error {
        Error::Unusable(format!(
            "{what} in {}: {found}; the file is damaged: put a copy of the folder back, or move the folder away to begin \
             anew (`sqlite3 FILE .recover` rescues what can be read)",
            file.display()
        ))
    }

    pub(crate) fn io(what: &str, path: &Path, cause: &io::Error) -> Error {
        let said = format!("{what} {}: {cause}{}", path.display(), advice(cause));
        if matches!(advice(cause), ROOM | WRITABLE) { Error::Busy(said) } else { Error::Unusable(said) }
    }
}

const ROOM: &str = "; make room on the disk, or raise the limit on what may be written there";
const WRITABLE: &str = "; the folder must be writable: change its rights or its mount, or choose another";

/// SQLite has a word of its own for a full disk only: a quota, or a limit on a file's size, is an error of writing.
fn is_of_writing(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error().is_some_and(|error| {
        matches!(
            error.extended_code,
            ffi::SQLITE_IOERR_WRITE
                | ffi::SQLITE_IOERR_FSYNC
                | ffi::SQLITE_IOERR_DIR_FSYNC
                | ffi::SQLITE_IOERR_TRUNCATE
                | ffi::SQLITE_IOERR_SHMOPEN
                | ffi::SQLITE_IOERR_SHMSIZE
        )
    })
}

/// What to do about an error of a file or a folder: the end of a sentence, or nothing where it is plain.
pub fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => ROOM,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => WRITABLE,
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "; a file is in the way: choose another folder",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_sqlite(code: i32) -> Error {
        let cause = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        Error::sqlite("writing messages", Path::new("/folder/millrace.sqlite"), cause)
    }

    fn of_system(kind: ErrorKind) -> Error {
        Error::io("opening", Path::new("/folder"), &kind.into())
    }

    #[test]
    fn what_is_mended_from_outside_is_worth_another_try() {
        let sqlite = [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_READONLY_DBMOVED,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_PERM,
        ];
        let system = [
            ErrorKind::StorageFull,
            ErrorKind::QuotaExceeded,
            ErrorKind::FileTooLarge,
            ErrorKind::PermissionDenied,
            ErrorKind::ReadOnlyFilesystem,
        ];
        for error in sqlite.map(of_sqlite).into_iter().chain(system.map(of_system)) {
            assert!(matches!(error, Error::Busy(_)), "{error:?}");
        }
    }

    #[test]
    fn what_waiting_does_not_mend_is_unusable() {
        let sqlite = [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_IOERR_READ].map(of_sqlite);
        let system = [ErrorKind::NotADirectory, ErrorKind::NotFound].map(of_system);
        for error in sqlite.into_iter().chain(system) {
            assert!(matches!(error, Error::Unusable(_)), "{error:?}");
        }
    }
}
