//! Files of JSON lines, a line at a time: tables that are joined in, flights to learn from.
//!
//! Invariant: a line is a message that has a value and nothing else; its offset is its number in the file, counted
//! from 1. Blank lines count and are passed over.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::json::decode::Message;

/// No line that a person wrote is longer; a file without line ends is not read into memory whole.
const LINE_BYTES_MAX: u64 = 16 << 20;

pub struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    number: usize,
    read_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    pub number: usize,
    pub value: &'a [u8],
}

impl Lines {
    pub fn open(file: &Path) -> io::Result<Lines> {
        Ok(Lines { reader: BufReader::new(File::open(file)?), line: Vec::new(), number: 0, read_bytes: 0 })
    }

    /// Of the file, so far.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// The next line that is not blank.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.line.clear();
            let read = self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.read_bytes += read as u64;
            if read as u64 == LINE_BYTES_MAX && !self.line.ends_with(b"\n") {
                let long = format!("line {} is longer than {LINE_BYTES_MAX} bytes", self.number);
                return Err(io::Error::new(io::ErrorKind::InvalidData, long));
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(Line { number: self.number, value: self.line.trim_ascii_end() }));
            }
        }
    }
}

impl Message for Line<'_> {
    fn partition(&self) -> i32 {
        0
    }

    fn offset(&self) -> i64 {
        self.number as i64
    }

    fn timestamp_ms(&self) -> Option<i64> {
        None
    }

    fn key(&self) -> Option<&[u8]> {
        None
    }

    fn value(&self) -> Option<&[u8]> {
        Some(self.value)
    }

    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }
}
