//! Where every client of a cluster is made.
//!
//! Invariant: a client is looked after from its making to its end: it gets tokens where its cluster wants them, and is
//! told of its brokers again where it lost them. There is no way to the settings without this one.

use std::ops::Deref;
use std::sync::{Arc, Weak};

use rdkafka::admin::AdminClient;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseProducer, FutureProducer, Producer, ProducerContext};
use rdkafka::util::AsyncRuntime;

use crate::native::Native;
use crate::tokens::{self, Tokens};
use crate::watch;

/// librdkafka's settings for one client.
#[derive(Clone)]
pub struct Config {
    config: ClientConfig,
    tokens: Option<Arc<Tokens>>,
}

impl Config {
    pub(crate) fn new(config: ClientConfig, tokens: Option<Arc<Tokens>>) -> Config {
        Config { config, tokens }
    }

    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Config {
        self.config.set(name, value);
        self
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.config.get(name)
    }

    pub fn create<T: FromClientConfig + Client>(&self) -> KafkaResult<Kept<T>> {
        Ok(self.keep(T::from_config(&self.config)?))
    }

    pub fn create_with_context<C: ClientContext, T: FromClientConfigAndContext<C> + Client>(
        &self,
        context: C,
    ) -> KafkaResult<Kept<T>> {
        Ok(self.keep(T::from_config_and_context(&self.config, context)?))
    }

    fn keep<T: Client>(&self, client: T) -> Kept<T> {
        let client = Arc::new(client);
        let watched: Weak<dyn Client> = Arc::downgrade(&client) as _;
        let watched = watch::enter(watched, self.get("bootstrap.servers").unwrap_or_default().to_owned());
        let place = self.tokens.as_ref().map(|tokens| {
            let client = Arc::downgrade(&client);
            tokens.enter(Box::new(move |token, extensions| {
                // the last one is its owner's: who drops it leaves this place first
                if let Some(client) = client.upgrade() {
                    let given = client.native().give(token, extensions);
                    given.unwrap_or_else(|why| tracing::error!("librdkafka does not take a token: {why}"));
                }
            }))
        });
        Kept { _places: (place, watched), client }
    }
}

/// A client, and its places among those that are looked after.
pub struct Kept<T> {
    // dropped before the client
    _places: (Option<tokens::Place>, watch::Place),
    client: Arc<T>,
}

impl<T> Kept<T> {
    /// Never ends the client, for its end could wait without a bound. Nobody looks after it once this one is dropped.
    pub fn leak(&self) {
        std::mem::forget(self.client.clone());
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.client
    }
}

pub trait Client: Send + Sync + 'static {
    fn native(&self) -> Native<'_>;
}

impl<C: ConsumerContext + 'static> Client for BaseConsumer<C> {
    fn native(&self) -> Native<'_> {
        Native::of(self.client())
    }
}

impl<C: ProducerContext + 'static> Client for BaseProducer<C> {
    fn native(&self) -> Native<'_> {
        Native::of(self.client())
    }
}

impl<C: ClientContext + 'static, R: AsyncRuntime + 'static> Client for FutureProducer<C, R>
where
    FutureProducer<C, R>: Send + Sync,
{
    fn native(&self) -> Native<'_> {
        Native::of(self.client())
    }
}

impl<C: ClientContext + 'static> Client for AdminClient<C> {
    fn native(&self) -> Native<'_> {
        Native::of(self.inner())
    }
}
