//! Objects of librdkafka's, each with what destroys it, its strings, and the bounds of its admin requests.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char};
use std::time::Duration;

use rdkafka::bindings::*;

/// librdkafka takes no longer request timeout than an hour.
const TIMEOUT_MS_MAX: u128 = 3_600_000;
/// How much longer than a request's own timeout to wait for its outcome, which always comes.
pub const ANSWER_MARGIN_MS: i32 = 1_000;

/// What a client may do, by Kafka's own names: `READ`, `WRITE`, `DESCRIBE`, … Brokers without an authorizer name all.
pub type Rights = BTreeSet<String>;

/// # Safety
/// `operations` is null or points to `count` operations that live during the call.
pub unsafe fn rights(operations: *const rd_kafka_AclOperation_t, count: usize) -> Rights {
    if operations.is_null() {
        return Rights::new();
    }
    // SAFETY: not null, and the caller vouches for the rest; the names are constants of librdkafka's.
    unsafe { std::slice::from_raw_parts(operations, count) }
        .iter()
        .map(|&operation| unsafe { text(rd_kafka_AclOperation_name(operation)) })
        .collect()
}

/// Asks for rights too, which brokers look up for each answer.
///
/// # Safety
/// `options` is not null and lives during the call.
pub unsafe fn ask_for_rights(options: *mut rd_kafka_AdminOptions_t) {
    // SAFETY: the caller vouches for `options`; an error, which is null where all is well, is ours to destroy.
    unsafe {
        let refused = rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
        if !refused.is_null() {
            rd_kafka_error_destroy(refused);
        }
    }
}

pub fn timeout_ms(timeout: Duration) -> i32 {
    timeout.as_millis().clamp(1, TIMEOUT_MS_MAX) as i32
}

/// An object, and what destroys it.
pub struct Owned<T>(pub *mut T, pub unsafe fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the constructor that belongs to this destructor, and only this guard owns it.
        unsafe { (self.1)(self.0) }
    }
}

/// # Safety
/// `chars` is null or a string that ends with a zero byte and lives during the call.
pub unsafe fn text(chars: *const c_char) -> String {
    if chars.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { CStr::from_ptr(chars) }.to_string_lossy().into_owned()
}
