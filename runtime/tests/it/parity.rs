//! A running pipeline's answers against training's way over the same flights, bit for bit.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use millrace::config;
use millrace::schema::Kind;
use millrace::stage::model::{BOOSTER_FILE, Feature, MANIFEST_FILE, Manifest};
use millrace::train::{Data, Matrix};
use millrace_native::xgboost::Booster;
use serde_json::Value;

/// All flights of the sample; every other one without its distance, so that the table gives it.
pub const FLIGHTS: usize = 4_010;

pub fn requests() -> Vec<Vec<u8>> {
    let (messages, _) = crate::flights::flights(FLIGHTS, "parity");
    let messages = messages.into_iter().enumerate().map(|(index, message)| {
        let mut flight: Value = serde_json::from_slice(&message).unwrap();
        if index % 2 == 0 {
            flight.as_object_mut().unwrap().remove("Distance");
        }
        flight.to_string().into_bytes()
    });
    messages.collect()
}

/// Features and probabilities of `responses`, the answers to [`requests`], are those that the training of the
/// `pipeline` gives for them. `folder` is for the requests as training's data.
pub fn assert_alike(pipeline: &Path, folder: &Path, responses: &[Value]) {
    let (data, requests) = (folder.join("requests.jsonl"), requests());
    fs::write(&data, requests.join(&b'\n')).unwrap();
    let env = |name: &str| std::env::var(name).ok();
    let mut training = config::check_training(pipeline, &env).unwrap_or_else(|said| panic!("{said}"));
    training.train.data = data;
    let manifest = Manifest::read(&training.model.join(MANIFEST_FILE)).unwrap();
    let data = Data::read(&training, &mut |_| ()).unwrap();
    let matrix = Matrix::new(&data, &training.train, &manifest.features).unwrap();
    let booster = Booster::load(&training.model.join(BOOSTER_FILE)).unwrap();
    let answers: HashMap<_, _> = responses.iter().map(|answer| (answer["UUID"].as_str().unwrap(), answer)).collect();
    assert_eq!(answers.len(), FLIGHTS);
    // flights that did not arrive have no label: they are asked about, and not trained on
    assert_eq!(data.rows.len() as u64 + data.left_out.total(), FLIGHTS as u64);
    assert!(data.rows.len() > FLIGHTS * 9 / 10, "{} rows", data.rows.len());
    let mut expected = Vec::new();
    for (index, row) in data.rows.iter().enumerate() {
        let request: Value = serde_json::from_slice(&requests[row.line - 1]).unwrap();
        let answer = answers[request["UUID"].as_str().unwrap()];
        let features: Vec<_> =
            manifest.features.iter().map(|feature| number(feature, &answer[&feature.name])).collect();
        assert_eq!(bits(&features), bits(matrix.row(index)), "features of {request}, answered {answer}");
        booster.predict(matrix.row(index), manifest.features.len(), &mut expected).unwrap();
        // a probability is a float32 that was widened
        let probabilities = answer["Probability"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap() as f32);
        assert_eq!(bits(&probabilities.collect::<Vec<_>>()), bits(&expected), "answer to {request}");
    }
}

/// What the model is told, from what the answer says of it.
fn number(feature: &Feature, value: &Value) -> f32 {
    match feature.ty.kind {
        _ if value.is_null() => f32::NAN,
        Kind::Text => {
            let code = feature.categories.iter().position(|category| value == category);
            code.map_or(f32::NAN, |code| code as f32)
        }
        _ => value.as_f64().unwrap() as f32,
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
