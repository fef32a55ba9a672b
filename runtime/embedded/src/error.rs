//! What can go wrong with the folder, and what to do about it.

use std::fmt;
use std::path::Path;

use rusqlite::ErrorCode;

#[derive(Debug)]
pub enum Error {
    /// The folder cannot be used, and will not be by waiting.
    Unusable(String),
    /// Somebody else holds the file for longer than a transaction takes, or the disk is full.
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
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy(said("")),
            Some(ErrorCode::DiskFull) => Error::Busy(said("; make room on the disk")),
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Error::Unusable(said(
                "; the file is damaged: put a copy back, or move it away to begin anew (`sqlite3 FILE .recover` \
                 rescues what can be read)",
            )),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Error::Unusable(said("; the folder must be writable"))
            }
            _ => Error::Unusable(said("")),
        }
    }

    pub(crate) fn io(what: &str, path: &Path, cause: &std::io::Error) -> Error {
        Error::Unusable(format!("{what} {}: {cause}", path.display()))
    }
}
