//! The lines of a file, one after another.

use super::files::{FileError, ReadFiles};

const READ_BYTES: usize = 1 << 20;

pub struct Lines {
    path: String,
    /// What was read and is not a whole line yet.
    rest: Vec<u8>,
    /// Where the next line begins, in `rest`.
    start: usize,
    /// Where the file goes on behind `rest`.
    from: u64,
    /// Of the line that was given last; the first is 1.
    pub number: u64,
}

impl Lines {
    pub fn of(path: String) -> Lines {
        Lines { path, rest: Vec::new(), start: 0, from: 0, number: 0 }
    }

    /// Where the last line is, for people.
    pub fn place(&self) -> String {
        format!("{} line {}", self.path, self.number)
    }

    /// Without its end; None: there are no more.
    pub async fn next<F: ReadFiles>(&mut self, files: &F) -> Result<Option<&[u8]>, FileError> {
        loop {
            let (start, rest) = (self.start, &self.rest[self.start..]);
            if let Some(length) = rest.iter().position(|&byte| byte == b'\n') {
                self.start += length + 1;
                self.number += 1;
                return Ok(Some(&self.rest[start..start + length]));
            }
            self.rest.drain(..start);
            self.start = 0;
            let bytes = files.read(&self.path, self.from, READ_BYTES).await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.from += bytes.len() as u64;
            self.rest.extend_from_slice(&bytes);
        }
    }
}
