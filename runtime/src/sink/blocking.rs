//! Clients that block: each call on a thread of its own, not on those that drive the other sinks.
//!
//! Invariant: what answered an error, or was in a call that nobody waits for any more, is gone: nothing goes on that was
//! begun.

use tokio::task::spawn_blocking;
use tracing::Span;

use crate::error::{Error, Result};

pub struct Blocking<C>(Option<C>);

impl<C: Send + 'static> Blocking<C> {
    pub fn new(client: C) -> Blocking<C> {
        Blocking(Some(client))
    }

    /// `what`: is being done, should it panic.
    pub async fn call<T: Send + 'static>(
        &mut self,
        what: &'static str,
        act: impl FnOnce(&mut C) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let gone = || Error::retry("the writer was given up in the middle of a call");
        let mut client = self.0.take().ok_or_else(gone)?;
        // its lines say whose they are
        let named = Span::current();
        let (client, acted) = spawn_blocking(move || {
            let _named = named.entered();
            let acted = act(&mut client);
            (client, acted)
        })
        .await
        .map_err(|cause| Error::stop(format!("{what} broke")).caused_by(cause))?;
        self.0 = acted.is_ok().then_some(client);
        acted
    }
}
