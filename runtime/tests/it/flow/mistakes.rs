//! What the replaced system got wrong, a test each. The fourth and the fifth are the page's as well: see web/tests.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};

use super::life::free_address;
use super::rig::{Rig, flights, repository, request, setting};
use super::wire::Wire;

/// Answers to requests, in their order.
fn answers(rig: &Rig, requests: &[Vec<u8>]) -> Vec<Value> {
    rig.produce(requests);
    let mut process = rig.start();
    rig.await_records("response", requests.len(), &mut process);
    process.drain();
    rig.responses()
}

#[test]
fn mistake_1_carrier_origin_and_dest_were_ignored() {
    let rig = Rig::new("m1", 1);
    let variants = [
        json!({}),
        json!({ "Carrier": "B6" }),
        json!({ "Origin": "JFK" }),
        json!({ "Dest": "LAX" }),
        json!({ "Dest": "ATL" }),
    ];
    // the distance is given, so that it is not what makes the difference
    let requests = variants.iter().enumerate().map(|(n, change)| {
        let mut change = change.clone();
        change["Distance"] = json!(2500.0);
        change["DepDelay"] = json!(0.0);
        request(&n.to_string(), change)
    });
    let answers = answers(&rig, &requests.collect::<Vec<_>>());
    let distinct: BTreeSet<_> = answers.iter().map(|answer| answer["Probability"].to_string()).collect();
    assert_eq!(distinct.len(), variants.len(), "{distinct:?}");
}

#[test]
fn mistake_2_day_of_week_was_another_in_serving() {
    let rig = Rig::new("m2", 1);
    let days = ["2013-05-06", "2013-05-07", "2013-05-11", "2013-05-12", "2012-12-31"];
    let requests: Vec<_> = days.iter().map(|day| request(day, json!({ "FlightDate": day }))).collect();
    let weekdays: Vec<_> = answers(&rig, &requests).iter().map(|answer| answer["DayOfWeek"].clone()).collect();
    assert_eq!(weekdays, [1, 2, 6, 7, 1]);
    let days: Vec<_> = rig.responses().iter().map(|answer| answer["DayOfYear"].clone()).collect();
    assert_eq!(days, [126, 127, 131, 132, 366]);
}

#[test]
fn mistake_3_a_season_that_the_model_never_saw_went_without_a_word() {
    let mut rig = Rig::new("m3", 1);
    let model = repository().join("examples/flight-delay/model");
    let copy = rig.folder.join("model");
    fs::create_dir_all(&copy).unwrap();
    for file in fs::read_dir(&model).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let toml = fs::read_to_string(copy.join("model.toml")).unwrap();
    let months = toml.lines().find(|line| line.starts_with("months")).expect("the months that the model knows");
    fs::write(copy.join("model.toml"), toml.replace(months, "months = [1]")).unwrap();
    rig.edit(&model.display().to_string(), &copy.display().to_string());
    let requests = ["2013-01-15", "2013-07-15", "2031-01-15"].map(|day| request(day, json!({ "FlightDate": day })));
    let answers = answers(&rig, &requests);
    let known: Vec<_> = answers.iter().map(|answer| answer["SeasonKnown"].clone()).collect();
    // a year beyond the model's alone is no fault of the flight
    assert_eq!(known, [true, false, true]);
    assert!(answers.iter().all(|answer| answer["ModelDate"].is_string()), "{}", answers[0]);
}

#[test]
fn mistake_4_nothing_was_validated() {
    let rig = Rig::new("m4", 1);
    let wrong = [
        json!({ "FlightDate": "2013-02-30" }),
        json!({ "Origin": "newark" }),
        json!({ "Dest": "EWR" }),
        json!({ "DepDelay": "late" }),
        json!({ "DepDelay": 1e9 }),
        json!({ "Carrier": "" }),
        json!({ "Origin": null }),
    ];
    let requests: Vec<_> =
        wrong.iter().enumerate().map(|(n, change)| request(&n.to_string(), change.clone())).collect();
    rig.produce(&requests);
    let mut process = rig.start();
    let rejects = rig.await_records("rejected", wrong.len(), &mut process);
    process.drain();
    assert_eq!(rig.responses(), Vec::<Value>::new());
    for reject in rejects {
        let reject = reject.json();
        assert!(reject["reason"].as_str().unwrap().len() > 10, "{reject}");
        assert!(reject["original"].as_str().unwrap().contains("UUID"), "{reject}");
    }
}

#[test]
fn mistake_6_the_date_moved_with_the_time_zone() {
    let mut rig = Rig::new("m6", 1);
    rig.env("TZ", "Pacific/Auckland");
    let answers = answers(&rig, &[request("one", json!({ "FlightDate": "2013-12-31" }))]);
    assert_eq!(answers[0]["FlightDate"], "2013-12-31");
    assert_eq!(answers[0]["DayOfYear"], 365);
    assert_eq!(rig.archived()[0]["FlightDate"], "2013-12-31");
    let stored = rig.documents()[0].get_datetime("FlightDate").unwrap().try_to_rfc3339_string().unwrap();
    assert_eq!(stored, "2013-12-31T00:00:00Z");
}

#[test]
fn mistake_7_positions_were_lost_with_a_folder() {
    let rig = Rig::new("m7", 1);
    let (messages, mut ids) = flights(100, "before");
    rig.produce(&messages);
    let mut process = rig.start();
    rig.await_records("response", ids.len(), &mut process);
    process.drain();
    fs::remove_dir_all(rig.folder.join("state")).unwrap();
    let (messages, more) = flights(100, "after");
    rig.produce(&messages);
    ids.extend(more);
    let mut process = rig.start();
    rig.await_records("response", ids.len(), &mut process);
    process.drain();
    rig.assert_exactly_once(&ids);
}

#[test]
fn mistake_8_a_malformed_message_got_a_prediction() {
    let rig = Rig::new("m8", 1);
    let broken: [&[u8]; 5] = [b"", b"{", b"[]", b"\xff\xfe", b"{\"UUID\":\"x\"}"];
    rig.produce(&broken.map(<[u8]>::to_vec));
    let mut process = rig.start();
    let rejects = rig.await_records("rejected", broken.len(), &mut process);
    process.drain();
    assert_eq!(rig.responses(), Vec::<Value>::new());
    assert_eq!(rig.documents().len() + rig.archived().len(), 0);
    let codes: Vec<_> = rejects.iter().map(|reject| reject.json()["code"].clone()).collect();
    assert_eq!(codes, ["not_json", "not_json", "not_an_object", "not_json", "missing_field"]);
}

#[test]
fn mistake_9_it_crashed_until_the_broker_was_up() {
    let mut rig = Rig::new("m9", 1);
    let (messages, ids) = flights(20, "l");
    rig.produce(&messages);
    let address = free_address();
    rig.env("KAFKA_BROKERS", &address);
    let mut process = rig.start();
    process.await_word("not running");
    assert!(process.said().contains(&address), "{}", process.said());
    Wire::on(TcpListener::bind(&address).unwrap(), setting("KAFKA_BROKERS"));
    rig.await_records("response", ids.len(), &mut process);
    let said = process.drain();
    assert!(said.contains("20 messages"), "{said}");
    rig.assert_exactly_once(&ids);
}
