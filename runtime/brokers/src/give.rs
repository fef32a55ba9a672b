//! The only unsafe code of this crate: a token for a client, which rdkafka hands over only to clients that are polled.
//! One that is asked something before its first poll, or an admin client, would never have one.

use std::ffi::{CString, NulError, c_char};
use std::time::UNIX_EPOCH;

use rdkafka::bindings::{rd_kafka_oauthbearer_set_token, rd_kafka_resp_err_t};
use rdkafka::client::{Client, ClientContext};

use crate::endpoint::Token;

/// Any thread may, at any time. The client keeps a copy.
pub fn give<C: ClientContext>(
    client: &Client<C>,
    token: &Token,
    extensions: &[(String, String)],
) -> Result<(), String> {
    let inner = |_: NulError| "a zero byte in it".to_owned();
    let text = CString::new(token.text.0.as_str()).map_err(inner)?;
    let principal = CString::new(token.principal.as_str()).map_err(inner)?;
    let words = extensions.iter().flat_map(|(name, value)| [name, value]).map(|word| CString::new(word.as_str()));
    let words = words.collect::<Result<Vec<_>, _>>().map_err(inner)?;
    let mut pointers: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
    let expires = token.expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
    let mut sentence: [c_char; 256] = [0; 256];
    // SAFETY: `client` is borrowed for the call, so its handle lives; strings and pointers to them outlive the call, which
    // copies them; `pointers` has as many as it is said to have; librdkafka writes no more than it is told that there is.
    let code = unsafe {
        rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
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
