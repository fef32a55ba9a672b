//! An endpoint that gives tokens to who knows the client's secret, signed by the key that the brokers' fourth listener
//! trusts; and what else such an endpoint may do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::flow::rig::setting;

pub const CLIENT: &str = "flights";

/// What a client gets that says who it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    Tokens,
    /// Signed, and not by the key that the brokers know.
    Foreign,
    NoToken,
    /// It is connected to, and says nothing.
    Silence,
}

struct State {
    secret: String,
    lives_s: u64,
    answers: Answers,
    given: Vec<String>,
    is_ended: bool,
}

pub struct Issuer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

impl Issuer {
    /// By HTTPS, with the brokers' certificate.
    pub fn new(secret: &str, lives_s: u64) -> Issuer {
        Issuer::serve("127.0.0.1:0", secret, lives_s, Some(Arc::new(tls())))
    }

    pub fn plain(address: &str, secret: &str, lives_s: u64) -> Issuer {
        Issuer::serve(address, secret, lives_s, None)
    }

    fn serve(address: &str, secret: &str, lives_s: u64, tls: Option<Arc<ServerConfig>>) -> Issuer {
        let listener = TcpListener::bind(address).unwrap();
        let state =
            State { secret: secret.into(), lives_s, answers: Answers::Tokens, given: Vec::new(), is_ended: false };
        let (address, state) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(state)));
        let of_thread = state.clone();
        let thread = spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if of_thread.lock().unwrap().is_ended {
                    return;
                }
                // who goes away in between asks again
                drop(serve_one(stream, tls.as_ref(), &of_thread));
            }
        });
        Issuer { address, state, thread: Some(thread) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn answer(&self, answers: Answers) {
        self.state().answers = answers;
    }

    pub fn know(&self, secret: &str) {
        self.state().secret = secret.into();
    }

    /// Every token that it gave.
    pub fn given(&self) -> Vec<String> {
        self.state().given.clone()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.state().is_ended = true;
        drop(TcpStream::connect(self.address));
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

fn tls() -> ServerConfig {
    let file = PathBuf::from(setting("KAFKA_CA")).with_file_name("server.pem");
    let chain = CertificateDer::pem_file_iter(&file).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(&file).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    config.with_no_client_auth().with_single_cert(chain, key).unwrap()
}

fn serve_one(stream: TcpStream, tls: Option<&Arc<ServerConfig>>, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    match tls {
        None => answer(stream, state),
        Some(tls) => answer(StreamOwned::new(ServerConnection::new(tls.clone()).unwrap(), stream), state),
    }
}

fn answer(mut stream: impl Read + Write, state: &Mutex<State>) -> std::io::Result<()> {
    let (head, body) = request(&mut stream)?;
    let (status, answer) = {
        let mut state = state.lock().unwrap();
        let who = format!("authorization: basic {}", STANDARD.encode(format!("{CLIENT}:{}", state.secret)));
        let is_known = head.lines().any(|line| line.eq_ignore_ascii_case(&who));
        assert!(head.starts_with("POST /token HTTP/1.1"), "{head}");
        assert_eq!(body, "grant_type=client_credentials&scope=kafka");
        match state.answers {
            _ if !is_known => {
                ("401 Unauthorized", r#"{"error":"invalid_client","error_description":"who?"}"#.to_owned())
            }
            Answers::Silence => ("", String::new()),
            Answers::NoToken => ("200 OK", r#"{"token_type":"Bearer"}"#.to_owned()),
            Answers::Tokens | Answers::Foreign => {
                let mut token = signed(state.lives_s);
                if state.answers == Answers::Foreign {
                    token.truncate(token.rfind('.').unwrap() + 1);
                    token += &URL_SAFE_NO_PAD.encode([7; 256]);
                }
                state.given.push(token.clone());
                ("200 OK", format!(r#"{{"access_token":"{token}","expires_in":{}}}"#, state.lives_s))
            }
        }
    };
    if status.is_empty() {
        // until the client has had enough
        return stream.read(&mut [0]).map(drop);
    }
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    )?;
    stream.flush()
}

fn request(stream: &mut impl Read) -> std::io::Result<(String, String)> {
    let (mut reader, mut head, mut line) = (BufReader::new(stream), String::new(), String::new());
    while reader.read_line(&mut line)? > 2 {
        head += &std::mem::take(&mut line);
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok((head, String::from_utf8(body).unwrap()))
}

/// A JWT that lives so long from now on.
pub fn signed(lives_s: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let encoded = |json: String| URL_SAFE_NO_PAD.encode(json);
    let head = encoded(r#"{"alg":"RS256","kid":"test","typ":"JWT"}"#.to_owned());
    let whose = format!(r#""iss":"millrace-test","aud":"kafka","sub":"{CLIENT}","scope":"kafka""#);
    let claims = format!(r#"{{{whose},"iat":{now},"exp":{}}}"#, now + lives_s);
    let content = format!("{head}.{}", encoded(claims));
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign", &setting("KAFKA_TOKEN_KEY")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    openssl.stdin.take().unwrap().write_all(content.as_bytes()).unwrap();
    let signature = openssl.wait_with_output().unwrap();
    assert!(signature.status.success());
    format!("{content}.{}", URL_SAFE_NO_PAD.encode(signature.stdout))
}
