//! How a model does that was trained without some rows, when it is asked about them.
//!
//! Invariant: accuracy, log loss and counts are of the held-out rows; what they are measured against, always the same
//! answer, is taken from the rows that were trained on.

use millrace_native::xgboost::Booster;

use super::folder::Draft;
use super::split::Split;
use super::{Matrix, Watch};
use crate::error::{Error, Result};
use crate::stage::model::Evaluation;

/// A probability of 0 for what then happens would count without end.
const PROBABILITY_MIN: f64 = 1e-15;

pub fn evaluate(matrix: &Matrix, split: &Split, draft: &Draft, watch: Watch<'_>) -> Result<Evaluation> {
    let file = draft.scratch();
    matrix.fit(&split.trained, split.name, &file, watch)?;
    let failed = |error| Error::stop("XGBoost did not answer about the rows that were held out").caused_by(error);
    let booster = Booster::load(&file).map_err(failed)?;
    let mut answers = Vec::new();
    booster.predict(&matrix.gather(&split.held_out), matrix.features.len(), &mut answers).map_err(failed)?;
    let class_of = |rows: &[usize]| rows.iter().map(|&row| matrix.classes[row]).collect::<Vec<_>>();
    let answers: Vec<_> = answers.chunks_exact(matrix.train.labels.len()).collect();
    Ok(judge(matrix.train.labels.len(), &class_of(&split.trained), &class_of(&split.held_out), &answers))
}

/// `answers`: for each held-out row a probability for each class.
pub fn judge(classes: usize, trained: &[usize], held_out: &[usize], answers: &[&[f32]]) -> Evaluation {
    let mut shares = vec![0.0; classes];
    trained.iter().for_each(|&class| shares[class] += 1.0 / trained.len() as f64);
    let majority_class = likeliest(&shares);
    let mut confusion = vec![vec![0_u64; classes]; classes];
    let (mut loss, mut share_loss) = (0.0, 0.0);
    for (&class, answer) in held_out.iter().zip(answers) {
        confusion[class][likeliest(answer)] += 1;
        loss -= f64::from(answer[class]).max(PROBABILITY_MIN).ln();
        share_loss -= shares[class].max(PROBABILITY_MIN).ln();
    }
    let part = |some: u64, all: u64| if all == 0 { 0.0 } else { some as f64 / all as f64 };
    let of_class = |class: usize| confusion[class].iter().sum::<u64>();
    let answered = |class: usize| confusion.iter().map(|row| row[class]).sum::<u64>();
    let (rows, right) = (held_out.len() as u64, (0..classes).map(|class| confusion[class][class]).sum());
    Evaluation {
        trained_rows: trained.len() as u64,
        rows,
        accuracy: part(right, rows),
        log_loss: loss / rows as f64,
        majority_class,
        majority_accuracy: part(of_class(majority_class), rows),
        majority_log_loss: share_loss / rows as f64,
        precision: (0..classes).map(|class| part(confusion[class][class], answered(class))).collect(),
        recall: (0..classes).map(|class| part(confusion[class][class], of_class(class))).collect(),
        confusion,
    }
}

/// Of equal ones the first, as the model stage answers.
fn likeliest<T: PartialOrd>(values: &[T]) -> usize {
    (1..values.len()).fold(0, |best, class| if values[class] > values[best] { class } else { best })
}
