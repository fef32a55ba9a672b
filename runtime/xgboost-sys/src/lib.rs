//! XGBoost 3.4.1's C API: what xgboost-rs 0.3.0 calls, and what millrace calls besides.
//!
//! Invariant: every declaration is that of XGBoost's `c_api.h` (names, order and width of arguments). What upstream
//! has removed since 1.6 is here as a function that fails, so that xgboost-rs links, and gets an error when it calls.
//! Every function answers 0, or -1 and a sentence from [`XGBGetLastError`] of the same thread.

#![allow(non_camel_case_types, non_snake_case)]

use std::ffi::{c_char, c_float, c_int, c_uint, c_void};

pub type bst_ulong = u64;
pub type DMatrixHandle = *mut c_void;
pub type BoosterHandle = *mut c_void;

unsafe extern "C" {
    pub fn XGBoostVersion(major: *mut c_int, minor: *mut c_int, patch: *mut c_int);
    pub fn XGBGetLastError() -> *const c_char;
    pub fn XGBSetGlobalConfig(config: *const c_char) -> c_int;

    pub fn XGDMatrixCreateFromDense(
        array_interface: *const c_char,
        config: *const c_char,
        out: *mut DMatrixHandle,
    ) -> c_int;
    pub fn XGDMatrixCreateFromMat(
        data: *const c_float,
        rows: bst_ulong,
        columns: bst_ulong,
        missing: c_float,
        out: *mut DMatrixHandle,
    ) -> c_int;
    pub fn XGDMatrixSliceDMatrix(
        handle: DMatrixHandle,
        indices: *const c_int,
        len: bst_ulong,
        out: *mut DMatrixHandle,
    ) -> c_int;
    pub fn XGDMatrixFree(handle: DMatrixHandle) -> c_int;
    pub fn XGDMatrixSaveBinary(handle: DMatrixHandle, file: *const c_char, silent: c_int) -> c_int;
    pub fn XGDMatrixNumRow(handle: DMatrixHandle, out: *mut bst_ulong) -> c_int;
    pub fn XGDMatrixNumCol(handle: DMatrixHandle, out: *mut bst_ulong) -> c_int;
    pub fn XGDMatrixSetInfoFromInterface(
        handle: DMatrixHandle,
        field: *const c_char,
        array_interface: *const c_char,
    ) -> c_int;
    pub fn XGDMatrixSetStrFeatureInfo(
        handle: DMatrixHandle,
        field: *const c_char,
        features: *mut *const c_char,
        size: bst_ulong,
    ) -> c_int;
    pub fn XGDMatrixSetFloatInfo(
        handle: DMatrixHandle,
        field: *const c_char,
        array: *const c_float,
        len: bst_ulong,
    ) -> c_int;
    pub fn XGDMatrixSetUIntInfo(
        handle: DMatrixHandle,
        field: *const c_char,
        array: *const c_uint,
        len: bst_ulong,
    ) -> c_int;
    pub fn XGDMatrixGetFloatInfo(
        handle: DMatrixHandle,
        field: *const c_char,
        out_len: *mut bst_ulong,
        out: *mut *const c_float,
    ) -> c_int;
    pub fn XGDMatrixGetUIntInfo(
        handle: DMatrixHandle,
        field: *const c_char,
        out_len: *mut bst_ulong,
        out: *mut *const c_uint,
    ) -> c_int;

    pub fn XGBoosterCreate(cached: *const DMatrixHandle, len: bst_ulong, out: *mut BoosterHandle) -> c_int;
    pub fn XGBoosterFree(handle: BoosterHandle) -> c_int;
    pub fn XGBoosterGetNumFeature(handle: BoosterHandle, out: *mut bst_ulong) -> c_int;
    pub fn XGBoosterBoostedRounds(handle: BoosterHandle, out: *mut c_int) -> c_int;
    pub fn XGBoosterSetParam(handle: BoosterHandle, name: *const c_char, value: *const c_char) -> c_int;
    pub fn XGBoosterUpdateOneIter(handle: BoosterHandle, iteration: c_int, train: DMatrixHandle) -> c_int;
    pub fn XGBoosterTrainOneIter(
        handle: BoosterHandle,
        train: DMatrixHandle,
        iteration: c_int,
        gradient: *const c_char,
        hessian: *const c_char,
    ) -> c_int;
    pub fn XGBoosterBoostOneIter(
        handle: BoosterHandle,
        train: DMatrixHandle,
        gradient: *mut c_float,
        hessian: *mut c_float,
        len: bst_ulong,
    ) -> c_int;
    pub fn XGBoosterEvalOneIter(
        handle: BoosterHandle,
        iteration: c_int,
        matrices: *mut DMatrixHandle,
        names: *mut *const c_char,
        len: bst_ulong,
        out: *mut *const c_char,
    ) -> c_int;
    pub fn XGBoosterPredict(
        handle: BoosterHandle,
        matrix: DMatrixHandle,
        option_mask: c_int,
        ntree_limit: c_uint,
        training: c_int,
        out_len: *mut bst_ulong,
        out: *mut *const c_float,
    ) -> c_int;
    pub fn XGBoosterPredictFromDMatrix(
        handle: BoosterHandle,
        matrix: DMatrixHandle,
        config: *const c_char,
        out_shape: *mut *const bst_ulong,
        out_dim: *mut bst_ulong,
        out: *mut *const c_float,
    ) -> c_int;
    pub fn XGBoosterPredictFromDense(
        handle: BoosterHandle,
        array_interface: *const c_char,
        config: *const c_char,
        meta: DMatrixHandle,
        out_shape: *mut *const bst_ulong,
        out_dim: *mut bst_ulong,
        out: *mut *const c_float,
    ) -> c_int;
    pub fn XGBoosterLoadModel(handle: BoosterHandle, file: *const c_char) -> c_int;
    pub fn XGBoosterLoadModelFromBuffer(handle: BoosterHandle, bytes: *const c_void, len: bst_ulong) -> c_int;
    pub fn XGBoosterSaveModel(handle: BoosterHandle, file: *const c_char) -> c_int;
    pub fn XGBoosterSaveModelToBuffer(
        handle: BoosterHandle,
        config: *const c_char,
        out_len: *mut bst_ulong,
        out: *mut *const c_char,
    ) -> c_int;
    pub fn XGBoosterSerializeToBuffer(handle: BoosterHandle, out_len: *mut bst_ulong, out: *mut *const c_char)
    -> c_int;
    pub fn XGBoosterUnserializeFromBuffer(handle: BoosterHandle, bytes: *const c_void, len: bst_ulong) -> c_int;
    pub fn XGBoosterSaveJsonConfig(handle: BoosterHandle, out_len: *mut bst_ulong, out: *mut *const c_char) -> c_int;
    pub fn XGBoosterDumpModelEx(
        handle: BoosterHandle,
        feature_map: *const c_char,
        with_statistics: c_int,
        format: *const c_char,
        out_len: *mut bst_ulong,
        out: *mut *mut *const c_char,
    ) -> c_int;
    pub fn XGBoosterGetAttr(
        handle: BoosterHandle,
        key: *const c_char,
        out: *mut *const c_char,
        success: *mut c_int,
    ) -> c_int;
    pub fn XGBoosterSetAttr(handle: BoosterHandle, key: *const c_char, value: *const c_char) -> c_int;
    pub fn XGBoosterGetAttrNames(handle: BoosterHandle, out_len: *mut bst_ulong, out: *mut *mut *const c_char)
    -> c_int;
    pub fn XGBoosterSetStrFeatureInfo(
        handle: BoosterHandle,
        field: *const c_char,
        features: *mut *const c_char,
        size: bst_ulong,
    ) -> c_int;
    pub fn XGBoosterGetStrFeatureInfo(
        handle: BoosterHandle,
        field: *const c_char,
        len: *mut bst_ulong,
        out: *mut *mut *const c_char,
    ) -> c_int;
}

/// What a function that is no longer there answers: the value by which XGBoost says "failed".
const REMOVED: c_int = -1;

/// # Safety
/// Always safe: nothing is read or written.
pub unsafe extern "C" fn XGDMatrixCreateFromFile(_: *const c_char, _: c_int, _: *mut DMatrixHandle) -> c_int {
    REMOVED
}

/// # Safety
/// Always safe: nothing is read or written.
pub unsafe extern "C" fn XGDMatrixCreateFromCSREx(
    _: *const u64,
    _: *const c_uint,
    _: *const c_float,
    _: usize,
    _: usize,
    _: usize,
    _: *mut DMatrixHandle,
) -> c_int {
    REMOVED
}

/// # Safety
/// Always safe: nothing is read or written.
pub unsafe extern "C" fn XGDMatrixCreateFromCSCEx(
    _: *const u64,
    _: *const c_uint,
    _: *const c_float,
    _: usize,
    _: usize,
    _: usize,
    _: *mut DMatrixHandle,
) -> c_int {
    REMOVED
}

/// # Safety
/// Always safe: nothing is read or written.
pub unsafe extern "C" fn XGDMatrixSetGroup(_: DMatrixHandle, _: *const c_uint, _: bst_ulong) -> c_int {
    REMOVED
}

/// # Safety
/// Always safe: nothing is read or written.
pub unsafe extern "C" fn XGBoosterLoadRabitCheckpoint(_: BoosterHandle, _: *mut c_int) -> c_int {
    REMOVED
}

/// # Safety
/// Always safe: nothing is read or written.
pub unsafe extern "C" fn XGBoosterSaveRabitCheckpoint(_: BoosterHandle) -> c_int {
    REMOVED
}

/// # Safety
/// Always safe: nothing is read or written.
pub unsafe extern "C" fn RabitGetRank() -> c_int {
    REMOVED
}

/// # Safety
/// Always safe: nothing is read or written.
pub unsafe extern "C" fn RabitGetWorldSize() -> c_int {
    REMOVED
}

/// # Safety
/// Always safe: nothing is read or written.
pub unsafe extern "C" fn RabitVersionNumber() -> c_int {
    REMOVED
}
