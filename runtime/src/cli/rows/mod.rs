//! The rows of a file, each a JSON object, and how far the reading is. The name's ending says the format.
//!
//! Invariant: in memory is one row of a text, or one batch of a Parquet file, however long the file.
//! Knows nothing of topics.

mod csv;
mod json;
mod parquet;

use std::fs;
use std::path::Path;

use uuid::Uuid;

pub enum Rows {
    Json(json::Json),
    Csv(csv::Csv),
    Parquet(Box<parquet::Parquet>),
}

impl Rows {
    /// With `uuid`, each row gets a new UUID in that field, whatever the file has there.
    pub fn open(file: &Path, uuid: Option<&str>) -> Result<Rows, String> {
        let opened = match file.extension().and_then(|ending| ending.to_str()) {
            Some("jsonl" | "json" | "ndjson") => json::Json::open(file, uuid).map(Rows::Json),
            Some("csv") => csv::Csv::open(file, uuid).map(Rows::Csv),
            Some("parquet") => parquet::Parquet::open(file, uuid).map(|rows| Rows::Parquet(Box::new(rows))),
            _ => Err("expected a file whose name ends in .jsonl, .json, .ndjson, .csv or .parquet".to_owned()),
        };
        opened.map_err(|said| format!("error: {}: {said}", file.display()))
    }

    /// None: that was the last one.
    pub fn next_row(&mut self) -> Result<Option<String>, String> {
        match self {
            Rows::Json(rows) => rows.next_row(),
            Rows::Csv(rows) => rows.next_row(),
            Rows::Parquet(rows) => rows.next_row(),
        }
    }

    /// How far the reading is, on the way to [`Rows::whole`]: bytes of a text, rows of a Parquet file.
    pub fn at(&self) -> u64 {
        match self {
            Rows::Json(rows) => rows.at(),
            Rows::Csv(rows) => rows.at(),
            Rows::Parquet(rows) => rows.at(),
        }
    }

    pub fn whole(&self) -> u64 {
        match self {
            Rows::Json(rows) => rows.whole(),
            Rows::Csv(rows) => rows.whole(),
            Rows::Parquet(rows) => rows.whole(),
        }
    }
}

fn new_uuid() -> String {
    Uuid::new_v4().to_string()
}

fn size(file: &Path) -> Result<u64, String> {
    fs::metadata(file).map(|found| found.len()).map_err(|error| error.to_string())
}
