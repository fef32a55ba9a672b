//! Identity of topics and clusters, against the real broker.

mod broker;

use std::time::Duration;

use broker::{config, unique};
use millrace_native::topic_id::{IdentityError, cluster_id, topic_id};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

const TIMEOUT: Duration = Duration::from_secs(20);

fn consumer() -> BaseConsumer {
    config().create().expect("a consumer")
}

async fn create(admin: &AdminClient<DefaultClientContext>, topic: &str) {
    let topics = [NewTopic::new(topic, 1, TopicReplication::Fixed(1))];
    for outcome in admin.create_topics(&topics, &AdminOptions::new()).await.expect("an answer to create_topics") {
        outcome.expect("the topic is created");
    }
}

/// Until the broker's metadata agrees with what the controller has acknowledged.
fn settled(consumer: &BaseConsumer, topic: &str, done: impl Fn(&Result<String, IdentityError>) -> bool) {
    let deadline = std::time::Instant::now() + TIMEOUT;
    while !done(&topic_id(consumer.client(), topic, TIMEOUT)) {
        assert!(std::time::Instant::now() < deadline, "the broker's metadata of {topic} did not settle");
    }
}

#[tokio::test]
async fn a_topic_made_again_has_another_id() {
    let admin: AdminClient<DefaultClientContext> = config().create().expect("an admin client");
    let (consumer, topic) = (consumer(), unique("topic-id"));

    create(&admin, &topic).await;
    settled(&consumer, &topic, Result::is_ok);
    let first = topic_id(consumer.client(), &topic, TIMEOUT).expect("the topic's id");
    assert_eq!(first.len(), 22, "{first}");
    assert_eq!(topic_id(consumer.client(), &topic, TIMEOUT).expect("the same topic's id"), first);

    admin.delete_topics(&[&topic], &AdminOptions::new()).await.expect("an answer to delete_topics");
    let unknown = Err(IdentityError::UnknownTopic { topic: topic.clone() });
    settled(&consumer, &topic, |found| *found == unknown);
    create(&admin, &topic).await;
    settled(&consumer, &topic, Result::is_ok);
    let second = topic_id(consumer.client(), &topic, TIMEOUT).expect("the new topic's id");
    assert_ne!(first, second);
}

#[test]
fn a_topic_that_is_not_there_is_named_and_not_created() {
    let (consumer, topic) = (consumer(), unique("topic-id-unknown"));
    for _ in 0..2 {
        let error = topic_id(consumer.client(), &topic, TIMEOUT).expect_err("no such topic");
        assert_eq!(error, IdentityError::UnknownTopic { topic: topic.clone() });
        assert!(error.to_string().contains(&topic), "{error}");
    }
    let inner_zero = topic_id(consumer.client(), "a\0b", TIMEOUT).expect_err("no topic has such a name");
    assert!(matches!(inner_zero, IdentityError::UnknownTopic { .. }), "{inner_zero}");
}

#[test]
fn clients_of_one_cluster_agree_on_its_id() {
    let (first, second) = (consumer(), consumer());
    let id = cluster_id(first.client(), TIMEOUT).expect("the cluster's id");
    assert!(!id.is_empty());
    assert_eq!(cluster_id(second.client(), TIMEOUT).expect("the cluster's id"), id);
}

#[test]
fn a_broker_that_does_not_answer_is_a_timeout() {
    // accepts connections, as the kernel does for a listening socket, and never answers
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("the port");
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", address.to_string()).create().expect("a consumer");
    let timeout = Duration::from_millis(300);
    let error = topic_id(consumer.client(), "any", timeout).expect_err("nobody answers");
    assert!(matches!(error, IdentityError::Timeout { .. }), "{error}");
    assert!(error.to_string().contains("`any` within 300 ms"), "{error}");
    let error = cluster_id(consumer.client(), timeout).expect_err("nobody answers");
    assert!(matches!(error, IdentityError::Timeout { .. }), "{error}");
}
