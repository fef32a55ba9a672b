//! Which of the driver's errors may pass by themselves.

use mongodb::error::{Error as DriverError, ErrorKind};

use crate::error::{Error, Kind};

/// `what` was asked for, and on which address.
pub fn of(what: String, error: DriverError) -> Error {
    let sentence = format!("{what} failed: {}", text(&error));
    match kind(&error.kind) {
        Kind::Retry => Error::retry(sentence),
        Kind::Stop => Error::stop(sentence),
    }
}

/// Of one document among many.
pub fn of_write(what: String, code: i32, message: &str) -> Error {
    let sentence = format!("{what} failed: {message} (code {code})");
    if is_final(code) { Error::stop(sentence) } else { Error::retry(sentence) }
}

/// The driver adds labels and a backtrace of its own to an error's text; its kind says it all.
fn text(error: &DriverError) -> String {
    error.kind.to_string().lines().next().unwrap_or_default().to_owned()
}

fn kind(error: &ErrorKind) -> Kind {
    match error {
        ErrorKind::InvalidArgument { .. }
        | ErrorKind::Authentication { .. }
        | ErrorKind::InvalidTlsConfig { .. }
        | ErrorKind::IncompatibleServer { .. }
        | ErrorKind::SessionsNotSupported
        | ErrorKind::Bson(_) => Kind::Stop,
        ErrorKind::Command(command) if is_final(command.code) => Kind::Stop,
        ErrorKind::ServerSelection { message, .. } if message.contains("wire version") => Kind::Stop,
        _ => Kind::Retry,
    }
}

/// Codes of the server's own list that no waiting changes: BadValue, FailedToParse, Unauthorized, TypeMismatch,
/// InvalidLength, AuthenticationFailed, IllegalOperation, InvalidNamespace, CommandNotFound, CannotCreateCollection,
/// DocumentValidationFailure, CommandNotSupportedOnView, InvalidOptions, BSONObjectTooLarge, CommandNotSupported.
fn is_final(code: i32) -> bool {
    matches!(code, 2 | 9 | 13 | 14 | 16 | 18 | 20 | 73 | 59 | 121 | 166 | 72 | 115 | 10334)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_connection_may_come_back_and_a_wrong_argument_stays_wrong() {
        let io = of("insert at db:27017".into(), DriverError::from(io::Error::from(io::ErrorKind::ConnectionReset)));
        assert_eq!(io.kind, Kind::Retry);
        assert!(io.to_string().starts_with("insert at db:27017 failed: I/O error"), "{io}");
        let custom = of("insert".into(), DriverError::custom("of a callback"));
        assert_eq!(custom.kind, Kind::Retry);
    }
}
