//! Rejects shown and sent again, on both grounds: each message once, whatever ends the command.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use millrace_embedded::Folder;
use mongodb::bson::doc;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};

use super::stand::{Stand, bad, collection, directory, good, json_lines};
use crate::flights::request;
use crate::flow::rig::setting;
use crate::process::{PATIENCE, Process, on_a_terminal};

impl Stand {
    fn rejects(&self, act: &str, options: &[&str]) -> Command {
        let file = self.file().display().to_string();
        self.command_of(&["rejects", act, &file], options)
    }

    fn shown(&self, options: &[&str]) -> Vec<Value> {
        json_lines(&good(self.rejects("show", &["--json"]).args(options)))
    }

    /// What was refused in one millisecond comes in the order of messages, else as it was refused: stage by stage.
    fn by_offset(&self) -> Vec<Value> {
        let mut shown = self.shown(&[]);
        shown.sort_by_key(|reject| reject["offset"].as_i64());
        shown
    }

    /// What it sent: where each message was, and where it came back.
    fn resend(&self, options: &[&str]) -> Vec<(i64, i64)> {
        let lines = json_lines(&good(self.rejects("resend", &["--json", "--yes"]).args(options)));
        let sent = |line: &Value| (line["offset"].as_i64().unwrap(), line["to"]["offset"].as_i64().unwrap());
        lines.iter().map(sent).collect()
    }

    fn messages(&self, role: &str) -> Vec<Value> {
        json_lines(&good(&mut self.on_topic("consume", role, &["--json"])))
    }

    /// Where each message of the source says that it was sent from.
    fn links(&self) -> Vec<Option<String>> {
        const NAME: &str = "millrace-resent-from";
        match self {
            Stand::Services(rig) => {
                rig.records("request").into_iter().map(|mut record| record.headers.remove(NAME)).collect()
            }
            Stand::Embedded(bed) => {
                let folder = Folder::open(&bed.data).unwrap();
                let topic = folder.topic(&self.topic("request")).unwrap().unwrap();
                let messages = folder.read(&topic, 0, 0, 1_000_000, usize::MAX).unwrap();
                let link = |(name, value): (String, Vec<u8>)| (name == NAME).then(|| String::from_utf8(value).unwrap());
                messages.into_iter().map(|message| message.headers.into_iter().find_map(link)).collect()
            }
        }
    }

    fn await_rejects(&self, count: usize, process: &mut Process) {
        match self {
            Stand::Services(rig) => drop(rig.await_records("rejected", count, process)),
            Stand::Embedded(bed) => bed.await_records("flight-delay-ml-rejected", count, process),
        }
    }

    /// Runs the pipeline until as many rejects are there.
    fn refuse(&self, count: usize) {
        let mut process = self.start();
        self.await_rejects(count, &mut process);
        process.drain();
    }
}

fn on_both(test: &str, tried: impl Fn(Stand)) {
    tried(Stand::services(test));
    tried(Stand::embedded(test));
}

/// Of a reject: its message's offset, and where that came back, and what became of it there.
fn fate(reject: &Value) -> (i64, Option<i64>, Option<&str>) {
    let resent = &reject["resent_to"];
    (reject["offset"].as_i64().unwrap(), resent["offset"].as_i64(), resent["became"].as_str())
}

const BROKEN: &[u8] = b"{\"broken\"";

#[test]
fn what_was_mended_is_answered_and_what_was_not_is_refused_at_another_position() {
    on_both("rejectsmended", |mut stand| {
        let (mending, mended) = ("unknown_category = \"reject\"", "unknown_category = \"missing\"");
        stand.edit(mended, mending);
        stand.produce(&[request("good", json!({})), request("new", json!({ "Carrier": "ZZ" })), BROKEN.to_vec()]);
        stand.refuse(2);
        let rejects = stand.by_offset();
        let codes: Vec<_> = rejects.iter().map(|reject| reject["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["unknown_category", "not_json"]);
        assert_eq!(rejects.iter().map(fate).collect::<Vec<_>>(), [(1, None, None), (2, None, None)]);
        assert!(rejects.iter().all(|reject| reject["time"].is_string()), "{rejects:?}");

        // nothing is sent without a yes
        let topic = stand.topic("request");
        let would = good(&mut stand.rejects("resend", &["--dry-run"]));
        assert_eq!(would, format!("{topic}:0:1\n{topic}:0:2\n"));
        let said = bad(stand.rejects("resend", &[]).stdin(Stdio::null()));
        assert!(said.contains("2 messages are to be sent") && said.contains("add --yes"), "{said}");
        assert_eq!(stand.messages("request").len(), 3);

        stand.edit(mending, mended);
        let sent = good(&mut stand.rejects("resend", &["--code", "unknown_category", "--yes"]));
        assert_eq!(sent, format!("{topic}:0:1 → {topic}:0:3\n"));
        assert_eq!(fate(&stand.by_offset()[0]), (1, Some(3), Some("waits")));
        let mut process = stand.start();
        stand.await_responses(2, &mut process);
        process.drain();
        assert_eq!(stand.responses()[1]["UUID"], "new");
        assert_eq!(
            stand.by_offset().iter().map(fate).collect::<Vec<_>>(),
            [(1, Some(3), Some("passed")), (2, None, None)]
        );

        // not twice
        let sent = stand.resend(&[]);
        let [(2, again)] = sent[..] else { panic!("{sent:?}") };
        assert_eq!(stand.resend(&[]), []);
        stand.refuse(3);
        let rejects = stand.shown(&["--stage", "source"]);
        assert_eq!(
            rejects.iter().map(fate).collect::<Vec<_>>(),
            [(2, Some(again), Some("refused again")), (again, None, None)]
        );
        assert_eq!(
            (&rejects[0]["resent_from"], &rejects[1]["resent_from"]),
            (&Value::Null, &format!("{topic}:0:2").into())
        );
        let table = good(&mut stand.rejects("show", &[]));
        let row =
            table.lines().find(|row| row.contains(&format!("0:{again} from 0:2"))).unwrap_or_else(|| panic!("{table}"));
        assert!(row.contains("not_json") && row.contains(" – "), "{table}");
        assert!(table.contains(&format!("to 0:{again}, refused again")) && table.contains("to 0:3, passed"), "{table}");

        // what was refused again is another message: it can be sent again, once
        assert_eq!(stand.resend(&[]).iter().map(|(of, _)| *of).collect::<Vec<_>>(), [again]);
        let links: Vec<_> = stand.links().into_iter().flatten().collect();
        assert_eq!(links, [1, 2, again].map(|offset| format!("{topic}:0:{offset}")));
        let counts = stand.shown(&["--counts"]);
        let counts: Vec<_> =
            counts.iter().map(|it| (it["stage"].as_str().unwrap(), &it["rejects"], &it["resent"])).collect();
        assert_eq!(counts, [("delay", &json!(1), &json!(1)), ("source", &json!(2), &json!(2))]);
    });
}

#[test]
fn filters_and_bounds() {
    on_both("rejectsfilters", |stand| {
        let mut messages = vec![BROKEN.to_vec(); 5];
        messages.push(request("carrier", json!({ "Carrier": "" })));
        stand.produce(&messages);
        stand.refuse(6);
        let offsets = |options: &[&str]| stand.shown(options).iter().map(|it| fate(it).0).collect::<Vec<_>>();
        let cases: [(&[&str], &[i64]); 9] = [
            (&["--from", "1", "--to", "3"], &[1, 2, 3]),
            (&["--partition", "1"], &[]),
            (&["--partition", "0", "--to", "0"], &[0]),
            (&["--stage", "features"], &[5]),
            (&["--code", "not_json", "--from", "4"], &[4]),
            (&["--code", "nothing"], &[]),
            (&["--since", "2100-01-01T00:00:00Z"], &[]),
            (&["--since", "1d"], &[0, 1, 2, 3, 4, 5]),
            (&["--rows-max", "2"], &[4, 5]),
        ];
        for (options, expected) in cases {
            assert_eq!(offsets(options), expected, "{options:?}");
        }
        let bounded = stand.rejects("show", &["--rows-max", "2"]).output().unwrap();
        let said = String::from_utf8(bounded.stderr).unwrap();
        assert!(said.contains("6 rejects, 0 of them sent again; the newest 2 are shown"), "{said}");
        let resent = stand.resend(&["--from", "1", "--to", "2"]);
        assert_eq!(resent.iter().map(|(of, _)| *of).collect::<Vec<_>>(), [1, 2]);
    });
}

/// Of a stage, and of a sink where its owner has a rule.
fn from_wherever_they_are(mut stand: Stand, table: &str) {
    let topic = stand.topic("rejected");
    stand.edit(&format!("[rejects.kafka]\ntopic = \"{topic}\""), table);
    stand.produce(&[BROKEN.to_vec(), request("good", json!({}))]);
    let mut refused = vec![(0, "source")];
    if let Stand::Services(rig) = &stand {
        rig.rule_the_store(doc! { "UUID": { "$ne": "bad" } }, "UUID");
        stand.produce(&[request("bad", json!({}))]);
        refused.push((2, "store"));
    }
    let shown = |stand: &Stand| {
        let shown = stand.by_offset();
        shown.iter().map(|it| (fate(it).0, it["stage"].as_str().unwrap().to_owned())).collect::<Vec<_>>()
    };
    let until = |stand: &Stand, expected: &[(i64, &str)]| {
        let (mut process, deadline) = (stand.start(), Instant::now() + PATIENCE);
        while shown(stand).iter().map(|(offset, stage)| (*offset, stage.as_str())).ne(expected.iter().copied()) {
            process.must_run();
            assert!(Instant::now() < deadline, "{:?}; said:\n{}", shown(stand), process.said());
        }
        process.drain();
    };
    until(&stand, &refused);
    assert!(stand.shown(&[]).iter().all(|reject| reject["time"].is_string()), "{:?}", stand.shown(&[]));
    let count = refused.len() as i64;
    let end = if count == 2 { 3 } else { 2 };
    let sent = stand.resend(&[]);
    assert_eq!(
        sent.iter().map(|(of, _)| *of).collect::<Vec<_>>(),
        refused.iter().map(|(at, _)| *at).collect::<Vec<_>>()
    );
    assert_eq!(stand.resend(&[]), []);
    assert_eq!(stand.by_offset().iter().map(|it| fate(it).2).collect::<Vec<_>>(), vec![Some("waits"); refused.len()]);
    let again: Vec<_> = refused.iter().zip(end..).map(|((_, stage), offset)| (offset, *stage)).collect();
    until(&stand, &[refused.clone(), again.clone()].concat());
    let fates: Vec<_> = stand.by_offset().iter().take(refused.len()).map(|it| fate(it).2.map(str::to_owned)).collect();
    assert_eq!(fates, vec![Some("refused again".to_owned()); refused.len()]);
    let link = |reject: &Value| reject["resent_from"].as_str().map(str::to_owned);
    let topic = stand.topic("request");
    let links: Vec<_> = stand.by_offset().iter().skip(refused.len()).map(link).collect();
    assert_eq!(links, refused.iter().map(|(offset, _)| Some(format!("{topic}:0:{offset}"))).collect::<Vec<_>>());
}

#[test]
fn in_mongodb() {
    from_wherever_they_are(Stand::services("rejects-mongodb"), &collection("resent", &setting("MONGODB_URI")));
}

#[test]
fn in_hdfs() {
    from_wherever_they_are(Stand::services("rejects-hdfs"), &directory("resent", &setting("HDFS_URI")));
}

#[test]
fn in_documents() {
    from_wherever_they_are(Stand::embedded("resent-documents"), &collection("resent", "mongodb://nobody"));
}

#[test]
fn in_a_directory() {
    from_wherever_they_are(Stand::embedded("resent-directory"), &directory("resent", "hdfs://nobody:1"));
}

/// As a script, by a fresh process each time: killed after the first line, and called again.
#[test]
fn killed_again_and_again_each_message_is_sent_once() {
    const COUNT: usize = 4_500;
    on_both("rejectskilled", |stand| {
        stand.produce(&(0..COUNT).map(|n| format!("{{\"broken\": {n}").into_bytes()).collect::<Vec<_>>());
        stand.refuse(COUNT);
        let mut kills = 0;
        loop {
            let mut resend = stand.rejects("resend", &["--yes"]).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(resend.stdout.take().unwrap()).read_line(&mut line).unwrap();
            // within a later transaction, if it has not sent everything
            drop(resend.kill());
            resend.wait().unwrap();
            if line.is_empty() {
                break;
            }
            kills += 1;
        }
        assert!(kills > 1, "it was never killed in the middle");
        assert_eq!(stand.resend(&[]), []);
        let messages = stand.messages("request");
        assert_eq!(messages.len(), 2 * COUNT);
        let mut often = BTreeMap::<_, usize>::new();
        messages.iter().for_each(|message| *often.entry(message["value"].to_string()).or_default() += 1);
        assert!(often.values().all(|count| *count == 2), "{often:?}");
        let marks: BTreeMap<_, _> =
            stand.messages("request-resent").into_iter().map(|mark| (mark["key"].to_string(), mark)).collect();
        assert_eq!(marks.len(), COUNT);
        assert_eq!(stand.shown(&["--counts"])[0]["resent"], COUNT);
    });
}

/// What comes back is refused while the command still reads: it ends with what was there when it began.
#[test]
fn a_pipeline_that_refuses_all_of_it_again_does_not_keep_it_going() {
    const COUNT: usize = 2_500;
    on_both("rejectsloop", |stand| {
        stand.produce(&vec![BROKEN.to_vec(); COUNT]);
        let mut process = stand.start();
        stand.await_rejects(COUNT, &mut process);
        assert_eq!(stand.resend(&[]).len(), COUNT);
        stand.await_rejects(2 * COUNT, &mut process);
        process.drain();
        assert_eq!(stand.messages("request").len(), 2 * COUNT);
    });
}

#[test]
fn a_message_that_is_not_in_its_reject_is_said_and_the_others_go() {
    on_both("rejectslarge", |stand| {
        // six bytes each, as JSON
        stand.produce(&[vec![1; 300_000], BROKEN.to_vec()]);
        stand.refuse(2);
        let done = stand.rejects("resend", &["--yes"]).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(0), "{said}");
        assert!(said.contains("1 messages sent"), "{said}");
        assert!(said.contains("1 rejects cannot be sent again, of 0:0: too large for a reject"), "{said}");
        assert_eq!(stand.links().into_iter().flatten().count(), 1);
    });
}

fn transactional_id(stand: &Stand) -> String {
    format!("millrace-resend-{}", stand.topic("request"))
}

#[test]
fn what_a_sender_left_undecided_never_was_and_its_commit_is_refused() {
    let stand = Stand::services("rejectsleft");
    stand.produce(&[BROKEN.to_vec()]);
    stand.refuse(1);
    let left: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", setting("KAFKA_BROKERS"))
        .set("transactional.id", transactional_id(&stand))
        .create()
        .unwrap();
    left.init_transactions(PATIENCE).unwrap();
    left.begin_transaction().unwrap();
    let topic = stand.topic("request");
    left.send(BaseRecord::<(), _>::to(&topic).partition(0).payload(BROKEN)).map_err(|(error, _)| error).unwrap();
    left.flush(PATIENCE).unwrap();
    assert_eq!(stand.resend(&[]).len(), 1);
    assert!(left.commit_transaction(PATIENCE).is_err(), "it was not fenced");
    assert_eq!(stand.messages("request").len(), 2);
    assert_eq!(stand.resend(&[]), []);
}

#[test]
fn a_topic_of_marks_that_forgets_them_is_not_trusted() {
    let stand = Stand::services("rejectsforget");
    stand.produce(&[BROKEN.to_vec()]);
    stand.refuse(1);
    let Stand::Services(rig) = &stand else { unreachable!() };
    rig.create_topic(&rig.topic("request-resent"), 1);
    let said = bad(&mut stand.rejects("resend", &["--yes"]));
    for word in [&*rig.topic("request-resent"), "cleanup.policy is `delete`", "Make it `compact`"] {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    assert_eq!(stand.messages("request").len(), 1);
}

#[test]
fn it_asks_on_a_terminal_and_takes_only_a_yes() {
    let stand = Stand::embedded("rejectsask");
    stand.produce(&[BROKEN.to_vec()]);
    stand.refuse(1);
    let answer = |typed: &str| {
        let done = on_a_terminal(&stand.rejects("resend", &[]), typed);
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let (code, out) = answer("n");
    assert!(out.contains("Send them? [y/N]") && out.contains("nothing was sent"), "{out}");
    assert_eq!((code, stand.messages("request").len()), (Some(1), 1));
    let (code, out) = answer("y");
    assert!(out.contains("1 messages sent to"), "{out}");
    assert_eq!((code, stand.messages("request").len()), (Some(0), 2));
    // nothing is left to be asked about
    let (code, out) = answer("");
    assert!(!out.contains("Send them?") && code == Some(0), "{out}");
}
