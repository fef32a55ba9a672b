//! What ends the web module before it serves, or its serving: a sentence, and what it came from.

use std::error::Error as StdError;
use std::fmt;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug)]
pub struct Error {
    what: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub fn new(what: impl Into<String>) -> Error {
        Error { what: what.into(), cause: None }
    }

    pub fn caused_by(self, cause: impl StdError + Send + Sync + 'static) -> Error {
        Error { cause: Some(Box::new(cause)), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "{}: {cause}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|cause| cause.as_ref() as _)
    }
}
