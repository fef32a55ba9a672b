//! The sample of real flights, through a pipeline without a plugin, in a folder of its own.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;

use super::evaluate::judge;
use super::*;
use crate::calendar::parse_date;
use crate::config;
use crate::json::decode::Decoder;
use crate::json::lines::Line;
use crate::stage::Stage;
use crate::stage::model::{BOOSTER_FILE, Evaluation, MANIFEST_FILE};

const PIPELINE: &str = r#"
name = "sample"
[source.kafka]
brokers = "localhost:9092"
topic = "requests"
group = "sample"
[source.fields]
Carrier = "text"
Origin = "text"
Dest = "text"
FlightDate = "date"
DepDelay = "float64?"
Distance = "float64?"
[[stages]]
name = "distance"
[stages.lookup]
table = "EXAMPLES/origin_dest_distances.jsonl"
on = ["Origin", "Dest"]
fill = ["Distance"]
[[stages]]
name = "delay"
[stages.model]
path = "model"
class = "Prediction"
probabilities = "Probability"
[sinks.responses.kafka]
topic = "responses"
[rejects.kafka]
topic = "rejected"
[train]
data = "DATA"
label = "ArrDelay"
class_bounds = [-15, 0, 30]
labels = ["early", "slightly early", "slightly late", "very late"]
date_column = "FlightDate"
features = ["DepDelay", "Distance", "FlightDate", "Carrier", "Origin", "Dest"]
rounds = 8
depth_max = 4
"#;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/flight-delay")
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("millrace-train-{name}-{}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).expect("a folder of our own");
    folder
}

/// The pipeline over this data, in this folder.
fn pipeline(folder: &Path, data: &Path) -> PathBuf {
    let examples = examples().display().to_string();
    let toml = PIPELINE.replace("EXAMPLES", &examples).replace("DATA", &data.display().to_string());
    let file = folder.join("pipeline.toml");
    fs::write(&file, toml).expect("a pipeline");
    file
}

fn training(file: &Path) -> Training {
    config::check_training(file, &|_| None).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn train_in(folder: &Path, data: &Path) -> Result<Report> {
    train(&training(&pipeline(folder, data)), &mut |_| ())
}

/// Trained once for all tests that only look at it.
fn sample() -> &'static (PathBuf, Report) {
    static SAMPLE: OnceLock<(PathBuf, Report)> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let folder = folder("sample");
        let report = train_in(&folder, &examples().join("sample.jsonl")).expect("a model");
        (folder, report)
    })
}

#[test]
fn figures_fit_each_other_and_beat_the_largest_class() {
    let (_, report) = sample();
    let Figures { weeks, last_months } = report.manifest.figures.clone();
    for judged in [weeks.expect("weeks"), last_months.expect("months")] {
        let sum = |rows: &[Vec<u64>]| rows.iter().flatten().sum::<u64>();
        assert_eq!(judged.trained_rows + judged.rows, report.manifest.trained.rows);
        assert_eq!(sum(&judged.confusion), judged.rows);
        let right: u64 = (0..4).map(|class| judged.confusion[class][class]).sum();
        assert_eq!(judged.accuracy, right as f64 / judged.rows as f64);
        let largest: u64 = judged.confusion[judged.majority_class].iter().sum();
        assert_eq!(judged.majority_accuracy, largest as f64 / judged.rows as f64);
        assert!(judged.accuracy > judged.majority_accuracy + 0.05, "{judged:?}");
        assert!(judged.log_loss < judged.majority_log_loss - 0.05, "{judged:?}");
    }
}

#[test]
fn the_folder_says_what_it_was_made_of() {
    let (folder, report) = sample();
    let manifest = Manifest::read(&folder.join("model").join(MANIFEST_FILE)).expect("a manifest");
    assert_eq!(manifest, report.manifest);
    assert!(manifest.booster_sha256.is_some());
    let trained = &manifest.trained;
    assert_eq!((trained.rows, trained.left_out), (4_010 - 126, 126));
    assert_eq!((trained.months.len(), trained.from.to_string().as_str()), (12, "2013-01-01"));
    let names: Vec<_> = trained.stages.iter().chain(&trained.data).map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["origin_dest_distances.jsonl", "sample.jsonl"]);
    let origins = manifest.features.iter().find(|feature| feature.name == "Origin").expect("the feature");
    assert_eq!(origins.categories, ["EWR", "JFK", "LGA"]);
    let reasons: Vec<_> = report.left_out.iter().map(|(stage, code, reason)| (stage, code, reason.count)).collect();
    assert_eq!(reasons, [("data", "unlabeled", 126)]);
    let said = report.to_string();
    assert!(
        said.contains("sample: 3,884 rows from 2013-01-01 to 2013-12-31\nleft out: 126 unlabeled (data)"),
        "{said}"
    );
}

#[test]
fn training_again_gives_the_same_booster_and_leaves_nothing_else() {
    let (first, _) = sample();
    let again = folder("again");
    for _ in 0..2 {
        train_in(&again, &examples().join("sample.jsonl")).expect("a model, also over a former one");
        let booster = |folder: &Path| fs::read(folder.join("model").join(BOOSTER_FILE)).expect("a booster");
        assert!(booster(first) == booster(&again), "two trainings differ");
    }
    let mut names: Vec<_> =
        fs::read_dir(&again).expect("the folder").map(|entry| entry.expect("one").file_name()).collect();
    names.sort();
    assert_eq!(names, ["model", "pipeline.toml"]);
}

/// Lines of the sample; every other one without its distance, so that the table gives it.
fn requests() -> Vec<String> {
    let sample = fs::read_to_string(examples().join("sample.jsonl")).expect("the sample");
    let lines = sample.lines().enumerate().map(|(index, line)| {
        let mut flight: serde_json::Map<_, _> = serde_json::from_str(line).expect("a flight");
        if index % 2 == 0 {
            flight.remove("Distance");
        }
        serde_json::Value::from(flight).to_string()
    });
    lines.collect()
}

/// Features and probabilities of every row with a label, by line: as training has them.
fn trained_way(file: &Path, model: &Path) -> Vec<(usize, Vec<u32>, Vec<u32>)> {
    let training = training(file);
    let data = Data::read(&training, &mut |_| ()).expect("the data");
    let features = data.features(&training);
    let matrix = Matrix::new(&data, &training.train, &features).expect("features");
    let booster = xgboost::Booster::load(&model.join(BOOSTER_FILE)).expect("the booster");
    let mut answers = Vec::new();
    booster.predict(&matrix.values, matrix.features.len(), &mut answers).expect("answers");
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let answers = answers.chunks_exact(4).map(bits);
    let rows = data.rows.iter().enumerate().zip(answers);
    rows.map(|((index, row), answer)| (row.line, bits(matrix.row(index)), answer)).collect()
}

/// The same of every row: as the running pipeline has them, in batches of this size.
fn running_way(file: &Path, lines: &[String], batch_rows: usize) -> Vec<(usize, Vec<u32>, Vec<u32>)> {
    let plan = config::check(file, &|_| None).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let manifest = Manifest::read(&file.with_file_name("model").join(MANIFEST_FILE)).expect("a manifest");
    let (encoder, width) = (Encoder::new(&manifest.features), manifest.features.len());
    let mut decoder = Decoder::new(&plan.source);
    let mut stages: Vec<_> = plan.stages.iter().map(|stage| Stage::new(stage).expect("a stage")).collect();
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    let numbered: Vec<_> = lines.iter().enumerate().collect();
    for lines in numbered.chunks(batch_rows) {
        lines.iter().for_each(|(index, line)| decoder.push(&Line { number: index + 1, value: line.as_bytes() }));
        let mut batch = decoder.take(Vec::new()).expect("a batch");
        for stage in &mut stages {
            batch = stage.process(batch).expect("a batch").whole();
        }
        assert_eq!(batch.rejects, []);
        encoder.encode(&batch.columns, &mut values).expect("features");
        let probabilities = batch.columns.column_by_name("Probability").expect("answers").as_list::<i32>();
        for (index, (_, offset, _)) in batch.positions().enumerate() {
            let features = values[index * width..(index + 1) * width].iter().map(|value| value.to_bits()).collect();
            let answer = probabilities.value(index);
            let answer = answer.as_primitive::<Float64Type>().values().iter().map(|p| (*p as f32).to_bits()).collect();
            rows.push((offset as usize, features, answer));
        }
    }
    rows
}

#[test]
fn a_flight_has_the_same_features_and_answers_in_training_and_in_the_pipeline() {
    let (trained, _) = sample();
    let (folder, lines) = (folder("parity"), requests());
    let data = folder.join("requests.jsonl");
    fs::write(&data, lines.join("\n")).expect("requests");
    let (file, model) = (pipeline(&folder, &data), folder.join("model"));
    fs::create_dir(&model).expect("a folder");
    for name in [BOOSTER_FILE, MANIFEST_FILE] {
        fs::copy(trained.join("model").join(name), model.join(name)).expect("a copy");
    }
    let expected = trained_way(&file, &model);
    assert_eq!(expected.len(), 4_010 - 126);
    for batch_rows in [1, 7, 1_024] {
        let mut all = running_way(&file, &lines, batch_rows);
        assert_eq!(all.len(), 4_010);
        // flights without a label are asked about, and not trained on
        all.retain(|(line, ..)| expected.binary_search_by_key(line, |(line, ..)| *line).is_ok());
        assert!(all == expected, "batches of {batch_rows} rows differ");
    }
}

/// A flight on each of these days, one of each class.
fn year(days: &[&str]) -> String {
    let lines = days.iter().flat_map(|day| {
        [-20, -5, 5, 50].map(|late| {
            format!(
                "{{\"Carrier\":\"UA\",\"Origin\":\"EWR\",\"Dest\":\"SFO\",\"FlightDate\":\"{day}\",\"ArrDelay\":{late}}}\n"
            )
        })
    });
    lines.collect()
}

/// What is said of data that cannot be trained on; the former model stays.
fn refused(name: &str, data: &str) -> String {
    let folder = folder(name);
    let (file, model) = (folder.join("data.jsonl"), folder.join("model"));
    fs::write(&file, data).expect("data");
    fs::create_dir(&model).expect("a folder");
    fs::write(model.join("former"), "").expect("a file");
    let said = train_in(&folder, &file).err().expect("an error").to_string();
    assert!(model.join("former").exists() && !model.with_extension("new").exists());
    said.replace(&folder.display().to_string(), "…")
}

#[test]
fn what_cannot_be_trained_on_is_said() {
    let good = year(&["2013-01-01"]);
    let wrong = good.replacen("\"ArrDelay\":-5", "\"ArrDelay\":\"late\"", 1);
    assert_eq!(refused("label", &wrong), "…/data.jsonl:2: the label `ArrDelay` is \"late\", not a number");
    assert!(refused("month", &good).starts_with("the data have no fifth week: "));
    let classless = year(&["2013-01-01", "2013-03-01"]).replace("50", "20");
    assert_eq!(refused("class", &classless), "no row is of class 3 (`very late`): a model cannot learn it");
    let unlabeled = good.replace("ArrDelay", "Other");
    let said = "…/data.jsonl has no row to train on; line 1: `ArrDelay` is absent or null";
    assert_eq!(refused("unlabeled", &unlabeled), said);
    assert_eq!(refused("nothing", ""), "…/data.jsonl has no row to train on; it is empty");
}

#[test]
fn data_that_are_not_there_may_be_fetched() {
    let folder = folder("absent");
    let data = folder.join("flights.jsonl");
    let said = train_in(&folder, &data).err().expect("no data").to_string();
    assert!(said.starts_with(&format!("the data {} cannot be read: No such file", data.display())), "{said}");
    fs::write(folder.join("fetch.py"), "").expect("a script");
    let said = train_in(&folder, &data).err().expect("no data").to_string();
    assert!(said.contains(&format!("(fetch it: {})", folder.join("fetch.py").display())), "{said}");
}

#[test]
fn lines_that_a_stage_refuses_are_left_out_and_counted() {
    let folder = folder("left-out");
    let days = ["2013-01-01", "2013-01-29", "2013-02-05", "2013-02-12"];
    let broken = "{\"Carrier\":\n";
    let nowhere =
        "{\"Carrier\":\"UA\",\"Origin\":\"XXX\",\"Dest\":\"SFO\",\"FlightDate\":\"2013-01-02\",\"ArrDelay\":1}\n";
    fs::write(folder.join("data.jsonl"), format!("{broken}{nowhere}{nowhere}{}", year(&days))).expect("data");
    let report = train_in(&folder, &folder.join("data.jsonl")).expect("a model");
    let reasons = report.left_out.iter().map(|(stage, code, reason)| (stage, code, reason.count, reason.line));
    assert_eq!(reasons.collect::<Vec<_>>(), [("distance", "no_match", 2, 2), ("source", "not_json", 1, 1)]);
    assert_eq!((report.manifest.trained.rows, report.manifest.trained.left_out), (16, 3));
}

#[test]
fn what_is_held_out_is_whole_weeks_and_the_last_months() {
    let day = |text: &str| parse_date(text).expect("a date");
    let first = day("2013-01-01");
    let rows: Vec<_> = (0..365).map(|n| Row { line: 0, class: 0, day: first + n }).collect();
    let dates = |rows: &[usize]| rows.iter().map(|row| first + *row as i32).collect::<Vec<_>>();
    let weeks = dates(&Split::fifth_weeks(&rows).expect("weeks").held_out);
    // the week of Tuesday, the 1st, is the first, so Monday, the 28th, begins the fifth
    assert_eq!(weeks[..7], (day("2013-01-28")..=day("2013-02-03")).collect::<Vec<_>>());
    assert_eq!((weeks[7], weeks.len() % 7), (day("2013-03-04"), 0));
    let months = dates(&Split::last_months(&rows).expect("months").held_out);
    assert_eq!(months, (day("2013-11-01")..=day("2013-12-31")).collect::<Vec<_>>());
    let two = Split::last_months(&rows[..45]).expect("one of two months");
    assert_eq!(dates(&two.held_out)[0], day("2013-02-01"));
    assert!(Split::last_months(&rows[..31]).is_err());
}

#[test]
fn figures_of_a_small_case_by_hand() {
    let answers: [&[f32]; 4] = [&[0.5, 0.5, 0.0], &[0.25, 0.75, 0.0], &[0.5, 0.25, 0.25], &[0.0, 0.5, 0.5]];
    let judged = judge(3, &[0, 0, 0, 1], &[0, 1, 1, 2], &answers);
    let log_loss = -(0.5_f64.ln() + 0.75_f64.ln() + 0.25_f64.ln() + 0.5_f64.ln()) / 4.0;
    let share_loss = -(0.75_f64.ln() + 2.0 * 0.25_f64.ln() + 1e-15_f64.ln()) / 4.0;
    let expected = Evaluation {
        trained_rows: 4,
        rows: 4,
        accuracy: 0.5,
        log_loss,
        majority_class: 0,
        majority_accuracy: 0.25,
        majority_log_loss: share_loss,
        // of equal answers the first: the first row is answered 0, the last 1
        precision: vec![0.5, 0.5, 0.0],
        recall: vec![1.0, 0.5, 0.0],
        confusion: vec![vec![1, 0, 0], vec![1, 1, 0], vec![0, 1, 0]],
    };
    assert!((judged.log_loss - log_loss).abs() < 1e-12 && (judged.majority_log_loss - share_loss).abs() < 1e-12);
    assert_eq!(Evaluation { log_loss, majority_log_loss: share_loss, ..judged }, expected);
}
