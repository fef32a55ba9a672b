//! One question over HTTP: to a pipeline's status API, or to a page whether it is ready.
//!
//! Invariant: bounded in time and bytes; every failure is a sentence for people.

use std::error::Error as StdError;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Place;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const ANSWER_BYTES_MAX: usize = 1 << 20;

pub type Failure = Box<dyn StdError + Send + Sync>;

pub async fn status(place: &Place) -> Result<Value, String> {
    let failed = |why: &dyn std::fmt::Display| format!("no answer from {place}: {why}");
    let bytes = get(&place.authority, &place.path).await.map_err(|error| failed(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{place} is no status of a pipeline: {error}"))
}

/// What is answered, if all is well.
pub async fn get(authority: &str, path: &str) -> Result<Bytes, Failure> {
    let late = |_| Failure::from(format!("nothing came within {ANSWER_TIMEOUT:?}"));
    timeout(ANSWER_TIMEOUT, get_late(authority, path)).await.map_err(late)?
}

async fn get_late(authority: &str, path: &str) -> Result<Bytes, Failure> {
    let stream = TcpStream::connect(authority).await?;
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header("host", authority).body(Empty::<Bytes>::new())?;
    // the connection ends with the answer
    let answer = async {
        let answer = client.send_request(request).await?;
        if !answer.status().is_success() {
            return Err(Failure::from(format!("it says {}", answer.status())));
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
        drop(client);
        Ok(body)
    };
    tokio::join!(answer, connection).0
}
