//! As much of an HTTP client as the tests need: one request a connection, whole bodies or events.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::PATIENCE;

pub struct Answer {
    pub code: u16,
    pub policy: Option<String>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The code and the fields that say what is the matter.
    pub fn said(&self) -> (u16, String, String) {
        let json = self.json();
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        (self.code, text("status"), text("reason"))
    }
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    whole(send(address, "GET", path, &[], String::new()).await).await
}

pub async fn post(address: SocketAddr, path: &str, form: &str) -> Answer {
    let kind = [(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded")];
    whole(send(address, "POST", path, &kind, form.into()).await).await
}

pub async fn post_with(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    whole(send(address, "POST", path, headers, body.into()).await).await
}

pub async fn json(address: SocketAddr, method: &str, path: &str, body: &Value) -> Answer {
    let body = if method == "POST" { body.to_string() } else { String::new() };
    whole(send(address, method, path, &[(CONTENT_TYPE.as_str(), "application/json")], body).await).await
}

async fn whole(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = timeout(PATIENCE, body.collect()).await.expect("a whole body in time").expect("a body").to_bytes();
    let policy = head.headers.get("content-security-policy").map(|policy| policy.to_str().unwrap().to_owned());
    Answer { code: head.status.as_u16(), policy, text: String::from_utf8(body.to_vec()).expect("text") }
}

async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Response<Incoming> {
    let stream = TcpStream::connect(address).await.expect("somebody listens");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header(HOST, address.to_string());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(Full::new(Bytes::from(body))).expect("a request");
    timeout(PATIENCE, sender.send_request(request)).await.expect("an answer in time").expect("an answer")
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub event: String,
    pub id: String,
    pub data: String,
}

pub struct Events {
    pub code: u16,
    pub kind: String,
    body: Incoming,
    read: String,
}

/// Listens as an EventSource does; `last` is the last event that it has seen.
pub async fn events(address: SocketAddr, path: &str, last: Option<&str>) -> Events {
    let last: Vec<_> = last.map(|last| ("last-event-id", last)).into_iter().collect();
    let response = send(address, "GET", path, &last, String::new()).await;
    let kind = response.headers().get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
    Events { code: response.status().as_u16(), kind, body: response.into_body(), read: String::new() }
}

impl Events {
    /// None: the server has ended the stream.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let (event, rest) = (parse(event), rest.to_owned());
                self.read = rest;
                if event != Event::default() {
                    return Some(event);
                }
                continue;
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("an event or the end in time")?;
            let bytes = frame.expect("an unbroken stream").into_data().unwrap_or_default();
            self.read.push_str(std::str::from_utf8(&bytes).expect("text"));
        }
    }
}

fn parse(text: &str) -> Event {
    let mut event = Event::default();
    for (field, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event.event = value.into(),
            "id" => event.id = value.into(),
            "data" => event.data.push_str(value),
            _ => {}
        }
    }
    event
}
