//! The page on an embedded folder; the test plays the pipeline in it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use millrace_embedded::{Folder, Message, Record, TOPIC_ROWS_MAX};
use serde_json::{Value, json};

use crate::rig::{Rig, prediction};

/// The pipeline's side of the folder.
pub struct Pipeline {
    folder: Folder,
    pub rig: Rig,
}

impl Pipeline {
    pub async fn new(test: &str) -> Pipeline {
        let mut rig = Rig::without_topics(test).await;
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(rig.topic("folder"));
        let mut folder = Folder::open(&path).unwrap();
        rig.flag("embedded", &path.display().to_string());
        rig.flag("collection", "answers");
        let mut transaction = folder.begin().unwrap();
        for role in ["request", "response", "rejected"] {
            transaction.topic(&rig.topic(role), 2, TOPIC_ROWS_MAX).unwrap();
        }
        transaction.commit().unwrap();
        Pipeline { folder, rig }
    }

    /// The only flight that came.
    fn request(&self) -> Value {
        serde_json::from_slice(self.message().value.as_ref().unwrap()).unwrap()
    }

    pub fn headers(&self) -> BTreeMap<String, String> {
        let headers = self.message().headers.into_iter();
        headers.map(|(name, value)| (name, String::from_utf8(value).unwrap())).collect()
    }

    fn message(&self) -> Message {
        let topic = self.folder.topic(&self.rig.topic("request")).unwrap().unwrap();
        let messages = (0..2).flat_map(|partition| self.folder.read(&topic, partition, 0, 10, 10_000).unwrap());
        let mut messages: Vec<_> = messages.collect();
        assert_eq!(messages.len(), 1);
        messages.remove(0)
    }

    pub fn write(&mut self, role: &str, value: &Value, document: Option<&Value>) {
        let text = value.to_string();
        let mut transaction = self.folder.begin().unwrap();
        let topic = transaction.topic(&self.rig.topic(role), 2, TOPIC_ROWS_MAX).unwrap();
        let record = Record { timestamp_ms: 0, key: None, value: Some(text.as_bytes()), headers: &[] };
        transaction.append(&topic, 1, [record]).unwrap();
        if let Some(document) = document {
            transaction.insert_document("millrace_test.answers", "p/0/0", &document.to_string()).unwrap();
        }
        transaction.commit().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flight_goes_in_and_its_answer_comes_out_twice() {
    let mut pipeline = Pipeline::new("embedded").await;
    let web = pipeline.rig.web().await;
    let id = web.send().await;
    assert_eq!(pipeline.request()["UUID"], json!(id));
    assert_eq!(web.response(&id).await, json!({ "status": "WAIT", "id": id }));
    let mut listening = web.events(&id).await;
    let answer = prediction(&id, 2);
    pipeline.write("response", &answer, Some(&answer));
    let event = listening.next().await.expect("an event");
    assert_eq!(serde_json::from_str::<Value>(&event.data).unwrap(), answer);
    assert_eq!(web.response(&id).await, json!({ "status": "OK", "id": id, "prediction": answer }));
    web.stop().await;
    // what came before is found again
    let web = pipeline.rig.web().await;
    let event = web.events(&id).await.next().await.expect("an event");
    assert_eq!(serde_json::from_str::<Value>(&event.data).unwrap(), answer);
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_flight_is_told_with_its_reason() {
    let mut pipeline = Pipeline::new("embedded-refused").await;
    let web = pipeline.rig.web().await;
    let id = web.send().await;
    let original = pipeline.request().to_string();
    let mut listening = web.events(&id).await;
    let reject = json!({ "stage": "features", "code": "bad_delay", "reason": "too late", "original": original });
    pipeline.write("rejected", &reject, None);
    assert_eq!(listening.next().await.expect("an event").event, "rejected");
    assert_eq!(web.response(&id).await["status"], json!("REJECTED"));
    web.stop().await;
}
