//! An HDFS that wants a Kerberos ticket, with all that goes over its wires encrypted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::rig::{Rig, flights, services, services_run, setting};

const KERBEROS: &str = "hadoop.security.authentication = \"kerberos\"\ndfs.data.transfer.protection = \"privacy\"";
const TICKET: &str = "a ticket comes by `kinit` into the cache that KRB5CCNAME names";

/// The KDC, the NameNode and the DataNode, started once, with a directory where everybody may write.
fn kerberized() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        services("start", "kerberized");
        for act in [&["-mkdir", "-p", "/millrace-test"][..], &["-chmod", "777", "/millrace-test"]] {
            let done = services_run("fs", "kerberized", act);
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
    });
}

/// The file of a realm, or a user's keytab.
fn of_the_realm(name: &str) -> String {
    format!("{}/{name}", setting("KERBEROS"))
}

/// The shipped pipeline, with a place of its own for tickets, and none in it.
fn rig(test: &str, properties: &str) -> (Rig, PathBuf) {
    kerberized();
    let mut rig = Rig::new(&format!("kerberos-{test}"), 1);
    rig.archive_at(&setting("HDFS_KERBERIZED"), properties);
    let tickets = rig.folder.join("tickets");
    rig.env("KRB5_CONFIG", &of_the_realm("krb5.conf"));
    rig.env("KRB5CCNAME", tickets.to_str().unwrap());
    // whom another client of this host says that it is, where nobody asks for a ticket
    rig.env("HADOOP_USER_NAME", "hdfs");
    (rig, tickets)
}

fn kerberos(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("KRB5_CONFIG", of_the_realm("krb5.conf"));
    command
}

/// A ticket of the user `millrace`, for so long.
fn kinit(tickets: &Path, life: &str) {
    let mut command = kerberos("kinit");
    command.args(["-l", life, "-k", "-t", &of_the_realm("millrace.keytab"), "-c"]).arg(tickets).arg("millrace");
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn expired(tickets: &Path) {
    kinit(tickets, "1s");
    while kerberos("klist").arg("-s").arg(tickets).status().unwrap().success() {
        std::thread::yield_now();
    }
    // its last second is over for klist, and not for who asks for another ticket with it
    std::thread::sleep(Duration::from_secs(1));
}

#[test]
fn who_has_a_ticket_or_a_keytab_writes() {
    for test in ["ticket", "keytab"] {
        let (mut rig, tickets) = rig(test, KERBEROS);
        match test {
            "ticket" => kinit(&tickets, "1h"),
            _ => rig.env("KRB5_CLIENT_KTNAME", &of_the_realm("millrace.keytab")),
        }
        let (code, said) = rig.ask("check");
        assert_eq!(code, Some(0), "{said}");
        let (code, said) = rig.ask("doctor");
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("as Hadoop's settings say, or the ticket"), "{said}");
        let (messages, ids) = flights(50, test);
        rig.produce(&messages);
        let mut process = rig.start();
        rig.await_lines_on("kerberized", &ids, &mut process);
        process.drain();
    }
}

/// Answers come all the same, and once there is a ticket the rows come too, without a new start.
#[test]
fn who_has_no_ticket_is_told_how_to_get_one_and_goes_on_with_it() {
    let cases = [("none", "No Kerberos credentials available"), ("expired", "Ticket expired")];
    for (test, why) in cases {
        let (rig, tickets) = rig(test, KERBEROS);
        if test == "expired" {
            expired(&tickets);
        }
        let (messages, ids) = flights(50, test);
        rig.produce(&messages);
        let mut process = rig.start();
        process.await_word("sink is down");
        rig.await_records("response", ids.len(), &mut process);
        let said = process.said();
        let line = said.lines().find(|line| line.contains("sink is down")).unwrap();
        assert!(line.contains(&format!("failed: Kerberos: {why}")) && line.contains(TICKET), "{said}");
        let (code, said) = rig.ask("doctor");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(why) && said.contains(TICKET), "{said}");
        kinit(&tickets, "1h");
        rig.await_lines_on("kerberized", &ids, &mut process);
        process.drain();
    }
}

/// The NameNode tells it as nobody's answer.
#[test]
fn who_does_not_speak_of_tickets_is_told_that_one_may_be_wanted() {
    let (rig, tickets) = rig("silent", "dfs.data.transfer.protection = \"privacy\"");
    kinit(&tickets, "1h");
    let (messages, ids) = flights(10, "silent");
    rig.produce(&messages);
    let mut process = rig.start();
    process.await_word("the NameNode hung up");
    process.await_word("it may want a Kerberos ticket");
    rig.await_records("response", ids.len(), &mut process);
    process.drain();
}

#[test]
fn the_doctor_asks_for_the_right_of_whom_the_ticket_names() {
    let (mut rig, tickets) = rig("right", KERBEROS);
    kinit(&tickets, "1h");
    rig.edit(&format!("\"{}\"", rig.directory()), "\"/of-somebody-else\"");
    rig.write();
    let (code, said) = rig.ask("doctor");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Permission denied: user=millrace, access=WRITE"), "{said}");
}
