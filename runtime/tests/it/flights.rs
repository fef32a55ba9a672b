//! Flights to ask about.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Flights of the sample as requests, each with a UUID of its own.
pub fn flights(count: usize, label: &str) -> (Vec<Vec<u8>>, BTreeSet<String>) {
    let sample = repository().join("examples/flight-delay/sample.jsonl");
    let lines: Vec<String> = BufReader::new(File::open(sample).unwrap()).lines().map(Result::unwrap).collect();
    let mut ids = BTreeSet::new();
    let messages = (0..count).map(|index| {
        let mut flight: Value = serde_json::from_str(&lines[index % lines.len()]).unwrap();
        let id = format!("{label}-{index:06}");
        flight["UUID"] = id.clone().into();
        flight["Timestamp"] = "2013-05-06T07:08:09Z".into();
        ids.insert(id);
        flight.to_string().into_bytes()
    });
    (messages.collect(), ids)
}

/// The contract's example request.
pub fn request(id: &str, changes: Value) -> Vec<u8> {
    let mut request = serde_json::json!({
        "DepDelay": 12.0, "Carrier": "UA", "FlightDate": "2013-05-06", "Origin": "EWR", "Dest": "SFO",
        "FlightNum": null, "Timestamp": "2013-05-06T07:08:09Z", "UUID": id,
    });
    for (name, value) in changes.as_object().unwrap() {
        request[name] = value.clone();
    }
    request.to_string().into_bytes()
}
