//! What docs/input.md says, from the topic to the sinks: each kind of bad input is a reject alone, and what cannot be
//! unpacked stops the pipeline where it is.

use std::sync::atomic::Ordering;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::rig::{PATIENCE, Record, Rig, flights, setting};
use crate::bad_input::{FIELDS, cases};

fn text(record: &Record) -> &str {
    std::str::from_utf8(&record.value).unwrap()
}

#[test]
fn every_kind_of_bad_input_is_a_reject_alone() {
    let mut rig = Rig::new("badinput", 1);
    let fields = FIELDS.map(|(name, ty)| format!("{name} = \"{ty}\"\n")).concat();
    rig.toml = format!(
        "name = \"{0}\"\n[source.kafka]\nbrokers = \"{1}\"\ntopic = \"{0}-request\"\ngroup = \"{0}\"\n[source.fields]\n\
         {fields}[sinks.rows]\ncolumns = {2:?}\n[sinks.rows.kafka]\ntopic = \"{0}-response\"\n[rejects.kafka]\n\
         topic = \"{0}-rejected\"\n",
        rig.name,
        setting("KAFKA_BROKERS"),
        FIELDS.map(|(name, _)| name),
    );
    let cases = cases();
    rig.send(cases.iter().map(|case| (0, case.value.as_deref())));
    let rows: Vec<_> = cases.iter().filter_map(|case| case.outcome.ok()).collect();
    let codes = cases.iter().enumerate().filter_map(|(offset, case)| Some((offset, case.outcome.err()?)));
    let codes: Vec<_> = codes.map(|(offset, code)| (offset.to_string(), code.to_owned())).collect();
    let mut process = rig.start();
    let responses = rig.await_records("response", rows.len(), &mut process);
    let rejects = rig.await_records("rejected", codes.len(), &mut process);
    process.drain();
    assert_eq!(responses.iter().map(text).collect::<Vec<_>>(), rows);
    let rejects: Vec<_> = rejects.iter().map(Record::json).collect();
    let found =
        rejects.iter().map(|reject| (reject["offset"].to_string(), reject["code"].as_str().unwrap().to_owned()));
    assert_eq!(found.collect::<Vec<_>>(), codes);
    for reject in &rejects {
        let case = &cases[reject["offset"].as_u64().unwrap() as usize];
        if let Some(Ok(value)) = case.value.as_deref().map(std::str::from_utf8) {
            assert_eq!(reject["original"], value, "{}", case.name);
        }
    }
}

/// Where a batch's header has its codec, counted back from its records; and one that nobody has.
const CODEC_BEFORE_RECORDS: usize = 61 - 22;
const NO_CODEC: u8 = 5;
const GZIP: &[u8] = b"\x1f\x8b\x08";

#[test]
fn a_batch_that_this_build_cannot_unpack_stops_the_pipeline_before_it() {
    let mut rig = Rig::new("codec", 1);
    let altering = rig.alter(true, |_request, answer| {
        if let Some(records) = answer.windows(GZIP.len()).position(|part| part == GZIP) {
            answer[records - CODEC_BEFORE_RECORDS] = NO_CODEC;
        }
    });
    let (before, mut ids) = flights(10, "before");
    rig.produce(&before);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", setting("KAFKA_BROKERS"))
        .set("compression.type", "gzip")
        .create()
        .unwrap();
    let (packed, more) = flights(1, "packed");
    let topic = rig.topic("request");
    let record = BaseRecord::<(), _>::to(&topic).partition(0).payload(&packed[0]);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    let (after, others) = flights(10, "after");
    rig.produce(&after);
    let (code, said) = rig.start().wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("a batch is compressed or written in a way that this build does not know"), "{said}");
    // what came before it may have been committed, and nothing behind it was
    let responses = rig.responses();
    assert!(responses.iter().all(|row| row["UUID"].as_str().unwrap().starts_with("before")), "{responses:?}");
    altering.store(false, Ordering::Release);
    ids.extend(more.into_iter().chain(others));
    let mut process = rig.start();
    rig.await_records("response", ids.len(), &mut process);
    process.drain();
    rig.assert_exactly_once(&ids);
}
