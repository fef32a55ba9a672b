//! [`Files`] on HDFS, through hdfs-native.
//!
//! Invariant: every call is under the timeout; a NameNode or DataNode that is frozen never answers by itself.

use std::env;
use std::io::ErrorKind;
use std::time::Duration;

use hdfs_native::client::FileStatus;
use hdfs_native::file::FileWriter;
use hdfs_native::{Client, ClientBuilder, HdfsError, WriteOptions};
use tokio::sync::OnceCell;

use super::files::{FileError, Files, ReadFiles};
use crate::error::{Error, Kind, Result};
use crate::plan::HdfsPlan;
use crate::sink::within;

const USER: &str = "HADOOP_USER_NAME";
const AUTHENTICATION: &str = "hadoop.security.authentication";
/// Where Hadoop's own files are, if anywhere: they too may say that it is Kerberos.
const FILES: [&str; 2] = ["HADOOP_CONF_DIR", "HADOOP_HOME"];

const TICKET: &str =
    "a ticket comes by `kinit` into the cache that KRB5CCNAME names, or by the keytab that KRB5_CLIENT_KTNAME names";

/// With the defaults, a NameNode that is not there is an error after three minutes only.
const SETTINGS: [(&str, &str); 3] = [
    ("dfs.client.failover.max.attempts", "4"),
    ("dfs.client.failover.sleep.base.millis", "100"),
    ("dfs.client.failover.sleep.max.millis", "500"),
];

pub struct NameNode {
    uri: String,
    /// With Kerberos, whom the ticket's owner acts for.
    planned: Option<String>,
    environment: Option<String>,
    /// Those of the pipeline's file come last, and win.
    settings: Vec<(String, String)>,
    timeout: Duration,
    /// Made at the first call: it belongs to the runtime that it is made in.
    client: OnceCell<Client>,
}

impl NameNode {
    /// Connects to nothing.
    pub fn new(plan: &HdfsPlan, timeout: Duration) -> Result<NameNode> {
        let (planned, environment) = (plan.user.clone(), env::var(USER).ok());
        must_not_be_empty(planned.as_ref().or(environment.as_ref()))?;
        let ours = SETTINGS.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = ours.chain(plan.properties.clone()).collect();
        Ok(NameNode { uri: plan.uri.clone(), planned, environment, settings, timeout, client: OnceCell::new() })
    }

    /// As whom it speaks, where that is known from here: a ticket has a name of its own.
    pub fn user(&self, system: impl FnOnce() -> String) -> Option<String> {
        let said = self.settings.iter().rev().find(|(name, _)| name == AUTHENTICATION);
        let simple = match said {
            Some((_, value)) => value == "simple",
            None => FILES.iter().all(|name| env::var_os(name).is_none()),
        };
        let without_ticket = || self.environment.clone().unwrap_or_else(system);
        self.planned.clone().or_else(|| simple.then(without_ticket))
    }

    /// What is there, without a look into it.
    pub async fn status(&self, path: &str) -> Result<FileStatus, FileError> {
        let client = self.client().await?;
        self.call(|| format!("looking at {path}"), client.get_file_info(path)).await
    }

    async fn client(&self) -> Result<&Client, FileError> {
        let build = || async {
            let builder = ClientBuilder::new().with_url(&self.uri).with_config(self.settings.clone());
            // the environment's user is the client's own affair: with Kerberos it is nobody
            match &self.planned {
                Some(user) => builder.with_user(user).build(),
                None => builder.build(),
            }
        };
        self.client.get_or_try_init(build).await.map_err(|error| {
            FileError::Other(Error::stop(format!("`{}` is not the address of a NameNode", self.uri)).caused_by(error))
        })
    }

    async fn call<T>(
        &self,
        what: impl Fn() -> String,
        call: impl Future<Output = Result<T, HdfsError>>,
    ) -> Result<T, FileError> {
        let what = || format!("{} at {}", what(), self.uri);
        // hdfs-native's futures are large, and would be in every frame from here up
        let answer = within(self.timeout, what, Box::pin(call)).await.map_err(FileError::Other)?;
        answer.map_err(|error| file_error(what(), error))
    }
}

/// An empty name would make hdfs-native wait for ever.
fn must_not_be_empty(user: Option<&String>) -> Result<()> {
    match user {
        Some(name) if name.is_empty() => Err(Error::stop(format!(
            "the HDFS user is empty: name one in the sink's `user` or in {USER}, or unset {USER} to be the system's user"
        ))),
        _ => Ok(()),
    }
}

impl Files for NameNode {
    type File = (String, FileWriter);

    fn place(&self, path: &str) -> String {
        format!("{path} at {}", self.uri)
    }

    async fn list(&self, path: &str, mut each: impl FnMut(&str) + Send) -> Result<(), FileError> {
        let entries = self.client().await?.list_status_iter(path, false);
        // a page of the listing at a time, each under the timeout: a directory may hold millions of files
        while let Some(entry) =
            self.call(|| format!("listing {path}"), async { entries.next().await.transpose() }).await?
        {
            each(name(&entry));
        }
        Ok(())
    }

    async fn make_directory(&self, path: &str) -> Result<(), FileError> {
        let client = self.client().await?;
        self.call(|| format!("making the directory {path}"), client.mkdirs(path, 0o755, true)).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        let client = self.client().await?;
        self.call(|| format!("renaming {from} to {to}"), client.rename(from, to, false)).await
    }

    async fn delete(&self, path: &str) -> Result<(), FileError> {
        let client = self.client().await?;
        self.call(|| format!("deleting {path}"), client.delete(path, true)).await.map(|_was_there| ())
    }

    async fn create(&self, path: &str) -> Result<Self::File, FileError> {
        let client = self.client().await?;
        let options = WriteOptions::default().create_parent(false).overwrite(false);
        let writer = self.call(|| format!("creating {path}"), client.create(path, &options)).await?;
        Ok((path.to_owned(), writer))
    }

    async fn append(&self, (path, writer): &mut Self::File, bytes: Vec<u8>) -> Result<(), FileError> {
        let call = writer.write_bytes(bytes.into());
        self.call(|| format!("writing to {path}"), call).await.map(|_length| ())
    }

    async fn close(&self, (path, mut writer): Self::File) -> Result<(), FileError> {
        self.call(|| format!("closing {path}"), writer.close()).await
    }
}

impl ReadFiles for NameNode {
    async fn read(&self, path: &str, from: u64, bytes_max: usize) -> Result<Vec<u8>, FileError> {
        let client = self.client().await?;
        let read = async {
            let file = client.read(path).await?;
            let from = (from as usize).min(file.file_length());
            let length = bytes_max.min(file.file_length() - from);
            if length == 0 { Ok(Vec::new()) } else { Ok(file.read_range(from, length).await?.to_vec()) }
        };
        self.call(|| format!("reading {path}"), read).await
    }
}

fn name(entry: &FileStatus) -> &str {
    entry.path.rsplit('/').next().unwrap_or_default()
}

fn file_error(what: String, error: HdfsError) -> FileError {
    let what = format!("{what} failed");
    if let HdfsError::GSSAPIError(_, _, said) = &error {
        // the first half says only that the second one does
        let why = said.split_once(": ").map_or(said.as_str(), |(_, why)| why);
        return FileError::Stranger { what, why: format!("Kerberos: {why}"), fix: TICKET };
    }
    let sort: fn(Error) -> FileError = match &error {
        HdfsError::AlreadyExists(_) => FileError::Exists,
        HdfsError::FileNotFound(_) => FileError::Missing,
        HdfsError::RPCError(class, _) if class.ends_with("FileNotFoundException") => FileError::Missing,
        _ => FileError::Other,
    };
    let made = match kind(&error) {
        Kind::Retry => Error::retry(what),
        Kind::Stop => Error::stop(what),
    };
    sort(match in_words(&error) {
        Some(words) => made.caused_by(words),
        None => made.caused_by(error),
    })
}

/// What the client has no words for.
fn in_words(error: &HdfsError) -> Option<&'static str> {
    match error {
        HdfsError::OperationFailed(said) if is_of_the_library(said) => Some(
            "Kerberos takes libgssapi_krb5.so.2, which is not on this host: install it (Debian's libgssapi-krb5-2, Red \
             Hat's krb5-libs), and start again",
        ),
        // what it said belongs to no call
        HdfsError::IOError(cause) if cause.kind() == ErrorKind::ConnectionAborted => Some(
            "the NameNode hung up: it was stopped, or it does not take this client (it may want a Kerberos ticket, or \
             forbid acting for another user)",
        ),
        _ => None,
    }
}

/// It is looked for once in the life of a process.
fn is_of_the_library(said: &str) -> bool {
    said.contains("libgssapi")
}

/// Names and settings of the pipeline's file, and what this client cannot do; everything else is mended from outside:
/// rights, quotas, safe mode, a ticket. docs/errors.md has the table.
fn kind(error: &HdfsError) -> Kind {
    const NAMES: [&str; 2] = ["InvalidPathException", "PathComponentTooLongException"];
    match error {
        HdfsError::RPCError(class, _) | HdfsError::FatalRPCError(class, _)
            if NAMES.iter().any(|name| class.ends_with(name)) =>
        {
            Kind::Stop
        }
        HdfsError::InvalidPath(_)
        | HdfsError::InvalidArgument(_)
        | HdfsError::UrlParseError(_)
        | HdfsError::UnsupportedFeature(_)
        | HdfsError::UnsupportedErasureCodingPolicy(_) => Kind::Stop,
        HdfsError::OperationFailed(said) if is_of_the_library(said) => Kind::Stop,
        _ => Kind::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_node(user: Option<&str>, environment: Option<&str>, properties: &[(&str, &str)]) -> NameNode {
        let own = |text: &str| text.to_owned();
        NameNode {
            uri: own("hdfs://a"),
            planned: user.map(own),
            environment: environment.map(own),
            settings: properties.iter().map(|(name, value)| (own(name), own(value))).collect(),
            timeout: Duration::ZERO,
            client: OnceCell::new(),
        }
    }

    #[test]
    fn an_empty_user_is_an_error_and_a_planned_one_comes_first() {
        let simple = [(AUTHENTICATION, "simple")];
        let user = |planned, environment| name_node(planned, environment, &simple).user(|| "system".into());
        assert_eq!(user(Some("a"), Some("b")).expect("a name"), "a");
        assert_eq!(user(None, Some("b")).expect("a name"), "b");
        assert_eq!(user(None, None).expect("a name"), "system");
        let empty = must_not_be_empty(Some(&String::new())).expect_err("it would hang");
        assert!(empty.to_string().contains("the HDFS user is empty"));
        assert_eq!(empty.kind, Kind::Stop);
    }

    #[test]
    fn a_ticket_has_a_name_of_its_own() {
        let kerberos = [(AUTHENTICATION, "simple"), (AUTHENTICATION, "kerberos")];
        let user = |planned| name_node(planned, Some("b"), &kerberos).user(|| "system".into());
        assert_eq!(user(None), None);
        assert_eq!(user(Some("a")).expect("whom it acts for"), "a");
    }

    #[test]
    fn a_library_that_is_not_there_stops_it_and_an_end_of_the_line_is_said_in_words() {
        let library = HdfsError::OperationFailed("Failed to load libgssapi_krb".into());
        assert_eq!(kind(&library), Kind::Stop);
        assert!(Error::from(file_error("a".into(), library)).to_string().contains("install it"));
        let hung_up = HdfsError::IOError(ErrorKind::ConnectionAborted.into());
        assert_eq!(kind(&hung_up), Kind::Retry);
        assert!(Error::from(file_error("a".into(), hung_up)).to_string().starts_with("a failed: the NameNode hung up"));
    }

    #[test]
    fn java_exceptions_are_told_apart_and_keep_their_first_line() {
        let rpc = |class: &str| HdfsError::RPCError(class.to_owned(), "of /a\n\tat Java.java:1".to_owned());
        let missing = file_error("renaming".into(), rpc("java.io.FileNotFoundException"));
        assert!(matches!(missing, FileError::Missing(_)));
        let safe: Error =
            file_error("creating".into(), rpc("org.apache.hadoop.hdfs.server.namenode.SafeModeException")).into();
        let line = "creating failed: RPC error: org.apache.hadoop.hdfs.server.namenode.SafeModeException of /a";
        assert_eq!(safe.to_string(), line);
    }

    #[test]
    fn what_the_cluster_mends_is_tried_again() {
        let exceptions = [
            "java.io.IOException",
            "java.io.FileNotFoundException",
            "org.apache.hadoop.fs.ParentNotDirectoryException",
            "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException",
            "org.apache.hadoop.hdfs.protocol.FSLimitException$MaxDirectoryItemsExceededException",
            "org.apache.hadoop.hdfs.protocol.NSQuotaExceededException",
            "org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException",
            "org.apache.hadoop.hdfs.server.namenode.SafeModeException",
            "org.apache.hadoop.ipc.RetriableException",
            "org.apache.hadoop.ipc.StandbyException",
            "org.apache.hadoop.security.AccessControlException",
            "org.apache.hadoop.security.authorize.AuthorizationException",
            "org.apache.hadoop.security.token.SecretManager$InvalidToken",
        ];
        let text = String::new;
        let of_the_client = [
            HdfsError::IOError(std::io::ErrorKind::ConnectionRefused.into()),
            HdfsError::DataTransferError(text()),
            HdfsError::ChecksumError,
            HdfsError::OperationFailed(text()),
            HdfsError::BlocksNotFound(text()),
            HdfsError::IsADirectoryError(text()),
            HdfsError::SASLError(text()),
            HdfsError::NoSASLMechanism,
        ];
        let rpc = exceptions.map(|class| HdfsError::RPCError(class.into(), text()));
        let fatal = exceptions.map(|class| HdfsError::FatalRPCError(class.into(), text()));
        for error in of_the_client.into_iter().chain(rpc).chain(fatal) {
            assert_eq!(kind(&error), Kind::Retry, "{error}");
        }
    }

    #[test]
    fn names_that_are_no_names_stop_it() {
        let rpc = |class: &str| HdfsError::RPCError(class.into(), String::new());
        let errors = [
            rpc("org.apache.hadoop.fs.InvalidPathException"),
            rpc("org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException"),
            HdfsError::InvalidPath(String::new()),
            HdfsError::InvalidArgument(String::new()),
            HdfsError::UnsupportedFeature(String::new()),
            HdfsError::UnsupportedErasureCodingPolicy(String::new()),
        ];
        errors.iter().for_each(|error| assert_eq!(kind(error), Kind::Stop, "{error}"));
    }
}
