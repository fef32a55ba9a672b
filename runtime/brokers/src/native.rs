//! The only unsafe code of this crate: what rdkafka does not do with a client. Any thread may, at any time.
//!
//! It hands tokens over only to clients that are polled: one that is asked something before its first poll, or an admin
//! client, would never have one. And it tells no client of brokers once it is made.

use std::ffi::{CString, NulError, c_char};
use std::marker::PhantomData;
use std::time::UNIX_EPOCH;

use rdkafka::bindings::{
    rd_kafka_brokers_add, rd_kafka_controllerid, rd_kafka_oauthbearer_set_token, rd_kafka_resp_err_t, rd_kafka_t,
};
use rdkafka::client::ClientContext;

use crate::endpoint::Token;

/// librdkafka's own object, for as long as the client is borrowed.
pub struct Native<'a> {
    handle: *mut rd_kafka_t,
    lives: PhantomData<&'a ()>,
}

impl<'a> Native<'a> {
    pub fn of<C: ClientContext>(client: &'a rdkafka::client::Client<C>) -> Native<'a> {
        Native { handle: client.native_ptr(), lives: PhantomData }
    }

    /// The client keeps a copy.
    pub fn give(&self, token: &Token, extensions: &[(String, String)]) -> Result<(), String> {
        let inner = |_: NulError| "a zero byte in it".to_owned();
        let text = CString::new(token.text.0.as_str()).map_err(inner)?;
        let principal = CString::new(token.principal.as_str()).map_err(inner)?;
        let words = extensions.iter().flat_map(|(name, value)| [name, value]).map(|word| CString::new(word.as_str()));
        let words = words.collect::<Result<Vec<_>, _>>().map_err(inner)?;
        let mut pointers: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
        let expires = token.expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        let mut sentence: [c_char; 256] = [0; 256];
        // SAFETY: the client is borrowed for as long as `self`, so its handle lives; strings and pointers to them outlive
        // the call, which copies them; `pointers` has as many as it is said to have; librdkafka writes no more than it is
        // told that there is.
        let code = unsafe {
            rd_kafka_oauthbearer_set_token(
                self.handle,
                text.as_ptr(),
                expires,
                principal.as_ptr(),
                pointers.as_mut_ptr(),
                pointers.len(),
                sentence.as_mut_ptr(),
                sentence.len(),
            )
        };
        match code {
            rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            // the sentence may repeat what was given
            code => Err(format!("{code:?}")),
        }
    }

    /// Did the last answer about the cluster name a controller? Brokers name one of themselves, and -1 where there is
    /// none. Nothing is asked for.
    pub fn knows_brokers(&self) -> bool {
        // SAFETY: the handle lives, as above.
        unsafe { rd_kafka_controllerid(self.handle, 0) >= 0 }
    }

    /// Beside those that it has. librdkafka keeps the addresses, and takes one that it has learned a second time until
    /// the next answer about the cluster.
    pub fn tell_of(&self, addresses: &str) {
        let Ok(addresses) = CString::new(addresses) else { return };
        // SAFETY: the handle lives, as above; the string outlives the call, which copies it.
        unsafe { rd_kafka_brokers_add(self.handle, addresses.as_ptr()) };
    }
}
