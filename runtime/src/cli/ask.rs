//! Asking a running pipeline how it is.
//!
//! Invariant: what is no pipeline's answer is an error, whoever listens there.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A value of an option.
pub fn address(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    parts.map(|_| text.to_owned()).ok_or_else(|| "expected HOST:PORT, as 127.0.0.1:9464".to_owned())
}

/// Its status, as it came and as it was read.
pub fn status(address: &str) -> Result<(String, Value), String> {
    let text = get(address, "/status")?;
    let status = serde_json::from_str::<Value>(&text).ok().filter(|status| status["workers"].is_object());
    status.map(|status| (text, status)).ok_or_else(|| no_pipeline(address, "/status", "no status of one"))
}

fn no_pipeline(address: &str, path: &str, answered: &str) -> String {
    format!(
        "error: what listens at {address} is no millrace pipeline: http://{address}{path} answered {answered}; give the \
         HOST:PORT of its `--listen`"
    )
}

/// What `http://ADDRESS/PATH` answers, if it says that all is well.
pub fn get(address: &str, path: &str) -> Result<String, String> {
    let failed = |error: String| {
        format!(
            "error: no answer from http://{address}{path}: {error}; is the pipeline running with `--listen {address}`?"
        )
    };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| failed(error.to_string()))?;
    let asked = runtime.block_on(async { timeout(TIMEOUT, ask(address, path)).await });
    match asked {
        Ok(Ok((status, text))) if status.is_success() => Ok(text),
        Ok(Ok((StatusCode::NOT_FOUND, _))) => Err(no_pipeline(address, path, "404 Not Found")),
        Ok(Ok((status, text))) => Err(format!("error: http://{address}{path} says {status}: {}", text.trim_end())),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("nothing came within {TIMEOUT:?}"))),
    }
}

async fn ask(address: &str, path: &str) -> Result<(StatusCode, String), Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header("host", address).body(Empty::<Bytes>::new())?;
    // the connection ends with the answer
    let (answer, _) = tokio::join!(
        async {
            let answer = client.send_request(request).await?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            drop(client);
            Ok::<_, hyper::Error>((head.status, body))
        },
        connection
    );
    let (status, body) = answer?;
    Ok((status, String::from_utf8(body.to_vec())?))
}
