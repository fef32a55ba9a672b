//! Standard output, which has a command's results, and standard error, which has everything else.
//!
//! Invariant: a stream that takes no more never breaks a command. Where the reader of results has gone, what is left to
//! do is done, and the exit code says how it went; results that cannot be written for another reason are an error.
//! Whoever printed by `println!` would end in a panic: clippy refuses it in this crate.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Who reads standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    Reads,
    /// As `head` does, once it has its lines.
    HasGone,
}

/// The results, as they are: a line has its end. They are out when this returns.
pub fn print(results: impl AsRef<[u8]>) -> Result<Reader, String> {
    let mut out = io::stdout().lock();
    reader(out.write_all(results.as_ref()).and_then(|()| out.flush()))
}

/// What came of writing to standard output.
pub fn reader(written: io::Result<()>) -> Result<Reader, String> {
    match written {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::HasGone),
        Err(error) => Err(format!("error: writing to standard output: {error}")),
    }
}

/// A line on standard error; if that takes nothing, there is nobody left to tell.
pub fn tell(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
