//! Rows of a CSV file with a header.
//!
//! Invariant: an error names the line; a cell in quotes is in memory as far as [`QUOTED_BYTES_MAX`] and no further.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use csv::ErrorKind;
use millrace::words::counted;
use serde_json::{Map, Value};

use super::{new_uuid, size};

/// No cell that a person wrote is longer; a quote that nobody closed does not read the rest of the file into memory.
const QUOTED_BYTES_MAX: u64 = 16 << 20;

pub struct Csv {
    reader: csv::Reader<Quotes<File>>,
    header: csv::StringRecord,
    record: csv::StringRecord,
    uuid: Option<String>,
    whole: u64,
}

impl Csv {
    pub fn open(file: &Path, uuid: Option<&str>) -> Result<Csv, String> {
        let whole = size(file)?;
        let mut reader = csv::Reader::from_reader(Quotes::new(File::open(file).map_err(|error| error.to_string())?));
        let header = reader.headers().map_err(|error| said(&error))?.clone();
        reader.get_ref().closed()?;
        if header.is_empty() {
            return Err("it is empty: the first line of a CSV file names its columns".into());
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = header.iter().find(|name| !names.insert(*name)) {
            return Err(format!("column `{twice}` is there twice: one of them would be lost"));
        }
        Ok(Csv { reader, header, record: csv::StringRecord::new(), uuid: uuid.map(str::to_owned), whole })
    }

    pub fn next_row(&mut self) -> Result<Option<String>, String> {
        let read = self.reader.read_record(&mut self.record);
        // it makes what follows part of the cell, whatever that does to the record
        self.reader.get_ref().closed()?;
        if !read.map_err(|error| said(&error))? {
            return Ok(None);
        }
        let cells = self.header.iter().zip(&self.record).map(|(name, text)| (name.to_owned(), cell(text)));
        let mut row: Map<String, Value> = cells.collect();
        if let Some(field) = &self.uuid {
            row.insert(field.clone(), new_uuid().into());
        }
        Ok(Some(Value::Object(row).to_string()))
    }

    pub fn at(&self) -> u64 {
        self.reader.position().byte()
    }

    pub fn whole(&self) -> u64 {
        self.whole
    }
}

/// A record of another length, or a text that is none, in words about the file.
fn said(error: &csv::Error) -> String {
    let line = |at: &Option<csv::Position>| at.as_ref().map_or(String::new(), |at| format!("line {}: ", at.line()));
    match error.kind() {
        ErrorKind::UnequalLengths { pos, expected_len, len } => format!(
            "{}{} where the first line names {}; a comma within a cell stands in quotes",
            line(pos),
            counted(*len, "cell"),
            counted(*expected_len, "column"),
        ),
        ErrorKind::Utf8 { pos, err } => format!("{}cell {} is not UTF-8", line(pos), err.field() + 1),
        ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    }
}

fn cell(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    match serde_json::from_str(text) {
        // a whole number that has no room in 64 bits would lose digits
        Ok(Value::Number(number)) if !number.is_f64() || text.contains(['.', 'e', 'E']) => Value::Number(number),
        _ => text.into(),
    }
}

/// What the file holds, and whether a cell in quotes is open where it has been read to: at the file's end nobody else
/// says so. As the parser does, it takes a quote for the beginning of a cell only where one begins.
struct Quotes<R> {
    of: R,
    at: At,
    line: u64,
    /// Where the last cell in quotes began, and how long it is.
    opened: u64,
    bytes: u64,
    is_read: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Of a cell.
    Beginning,
    Unquoted,
    Quoted,
    /// The end, or the first of two that stand for one.
    Quote,
}

impl<R> Quotes<R> {
    fn new(of: R) -> Quotes<R> {
        Quotes { of, at: At::Beginning, line: 1, opened: 0, bytes: 0, is_read: false }
    }

    fn step(&mut self, byte: u8) {
        self.at = match (self.at, byte) {
            (At::Quoted, b'"') => At::Quote,
            (At::Quoted, _) | (At::Quote, b'"') => At::Quoted,
            (At::Beginning, b'"') => {
                (self.opened, self.bytes) = (self.line, 0);
                At::Quoted
            }
            (_, b',' | b'\n' | b'\r') => At::Beginning,
            _ => At::Unquoted,
        };
        self.bytes += 1;
        self.line += u64::from(byte == b'\n');
    }

    /// The record that was read last is whole.
    fn closed(&self) -> Result<(), String> {
        match self.is_read && self.at == At::Quoted {
            true => Err(format!("line {}: the quote that opens a cell there is not closed", self.opened)),
            false => Ok(()),
        }
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.of.read(buffer)?;
        buffer[..count].iter().for_each(|byte| self.step(*byte));
        self.is_read = count == 0 && !buffer.is_empty();
        if self.at == At::Quoted && self.bytes > QUOTED_BYTES_MAX {
            let long = format!(
                "line {}: the quote that opens a cell there is not closed within {QUOTED_BYTES_MAX} bytes",
                self.opened
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, long));
        }
        Ok(count)
    }
}
