//! What the embedded twins of source, head and sinks have in common.

use crate::error::Error;

/// Which of a process's workers this is, counted from 0, and of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub worker: i32,
    pub of: i32,
}

pub fn error(cause: millrace_embedded::Error) -> Error {
    match cause {
        millrace_embedded::Error::Unusable(said) => Error::stop(said),
        millrace_embedded::Error::Busy(said) | millrace_embedded::Error::Moved(said) => Error::retry(said),
    }
}
