//! What can go wrong with a service or a file, and what to do about it.
//!
//! A row that is bad is no error: it is [`crate::batch::Refused`], and becomes a reject. A file that is wrong is a
//! [`crate::config::Diagnostic`]. What remains is one of two kinds. Which it is, is decided where the driver's error is
//! known.

use std::error::Error as StdError;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The service may answer later: open everything again and go on from the durable positions.
    Retry,
    /// Trying again would give the same, or lose rows: stop and say so.
    Stop,
}

#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    what: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn retry(what: impl Into<String>) -> Error {
        Error { kind: Kind::Retry, what: what.into(), cause: None }
    }

    pub fn stop(what: impl Into<String>) -> Error {
        Error { kind: Kind::Stop, what: what.into(), cause: None }
    }

    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.cause = Some(cause.into());
        self
    }

    /// Adds where it happened, once, where the name is known: `sink `archive``.
    pub fn at(mut self, place: impl fmt::Display) -> Error {
        self.what = format!("{place}: {}", self.what);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(cause) = &self.cause {
            // Java services answer with whole stack traces: the first line says it
            let text = cause.to_string();
            write!(f, ": {}", text.lines().next().unwrap_or_default())?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}
