//! One token, from where the settings say.
//!
//! Invariant: an answer is bounded in time and in size, and nothing is asked twice here. A sentence of failure says what
//! failed, where, why and what to do, and has neither the secret nor a token in it.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::oidc::{CA, CLIENT_SECRET, Endpoint, Place, SCOPE, Secret, URL};

/// Of the whole request, names and handshakes too.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 256 << 10;
const TOKEN_BYTES_MAX: usize = 64 << 10;
/// Of what an endpoint says why it refuses.
const REASON_CHARS_MAX: usize = 200;
const LIFETIME_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Where distributions and images keep whom they trust, as librdkafka looks for it.
const SYSTEM_CAS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

#[derive(Debug)]
pub struct Token {
    pub text: Secret,
    /// Whom it is about, for librdkafka's lines.
    pub principal: String,
    pub expires: SystemTime,
}

pub fn ask(place: &Place) -> Result<Token, String> {
    let now = SystemTime::now();
    let token = match place {
        Place::Endpoint(endpoint) => of_answer(place, endpoint, &answer(place, endpoint)?, now)?,
        Place::File(file) => of_file(place, file)?,
    };
    match token.expires > now {
        true => Ok(token),
        false => Err(format!("{place} gives a token that has expired: is it renewed, and are the clocks right?")),
    }
}

fn who(endpoint: &Endpoint) -> String {
    STANDARD.encode(format!("{}:{}", endpoint.client_id, endpoint.client_secret.0))
}

fn answer(place: &Place, endpoint: &Endpoint) -> Result<String, String> {
    let failed = |cause| unanswered(place, cause);
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend(endpoint.scope.iter().map(|scope| ("scope", scope.as_str())));
    let request = agent(endpoint)?.post(&endpoint.url).header("authorization", format!("Basic {}", who(endpoint)));
    let mut answer = request.header("accept", "application/json").send_form(form).map_err(failed)?;
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).lossy_utf8(true).read_to_string();
    let body = body.map_err(failed)?;
    if answer.status().is_success() { Ok(body) } else { Err(refused(place, endpoint, &answer, &body)) }
}

/// Made for each request: an authority's file that was renewed is read again.
fn agent(endpoint: &Endpoint) -> Result<Agent, String> {
    let tls = TlsConfig::builder().root_certs(authorities(endpoint)?).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(ANSWER_MAX))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false);
    Ok(config.build().into())
}

fn authorities(endpoint: &Endpoint) -> Result<RootCerts, String> {
    if endpoint.url.scheme_str() == Some("http") {
        return Ok(RootCerts::WebPki);
    }
    let system = || SYSTEM_CAS.iter().map(Path::new).find(|file| file.exists());
    let Some(file) = endpoint.ca.as_deref().or_else(system) else { return Ok(RootCerts::WebPki) };
    let pem = fs::read(file).map_err(|error| format!("`{CA}`: reading {}: {error}", file.display()))?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let all: Vec<Certificate<'static>> = parse_pem(&pem).filter_map(certificate).collect();
    match all.is_empty() {
        true => Err(format!("`{CA}`: there is no certificate in {}, expected PEM", file.display())),
        false => Ok(RootCerts::Specific(Arc::new(all))),
    }
}

fn unanswered(place: &Place, cause: ureq::Error) -> String {
    match cause {
        ureq::Error::Timeout(_) => {
            format!("{place} does not answer within {ANSWER_MAX:?}: is it well, and is `{URL}` right?")
        }
        ureq::Error::BodyExceedsLimit(_) => {
            format!("{place} answers with more than {ANSWER_BYTES_MAX} bytes, which is no token: is `{URL}` right?")
        }
        ureq::Error::Rustls(cause) => {
            format!("{place} is not trusted ({cause}): `{CA}` names the file of its authority")
        }
        // what rustls refuses within a handshake comes as one of the connection
        ureq::Error::Io(cause) if cause.kind() == std::io::ErrorKind::InvalidData => {
            format!("{place} is not trusted ({cause}): `{CA}` names the file of its authority")
        }
        ureq::Error::Io(cause) => format!("{place} does not answer ({cause}): is it up, and is `{URL}` right?"),
        cause => format!("{place} does not answer ({cause}): is `{URL}` right?"),
    }
}

/// As RFC 6749 has it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: String,
    error_description: String,
}

fn refused<T>(place: &Place, endpoint: &Endpoint, answer: &Response<T>, body: &str) -> String {
    let (status, client) = (answer.status(), &endpoint.client_id);
    let refusal: Refusal = serde_json::from_str(body).unwrap_or_default();
    let reason = reason(&refusal, endpoint);
    let is_about_the_client = matches!(refusal.error.as_str(), "invalid_client" | "unauthorized_client");
    if status == 401 || is_about_the_client {
        return format!(
            "{place} refuses client `{client}` ({status}{reason}): is `{CLIENT_SECRET}` right? A new one is read at a start"
        );
    }
    match status.as_u16() {
        300..=399 => format!("{place} answers {status}: `{URL}` wants the address that this leads to"),
        404 | 405 => format!("{place} answers {status}{reason}: is `{URL}` right?"),
        400..=499 if status != 429 => {
            format!("{place} refuses what client `{client}` asks for ({status}{reason}): is `{SCOPE}` right?")
        }
        _ => format!("{place} answers {status}{reason}: it is asked again"),
    }
}

/// The endpoint's own words; it may repeat what it was sent.
fn reason(refusal: &Refusal, endpoint: &Endpoint) -> String {
    let said = [&refusal.error, &refusal.error_description].into_iter().filter(|said| !said.is_empty());
    let said: String = said.flat_map(|said| [", ", said]).collect();
    let said = said.replace(&endpoint.client_secret.0, "…").replace(&who(endpoint), "…");
    said.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect()
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    /// Seconds; some write a text.
    expires_in: Option<serde_json::Value>,
}

/// Of a JWT. Others' tokens are nobody's to read here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Claims {
    sub: Option<String>,
    /// Seconds since 1970.
    exp: Option<f64>,
}

fn of_answer(place: &Place, endpoint: &Endpoint, body: &str, now: SystemTime) -> Result<Token, String> {
    let answer: Option<Answer> = serde_json::from_str(body).ok();
    let Some((text, lasts)) = answer.and_then(|answer| Some((answer.access_token?, answer.expires_in))) else {
        return Err(format!("{place} answers without an `access_token`: is `{URL}` that of an OAuth token endpoint?"));
    };
    // a time from now needs no clock that is the endpoint's
    let lasts = lasts.and_then(|lasts| lasts.as_f64().or_else(|| lasts.as_str()?.parse().ok()));
    token(place, text, lasts.and_then(|seconds| later(now, seconds)), &endpoint.client_id)
}

fn of_file(place: &Place, file: &Path) -> Result<Token, String> {
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(TOKEN_BYTES_MAX as u64 + 1).read_to_string(&mut text));
    read.map_err(|cause| format!("{place} cannot be read ({cause}): does somebody put it there?"))?;
    token(place, text.trim().to_owned(), None, "-")
}

fn token(place: &Place, text: String, expires: Option<SystemTime>, client: &str) -> Result<Token, String> {
    // RFC 6750's; librdkafka repeats what it refuses
    let is_bearer = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    if text.is_empty() || text.len() > TOKEN_BYTES_MAX || !text.chars().all(is_bearer) {
        return Err(format!("{place} gives what is no bearer token: letters, digits and -._~+/= at most, and some"));
    }
    let claims = claims(&text).unwrap_or_default();
    let expires = expires.or_else(|| later(SystemTime::UNIX_EPOCH, claims.exp?));
    let Some(expires) = expires else {
        return Err(format!(
            "{place} does not say how long its token lives: `expires_in`, or `exp` in a JWT, is not there"
        ));
    };
    Ok(Token { text: Secret(text), principal: principal(claims.sub, client), expires })
}

fn principal(sub: Option<String>, client: &str) -> String {
    sub.unwrap_or_else(|| client.to_owned()).chars().filter(|c| !c.is_control()).collect()
}

fn claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?.trim_end_matches('=');
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn later(than: SystemTime, seconds: f64) -> Option<SystemTime> {
    let from_now = Duration::try_from_secs_f64(seconds).ok()?;
    let at = than.checked_add(from_now)?;
    Some(at.min(SystemTime::now() + LIFETIME_MAX))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{Shutdown, TcpListener};
    use std::thread;

    use super::*;

    /// What is made of an answer as it is on the wire.
    fn told(answer: String) -> Result<Token, String> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/token?tenant=hunter3", listener.local_addr().expect("an address"));
        let endpoint = Endpoint {
            url: url.parse().expect("a URL"),
            client_id: "flights".to_owned(),
            client_secret: Secret("hunter2".to_owned()),
            scope: None,
            ca: None,
        };
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            assert!(head.count() > 1);
            // who reads no further has gone; what was not read would end the connection before the answer is
            drop(stream.write_all(answer.as_bytes()));
            drop(stream.shutdown(Shutdown::Write));
            drop(std::io::copy(&mut stream, &mut std::io::sink()));
        });
        let told = ask(&Place::Endpoint(endpoint));
        server.join().expect("served");
        told
    }

    fn http(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_lives_as_long_as_the_answer_or_it_itself_says() {
        let lives = |token: &Token| token.expires.duration_since(SystemTime::now()).expect("of use").as_secs();
        let text = jwt(r#"{"sub":"me","exp":4102444800}"#);
        for expires_in in ["3600", "3600.5", "\"3600\""] {
            let body = format!(r#"{{"access_token":"{text}","expires_in":{expires_in}}}"#);
            let token = told(http("200 OK", &body)).expect("a token");
            assert_eq!((token.principal.as_str(), &token.text.0), ("me", &text));
            assert!((3_500..3_601).contains(&lives(&token)));
        }
        let token = told(http("200 OK", &format!(r#"{{"access_token":"{text}"}}"#))).expect("a token");
        assert!(lives(&token) > 1_000_000);
        // nobody's but the brokers' to read
        let token = told(http("200 OK", r#"{"access_token":"opaque","expires_in":9}"#)).expect("a token");
        assert_eq!(token.principal, "flights");
        assert!(!format!("{token:?}").contains("opaque"), "{token:?}");
    }

    #[test]
    fn what_is_wrong_is_one_sentence_without_a_secret() {
        let past = jwt(r#"{"sub":"hunter3","exp":1000000000}"#);
        let cases = [
            (
                http("401 Unauthorized", ""),
                "refuses client `flights` (401 Unauthorized): is `sasl.oauthbearer.client.secret`",
            ),
            (
                http("400 Bad Request", r#"{"error":"invalid_client","error_description":"not\nhunter2"}"#),
                "refuses client `flights` (400 Bad Request, invalid_client, not…)",
            ),
            (
                http("400 Bad Request", r#"{"error":"invalid_scope"}"#),
                "invalid_scope): is `sasl.oauthbearer.scope` right?",
            ),
            (http("302 Found", ""), "answers 302 Found: `sasl.oauthbearer.token.endpoint.url` wants"),
            (http("404 Not Found", "<html>"), "answers 404 Not Found: is `sasl.oauthbearer.token.endpoint.url` right?"),
            (http("503 Service Unavailable", ""), "answers 503 Service Unavailable: it is asked again"),
            (http("200 OK", "<html>hunter3"), "answers without an `access_token`"),
            (http("200 OK", r#"{"token":"hunter3"}"#), "answers without an `access_token`"),
            (http("200 OK", r#"{"access_token":"hunter3"}"#), "does not say how long its token lives"),
            (http("200 OK", r#"{"access_token":"hunter3 é","expires_in":9}"#), "no bearer token"),
            (http("200 OK", r#"{"access_token":"hunter3","expires_in":0}"#), "a token that has expired"),
            (http("200 OK", r#"{"access_token":"hunter3","expires_in":-1e300}"#), "does not say how long"),
            (http("200 OK", &format!(r#"{{"access_token":"{past}"}}"#)), "a token that has expired"),
            (http("200 OK", &"hunter3".repeat(100_000)), "answers with more than 262144 bytes"),
            ("hunter3\r\n\r\n".to_owned(), "does not answer ("),
            (String::new(), "does not answer ("),
        ];
        for (answer, expected) in cases {
            let said = told(answer).expect_err(expected);
            assert!(said.starts_with("the token endpoint http://127.0.0.1:"), "{said}");
            assert!(said.contains(expected) && !said.contains("hunter") && !said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let said = ask(&Place::File("/nowhere/token".into())).expect_err("no file");
        assert!(said.starts_with("the token's file /nowhere/token cannot be read (No such file"), "{said}");
    }
}
