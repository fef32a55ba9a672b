//! Settings by which clients get a token from an endpoint (`sasl.oauthbearer.method = "oidc"`), by librdkafka's names.
//! librdkafka itself is not told of them: it asks endpoints by libcurl, which this build is without.
//!
//! Invariant: what is there is whole and of use. Does no I/O. No word here repeats a value that may be a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use ureq::http::Uri;

pub const METHOD: &str = "sasl.oauthbearer.method";
pub const CLIENT_ID: &str = "sasl.oauthbearer.client.id";
pub const CLIENT_SECRET: &str = "sasl.oauthbearer.client.secret";
pub const SCOPE: &str = "sasl.oauthbearer.scope";
pub const EXTENSIONS: &str = "sasl.oauthbearer.extensions";
pub const URL: &str = "sasl.oauthbearer.token.endpoint.url";
pub const CA: &str = "https.ca.location";
const GRANT: &str = "sasl.oauthbearer.grant.type";

/// And librdkafka's other names of some.
const NAMES: [(&str, &str); 10] = [
    (METHOD, METHOD),
    (CLIENT_ID, CLIENT_ID),
    ("sasl.oauthbearer.client.credentials.client.id", CLIENT_ID),
    (CLIENT_SECRET, CLIENT_SECRET),
    ("sasl.oauthbearer.client.credentials.client.secret", CLIENT_SECRET),
    (GRANT, GRANT),
    (SCOPE, SCOPE),
    (EXTENSIONS, EXTENSIONS),
    (URL, URL),
    (CA, CA),
];

/// Is the setting read here, and unknown to librdkafka?
pub fn is_ours(name: &str) -> bool {
    NAMES.iter().any(|(ours, _)| *ours == name)
}

/// A setting, by the name that it has in a file, and why it cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub name: &'static str,
    pub why: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.name, self.why)
    }
}

/// In no text, whoever asks for one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub place: Place,
    /// Said to the brokers beside each token.
    pub extensions: Vec<(String, String)>,
}

/// Where tokens are from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Endpoint(Endpoint),
    /// Somebody else puts them there, and renews them.
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub url: Uri,
    pub client_id: String,
    pub client_secret: Secret,
    pub scope: Option<String>,
    /// None: the system's.
    pub ca: Option<PathBuf>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // without its query, where some write what is nobody's to see
            Place::Endpoint(Endpoint { url, .. }) => {
                let (scheme, at) = (url.scheme_str().unwrap_or_default(), url.authority());
                write!(f, "the token endpoint {scheme}://{}{}", at.map_or("", |at| at.as_str()), url.path())
            }
            Place::File(file) => write!(f, "the token's file {}", file.display()),
        }
    }
}

type Named = BTreeMap<&'static str, String>;

/// What is for librdkafka, and what is about tokens.
pub fn split(mut properties: BTreeMap<String, String>) -> Result<(BTreeMap<String, String>, Option<Settings>), Wrong> {
    let found = |(name, is)| properties.remove(name).map(|value| (is, value));
    let mut ours: Named = NAMES.into_iter().filter_map(found).collect();
    let method = ours.remove(METHOD).unwrap_or_else(|| "default".to_owned());
    if method.eq_ignore_ascii_case("default") {
        return match ours.into_keys().next() {
            None => Ok((properties, None)),
            Some(name) => wrong(name, format!("of use only with `{METHOD} = \"oidc\"`")),
        };
    }
    if !method.eq_ignore_ascii_case("oidc") {
        return wrong(METHOD, "expected oidc or default");
    }
    fits(&properties)?;
    let settings = Settings { extensions: extensions(&mut ours)?, place: place(ours)? };
    Ok((properties, Some(settings)))
}

fn wrong<T>(name: &'static str, why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { name, why: why.into() })
}

/// With librdkafka's own.
fn fits(properties: &BTreeMap<String, String>) -> Result<(), Wrong> {
    let is = |name: &str, expected: &str| properties.get(name).is_some_and(|is| is.eq_ignore_ascii_case(expected));
    if !is("sasl.mechanism", "OAUTHBEARER") && !is("sasl.mechanisms", "OAUTHBEARER") {
        return wrong(METHOD, "oidc is of use only with `sasl.mechanism = \"OAUTHBEARER\"`");
    }
    if !is("security.protocol", "SASL_SSL") && !is("security.protocol", "SASL_PLAINTEXT") {
        return wrong(METHOD, "oidc is of use only with `security.protocol = \"SASL_SSL\"`, or SASL_PLAINTEXT");
    }
    if is("enable.sasl.oauthbearer.unsecure.jwt", "true") {
        return wrong(METHOD, "oidc and `enable.sasl.oauthbearer.unsecure.jwt` are two ways to a token: leave one out");
    }
    Ok(())
}

fn place(mut ours: Named) -> Result<Place, Wrong> {
    if ours.remove(GRANT).is_some_and(|grant| grant != "client_credentials") {
        return wrong(GRANT, "this build knows client_credentials only");
    }
    let url = required(&mut ours, URL)?;
    match url.strip_prefix("file://") {
        Some(file) => of_file(file, ours),
        None => Ok(Place::Endpoint(Endpoint {
            url: of_http(&url)?,
            client_id: required(&mut ours, CLIENT_ID)?,
            client_secret: Secret(required(&mut ours, CLIENT_SECRET)?),
            scope: ours.remove(SCOPE),
            ca: ours.remove(CA).filter(|ca| ca != "probe").map(PathBuf::from),
        })),
    }
}

fn of_file(file: &str, ours: Named) -> Result<Place, Wrong> {
    if !file.starts_with('/') {
        return wrong(URL, "expected an absolute path after file://, as in file:///var/run/secrets/kafka/token");
    }
    match ours.into_keys().next() {
        Some(name) => wrong(name, "of no use where a file has the token"),
        None => Ok(Place::File(file.into())),
    }
}

fn of_http(url: &str) -> Result<Uri, Wrong> {
    let url: Option<Uri> = url.parse().ok();
    let is_http = |url: &Uri| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some();
    match url.filter(is_http) {
        None => wrong(URL, "expected https://HOST/PATH, http:// or file:///PATH"),
        Some(url) if url.authority().is_some_and(|at| at.as_str().contains('@')) => {
            wrong(URL, format!("names a user; that is for `{CLIENT_ID}` and `{CLIENT_SECRET}`"))
        }
        Some(url) => Ok(url),
    }
}

fn required(ours: &mut Named, name: &'static str) -> Result<String, Wrong> {
    match ours.remove(name).filter(|value| !value.is_empty()) {
        Some(value) => Ok(value),
        None => wrong(METHOD, format!("oidc wants `{name}`, which is not there or empty")),
    }
}

/// `name=value,…`, within what RFC 7628 lets through.
fn extensions(ours: &mut Named) -> Result<Vec<(String, String)>, Wrong> {
    let Some(written) = ours.remove(EXTENSIONS) else { return Ok(Vec::new()) };
    let is_name = |name: &str| !name.is_empty() && name != "auth" && name.chars().all(|c| c.is_ascii_alphabetic());
    let is_value = |value: &str| !value.is_empty() && value.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    let extension = |written: &str| {
        let (name, value) = written.split_once('=')?;
        (is_name(name) && is_value(value)).then(|| (name.to_owned(), value.to_owned()))
    };
    let all: Option<Vec<_>> = written.split(',').map(|written| extension(written.trim())).collect();
    all.map_or_else(|| wrong(EXTENSIONS, "expected name=value,name=value, with letters only in a name"), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[(&str, &str)] = &[
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "OAUTHBEARER"),
        (METHOD, "oidc"),
        (CLIENT_ID, "flights"),
        (CLIENT_SECRET, "hunter2"),
        (URL, "https://idp.example/token?tenant=hunter3"),
    ];

    fn read(changes: &[(&str, Option<&str>)]) -> Result<(BTreeMap<String, String>, Option<Settings>), Wrong> {
        let mut properties: BTreeMap<String, String> =
            WHOLE.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        for (name, value) in changes {
            properties.remove(*name);
            properties.extend(value.map(|value| ((*name).to_owned(), value.to_owned())));
        }
        split(properties)
    }

    #[test]
    fn librdkafka_is_told_the_rest() {
        let (rest, settings) = read(&[(EXTENSIONS, Some("logicalCluster=lkc-1, pool=p 2"))]).expect("right");
        assert_eq!(rest.into_keys().collect::<Vec<_>>(), ["sasl.mechanism", "security.protocol"]);
        let settings = settings.expect("an endpoint");
        let extension = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(settings.extensions, [extension("logicalCluster", "lkc-1"), extension("pool", "p 2")]);
        assert_eq!(settings.place.to_string(), "the token endpoint https://idp.example/token");
        assert!(!format!("{:?}", settings.place).contains("hunter2"), "{settings:?}");
    }

    #[test]
    fn a_file_needs_no_client() {
        let changes = [(URL, Some("file:///run/token")), (CLIENT_ID, None), (CLIENT_SECRET, None)];
        let (_, settings) = read(&changes).expect("right");
        assert_eq!(settings.expect("a file").place, Place::File("/run/token".into()));
    }

    #[test]
    fn what_is_not_whole_or_of_no_use_is_refused_and_named() {
        type Set<'a> = &'a [(&'a str, Option<&'a str>)];
        let cases: &[(Set<'_>, &str)] = &[
            (&[(METHOD, None)], "`sasl.oauthbearer.client.id`: of use only with"),
            (&[(METHOD, Some("hunter2"))], "expected oidc or default"),
            (&[("sasl.mechanism", Some("PLAIN"))], "`sasl.mechanism = \"OAUTHBEARER\"`"),
            (&[("security.protocol", Some("SSL"))], "`security.protocol = \"SASL_SSL\"`"),
            (&[("enable.sasl.oauthbearer.unsecure.jwt", Some("true"))], "two ways"),
            (&[(CLIENT_SECRET, None)], "oidc wants `sasl.oauthbearer.client.secret`"),
            (&[(CLIENT_SECRET, Some(""))], "oidc wants `sasl.oauthbearer.client.secret`"),
            (&[(URL, None)], "oidc wants `sasl.oauthbearer.token.endpoint.url`"),
            (&[(URL, Some("idp.example/hunter2"))], "expected https://HOST/PATH"),
            (&[(URL, Some("https://me:hunter2@idp.example/"))], "names a user"),
            (&[(URL, Some("file://run/hunter2"))], "absolute path"),
            (&[(URL, Some("file:///run/token"))], "`sasl.oauthbearer.client.id`: of no use"),
            (&[(EXTENSIONS, Some("auth=hunter2"))], "expected name=value"),
            (&[(EXTENSIONS, Some("hunter2"))], "expected name=value"),
            (&[(GRANT, Some("urn:ietf:params:oauth:grant-type:jwt-bearer"))], "client_credentials only"),
        ];
        for (changes, expected) in cases {
            let said = read(changes).expect_err(expected).to_string();
            assert!(said.contains(expected) && !said.contains("hunter"), "{changes:?}: {said}");
        }
    }
}
