//! What the messages of the topics say of a flight; whatever is no message of ours says nothing.

use std::borrow::Cow;

use serde::Deserialize;

use crate::answers::Rejection;

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(rename = "UUID", borrow)]
    uuid: Cow<'a, str>,
}

/// A record of the rejects topic, as far as it matters here.
#[derive(Deserialize)]
struct Reject<'a> {
    #[serde(flatten)]
    rejection: Rejection,
    #[serde(borrow)]
    original: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
}

/// The `UUID` of a request or a prediction.
pub fn id(value: &[u8]) -> Option<Cow<'_, str>> {
    serde_json::from_slice(value).ok().map(|named: Named<'_>| named.uuid)
}

/// The flight by the refused message's `UUID`; of a message that cannot be read, by its key.
pub fn rejection(value: &[u8]) -> Option<(String, Rejection)> {
    let Reject { rejection, original, key } = serde_json::from_slice(value).ok()?;
    let original_id = original.as_ref().and_then(|original| id(original.as_bytes()));
    let id = original_id.or(key)?.into_owned();
    Some((id, rejection))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_by_its_uuid() {
        assert_eq!(id(br#"{"a":[1],"UUID":"x\u0041"}"#).as_deref(), Some("xA"));
        for value in ["", "null", "{}", r#"{"UUID":null}"#, r#"{"UUID":7}"#, r#"{"UUID":"a""#] {
            assert_eq!(id(value.as_bytes()), None, "{value}");
        }
        assert_eq!(id(b"\xff"), None);
    }

    #[test]
    fn a_refusal_is_found_by_the_original_or_else_by_its_key() {
        let told = |rest: &str| {
            let value = format!(r#"{{"pipeline":"p","stage":"s","code":"c","reason":"r","offset":4{rest}}}"#);
            rejection(value.as_bytes()).map(|(id, _)| id)
        };
        assert_eq!(told(r#","key":"k","original":"{\"UUID\":\"u\"}""#).as_deref(), Some("u"));
        assert_eq!(told(r#","key":"k","original":"{\"UUID\":""#).as_deref(), Some("k"));
        assert_eq!(told(r#","key":"k","original_bytes":12"#).as_deref(), Some("k"));
        assert_eq!(told(r#","original_base64":"/w==""#), None);
        assert_eq!(rejection(b"{}"), None);
    }
}
