//! A MongoDB that asks who one is, over TLS.

use std::process::Command;
use std::sync::OnceLock;

use futures::TryStreamExt;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use tokio::runtime::Runtime;

use super::rig::{PATIENCE, Rig, flights, services, setting};

const PASSWORD: &str = "pa$s/word";
const DATABASE: &str = "agile_data_science";
const ENCODED: &str = "pa%24s%2Fword";

/// `who`: name and password with `@` behind them, or nothing.
fn uri(who: &str, ca: &str) -> String {
    format!("mongodb://{who}{}/?authSource=admin&tls=true{ca}&directConnection=true", setting("MONGODB_GUARDED"))
}

fn trusted(who: &str) -> String {
    uri(who, &format!("&tlsCAFile={}", setting("MONGODB_CA")))
}

/// The server, started once, with who may write and who may only read.
fn guarded() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        services("start", "guarded");
        Runtime::new().unwrap().block_on(async {
            let users = [("", "admin", "root", "admin"), ("admin", "millrace", "readWrite", DATABASE)];
            for (by, name, role, database) in users.into_iter().chain([("admin", "reader", "read", DATABASE)]) {
                // only the first is made by nobody
                let by = if by.is_empty() { String::new() } else { format!("{by}:{ENCODED}@") };
                let admin = Client::with_uri_str(trusted(&by)).await.unwrap().database("admin");
                let roles = [doc! { "role": role, "db": database }];
                let made = admin.run_command(doc! { "createUser": name, "pwd": PASSWORD, "roles": &roles[..] }).await;
                // of a server that stands since another run
                if let Err(error) = made {
                    assert!(error.to_string().contains("exist") || error.to_string().contains("auth"), "{error}");
                }
            }
        });
    });
}

/// The shipped pipeline, with that server's address from a secret's file.
fn rig(test: &str, uri: &str) -> Rig {
    guarded();
    let mut rig = Rig::new(&format!("guarded-{test}"), 1);
    let secret = rig.folder.join("mongodb-uri");
    std::fs::write(&secret, format!("{uri}\n")).unwrap();
    rig.edit("${MONGODB_URI:-mongodb://localhost:27017}", &format!("${{file:{}}}", secret.display()));
    rig.edit("[sinks.store.mongodb]", "[sinks.store]\ntimeout_ms = 3000\n\n[sinks.store.mongodb]");
    rig
}

fn documents(rig: &Rig) -> usize {
    Runtime::new().unwrap().block_on(async {
        let client = Client::with_uri_str(trusted(&format!("millrace:{ENCODED}@"))).await.unwrap();
        let rows = client.database(DATABASE).collection::<Document>(&rig.name);
        rows.find(doc! {}).await.unwrap().try_collect::<Vec<_>>().await.unwrap().len()
    })
}

#[test]
fn who_may_write_there_writes() {
    let rig = rig("right", &trusted(&format!("millrace:{ENCODED}@")));
    rig.produce(&flights(50, "a").0);
    let mut process = rig.start_with(&["--log", "debug"]);
    let deadline = std::time::Instant::now() + PATIENCE;
    while documents(&rig) < 50 {
        process.must_run();
        assert!(std::time::Instant::now() < deadline, "{}", process.said());
    }
    let said = process.drain();
    for secret in [PASSWORD, ENCODED] {
        assert!(!said.contains(secret), "{said}");
    }
}

/// Answers come all the same, and the reason is said without the secret.
#[test]
fn who_may_not_write_there_is_told_why_and_stops_nobody() {
    let wrong = [
        ("password", trusted("millrace:another-secret@"), "uthentication failed"),
        ("nobody", trusted(""), "requires authentication"),
        ("reader", trusted(&format!("reader:{ENCODED}@")), "not authorized"),
        ("trust", uri(&format!("millrace:{ENCODED}@"), ""), "ertificate"),
    ];
    for (test, uri, why) in wrong {
        let rig = rig(test, &uri);
        rig.produce(&flights(10, "a").0);
        let mut process = rig.start();
        rig.await_records("response", 10, &mut process);
        process.await_word("sink is down");
        let mut said = process.drain();
        let doctor = Command::new(env!("CARGO_BIN_EXE_millrace")).arg("doctor").arg(rig.file()).output().unwrap();
        // the privileges of a user that exists are not told by every server that is taken for MongoDB
        if test != "reader" {
            assert_eq!(doctor.status.code(), Some(1));
        }
        said += &String::from_utf8(doctor.stdout).unwrap();
        assert!(said.contains(why), "{test}: {why:?} is not in {said}");
        for secret in [PASSWORD, ENCODED, "another-secret"] {
            assert!(!said.contains(secret), "{said}");
        }
        assert_eq!(documents(&rig), 0);
    }
}
