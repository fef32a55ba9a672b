//! Rows of files of text: JSON lines, and CSV with a header.
//!
//! Invariant: an error names the line. Of JSON lines nothing is checked that the pipeline will check.

use std::fs::{self, File};
use std::path::Path;

use millrace::json::lines::Lines;
use serde_json::{Map, Value};

use super::new_uuid;

pub struct Json {
    lines: Lines,
    uuid: Option<String>,
    whole: u64,
}

impl Json {
    pub fn open(file: &Path, uuid: Option<&str>) -> Result<Json, String> {
        let whole = size(file)?;
        let lines = Lines::open(file).map_err(|error| error.to_string())?;
        Ok(Json { lines, uuid: uuid.map(str::to_owned), whole })
    }

    pub fn next_row(&mut self) -> Result<Option<String>, String> {
        let Some(line) = self.lines.next_line().map_err(|error| error.to_string())? else { return Ok(None) };
        let text = str::from_utf8(line.value).map_err(|error| format!("line {}: {error}", line.number))?;
        match &self.uuid {
            None => Ok(Some(text.to_owned())),
            Some(field) => with_uuid(text, field).map(Some).map_err(|said| format!("line {}: {said}", line.number)),
        }
    }

    pub fn at(&self) -> u64 {
        self.lines.read_bytes()
    }

    pub fn whole(&self) -> u64 {
        self.whole
    }
}

fn with_uuid(line: &str, field: &str) -> Result<String, String> {
    let mut row: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| format!("it is no JSON object: {error}"))?;
    row.insert(field.to_owned(), new_uuid().into());
    Ok(Value::Object(row).to_string())
}

pub struct Csv {
    reader: csv::Reader<File>,
    header: csv::StringRecord,
    record: csv::StringRecord,
    uuid: Option<String>,
    whole: u64,
}

impl Csv {
    pub fn open(file: &Path, uuid: Option<&str>) -> Result<Csv, String> {
        let whole = size(file)?;
        let mut reader = csv::Reader::from_path(file).map_err(|error| error.to_string())?;
        let header = reader.headers().map_err(|error| error.to_string())?.clone();
        Ok(Csv { reader, header, record: csv::StringRecord::new(), uuid: uuid.map(str::to_owned), whole })
    }

    pub fn next_row(&mut self) -> Result<Option<String>, String> {
        if !self.reader.read_record(&mut self.record).map_err(|error| error.to_string())? {
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

fn size(file: &Path) -> Result<u64, String> {
    fs::metadata(file).map(|found| found.len()).map_err(|error| error.to_string())
}

fn cell(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    match serde_json::from_str(text) {
        Ok(Value::Number(number)) => Value::Number(number),
        _ => text.into(),
    }
}
