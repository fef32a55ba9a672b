//! One request to the collector, over plain HTTP.
//!
//! Invariant: it ends within its timeout, whatever the collector does; what an answer may hold is bounded.
//! It is asked on the exporter's own thread, which no runtime drives: the work is done on the program's.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// A collector says that it took the spans, or a sentence why not.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const HTTP_PORT: u16 = 80;

pub struct Client {
    pub handle: Handle,
    pub timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl HttpClient for Client {
    // as `async_trait` writes it
    fn send_bytes<'a, 'f>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        'a: 'f,
        Self: 'f,
    {
        let limit = self.timeout;
        let asked = self.handle.spawn(async move { timeout(limit, ask(request)).await });
        Box::pin(async move { asked.await?.unwrap_or_else(|late| Err(late.into())) })
    }
}

async fn ask(mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let authority = request.uri().authority().cloned().ok_or("the address has no host")?;
    request.headers_mut().insert(HOST, authority.as_str().parse()?);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse()?;
    *request.uri_mut() = path;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(HTTP_PORT))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // the connection ends with the answer
    let (answer, _) = tokio::join!(
        async move {
            let (parts, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(parts, body))
        },
        connection
    );
    answer
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    /// Long enough for a busy machine; nothing waits for it to pass.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_request_that_nobody_answers_ends() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/v1/traces", silent.local_addr().expect("its address"));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = Client { handle: runtime.handle().clone(), timeout: Duration::from_millis(50) };
        let request = Request::post(url).body(Bytes::from_static(b"spans")).expect("a request");
        let answer = runtime.block_on(async { timeout(PATIENCE, client.send_bytes(request)).await });
        assert!(answer.expect("an end in time").is_err());
    }
}
