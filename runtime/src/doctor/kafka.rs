//! The brokers: are they there, do they know the group's protocol, how are the pipeline's topics, what may this client do?
//!
//! Rights to topics and to the group are those that the brokers name themselves (authorized operations). Whether a
//! transaction may be begun nobody names: a transactional id of the doctor's own is taken, which no worker has, and no
//! transaction is begun.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use millrace_native::Rights;
use millrace_native::members::group_rights;
use millrace_native::topic_id::topic_rights;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::metadata::{Metadata, MetadataTopic};

use super::Finding;
use crate::error::Result;
use crate::kafka::{self, Brokers, Kept, Quiet};
use crate::plan::{GroupProtocol, Plan};
use crate::sink::kafka::Transactions;
use crate::topics::{self, Role};
use crate::words::counted;

const PROTOCOLS: &str = "group.coordinator.rebalance.protocols";
/// How long a topic that was made just now may be unknown to a broker.
const MADE_WAIT: Duration = Duration::from_secs(5);
const MADE_LOOK_AGAIN: Duration = Duration::from_millis(100);

struct Asked<'p> {
    plan: &'p Plan,
    at: &'p Brokers,
    /// Says why brokers are silent, which the other does not.
    consumer: Kept<BaseConsumer<Quiet>>,
    admin: Kept<AdminClient<Quiet>>,
    timeout: Duration,
}

pub fn look(plan: &Plan, create: bool, findings: &mut Vec<Finding>) {
    let at = &plan.source.brokers;
    let reached = Asked::new(plan).and_then(|brokers| Ok((brokers.metadata(&plan.source.topic)?, brokers)));
    let (metadata, brokers) = match reached {
        Ok(reached) => reached,
        Err(error) => {
            let reach = format!(
                "is the address right, does a broker run at {at}, does it name an address of itself \
                 (advertised.listeners) that this host reaches, and does it know this client by what \
                 [source.kafka.properties] says (security.protocol, sasl.*, ssl.*)?"
            );
            let of_tokens = |_| "docs/security.md has each of these sentences, under Tokens of an endpoint".to_owned();
            let fix = at.trouble().map_or(reach, of_tokens);
            findings.push(Finding::wrong("Kafka", error.to_string(), fix));
            let topics = topics::roles(plan).into_keys().map(|topic| format!("topic {topic}"));
            let rest = [format!("group {}, rights", plan.source.group), "transactions, rights".to_owned()];
            return findings
                .extend(topics.chain(rest).map(|what| Finding::unknown(what, format!("{at} does not answer"))));
        }
    };
    findings.push(brokers.said(&metadata));
    findings.extend(brokers.protocol(&metadata));
    let made = if create { brokers.make() } else { Ok(BTreeMap::new()) };
    let made = made.unwrap_or_else(|error| {
        findings.push(Finding::wrong("topics", error.to_string(), "make them as you make topics"));
        BTreeMap::new()
    });
    let brokers_count = metadata.brokers().len();
    findings.extend(brokers.topics(&made, brokers_count));
    findings.push(brokers.group());
    findings.push(brokers.transactions());
}

impl<'p> Asked<'p> {
    fn new(plan: &'p Plan) -> Result<Asked<'p>> {
        let config = plan.source.brokers.client_config("millrace-doctor");
        let failed = |cause| kafka::error("the client's settings", cause);
        let consumer = config.create_with_context(Quiet::default()).map_err(failed)?;
        let admin = config.create_with_context(Quiet::default()).map_err(failed)?;
        Ok(Asked { plan, at: &plan.source.brokers, consumer, admin, timeout: plan.source.timeout })
    }

    fn metadata(&self, topic: &str) -> Result<Metadata> {
        let ask = |time| self.consumer.fetch_metadata(Some(topic), time);
        kafka::ask(self.at, self.timeout, ask, || kafka::heard(&self.consumer))
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout))
    }

    fn said(&self, metadata: &Metadata) -> Finding {
        let cluster = self.admin.inner().fetch_cluster_id(self.timeout);
        let cluster = cluster.map_or("of an unknown id".to_owned(), |id| format!("of id {id}"));
        let brokers = counted(metadata.brokers().len(), "broker");
        Finding::good("Kafka", format!("{brokers} at {}, cluster {cluster}", self.at))
    }

    /// None: every broker knows the classic one.
    fn protocol(&self, metadata: &Metadata) -> Option<Finding> {
        if self.plan.source.group_protocol == GroupProtocol::Classic {
            return None;
        }
        let what = "group protocol";
        let broker = metadata.brokers().first()?.id();
        let asked = block_on(self.admin.describe_configs([&ResourceSpecifier::Broker(broker)], &self.options()));
        let config = match asked.map(|mut answers| answers.pop()) {
            Ok(Some(Ok(config))) => config,
            Ok(Some(Err(code))) => return Some(Finding::unknown(what, format!("the broker does not tell: {code}"))),
            Ok(None) => return Some(Finding::unknown(what, "the broker does not tell")),
            Err(cause) => return Some(Finding::unknown(what, format!("the broker does not tell: {cause}"))),
        };
        let known = config.entries.into_iter().find(|entry| entry.name == PROTOCOLS).and_then(|entry| entry.value);
        Some(match known {
            Some(known) if known.split(',').any(|one| one.trim() == "consumer") => {
                Finding::good(what, format!("consumer, among {known}"))
            }
            known => {
                let known = known.unwrap_or_else(|| "none but the classic one".to_owned());
                let fix = "write `group_protocol = \"classic\"` into [source.kafka], or use Kafka 4.0 or newer";
                Finding::wrong(what, format!("consumer, and the brokers know {known}"), fix)
            }
        })
    }

    /// True: made just now.
    fn make(&self) -> Result<BTreeMap<String, Result<bool>>> {
        let made = topics::make(self.at, &topics::all(self.plan), self.timeout)?;
        Ok(made.into_iter().collect())
    }

    fn topics(&self, made: &BTreeMap<String, Result<bool>>, brokers: usize) -> Vec<Finding> {
        let roles = topics::roles(self.plan);
        let names: BTreeSet<&str> = roles.keys().copied().collect();
        let settings = ["retention.ms", "cleanup.policy"].map(|name| self.settings(&names, name));
        let topic = |(topic, role): (&str, Role)| {
            let what = format!("topic {topic}");
            match made.get(topic) {
                Some(Err(error)) => {
                    Finding::wrong(what, error.to_string(), "make it as you make topics, or mend `create` in the file")
                }
                made => self.topic(what, topic, role, matches!(made, Some(Ok(true))), &settings, brokers),
            }
        };
        roles.into_iter().map(topic).collect()
    }

    /// Of each topic that tells it.
    fn settings(&self, topics: &BTreeSet<&str>, name: &str) -> BTreeMap<String, String> {
        let told = kafka::topic_settings(&self.admin, topics, name, &self.options()).unwrap_or_default();
        told.into_iter().filter_map(|told| told.ok().and_then(|(topic, value)| Some((topic, value?)))).collect()
    }

    fn topic(
        &self,
        what: String,
        topic: &str,
        role: Role,
        is_made: bool,
        [retention, cleanup]: &[BTreeMap<String, String>; 2],
        brokers: usize,
    ) -> Finding {
        let metadata = match self.described(topic, is_made) {
            Ok(metadata) => metadata,
            Err(error) => return Finding::unknown(what, error.to_string()),
        };
        let Some(found) = there(&metadata, topic) else { return self.missing(what, topic, role, &metadata) };
        let replication = found.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
        let made = if is_made { "made now; " } else { "" };
        let retention = retention.get(topic).map_or("retention unknown".to_owned(), |ms| kept(ms));
        let cleanup = cleanup.get(topic).map_or("", String::as_str);
        let said = format!(
            "of the {role}: {made}{}, replication {replication}, {retention}{}",
            counted(found.partitions().len() as u32, "partition"),
            if cleanup.contains("compact") { ", compacted" } else { "" },
        );
        if let Some(partition) = found.partitions().iter().find(|partition| partition.leader() < 0) {
            let fix = "start the brokers that hold it";
            return Finding::wrong(what, format!("{said}; partition {} has no leader", partition.id()), fix);
        }
        match topic_rights(self.admin.inner(), topic, self.timeout) {
            Err(cause) => return Finding::unknown(what, format!("{said}; rights unknown: {cause}")),
            Ok(rights) => {
                if let Some(lacks) = lacking(&rights, role.needs()) {
                    return Finding::wrong(
                        what,
                        format!("{said}; no right to {lacks}"),
                        acl(self.at, "--topic", topic, &lacks),
                    );
                }
            }
        }
        if role == Role::Source && cleanup.contains("compact") {
            let fix = "a message that a later one of its key replaced is never read: set cleanup.policy=delete";
            return Finding::odd(what, said, fix);
        }
        if replication < 2 && brokers > 1 {
            return Finding::odd(what, said, "one broker that is lost takes it along: replication 3 keeps it");
        }
        Finding::good(what, said)
    }

    /// A broker may hear late of a topic that was made just now.
    fn described(&self, topic: &str, is_made: bool) -> Result<Metadata> {
        let deadline = Instant::now() + MADE_WAIT;
        loop {
            let metadata = self.metadata(topic)?;
            if !is_made || there(&metadata, topic).is_some() || Instant::now() > deadline {
                return Ok(metadata);
            }
            std::thread::sleep(MADE_LOOK_AGAIN);
        }
    }

    fn missing(&self, what: String, topic: &str, role: Role, metadata: &Metadata) -> Finding {
        let error = metadata.topics().iter().find(|found| found.name() == topic).and_then(MetadataTopic::error);
        let why = error.map(|code| KafkaError::MetadataFetch(code.into()));
        let why = why.and_then(|cause| cause.rdkafka_error_code());
        if let Some(code) = why.filter(|code| *code != rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition) {
            return Finding::wrong(what, format!("of the {role}: {code}"), acl(self.at, "--topic", topic, "describe"));
        }
        let file = self.plan.file.display();
        let fix = format!("`millrace doctor {file} --create` makes it, or make it as you make topics");
        if self.plan.creates.contains_key(topic) {
            return Finding::odd(what, format!("of the {role}: not there; a start makes it"), fix);
        }
        match role {
            Role::Status if self.plan.status.as_ref().is_some_and(|status| status.create.is_some()) => {
                Finding::odd(what, format!("of the {role}: not there; a start makes it"), fix)
            }
            // nothing waits for it
            Role::Status => Finding::odd(what, format!("of the {role}: not there; the processes are not seen"), fix),
            _ => Finding::wrong(what, format!("of the {role}: not there"), fix),
        }
    }

    fn group(&self) -> Finding {
        let group = &self.plan.source.group;
        let what = format!("group {group}, rights");
        match group_rights(self.admin.inner(), group, self.timeout) {
            Err(cause) => Finding::wrong(what, cause.to_string(), acl(self.at, "--group", group, "read, describe")),
            Ok(None) => Finding::good(what, "nobody was in it yet, and the brokers let this client look"),
            Ok(Some(rights)) => match lacking(&rights, &["READ", "DESCRIBE"]) {
                None => Finding::good(what, "it may be joined, and its offsets committed"),
                Some(lacks) => {
                    Finding::wrong(what, format!("no right to {lacks}"), acl(self.at, "--group", group, &lacks))
                }
            },
        }
    }

    fn transactions(&self) -> Finding {
        let what = "transactions, rights";
        let prefix = format!("millrace-{}-", self.plan.name);
        match Transactions::init(&self.plan.source, &format!("{prefix}doctor"), &BTreeSet::new()) {
            Ok(_) => Finding::good(what, format!("transactional ids that begin with {prefix} may be used")),
            Err(error) => {
                let mut fix = acl(self.at, "--transactional-id", &prefix, "write, describe");
                fix += " --resource-pattern-type prefixed";
                Finding::wrong(what, error.to_string(), fix)
            }
        }
    }
}

fn there<'m>(metadata: &'m Metadata, topic: &str) -> Option<&'m MetadataTopic> {
    let found = metadata.topics().iter().find(|found| found.name() == topic)?;
    (found.error().is_none() && !found.partitions().is_empty()).then_some(found)
}

fn lacking(rights: &Rights, needed: &[&str]) -> Option<String> {
    let lacks: Vec<_> =
        needed.iter().filter(|right| !rights.contains(**right)).map(|right| right.to_lowercase()).collect();
    (!lacks.is_empty()).then(|| lacks.join(", "))
}

/// What gives the rights, as Kafka's own tool has it.
fn acl(brokers: &Brokers, resource: &str, name: &str, lacks: &str) -> String {
    let operations: Vec<_> = lacks.split(", ").map(|right| format!("--operation {right}")).collect();
    format!(
        "kafka-acls.sh --bootstrap-server {brokers} --add --allow-principal User:NAME {} {resource} {name}",
        operations.join(" ")
    )
}

fn kept(retention_ms: &str) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second")];
    let Ok(ms) = retention_ms.parse::<i64>() else { return format!("retention {retention_ms}") };
    if ms < 0 {
        return "kept for ever".to_owned();
    }
    let unit = UNITS.into_iter().find(|(of, _)| ms >= *of && ms % of == 0);
    unit.map_or_else(|| format!("kept for {ms} ms"), |(of, name)| format!("kept for {}", counted(ms / of, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_lacks_is_named_with_what_gives_it() {
        let rights: Rights = ["READ".to_owned(), "DESCRIBE".to_owned()].into();
        assert_eq!(lacking(&rights, &["READ"]), None);
        let lacks = lacking(&rights, &["WRITE", "DESCRIBE"]).expect("a right that is not there");
        let said = acl(&"b:1".into(), "--topic", "t", &lacks);
        assert_eq!(
            said,
            "kafka-acls.sh --bootstrap-server b:1 --add --allow-principal User:NAME --operation write --topic t"
        );
    }

    #[test]
    fn how_long_messages_stay_is_said_in_the_unit_that_fits() {
        for (ms, said) in [
            ("604800000", "kept for 7 days"),
            ("3600000", "kept for 1 hour"),
            ("1500", "kept for 1500 ms"),
            ("-1", "kept for ever"),
        ] {
            assert_eq!(kept(ms), said);
        }
    }
}
