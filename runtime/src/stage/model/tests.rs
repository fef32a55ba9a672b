//! A small model of one number and one text, trained here: class 0 below 0, else 1; always 2 for category `red`.

use std::fs;

use arrow_array::{Date32Array, Float64Array, StringArray};
use millrace_native::xgboost::{TrainingRows, train};

use super::*;
use crate::batch::Origins;
use crate::calendar::parse_date;
use crate::schema::Schema;

const MANIFEST: &str = r#"
name = "colours"
created = "2026-02-03"
xgboost = "3.4.1"

[[features]]
name = "Delay"
type = "float64?"

[[features]]
name = "Colour"
type = "text?"
categories = ["blue", "red", "green"]

[[classes]]
label = "below"
[[classes]]
label = "above"
from = 0.0
[[classes]]
label = "red"

[trained]
pipeline = "colours"
label = "Delay"
date_column = "Day"
from = "2013-01-01"
to = "2013-02-28"
months = [1, 2]
rows = 300
left_out = 0
rounds = 10
depth_max = 3
learning_rate = 0.3
seed = 1
"#;

const BLUE: Option<&str> = Some("blue");
const RED: Option<&str> = Some("red");
const NEVER_SEEN: Option<&str> = Some("octarine");

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("millrace-model-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder of our own");
    fs::write(folder.join(MANIFEST_FILE), MANIFEST).expect("a manifest");
    booster(&folder.join(BOOSTER_FILE), "multi:softprob");
    folder
}

fn booster(file: &Path, objective: &str) {
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    for index in 0..300 {
        let (delay, colour) = ((index % 21 - 10) as f32, (index / 21 % 3) as f32);
        rows.extend([delay, colour]);
        labels.push(if colour == 1.0 { 2.0 } else { f32::from(u8::from(delay >= 0.0)) });
    }
    let parameters =
        [("objective", objective), ("num_class", "3"), ("max_depth", "3"), ("seed", "1"), ("nthread", "1")];
    let parameters = parameters.map(|(name, value)| (name, value.to_owned()));
    let data = TrainingRows { rows: &rows, columns: 2, labels: &labels };
    train(data, &parameters, 10, &["Delay", "Colour"], file, &mut |_| ()).expect("a trained booster");
}

fn settings(unknown_category: UnknownCategory) -> Settings {
    Settings {
        stage: "delay".into(),
        unknown_category,
        outputs: Outputs {
            class: "Prediction".into(),
            probabilities: Some("Probability".into()),
            model_date: Some(Outputs::MODEL_DATE.into()),
            season_known: Some(Outputs::SEASON_KNOWN.into()),
        },
    }
}

fn model(name: &str, unknown_category: UnknownCategory) -> Arc<Model> {
    Arc::new(Model::load(&folder(name), settings(unknown_category)).expect("the model"))
}

/// A batch in which each row is a message of its own, at offsets from 100.
fn batch(rows: &[(Option<f64>, Option<&str>)], days: &[Option<&str>]) -> Batch {
    let schema = ["Delay: float64?", "Colour: text?", "Day: date?"].map(|field| {
        let (name, ty) = field.split_once(": ").expect("name and type");
        Field::new(name, ty.parse().expect("a type"))
    });
    let days = (0..rows.len()).map(|row| days.get(row).copied().flatten());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>()),
        Arc::new(days.map(|day| day.map(|day| parse_date(day).expect("a date"))).collect::<Date32Array>()),
    ];
    let count = rows.len();
    let origins =
        Origins { partitions: vec![0; count], offsets: (100..100 + count as i64).collect(), ..Default::default() };
    Batch {
        columns: RecordBatch::try_new(Schema(schema.to_vec()).arrow(), columns).expect("a batch"),
        lineage: (0..count as u32).collect(),
        origins: Arc::new(origins),
        spans: Vec::new(),
        rejects: Vec::new(),
    }
}

fn classes(batch: &Batch) -> Vec<i64> {
    let column = batch.columns.column_by_name("Prediction").expect("the class");
    column.as_primitive::<arrow_array::types::Int64Type>().values().to_vec()
}

fn probabilities(batch: &Batch) -> Vec<Vec<u64>> {
    let lists = batch.columns.column_by_name("Probability").expect("probabilities").as_list::<i32>();
    let bits = |row: ArrayRef| {
        row.as_primitive::<arrow_array::types::Float64Type>().values().iter().map(|p| p.to_bits()).collect()
    };
    lists.iter().map(|row| bits(row.expect("no nulls"))).collect()
}

#[test]
fn adds_class_probabilities_date_and_season() {
    let model = model("adds", UnknownCategory::Missing);
    let rows = [(Some(-5.0), BLUE), (Some(0.0), BLUE), (Some(-5.0), RED), (None, RED)];
    let days = [Some("2013-01-31"), Some("2024-02-29"), Some("2013-03-01"), None];
    let scored = model.scorer().process(batch(&rows, &days)).expect("answers");
    assert_eq!(classes(&scored), [0, 1, 2, 2]);

    let schema = scored.columns.schema();
    for field in model.adds() {
        let found = schema.field_with_name(&field.name).expect("an added column");
        assert_eq!((found.data_type(), found.is_nullable()), (&field.ty.arrow(), field.ty.nullable), "{}", field.name);
    }
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["Delay", "Colour", "Day", "Prediction", "Probability", "ModelDate", "SeasonKnown"]);

    let dates = scored.columns.column_by_name("ModelDate").expect("the model's date").as_primitive::<Date32Type>();
    assert_eq!(dates.values().to_vec(), vec![parse_date("2026-02-03").expect("a date"); 4]);
    let season = scored.columns.column_by_name("SeasonKnown").expect("the season").as_boolean();
    let season: Vec<_> = season.iter().collect();
    assert_eq!(season, [Some(true), Some(true), Some(false), None]);
}

#[test]
fn probabilities_are_the_boosters_widened_exactly() {
    let model = model("exact", UnknownCategory::Missing);
    let scored = model.scorer().process(batch(&[(Some(-2.5), BLUE), (None, None)], &[])).expect("answers");
    let mut answer = Vec::new();
    model.booster.predict(&[-2.5, 0.0, f32::NAN, f32::NAN], 2, &mut answer).expect("an answer");
    let expected: Vec<u64> = answer.iter().map(|&p| f64::from(p).to_bits()).collect();
    assert_eq!(probabilities(&scored).concat(), expected);
}

#[test]
fn an_answer_does_not_depend_on_the_rows_beside_it() {
    let model = model("blocks", UnknownCategory::Missing);
    let colours = [BLUE, RED, Some("green"), NEVER_SEEN, None];
    let rows: Vec<_> =
        (0..BLOCK_ROWS_MAX + 700).map(|row| (Some((row % 23) as f64 - 11.0), colours[row % 5])).collect();
    let mut scorer = model.scorer();
    let together = scorer.process(batch(&rows, &[])).expect("answers");
    assert_eq!(together.rows(), rows.len());
    let (classes_of_all, bits_of_all) = (classes(&together), probabilities(&together));
    for row in (0..rows.len()).step_by(61).chain([BLOCK_ROWS_MAX - 1, BLOCK_ROWS_MAX, rows.len() - 1]) {
        let alone = scorer.process(batch(&rows[row..=row], &[])).expect("an answer");
        assert_eq!(
            (classes(&alone)[0], &probabilities(&alone)[0]),
            (classes_of_all[row], &bits_of_all[row]),
            "row {row}"
        );
    }
}

#[test]
fn an_empty_batch_stays_empty_and_gets_the_columns() {
    let model = model("empty", UnknownCategory::Reject);
    let scored = model.scorer().process(batch(&[], &[])).expect("no answers");
    assert_eq!((scored.rows(), scored.columns.num_columns()), (0, 7));
}

#[test]
fn an_unknown_category_can_be_missing() {
    let model = model("missing", UnknownCategory::Missing);
    let scored = model.scorer().process(batch(&[(Some(3.0), NEVER_SEEN), (Some(3.0), None)], &[])).expect("answers");
    let bits = probabilities(&scored);
    assert_eq!(bits[0], bits[1]);
    assert!(scored.rejects.is_empty());
}

#[test]
fn an_unknown_category_can_be_refused() {
    let model = model("reject", UnknownCategory::Reject);
    let rows = [(Some(-3.0), NEVER_SEEN), (Some(-3.0), BLUE), (Some(1.0), None), (Some(1.0), Some("Red")), (None, RED)];
    let scored = model.scorer().process(batch(&rows, &[])).expect("answers");
    assert_eq!(scored.lineage, [1, 2, 4]);
    assert_eq!((classes(&scored)[0], classes(&scored)[2]), (0, 2));
    let rejects: Vec<_> =
        scored.rejects.iter().map(|it| (it.origin, &*it.stage, &*it.code, it.reason.as_str())).collect();
    let refused = |origin, value| (origin, "delay", "unknown_category", value);
    assert_eq!(
        rejects,
        [
            refused(0, "the model was trained without the Colour `octarine`"),
            refused(3, "the model was trained without the Colour `Red`")
        ]
    );
}

#[test]
fn columns_can_be_renamed_and_left_out() {
    let mut settings = settings(UnknownCategory::Missing);
    settings.outputs = Outputs { class: "Delayed".into(), probabilities: None, model_date: None, season_known: None };
    let model = Arc::new(Model::load(&folder("renamed"), settings).expect("the model"));
    let scored = model.scorer().process(batch(&[(Some(3.0), BLUE)], &[])).expect("answers");
    assert_eq!(scored.columns.schema().field(3).name(), "Delayed");
    assert_eq!(scored.columns.num_columns(), 4);
}

#[test]
fn a_batch_that_breaks_the_plan_stops() {
    let model = model("plan", UnknownCategory::Reject);
    let mut broken = batch(&[(Some(3.0), BLUE)], &[]);
    broken.columns = broken.columns.project(&[0, 2]).expect("two columns");
    let error = model.scorer().process(broken).expect_err("no Colour");
    assert_eq!(error.to_string(), "column `Colour`, which the model takes, is not among the batch's");
}

#[test]
fn a_folder_that_does_not_fit_says_why() {
    let edits: &[(&str, &str, &str)] = &[
        ("\"Delay\"\ntype", "\"Dealy\"\ntype", "has feature `Delay` where model.toml has `Dealy`"),
        ("[[classes]]\nlabel = \"red\"", "", "gives 3 values a row, model.toml describes 2 classes"),
        (
            "[[classes]]\nlabel = \"below\"",
            "[[features]]\nname = \"More\"\ntype = \"bool\"\n[[classes]]\nlabel = \"below\"",
            "takes 2 features, model.toml describes 3",
        ),
        ("\"green\"]", "\"red\"]", "the category `red` is there twice"),
        ("categories = [\"blue\", \"red\", \"green\"]", "", "`Colour` is text: it needs categories"),
        ("\"float64?\"", "\"float64?\"\ncategories = [\"a\"]", "only text has categories"),
        ("\"float64?\"", "\"list<float64>\"", "a model takes no lists"),
        ("\"float64?\"", "\"timestamp\"", "a model takes no timestamp"),
        ("\"float64?\"", "\"float\"", "model.toml:8: `float` is not a type"),
        ("\"Colour\"", "\"Delay\"", "feature `Delay` is there twice"),
        ("months = [1, 2]", "months = [0]", "0 is no month"),
        ("name = \"colours\"", "name = \"colours\"\nbooster_sha256 = \"00\"", "its sha256 is another"),
        ("2026-02-03", "2026-02-30", "model.toml:3: `2026-02-30` is not a date"),
        ("name = \"colours\"", "nam = \"colours\"", "model.toml:2: unknown field `nam`"),
    ];
    let folder = folder("errors");
    for (from, to, expected) in edits {
        assert!(MANIFEST.contains(from), "{from}");
        fs::write(folder.join(MANIFEST_FILE), MANIFEST.replacen(from, to, 1)).expect("a manifest");
        let error = Model::load(&folder, settings(UnknownCategory::Missing)).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}\n  instead of\n{expected}");
    }
}

#[test]
fn a_booster_that_is_not_there_or_not_one_says_why() {
    let folder = folder("boosters");
    let load = || Model::load(&folder, settings(UnknownCategory::Missing)).expect_err("no model").to_string();
    booster(&folder.join(BOOSTER_FILE), "multi:softmax");
    assert!(load().contains("gives 1 values a row"), "{}", load());
    fs::write(folder.join(BOOSTER_FILE), "{\"not\": \"a booster\"}").expect("a file");
    assert!(load().contains("model.ubj: XGBoost 3.4.1 does not read it"), "{}", load());
    fs::remove_file(folder.join(BOOSTER_FILE)).expect("the booster goes");
    assert!(load().contains("model.ubj: the booster cannot be read: No such file"), "{}", load());
    fs::remove_file(folder.join(MANIFEST_FILE)).expect("the manifest goes");
    assert!(load().contains("model.toml: the model's description cannot be read: No such file"), "{}", load());
}

#[test]
fn a_manifest_reads_back_as_it_was_written() {
    let folder = folder("written");
    let file = folder.join(MANIFEST_FILE);
    let manifest = Manifest::read(&file).expect("the manifest");
    fs::write(&file, manifest.toml().expect("TOML")).expect("a manifest");
    assert_eq!(Manifest::read(&file).expect("the manifest"), manifest);
}
