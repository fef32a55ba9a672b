//! Where every client of a cluster is made.
//!
//! Invariant: a client whose cluster wants tokens is among those that get them from its making to its end; there is no
//! way to the settings without this one.

use std::ops::Deref;
use std::sync::Arc;

use rdkafka::admin::AdminClient;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseProducer, FutureProducer, Producer, ProducerContext};
use rdkafka::util::AsyncRuntime;

use crate::endpoint::Token;
use crate::give::give;
use crate::tokens::{self, Tokens};

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
        let place = self.tokens.as_ref().map(|tokens| {
            let client = Arc::downgrade(&client);
            tokens.enter(Box::new(move |token, extensions| {
                // the last one is its owner's: who drops it leaves this place first
                if let Some(client) = client.upgrade() {
                    let given = client.take(token, extensions);
                    given.unwrap_or_else(|why| tracing::error!("librdkafka does not take a token: {why}"));
                }
            }))
        });
        Kept { _place: place, client }
    }
}

/// A client, and its place among those that get tokens.
pub struct Kept<T> {
    // dropped before the client
    _place: Option<tokens::Place>,
    client: Arc<T>,
}

impl<T> Kept<T> {
    /// Never ends the client, for its end could wait without a bound. It gets no more tokens after this one is dropped.
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
    fn take(&self, token: &Token, extensions: &[(String, String)]) -> Result<(), String>;
}

impl<C: ConsumerContext + 'static> Client for BaseConsumer<C> {
    fn take(&self, token: &Token, extensions: &[(String, String)]) -> Result<(), String> {
        give(self.client(), token, extensions)
    }
}

impl<C: ProducerContext + 'static> Client for BaseProducer<C> {
    fn take(&self, token: &Token, extensions: &[(String, String)]) -> Result<(), String> {
        give(self.client(), token, extensions)
    }
}

impl<C: ClientContext + 'static, R: AsyncRuntime + 'static> Client for FutureProducer<C, R>
where
    FutureProducer<C, R>: Send + Sync,
{
    fn take(&self, token: &Token, extensions: &[(String, String)]) -> Result<(), String> {
        give(self.client(), token, extensions)
    }
}

impl<C: ClientContext + 'static> Client for AdminClient<C> {
    fn take(&self, token: &Token, extensions: &[(String, String)]) -> Result<(), String> {
        give(self.inner(), token, extensions)
    }
}
