//! Histories that are right, and the same with one thing wrong: the checker must say which.

use serde_json::json;

use super::*;

/// Message `n` of a log of one partition, at offset `n - 1`: two in a hundred are not simply a row.
const FATES: [i64; 9] = [20, 13, 20, 14, 16, 17, 15, 20, 20];
const TOPIC: &str = "in";

fn message(offset: i64) -> Vec<u8> {
    json!({ "id": format!("m{offset}"), "n": (offset + 1) * 100 + FATES[offset as usize] }).to_string().into_bytes()
}

fn row(offset: i64, index: i64, factor: i64) -> Value {
    let n = (offset + 1) * 100 + FATES[offset as usize];
    json!({ "id": format!("m{offset}"), "n": n, "partition": 0, "offset": offset, "y": n * factor + index,
            "Generation": format!("g{factor}") })
}

/// Factor 3 below offset 5, and 4 from there on.
fn rows() -> Vec<(i64, Value)> {
    let rows = [(0, 0), (2, 0), (5, 0), (5, 1), (5, 2), (7, 0), (8, 0)];
    rows.into_iter().map(|(offset, index)| (index, row(offset, index, if offset < 5 { 3 } else { 4 }))).collect()
}

fn record(offset: usize, value: Value) -> Record {
    Record { partition: 0, offset: offset as i64, value: value.to_string().into_bytes() }
}

fn reject(offset: i64, code: &str) -> Value {
    let original = String::from_utf8(message(offset)).unwrap();
    json!({ "partition": 0, "offset": offset, "code": code, "original": original })
}

fn lines(rows: &[(i64, Value)]) -> Vec<u8> {
    rows.iter().flat_map(|(_, row)| format!("{row}\n").into_bytes()).collect()
}

fn id(index: i64, row: &Value) -> String {
    let id = format!("p/t/0/{}", row["offset"]);
    if index == 0 { id } else { format!("{id}/{index}") }
}

fn right() -> Observed {
    let rows = rows();
    let rejects = [(1, "plugin_trap"), (3, "plugin_fuel"), (6, "unwelcome")];
    Observed {
        documents_of: DocumentsOf::Rows,
        log: (0..9).map(|offset| Record { partition: 0, offset, value: message(offset) }).collect(),
        responses: rows.iter().enumerate().map(|(at, (_, row))| record(at, row.clone())).collect(),
        rejects: rejects.iter().enumerate().map(|(at, (offset, code))| record(at, reject(*offset, code))).collect(),
        documents: rows.iter().map(|(index, row)| (id(*index, row), row.clone())).collect(),
        files: vec![
            ("in-0-0000000000000000000-0000000000000000004.jsonl".into(), lines(&rows[..2])),
            ("in-0-0000000000000000005-0000000000000000008.jsonl".into(), lines(&rows[2..])),
        ],
    }
}

fn found(observed: &Observed, when: When) -> BTreeSet<(Wrong, &'static str)> {
    let findings = check(TOPIC, observed, &BTreeSet::from([3, 4]), when);
    findings.iter().map(|finding| (finding.wrong, finding.sink)).collect()
}

/// What is found once this is done to a history that is right.
fn after(plant: impl FnOnce(&mut Observed)) -> BTreeSet<(Wrong, &'static str)> {
    after_in(right(), plant)
}

fn after_in(mut observed: Observed, plant: impl FnOnce(&mut Observed)) -> BTreeSet<(Wrong, &'static str)> {
    plant(&mut observed);
    found(&observed, When::AtTheEnd)
}

fn assert_found(found: BTreeSet<(Wrong, &'static str)>, expected: &[(Wrong, &'static str)]) {
    assert_eq!(found, expected.iter().copied().collect());
}

/// The same with a document a key: of the message of three rows two are refused.
fn keyed() -> Observed {
    let mut observed = right();
    observed.documents_of = DocumentsOf::FirstRows;
    observed.documents.retain(|(id, _)| !["/5/1", "/5/2"].iter().any(|further| id.ends_with(further)));
    for (id, document) in &mut observed.documents {
        document["_millrace"] = json!(std::mem::take(id));
        *id = document["id"].as_str().unwrap().to_owned();
    }
    for _ in 0..2 {
        let mut of_store = reject(5, "duplicate_key");
        of_store["stage"] = json!(STORE);
        observed.rejects.push(record(observed.rejects.len(), of_store));
    }
    observed
}

#[test]
fn rows_that_the_store_refuses_are_there_as_rejects_each_once() {
    let found = |plant: &dyn Fn(&mut Observed)| after_in(keyed(), plant);
    assert_found(found(&|_| {}), &[]);
    assert_found(found(&|observed| drop(observed.rejects.pop())), &[(Wrong::Lost, REJECTS)]);
    assert_found(
        found(&|observed| observed.rejects.push(observed.rejects.last().unwrap().clone())),
        &[(Wrong::Twice, REJECTS)],
    );
    assert_found(found(&|observed| drop(observed.documents.pop())), &[(Wrong::Lost, STORE), (Wrong::Balance, STORE)]);
    assert_found(found(&|observed| observed.documents[0].1["_millrace"] = json!("p/t/0/7")), &[(Wrong::Answer, STORE)]);
}

/// The same with the last row of a key: of the message of three rows the first two are replaced.
fn replaced() -> Observed {
    let mut observed = right();
    observed.documents_of = DocumentsOf::LastRows;
    let (offsets, indexes) = ([0, 2, 5, 7, 8], [0, 0, 2, 0, 0]);
    observed.documents.retain(|(id, _)| !["/5", "/5/1"].iter().any(|earlier| id.ends_with(earlier)));
    for ((id, document), (offset, index)) in observed.documents.iter_mut().zip(offsets.into_iter().zip(indexes)) {
        document["_millrace"] = json!({ "p/t/0": format!("{offset:019}/{index:010}") });
        *id = document["id"].as_str().unwrap().to_owned();
    }
    observed
}

#[test]
fn the_last_row_of_a_message_stays_where_rows_are_replaced() {
    let found = |plant: &dyn Fn(&mut Observed)| after_in(replaced(), plant);
    assert_found(found(&|_| {}), &[]);
    assert_found(found(&|it| drop(it.documents.remove(0))), &[(Wrong::Lost, STORE), (Wrong::Balance, STORE)]);
    // an earlier row came late, and took the last one's place
    let late = |it: &mut Observed| {
        it.documents[2].1 = row(5, 1, 4);
        it.documents[2].1["_millrace"] = json!({ "p/t/0": format!("{:019}/{:010}", 5, 1) });
    };
    assert_found(found(&late), &[(Wrong::Lost, STORE)]);
    // the mark is another row's
    let torn = |it: &mut Observed| it.documents[2].1["_millrace"] = json!({ "p/t/0": format!("{:019}/{:010}", 5, 1) });
    assert_found(found(&torn), &[(Wrong::Answer, STORE)]);
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(check(TOPIC, &right(), &BTreeSet::from([3, 4]), When::AtTheEnd), []);
}

#[test]
fn a_row_that_is_lost_is_found_at_its_sink() {
    assert_found(after(|it| drop(it.responses.remove(1))), &[(Wrong::Lost, RESPONSES), (Wrong::Balance, RESPONSES)]);
    assert_found(after(|it| drop(it.documents.remove(0))), &[(Wrong::Lost, STORE), (Wrong::Balance, STORE)]);
    // one of three rows of a message
    assert_found(after(|it| drop(it.documents.remove(3))), &[(Wrong::Lost, STORE)]);
    assert_found(after(|it| drop(it.files.remove(0))), &[(Wrong::Lost, ARCHIVE), (Wrong::Balance, ARCHIVE)]);
}

#[test]
fn a_reject_that_is_lost_unbalances_every_sink() {
    let unbalanced = [RESPONSES, STORE, ARCHIVE].map(|sink| (Wrong::Balance, sink));
    let expected: Vec<_> = unbalanced.into_iter().chain([(Wrong::Lost, REJECTS)]).collect();
    assert_found(after(|it| drop(it.rejects.remove(1))), &expected);
}

#[test]
fn a_row_that_is_there_twice_is_found() {
    let again = |records: &mut Vec<Record>| records.push(Record { offset: 99, ..records.last().unwrap().clone() });
    assert_found(after(|it| again(&mut it.responses)), &[(Wrong::Twice, RESPONSES)]);
    assert_found(after(|it| again(&mut it.rejects)), &[(Wrong::Twice, REJECTS)]);
    let document = |it: &mut Observed| it.documents.push(("q/t/0/8".into(), row(8, 0, 4)));
    assert_found(after(document), &[(Wrong::Twice, STORE)]);
    let file = |it: &mut Observed| {
        let rows = lines(&rows()[6..]);
        it.files.push(("in-0-0000000000000000008-0000000000000000008.jsonl".into(), rows));
    };
    assert_found(after(file), &[(Wrong::Twice, ARCHIVE)]);
}

#[test]
fn what_is_torn_is_found() {
    let cut = |text: &mut Vec<u8>| text.truncate(text.len() - 5);
    assert_found(
        after(|it| cut(&mut it.files[1].1)),
        &[(Wrong::Torn, ARCHIVE), (Wrong::Lost, ARCHIVE), (Wrong::Balance, ARCHIVE)],
    );
    let half = |it: &mut Observed| drop(it.documents[0].1.as_object_mut().unwrap().remove("y"));
    assert_found(after(half), &[(Wrong::Torn, STORE), (Wrong::Lost, STORE), (Wrong::Balance, STORE)]);
    assert_found(after(|it| it.files.push(("rows-1".into(), Vec::new()))), &[(Wrong::Torn, ARCHIVE)]);
}

#[test]
fn rows_out_of_order_are_found() {
    assert_found(after(|it| it.responses.swap(0, 1)), &[(Wrong::Order, RESPONSES)]);
    assert_found(after(|it| it.rejects.swap(0, 1)), &[(Wrong::Order, REJECTS)]);
    let mut rows = rows();
    rows.swap(0, 1);
    assert_found(after(|it| it.files[0].1 = lines(&rows[..2])), &[(Wrong::Order, ARCHIVE)]);
}

#[test]
fn another_answer_than_elsewhere_is_found() {
    let other = |it: &mut Observed| it.documents[1].1 = row(2, 0, 4);
    assert_found(after(other), &[(Wrong::Answer, STORE)]);
    // of a generation that was never deployed, and alike everywhere
    let nobodys = |it: &mut Observed| {
        it.responses[0] = record(0, row(0, 0, 9));
        it.documents[0].1 = row(0, 0, 9);
        it.files[0].1 = lines(&[(0, row(0, 0, 9)), (0, row(2, 0, 3))]);
    };
    assert_found(after(nobodys), &[(Wrong::Answer, RESPONSES), (Wrong::Answer, STORE), (Wrong::Answer, ARCHIVE)]);
    assert_found(after(|it| it.rejects[0] = record(0, reject(1, "plugin_fuel"))), &[(Wrong::Answer, REJECTS)]);
}

#[test]
fn a_row_where_none_belongs_is_found() {
    // the message was refused, and the row is there all the same
    let found = after(|it| it.documents.push((id(0, &row(1, 0, 3)), row(1, 0, 3))));
    assert_found(found, &[(Wrong::Foreign, STORE)]);
    let elsewhere = after(|it| it.files[1].1.splice(0..0, lines(&rows()[..1])).for_each(drop));
    assert_found(elsewhere, &[(Wrong::Foreign, ARCHIVE), (Wrong::Order, ARCHIVE), (Wrong::Twice, ARCHIVE)]);
}

#[test]
fn meanwhile_the_files_may_end_early_but_have_no_hole() {
    let mut observed = right();
    observed.documents.truncate(3);
    observed.responses.truncate(2);
    observed.files.truncate(1);
    assert_found(found(&observed, When::Meanwhile), &[]);
    observed.files[0].1 = lines(&rows()[..1]);
    assert_found(found(&observed, When::Meanwhile), &[(Wrong::Lost, ARCHIVE)]);
}
