//! A MongoDB sink: is a primary there, what may this user do, how late is it there?
//!
//! Rights are read from the server's own list of them (`connectionStatus`); where it keeps none, listing is tried.

use std::time::Duration;

use millrace_embedded::now_ms;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::ErrorKind;

use super::{Finding, clock};
use crate::error::Result;
use crate::plan::MongodbPlan;
use crate::sink::mongodb::{POSITIONS, call, client};

const NEEDED: [&str; 3] = ["find", "insert", "update"];
const UNAUTHORIZED: i32 = 13;

pub async fn look(what: &str, plan: &MongodbPlan, timeout: Duration, findings: &mut Vec<Finding>) {
    let (connected, address) = match client(plan, timeout, "millrace doctor").await {
        Ok(connected) => connected,
        Err(error) => {
            let fix = "mend the sink's `uri`";
            return findings.push(Finding::wrong(what, error.to_string(), fix));
        }
    };
    let asked_ms = now_ms();
    let hello = match ask(&connected, &address, "admin", doc! { "hello": 1 }, timeout).await {
        Ok(hello) => hello,
        Err(error) => {
            findings.push(Finding::wrong(what, error.to_string(), away(&address)));
            findings.extend(
                ["rights", "clock"]
                    .map(|asks| Finding::unknown(format!("{what}, {asks}"), format!("{address} does not answer"))),
            );
            return;
        }
    };
    let answered_ms = now_ms();
    findings.push(server(what, &connected, &address, &hello, timeout).await);
    findings.push(rights(what, &connected, &address, plan, timeout).await);
    findings.push(match hello.get_datetime("localTime") {
        Ok(theirs) => clock::compare(what, asked_ms, answered_ms, theirs.timestamp_millis()),
        Err(_) => Finding::unknown(format!("{what}, clock"), "the server does not tell its time"),
    });
}

fn away(address: &str) -> String {
    format!(
        "is the address right, does a server run at {address}, and may this host reach it? The user and password too"
    )
}

async fn ask(client: &Client, address: &str, database: &str, command: Document, timeout: Duration) -> Result<Document> {
    let name = command.keys().next().cloned().unwrap_or_default();
    let what = || format!("asking {address} `{name}`");
    call(timeout, what, client.database(database).run_command(command)).await
}

async fn server(what: &str, client: &Client, address: &str, hello: &Document, timeout: Duration) -> Finding {
    let build = ask(client, address, "admin", doc! { "buildInfo": 1 }, timeout).await;
    let version = build.ok().and_then(|build| build.get_str("version").ok().map(str::to_owned));
    let version = version.map_or("of an unknown version".to_owned(), |version| version);
    if !hello.get_bool("isWritablePrimary").unwrap_or(false) {
        let fix = "wait for an election, or name the set's other servers in the sink's `uri`";
        return Finding::wrong(what, format!("MongoDB {version} at {address}, which is no primary"), fix);
    }
    match hello.get_str("setName") {
        Ok(set) => {
            let servers = hello.get_array("hosts").map_or(0, Vec::len);
            Finding::good(what, format!("MongoDB {version} at {address}, replica set {set} of {servers}"))
        }
        Err(_) => Finding::good(what, format!("MongoDB {version} at {address}, one server without a replica set")),
    }
}

async fn rights(what: &str, client: &Client, address: &str, plan: &MongodbPlan, timeout: Duration) -> Finding {
    let what = format!("{what}, rights");
    let command = doc! { "connectionStatus": 1, "showPrivileges": true };
    let status = match ask(client, address, &plan.database, command, timeout).await {
        Ok(status) => status,
        // a server may keep even that for those that it knows
        Err(_) => return unnamed(what, client, plan, timeout).await,
    };
    let info = status.get_document("authInfo").cloned().unwrap_or_default();
    let array = |name: &str| info.get_array(name).cloned().unwrap_or_default();
    if array("authenticatedUsers").is_empty() {
        return unnamed(what, client, plan, timeout).await;
    }
    let lacking: Vec<_> = [plan.collection.as_str(), POSITIONS]
        .into_iter()
        .flat_map(|collection| NEEDED.map(|action| (collection, action)))
        .filter(|(collection, action)| {
            !array("authenticatedUserPrivileges").iter().any(|one| grants(one, &plan.database, collection, action))
        })
        .map(|(collection, action)| format!("{action} in {}.{collection}", plan.database))
        .collect();
    match lacking.is_empty() {
        true => Finding::good(what, format!("find, insert and update in {} and {POSITIONS}", plan.namespace())),
        false => {
            let fix = format!("grant its user the role readWrite of the database {}", plan.database);
            Finding::wrong(what, format!("it may not {}", lacking.join(", ")), fix)
        }
    }
}

/// Nobody has said who he is: fine where nobody has to.
async fn unnamed(what: String, client: &Client, plan: &MongodbPlan, timeout: Duration) -> Finding {
    let list = doc! { "listCollections": 1, "nameOnly": true, "authorizedCollections": false };
    match tokio::time::timeout(timeout, client.database(&plan.database).run_command(list)).await {
        Ok(Ok(_)) => Finding::good(what, format!("the server asks nobody who he is; all in {}", plan.namespace())),
        Ok(Err(error)) if matches!(&*error.kind, ErrorKind::Command(error) if error.code == UNAUTHORIZED) => {
            let fix = "put a user with the role readWrite of that database into the sink's `uri`";
            Finding::wrong(what, format!("the server wants to know who asks for {}", plan.namespace()), fix)
        }
        Ok(Err(error)) => Finding::unknown(what, error.kind.to_string()),
        Err(_) => Finding::unknown(what, format!("no answer within {timeout:?}")),
    }
}

/// A privilege is of a resource: anything, a database, a collection by name in any or one database.
fn grants(privilege: &Bson, database: &str, collection: &str, action: &str) -> bool {
    let Some(privilege) = privilege.as_document() else { return false };
    let actions = privilege.get_array("actions").map_or(&[][..], Vec::as_slice);
    if !actions.iter().any(|known| matches!(known.as_str(), Some(known) if known == action || known == "anyAction")) {
        return false;
    }
    let Ok(resource) = privilege.get_document("resource") else { return false };
    let fits = |name: &str, wanted: &str| resource.get_str(name).is_ok_and(|known| known.is_empty() || known == wanted);
    resource.get_bool("anyResource").unwrap_or(false) || (fits("db", database) && fits("collection", collection))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privilege_is_of_its_resource_and_its_actions() {
        let privilege =
            |resource: Document, action: &str| Bson::Document(doc! { "resource": resource, "actions": [action] });
        let of_all = doc! { "db": "", "collection": "" };
        let of_database = doc! { "db": "d", "collection": "" };
        let of_one = doc! { "db": "d", "collection": "c" };
        for (resource, action, granted) in [
            (of_all, "insert", true),
            (of_database.clone(), "insert", true),
            (of_one, "insert", true),
            (doc! { "anyResource": true }, "anyAction", true),
            (of_database, "find", false),
            (doc! { "db": "d", "collection": "other" }, "insert", false),
            (doc! { "db": "e", "collection": "" }, "insert", false),
            (doc! { "cluster": true }, "insert", false),
        ] {
            assert_eq!(
                grants(&privilege(resource.clone(), action), "d", "c", "insert"),
                granted,
                "{resource} {action}"
            );
        }
    }
}
