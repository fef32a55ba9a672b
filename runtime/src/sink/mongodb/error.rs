//! Which of the driver's errors may pass by themselves.

use mongodb::error::{Error as DriverError, ErrorKind, WriteFailure};

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
    match of_code(code) {
        Kind::Stop => Error::stop(sentence),
        Kind::Retry => Error::retry(sentence),
    }
}

/// The driver adds labels and a backtrace of its own to an error's text; its kind says it all.
fn text(error: &DriverError) -> String {
    error.kind.to_string().lines().next().unwrap_or_default().to_owned()
}

/// What the pipeline's file or a row must be changed for; everything else is mended from outside: servers, rights,
/// room. docs/errors.md has the table.
fn kind(error: &ErrorKind) -> Kind {
    match error {
        ErrorKind::InvalidArgument { .. } | ErrorKind::Bson(_) => Kind::Stop,
        ErrorKind::Command(error) => of_code(error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => of_code(error.code),
        _ => Kind::Retry,
    }
}

/// Codes of the server's own list, of a command or of one document.
pub fn of_code(code: i32) -> Kind {
    const BAD_VALUE: i32 = 2;
    const FAILED_TO_PARSE: i32 = 9;
    const TYPE_MISMATCH: i32 = 14;
    const INVALID_LENGTH: i32 = 16;
    const INVALID_BSON: i32 = 22;
    const INVALID_OPTIONS: i32 = 72;
    const INVALID_NAMESPACE: i32 = 73;
    const DOCUMENT_VALIDATION_FAILURE: i32 = 121;
    const COMMAND_NOT_SUPPORTED_ON_VIEW: i32 = 166;
    const CANNOT_INDEX_PARALLEL_ARRAYS: i32 = 171;
    const BSON_OBJECT_TOO_LARGE: i32 = 10_334;
    match code {
        BAD_VALUE
        | FAILED_TO_PARSE
        | TYPE_MISMATCH
        | INVALID_LENGTH
        | INVALID_BSON
        | INVALID_OPTIONS
        | INVALID_NAMESPACE
        | DOCUMENT_VALIDATION_FAILURE
        | COMMAND_NOT_SUPPORTED_ON_VIEW
        | CANNOT_INDEX_PARALLEL_ARRAYS
        | BSON_OBJECT_TOO_LARGE => Kind::Stop,
        _ => Kind::Retry,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use mongodb::bson::{deserialize_from_document, doc};

    use super::*;

    #[test]
    fn a_connection_may_come_back_and_a_wrong_argument_stays_wrong() {
        let io = of("insert at db:27017".into(), DriverError::from(io::Error::from(io::ErrorKind::ConnectionReset)));
        assert_eq!(io.kind, Kind::Retry);
        assert!(io.to_string().starts_with("insert at db:27017 failed: I/O error"), "{io}");
        let custom = of("insert".into(), DriverError::custom("of a callback"));
        assert_eq!(custom.kind, Kind::Retry);
    }

    /// The same code, as the answer to a command and as a write's.
    fn kinds(code: i32, name: &str) -> [Kind; 2] {
        let answer = doc! { "code": code, "codeName": name, "errmsg": "of a server" };
        let command = ErrorKind::Command(deserialize_from_document(answer.clone()).expect("a command's error"));
        let write = WriteFailure::WriteError(deserialize_from_document(answer).expect("a write's error"));
        [command, ErrorKind::Write(write)].map(|kind| of("insert".into(), DriverError::from(kind)).kind)
    }

    #[test]
    fn what_the_servers_mend_is_tried_again() {
        let codes = [
            (6, "HostUnreachable"),
            (13, "Unauthorized"),
            (18, "AuthenticationFailed"),
            (20, "IllegalOperation"),
            (50, "MaxTimeMSExpired"),
            (64, "WriteConcernTimeout"),
            (91, "ShutdownInProgress"),
            (100, "UnsatisfiableWriteConcern"),
            (112, "WriteConflict"),
            (189, "PrimarySteppedDown"),
            (262, "ExceededTimeLimit"),
            (8_000, "AtlasError"),
            (10_107, "NotWritablePrimary"),
            (11_600, "InterruptedAtShutdown"),
            (11_602, "InterruptedDueToReplStateChange"),
            (13_435, "NotPrimaryNoSecondaryOk"),
            (13_436, "NotPrimaryOrSecondary"),
            (14_031, "OutOfDiskSpace"),
        ];
        codes.iter().for_each(|(code, name)| assert_eq!(kinds(*code, name), [Kind::Retry; 2], "{name}"));
    }

    #[test]
    fn what_a_person_must_change_stops_it() {
        let codes = [
            (2, "BadValue"),
            (73, "InvalidNamespace"),
            (121, "DocumentValidationFailure"),
            (166, "CommandNotSupportedOnView"),
            (10_334, "BSONObjectTooLarge"),
        ];
        codes.iter().for_each(|(code, name)| assert_eq!(kinds(*code, name), [Kind::Stop; 2], "{name}"));
        let argument = mongodb::options::ClientOptions::parse("mongodb://:27017?w=");
        let argument = futures::executor::block_on(argument.into_future()).expect_err("it is no address");
        assert_eq!(of("reading the MongoDB URI".into(), argument).kind, Kind::Stop);
    }
}
