//! Who is in a group, of either protocol, against the real broker.

mod broker;

use std::time::{Duration, Instant};

use broker::{config, unique};
use millrace_native::members::{Member, members};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Polls until the group is as wanted.
fn settled(asked: &BaseConsumer, polled: Option<&BaseConsumer>, group: &str, done: impl Fn(&[Member]) -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let found = members(asked.client(), group, TIMEOUT).expect("an answer");
        if done(&found) {
            return;
        }
        assert!(Instant::now() < deadline, "{group} holds {found:?}");
        if let Some(consumer) = polled {
            drop(consumer.poll(Duration::from_millis(50)));
        }
    }
}

#[tokio::test]
async fn a_group_has_members_as_long_as_they_live() {
    let admin: AdminClient<DefaultClientContext> = config().create().expect("an admin client");
    let topic = unique("members");
    let topics = [NewTopic::new(&topic, 1, TopicReplication::Fixed(1))];
    for outcome in admin.create_topics(&topics, &AdminOptions::new()).await.expect("an answer to create_topics") {
        outcome.expect("the topic is created");
    }
    let asks: BaseConsumer = config().create().expect("a client");
    for protocol in ["classic", "consumer"] {
        let group = unique(protocol);
        assert_eq!(members(asks.client(), &group, TIMEOUT), Ok(Vec::new()), "{protocol}: nobody was ever in it");
        let consumer: BaseConsumer = config()
            .set("group.id", &group)
            .set("group.protocol", protocol)
            .set("client.id", "somebody")
            .create()
            .expect("a consumer");
        consumer.subscribe(&[&topic]).expect("a subscription");
        settled(
            &asks,
            Some(&consumer),
            &group,
            |found| matches!(found, [one] if one.client_id == "somebody" && !one.host.is_empty()),
        );
        drop(consumer);
        settled(&asks, None, &group, <[Member]>::is_empty);
    }
}
