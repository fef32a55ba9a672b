//! What the protocol asks of a file system, no more: HDFS has it, and a local directory does.

use std::future::Future;

use crate::error::Error;

/// Paths are absolute, with `/` between names.
pub trait Files: Send + Sync + 'static {
    /// A file being written.
    type File: Send + 'static;

    /// A path as people find it.
    fn place(&self, path: &str) -> String;

    /// Calls `each` with the name of every child, once, in no order that matters.
    fn list(&self, path: &str, each: impl FnMut(&str) + Send) -> impl Future<Output = Result<(), FileError>> + Send;

    /// With its parents; fine if it is there.
    fn make_directory(&self, path: &str) -> impl Future<Output = Result<(), FileError>> + Send;

    /// Atomic; never onto something that is there, never into it. A directory takes along what is in it, open files too.
    fn rename(&self, from: &str, to: &str) -> impl Future<Output = Result<(), FileError>> + Send;

    /// With all that is in it; fine if it is not there.
    fn delete(&self, path: &str) -> impl Future<Output = Result<(), FileError>> + Send;

    /// Never onto a file that is there, never making the parent.
    fn create(&self, path: &str) -> impl Future<Output = Result<Self::File, FileError>> + Send;

    fn append(&self, file: &mut Self::File, bytes: Vec<u8>) -> impl Future<Output = Result<(), FileError>> + Send;

    /// Durable when it answers Ok; of unknown contents else.
    fn close(&self, file: Self::File) -> impl Future<Output = Result<(), FileError>> + Send;
}

/// What looking at published files asks besides.
pub trait ReadFiles: Files {
    /// At most so many bytes from there on; none at the end.
    fn read(&self, path: &str, from: u64, bytes_max: usize) -> impl Future<Output = Result<Vec<u8>, FileError>> + Send;
}

#[derive(Debug)]
pub enum FileError {
    /// The target is there already. Nothing was done.
    Exists(Error),
    /// The path, or its parent, is not there. Nothing was done.
    Missing(Error),
    /// Who this is cannot be said there. Nothing was done.
    Stranger { what: String, why: String, fix: &'static str },
    /// Whether it was done, or will be, is not known.
    Other(Error),
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Error {
        match error {
            FileError::Exists(error) | FileError::Missing(error) | FileError::Other(error) => error,
            FileError::Stranger { what, why, fix } => Error::retry(what).caused_by(format!("{why}; {fix}")),
        }
    }
}
