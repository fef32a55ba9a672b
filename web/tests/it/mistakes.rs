//! What the front that this one replaces got wrong. Numbers are those of its list of mistakes.

use serde_json::json;

use crate::http::{self, Event};
use crate::rig::{CLASSIFY, Rig, events_path, prediction, response_path};

#[tokio::test(flavor = "multi_thread")]
async fn mistake_4_a_refused_flight_does_not_wait_for_ever() {
    let rig = Rig::new("refused").await;
    let web = rig.web().await;
    let id = web.send().await;
    let mut listening = web.events(&id).await;
    let place = rig.reject(&id).await;
    let told = json!({ "stage": "features", "code": "no_distance", "reason": "no distance is known from JFK to SFO" });
    let event = listening.next().await.expect("an event");
    assert_eq!((event.event.as_str(), event.id), ("rejected", place));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&event.data).unwrap(), told);
    assert_eq!(listening.next().await, None);
    let mut expected = told;
    expected["status"] = json!("REJECTED");
    expected["id"] = json!(id);
    assert_eq!(web.response(&id).await, expected);
    // sent again, and answered
    rig.store(&id, 2).await;
    assert_eq!(web.response(&id).await["status"], json!("OK"));
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistake_4_an_unknown_flight_does_not_wait_for_ever() {
    let rig = Rig::new("unknown").await;
    let web = rig.web().await;
    for path in [response_path("nobodys"), events_path("nobodys"), response_path("%ff"), events_path(&"x".repeat(999))]
    {
        let answer = http::get(web.address, &path).await;
        assert!((400..500).contains(&answer.code), "{path}: {} {}", answer.code, answer.text);
    }
    let sentence = "No flight with this id is known: it was never sent, or too long ago.".to_owned();
    let expected = (404, "UNKNOWN".to_owned(), sentence);
    assert_eq!(http::get(web.address, &response_path("nobodys")).await.said(), expected);
    assert_eq!(http::get(web.address, &events_path("nobodys")).await.said(), expected);
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistake_4_what_is_wrong_is_said_and_nothing_is_sent() {
    let rig = Rig::new("invalid").await;
    let web = rig.web().await;
    let wrong = "DepDelay=soon&Carrier=AA&FlightDate=2013-02-30&Dest=JFK&Origin=JFK";
    let answer = http::post(web.address, CLASSIFY, wrong).await;
    assert_eq!(answer.code, 422);
    let json = answer.json();
    let fields: Vec<_> = json["errors"].as_object().expect("errors").keys().map(String::as_str).collect();
    assert_eq!((json["status"].as_str(), fields), (Some("INVALID"), vec!["DepDelay", "Dest", "FlightDate"]));
    for (form, code) in [("Origin=JFK&Origin=LGA", 422), (&*format!("Origin={}", "x".repeat(20_000)), 413)] {
        let answer = http::post(web.address, CLASSIFY, form).await;
        assert_eq!((answer.code, answer.said().1), (code, "INVALID".into()), "{}", answer.text);
    }
    // the first message in the topic is the one that was right
    let id = web.send().await;
    assert_eq!(rig.next_request()["UUID"], json!(id));
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistake_5_an_answer_from_before_the_page_listened_is_shown() {
    let rig = Rig::new("before").await;
    let web = rig.web().await;
    let id = web.send().await;
    let place = rig.answer(&id, 2).await;
    // somebody else has heard it, so it has passed by
    assert!(web.events(&id).await.next().await.is_some());
    let mut late = web.events(&id).await;
    let expected = Event { event: String::new(), id: place, data: prediction(&id, 2).to_string() };
    assert_eq!(late.next().await, Some(expected));
    assert_eq!(late.next().await, None);
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistake_5_an_answer_from_before_a_restart_of_the_web_module_is_shown() {
    let rig = Rig::new("restart").await;
    let web = rig.web().await;
    let [answered, meanwhile, refused, open] = [web.send().await, web.send().await, web.send().await, web.send().await];
    rig.answer(&answered, 1).await;
    web.stop().await;
    rig.answer(&meanwhile, 3).await;
    rig.reject(&refused).await;

    let web = rig.web().await;
    for (id, class) in [(&answered, 1), (&meanwhile, 3)] {
        assert_eq!(web.events(id).await.next().await.expect("an event").data, prediction(id, class).to_string());
    }
    assert_eq!(web.events(&refused).await.next().await.expect("an event").event, "rejected");
    assert_eq!(web.response(&open).await, json!({ "status": "WAIT", "id": open }));
    rig.answer(&open, 0).await;
    assert_eq!(web.events(&open).await.next().await.expect("an event").data, prediction(&open, 0).to_string());
    web.stop().await;
}
