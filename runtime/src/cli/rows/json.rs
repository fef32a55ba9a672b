//! Rows of a file of JSON lines.
//!
//! Invariant: a row is a JSON object as it stands in the file, and an error names the line. Of what is in the object
//! nothing is checked that the pipeline will check.

use std::path::Path;

use millrace::json::lines::Lines;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::{new_uuid, size};

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
        let row = match &self.uuid {
            None => as_it_is(line.value),
            Some(field) => with_uuid(line.value, field),
        };
        row.map(Some).map_err(|said| {
            let mend = "mend the line; `millrace produce` sends lines as they are";
            format!("line {}: it is no JSON object: {said}; {mend}", line.number)
        })
    }

    pub fn at(&self) -> u64 {
        self.lines.read_bytes()
    }

    pub fn whole(&self) -> u64 {
        self.whole
    }
}

fn as_it_is(line: &[u8]) -> Result<String, String> {
    let text = str::from_utf8(line).map_err(|error| error.to_string())?;
    if !text.trim_start().starts_with('{') {
        object(text)?;
    }
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| plain(&error))?;
    Ok(text.to_owned())
}

fn with_uuid(line: &[u8], field: &str) -> Result<String, String> {
    let mut row = object(str::from_utf8(line).map_err(|error| error.to_string())?)?;
    row.insert(field.to_owned(), new_uuid().into());
    Ok(Value::Object(row).to_string())
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| plain(&error))
}

/// The parser saw one line, which it calls the first.
fn plain(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}
