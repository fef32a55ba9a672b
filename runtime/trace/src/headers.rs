//! A trace on its way from one program to the next, as headers of a request or a message.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// Version, trace, span, flags: a later version may add to it. The SDK's reader takes shorter ones too.
const TRACEPARENT_BYTES_MIN: usize = 55;

/// Name and value, as messages have them.
pub type Headers = Vec<(String, Vec<u8>)>;

/// What a sender said of the trace that it is in; whether that is sampled, the context says. None: nothing, or nothing
/// that follows the standard. `header`: the value of the header of that name.
pub fn remote<'a>(header: impl Fn(&str) -> Option<&'a [u8]>) -> Option<Context> {
    // most messages have none: no more than this is done for them
    let parent = header(TRACEPARENT).filter(|parent| parent.len() >= TRACEPARENT_BYTES_MIN)?;
    let parent = std::str::from_utf8(parent).ok()?;
    let state = header(TRACESTATE).and_then(|state| std::str::from_utf8(state).ok());
    let said = TraceContextPropagator::new().extract_with_context(&Context::new(), &Said { parent, state });
    said.span().span_context().is_valid().then_some(said)
}

/// What tells the receiver that the context's span is the parent of its own.
pub fn carried(context: &Context) -> Headers {
    let mut headers = Carried(Headers::new());
    TraceContextPropagator::new().inject_context(context, &mut headers);
    headers.0
}

struct Said<'a> {
    parent: &'a str,
    state: Option<&'a str>,
}

impl Extractor for Said<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        match name {
            TRACEPARENT => Some(self.parent),
            TRACESTATE => self.state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

struct Carried(Headers);

impl Injector for Carried {
    fn set(&mut self, name: &str, value: String) {
        // a state that says nothing
        if !value.is_empty() {
            self.0.push((name.to_owned(), value.into_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn said(parent: Option<&'static str>, state: Option<&'static str>) -> Option<Context> {
        remote(move |name| if name == TRACEPARENT { parent } else { state }.map(str::as_bytes))
    }

    #[test]
    fn what_came_goes_on() {
        let context = said(Some(PARENT), Some("vendor=x")).expect("a trace");
        assert!(context.span().span_context().is_sampled());
        let expected = [("traceparent", PARENT), ("tracestate", "vendor=x")];
        let expected: Headers = expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into();
        assert_eq!(carried(&context), expected);
        assert_eq!(carried(&said(Some(PARENT), None).expect("a trace")), expected[..1]);
    }

    #[test]
    fn a_trace_that_is_not_sampled_says_so() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        assert!(!said(Some(parent), None).expect("a trace").span().span_context().is_sampled());
    }

    #[test]
    fn what_does_not_follow_the_standard_is_no_trace() {
        for parent in ["", "x", "00-0-0-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", &PARENT[..54]] {
            assert!(remote(|name| (name == TRACEPARENT).then_some(parent.as_bytes())).is_none(), "{parent}");
        }
        assert!(remote(|_| Some(b"\xff")).is_none());
        assert!(said(None, Some("vendor=x")).is_none());
    }
}
