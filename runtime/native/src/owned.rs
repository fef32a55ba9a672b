//! Objects of librdkafka's, each with what destroys it, its strings, and the bounds of its admin requests.

use std::ffi::{CStr, c_char};
use std::time::Duration;

/// librdkafka takes no longer request timeout than an hour.
const TIMEOUT_MS_MAX: u128 = 3_600_000;
/// How much longer than a request's own timeout to wait for its outcome, which always comes.
pub const ANSWER_MARGIN_MS: i32 = 1_000;

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
