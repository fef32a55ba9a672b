//! Where a pipeline answers: `http://HOST:PORT`, perhaps with a path before `/status`.

use std::fmt;
use std::str::FromStr;

use axum::http::Uri;
use axum::http::uri::Scheme;

const DEFAULT_PORT: u16 = 80;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// With its port.
    pub authority: String,
    /// Of its status.
    pub path: String,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let wrong = || format!("`{text}` is no address such as http://127.0.0.1:9464");
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTP)).ok_or_else(wrong)?;
        let authority = match authority.port() {
            Some(_) => authority.to_string(),
            None => format!("{authority}:{DEFAULT_PORT}"),
        };
        Ok(Place { authority, path: format!("{}/status", uri.path().trim_end_matches('/')) })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_with_and_without_a_path() {
        for (text, place) in [
            ("http://127.0.0.1:9464", "http://127.0.0.1:9464/status"),
            ("http://mill/", "http://mill:80/status"),
            ("http://[::1]:9464/flights/", "http://[::1]:9464/flights/status"),
        ] {
            assert_eq!(text.parse::<Place>().map(|place| place.to_string()), Ok(place.to_owned()));
        }
    }

    #[test]
    fn what_is_no_address_is_told() {
        for text in ["", "mill", "127.0.0.1:9464", "https://mill:9464", "http://", "http://a b"] {
            let wrong = format!("`{text}` is no address such as http://127.0.0.1:9464");
            assert_eq!(text.parse::<Place>(), Err(wrong));
        }
    }
}
