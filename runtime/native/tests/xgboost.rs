//! The wrapper against XGBoost's own way of asking (a matrix), bit for bit.

use std::path::{Path, PathBuf};

use millrace_native::xgboost::{Booster, TrainingRows, train, version};
use xgboost_rs::DMatrix;

const COLUMNS: usize = 4;
const NAMES: [&str; COLUMNS] = ["a", "b", "c", "d"];

/// Rows from a fixed generator: values from -4 to 4, many of them 0, some missing; the class follows from them.
fn rows(count: usize) -> (Vec<f32>, Vec<f32>) {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u32
    };
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let row: [f32; COLUMNS] = std::array::from_fn(|_| match next() % 6 {
            0 => f32::NAN,
            1 | 2 => 0.0,
            _ => (next() % 1000) as f32 / 125.0 - 4.0,
        });
        let class = if row[0].is_nan() { 2.0 } else { f32::from(u8::from(row[0] + row[1].max(-1.0) > 0.0)) };
        values.extend(row);
        labels.push(class);
    }
    (values, labels)
}

fn parameters(threads: u32) -> Vec<(&'static str, String)> {
    [("objective", "multi:softprob"), ("num_class", "3"), ("tree_method", "hist"), ("max_depth", "4"), ("seed", "1")]
        .map(|(name, value)| (name, value.to_owned()))
        .into_iter()
        .chain([("nthread", threads.to_string())])
        .collect()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("xgboost-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder of our own");
    folder
}

fn trained(name: &str, threads: u32, count: usize) -> PathBuf {
    let file = folder(name).join("model.ubj");
    let (values, labels) = rows(count);
    let data = TrainingRows { rows: &values, columns: COLUMNS, labels: &labels };
    let mut rounds = Vec::new();
    train(data, &parameters(threads), 10, &NAMES, &file, &mut |round| rounds.push(round)).expect("a trained model");
    assert_eq!(rounds, (1..=10).collect::<Vec<_>>());
    file
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn the_library_is_the_one_that_models_are_saved_by() {
    assert_eq!(version(), (3, 4, 1));
}

#[test]
fn answers_are_those_of_a_matrix_bit_for_bit() {
    let file = trained("parity", 2, 2_000);
    let (values, _) = rows(3_000);
    let booster = Booster::load(&file).expect("the model");
    assert_eq!((booster.features(), booster.classes()), (COLUMNS, 3));
    assert_eq!(booster.feature_names().expect("names"), NAMES);

    let size = size_of::<f32>();
    let matrix = DMatrix::from_col_major_f32(&values, COLUMNS * size, size, 3_000, COLUMNS, 1, f32::NAN);
    let theirs = xgboost_rs::Booster::load(&file).expect("the model").predict(&matrix.expect("a matrix"));
    let mut ours = Vec::new();
    booster.predict(&values, COLUMNS, &mut ours).expect("an answer");
    assert_eq!(bits(&ours), bits(&theirs.expect("an answer")));

    let mut piecewise = Vec::new();
    for row in values.chunks(COLUMNS) {
        let mut answer = vec![9.0; 7];
        booster.predict(row, COLUMNS, &mut answer).expect("an answer");
        piecewise.extend(answer);
    }
    assert_eq!(bits(&piecewise), bits(&ours));
}

#[test]
fn zero_is_a_value_and_nan_is_missing() {
    let booster = Booster::load(&trained("zero", 2, 2_000)).expect("the model");
    let mut answer = Vec::new();
    booster.predict(&[0.0, 0.0, 0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0], COLUMNS, &mut answer).expect("an answer");
    let class = |row: &[f32]| (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("three classes");
    assert_eq!((class(&answer[..3]), class(&answer[3..])), (0, 2), "{answer:?}");
}

#[test]
fn one_booster_answers_many_threads_alike() {
    let booster = Booster::load(&trained("threads", 2, 2_000)).expect("the model");
    let (values, _) = rows(500);
    let mut expected = Vec::new();
    booster.predict(&values, COLUMNS, &mut expected).expect("an answer");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut answer = Vec::new();
                for _ in 0..50 {
                    booster.predict(&values, COLUMNS, &mut answer).expect("an answer");
                    assert_eq!(bits(&answer), bits(&expected));
                }
            });
        }
    });
}

#[test]
fn training_again_gives_the_same_bytes() {
    let read = |file: PathBuf| std::fs::read(file).expect("the saved model");
    let first = read(trained("same-1", 2, 20_000));
    assert!(first == read(trained("same-2", 2, 20_000)), "two trainings differ");
    assert!(first == read(trained("same-3", 1, 20_000)), "one thread and two differ");
}

#[test]
fn what_does_not_fit_is_said() {
    let file = trained("errors", 1, 200);
    let booster = Booster::load(&file).expect("the model");
    let mut answer = vec![1.0];
    let error = booster.predict(&[0.0; 6], 3, &mut answer).expect_err("three columns for four features");
    assert_eq!(error.to_string(), "6 values in rows of 3 do not fit a model of 4 features");
    booster.predict(&[0.0; 6], COLUMNS, &mut answer).expect_err("one row and a half");
    booster.predict(&[], COLUMNS, &mut answer).expect("no rows");
    assert!(answer.is_empty());

    let missing = Booster::load(&file.with_file_name("absent.ubj")).expect_err("no such file");
    assert!(missing.to_string().contains("absent.ubj"), "{missing}");
    let torn = file.with_file_name("torn.ubj");
    let bytes = std::fs::read(&file).expect("the model");
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).expect("half a model");
    let error = Booster::load(&torn).expect_err("half a model");
    assert!(!error.to_string().contains('\n'), "{error}");

    let (values, _) = rows(2);
    let data = TrainingRows { rows: &values, columns: COLUMNS, labels: &[1.0] };
    train(data, &parameters(1), 1, &NAMES, &torn, &mut |_| ()).expect_err("two rows and one label");
    let data = TrainingRows { rows: &values, columns: COLUMNS, labels: &[1.0, 7.0] };
    let error = train(data, &parameters(1), 1, &NAMES, &torn, &mut |_| ()).expect_err("class 7 of 3");
    assert!(error.to_string().contains("label"), "{error}");
}
