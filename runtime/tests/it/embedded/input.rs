//! What docs/input.md says of each kind of bad input, on a folder: a reject alone, and every other row at every sink.

use millrace_embedded::{Folder, Record};
use serde_json::{Map, Value};

use super::Bed;
use crate::bad_input::{FIELDS, cases};

const TOPIC: &str = "flight-delay-ml-request";

fn only_fields(row: &Value) -> Value {
    Value::Object(Map::from_iter(FIELDS.map(|(name, _)| (name.to_owned(), row[name].clone()))))
}

/// As texts: what is there how often, whatever the order.
fn sorted(rows: impl IntoIterator<Item = Value>) -> Vec<String> {
    let mut rows: Vec<_> = rows.into_iter().map(|row| row.to_string()).collect();
    rows.sort();
    rows
}

#[test]
fn every_kind_of_bad_input_is_a_reject_alone_and_the_other_rows_are_at_every_sink() {
    let mut bed = Bed::new("badinput");
    let fields = FIELDS.map(|(name, ty)| format!("{name} = \"{ty}\"\n")).concat();
    let columns = format!("columns = {:?}", FIELDS.map(|(name, _)| name));
    bed.toml = format!(
        "name = \"badinput\"\n[source.kafka]\nbrokers = \"nobody:1\"\ntopic = \"{TOPIC}\"\ngroup = \"badinput\"\n\
         [source.fields]\n{fields}\
         [sinks.responses]\n{columns}\n[sinks.responses.kafka]\ntopic = \"flight-delay-ml-response\"\n\
         [sinks.store]\n{columns}\n[sinks.store.mongodb]\nuri = \"mongodb://nobody\"\ndatabase = \"agile_data_science\"\n\
         collection = \"flight_delay_ml_response\"\n\
         [sinks.archive]\n{columns}\n[sinks.archive.hdfs]\nuri = \"hdfs://nobody:1\"\n\
         directory = \"/user/flight_predictions\"\nroll_seconds_max = 1\n\
         [rejects.kafka]\ntopic = \"flight-delay-ml-rejected\"\n"
    );
    let cases = cases();
    let mut folder = Folder::open(&bed.data).unwrap();
    let mut transaction = folder.begin().unwrap();
    let topic = transaction.topic(TOPIC, 1, 1_000_000).unwrap();
    let records = cases.iter().map(|case| Record { value: case.value.as_deref(), ..Record::default() });
    transaction.append(&topic, 0, records).unwrap();
    transaction.commit().unwrap();

    let rows: Vec<Value> =
        cases.iter().filter_map(|case| case.outcome.ok()).map(|row| serde_json::from_str(row).unwrap()).collect();
    let refused = cases.iter().enumerate().filter_map(|(offset, case)| Some((offset, case.outcome.err()?)));
    let refused: Vec<_> = refused.collect();
    let mut process = bed.start(&[]);
    bed.await_rows(rows.len(), &mut process);
    bed.await_records("flight-delay-ml-rejected", refused.len(), &mut process);
    bed.await_stored(rows.len(), &mut process);
    process.drain();

    assert_eq!(bed.consume("flight-delay-ml-response"), rows);
    assert_eq!(sorted(bed.documents().iter().map(only_fields)), sorted(rows.clone()), "the collection");
    assert_eq!(sorted(bed.archived()), sorted(rows), "the directory");
    let rejects = bed.consume("flight-delay-ml-rejected");
    let found = rejects.iter().map(|reject| (reject["offset"].as_u64().unwrap(), reject["code"].as_str().unwrap()));
    let expected = refused.iter().map(|&(offset, code)| (offset as u64, code));
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    for (reject, (offset, _)) in rejects.iter().zip(refused) {
        let case = &cases[offset];
        if let Some(Ok(value)) = case.value.as_deref().map(std::str::from_utf8) {
            assert_eq!(reject["original"], value, "{}", case.name);
        }
    }
}
