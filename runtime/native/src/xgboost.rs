//! A trained booster, loaded from a file and asked many rows at a time; and training one.
//!
//! Invariants: a [`Booster`] has answered a row before anyone gets it, so its configuration is settled and it is only
//! read from then on; a value is missing when it is NaN, and 0 is a value; nothing of XGBoost's memory outlives a call.
//! Asking goes by XGBoosterPredictFromDense, which xgboost-rs does not have and which needs no matrix built a call.
//! Training goes through xgboost-rs, without what is unsound there: `Booster: Clone` frees twice, and `from_dense`
//! takes 0 for missing.
//! Knows nothing of features' meaning, categories or classes' labels.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use xgboost_rs::DMatrix;
use xgboost_rs_sys as sys;

/// What XGBoost said, without its stack trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XgboostError(String);

impl fmt::Display for XgboostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for XgboostError {}

impl XgboostError {
    /// XGBoost begins with `[12:34:56] file.cc:123: ` and goes on with the stack after the first line.
    fn new(said: &str) -> XgboostError {
        let line = said.trim().lines().next().unwrap_or("XGBoost failed and did not say why");
        let source_end = line.find(": ").filter(|_| line.starts_with('['));
        XgboostError(source_end.map_or(line, |end| &line[end + 2..]).to_owned())
    }
}

impl From<xgboost_rs::XGBError> for XgboostError {
    fn from(error: xgboost_rs::XGBError) -> XgboostError {
        let text = error.to_string();
        XgboostError::new(text.strip_prefix("XGBoost error: ").unwrap_or(&text))
    }
}

/// The sentence to `code`, which a call just before, on this thread, answered.
fn check(code: i32) -> Result<(), XgboostError> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: XGBoost keeps one string a thread for this, never null, which lives until the thread's next failure;
    // it is copied here.
    let said = unsafe { CStr::from_ptr(sys::XGBGetLastError()) };
    Err(XgboostError::new(&said.to_string_lossy()))
}

/// Major, minor and patch of the library that this process has loaded.
pub fn version() -> (i32, i32, i32) {
    let (mut major, mut minor, mut patch) = (0, 0, 0);
    // SAFETY: three places for integers, which outlive the call.
    unsafe { sys::XGBoostVersion(&mut major, &mut minor, &mut patch) };
    (major, minor, patch)
}

/// Plain values, all trees, missing is NaN; a flat answer, row after row.
const CONFIG: &CStr = c"{\"type\":0,\"training\":false,\"iteration_begin\":0,\"iteration_end\":0,\"strict_shape\":false,\"cache_id\":0,\"missing\":NaN}";

#[derive(Debug)]
pub struct Booster {
    handle: sys::BoosterHandle,
    features: usize,
    classes: usize,
}

// SAFETY: a handle may be used on any thread; XGBoost keeps what belongs to a thread (the last error, the buffer of
// answers) in thread-local storage.
unsafe impl Send for Booster {}
// SAFETY: through `&Booster` only predictions and reads are made. XGBoost documents in-place prediction as thread-safe
// on one booster, and the first one, which settles the configuration, is made in `load`, by its only owner.
unsafe impl Sync for Booster {}

impl Drop for Booster {
    fn drop(&mut self) {
        // SAFETY: the handle came from XGBoosterCreate, and only this value owns it.
        unsafe { sys::XGBoosterFree(self.handle) };
    }
}

impl Booster {
    /// Reads a model as XGBoost saves it (UBJSON or JSON, by the file's ending).
    pub fn load(file: &Path) -> Result<Booster, XgboostError> {
        let name = c_path(file)?;
        let mut booster = Booster { handle: ptr::null_mut(), features: 0, classes: 0 };
        // SAFETY: `handle` and the strings outlive the calls; a booster without cached matrices takes a null list.
        unsafe {
            check(sys::XGBoosterCreate(ptr::null(), 0, &mut booster.handle))?;
            check(sys::XGBoosterLoadModel(booster.handle, name.as_ptr()))?;
            // a pipeline's workers are its threads; more than one in here would only wait for each other
            check(sys::XGBoosterSetParam(booster.handle, c"nthread".as_ptr(), c"1".as_ptr()))?;
            let mut features = 0;
            check(sys::XGBoosterGetNumFeature(booster.handle, &mut features))?;
            booster.features = features as usize;
        }
        booster.settle()?;
        Ok(booster)
    }

    /// The first prediction settles the configuration, and tells how many values a row gives.
    fn settle(&mut self) -> Result<(), XgboostError> {
        let mut answer = Vec::new();
        self.predict_into(&vec![f32::NAN; self.features], self.features, &mut answer)?;
        self.classes = answer.len();
        Ok(())
    }

    pub fn features(&self) -> usize {
        self.features
    }

    /// Values that a row gives: of a classifier by probabilities, one a class.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Names of the features, in order; none when the model was saved without.
    pub fn feature_names(&self) -> Result<Vec<String>, XgboostError> {
        let (mut count, mut names) = (0, ptr::null_mut());
        // SAFETY: the list and its strings belong to this thread's entry of the booster and live until its next call;
        // they are copied before it.
        unsafe {
            check(sys::XGBoosterGetStrFeatureInfo(self.handle, c"feature_name".as_ptr(), &mut count, &mut names))?;
            (0..count as usize)
                .map(|index| Ok(CStr::from_ptr(*names.add(index)).to_string_lossy().into_owned()))
                .collect()
        }
    }

    /// Replaces `out` by what each row gives: [`Booster::classes`] values a row. `rows` is row after row, `columns`
    /// values each.
    pub fn predict(&self, rows: &[f32], columns: usize, out: &mut Vec<f32>) -> Result<(), XgboostError> {
        out.clear();
        if columns != self.features || !rows.len().is_multiple_of(columns.max(1)) {
            return Err(XgboostError(format!(
                "{} values in rows of {columns} do not fit a model of {} features",
                rows.len(),
                self.features
            )));
        }
        if rows.is_empty() { Ok(()) } else { self.predict_into(rows, columns, out) }
    }

    /// `rows` is not empty and has whole rows.
    fn predict_into(&self, rows: &[f32], columns: usize, out: &mut Vec<f32>) -> Result<(), XgboostError> {
        let array = ArrayInterface::new(rows, columns)?;
        let (mut shape, mut dimensions, mut answer) = (ptr::null(), 0, ptr::null());
        // SAFETY: `array` describes `rows`, which is borrowed for the whole call and only read; no metadata matrix may
        // be null; shape and answer belong to this thread's entry of the booster, live until its next call, and are
        // read before it: `dimensions` lengths, and as many values as their product says.
        unsafe {
            check(sys::XGBoosterPredictFromDense(
                self.handle,
                array.as_ptr(),
                CONFIG.as_ptr(),
                ptr::null_mut(),
                &mut shape,
                &mut dimensions,
                &mut answer,
            ))?;
            let values: u64 = std::slice::from_raw_parts(shape, dimensions as usize).iter().product();
            out.extend_from_slice(std::slice::from_raw_parts(answer, values as usize));
        }
        Ok(())
    }

    /// Saves the model with names for its features, which a reader can check.
    pub fn save(&mut self, file: &Path, feature_names: &[&str]) -> Result<(), XgboostError> {
        let names = feature_names.iter().map(|name| c_string(name)).collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let file = c_path(file)?;
        // SAFETY: the strings and the list of them outlive the calls, which copy them.
        unsafe {
            check(sys::XGBoosterSetStrFeatureInfo(
                self.handle,
                c"feature_name".as_ptr(),
                pointers.as_mut_ptr(),
                pointers.len() as u64,
            ))?;
            check(sys::XGBoosterSaveModel(self.handle, file.as_ptr()))
        }
    }
}

fn c_path(file: &Path) -> Result<CString, XgboostError> {
    CString::new(file.as_os_str().as_bytes())
        .map_err(|_| XgboostError(format!("{} has a zero byte in its name", file.display())))
}

fn c_string(text: &str) -> Result<CString, XgboostError> {
    CString::new(text).map_err(|_| XgboostError(format!("{text:?} has a zero byte in it")))
}

/// Rows of f32 as XGBoost wants to be told of them: JSON of an address and a shape, here without an allocation.
struct ArrayInterface([u8; 160]);

impl ArrayInterface {
    fn new(rows: &[f32], columns: usize) -> Result<ArrayInterface, XgboostError> {
        let mut text = [0; 160];
        // three numbers of at most 20 digits and 60 bytes between them: it fits, with a zero after it
        let mut place = &mut text[..159];
        write!(
            place,
            "{{\"data\":[{},true],\"shape\":[{},{columns}],\"typestr\":\"<f4\",\"version\":3}}",
            rows.as_ptr() as usize,
            rows.len() / columns.max(1)
        )
        .map_err(|error| XgboostError(error.to_string()))?;
        Ok(ArrayInterface(text))
    }

    fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }
}

/// A round's number after each round of [`train`].
pub type Progress<'a> = &'a mut dyn FnMut(u32);

/// Rows to train on: `rows` is row after row, `columns` values each, NaN is missing; a label for each row.
#[derive(Debug, Clone, Copy)]
pub struct TrainingRows<'a> {
    pub rows: &'a [f32],
    pub columns: usize,
    pub labels: &'a [f32],
}

/// Trains a booster by XGBoost's own `parameters` and saves it to `file`. The same rows and parameters give the same
/// bytes.
pub fn train(
    data: TrainingRows<'_>,
    parameters: &[(&str, String)],
    rounds: u32,
    feature_names: &[&str],
    file: &Path,
    progress: Progress<'_>,
) -> Result<(), XgboostError> {
    let matrix = matrix(data)?;
    let parameters: HashMap<String, String> =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    // the matrix stays until the booster is gone: what xgboost-rs asks for
    let mut booster = xgboost_rs::Booster::new_with_json_config(&[&matrix], parameters)?;
    for round in 0..rounds {
        booster.update(&matrix, i32::try_from(round).map_err(|_| XgboostError("too many rounds".to_owned()))?)?;
        progress(round + 1);
    }
    booster.save(file)?;
    // xgboost-rs cannot name features
    Booster::load(file)?.save(file, feature_names)
}

fn matrix(data: TrainingRows<'_>) -> Result<DMatrix, XgboostError> {
    let TrainingRows { rows, columns, labels } = data;
    if labels.is_empty() || columns == 0 || rows.len() != labels.len() * columns {
        let values = rows.len();
        let sentence = format!("{values} values and {} labels are no rows of {columns} features", labels.len());
        return Err(XgboostError(sentence));
    }
    // its name says column-major, but the strides (in bytes) say what it is; 0 threads: all there are
    let value = size_of::<f32>();
    let mut matrix = DMatrix::from_col_major_f32(rows, columns * value, value, labels.len(), columns, 0, f32::NAN)?;
    matrix.set_labels(labels)?;
    Ok(matrix)
}
