//! Posts what is due. Each endpoint has a few tries under way at most, and its own queue in the
//! store: one that is slow or dead delays no other. Of several replicas each takes what is due;
//! what one of them took and did not settle, because it died, is due again soon.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use planaria_runtime::clock;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::WebhookConfig;
use crate::gauges::Gauges;
use crate::post::{Outcome, Poster};
use crate::records::{Delivery, Fate, Webhook};
use crate::schedule;
use crate::store::WebhookStore;

/// After a failed call of the store: the disk may be full for a moment.
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) store: Arc<dyn WebhookStore>,
    pub(crate) poster: Poster,
    pub(crate) config: Arc<WebhookConfig>,
    /// Told when something may be due.
    pub(crate) due: Arc<Notify>,
    pub(crate) gauges: Gauges,
}

/// Tries under way, and how many each webhook has.
#[derive(Default)]
struct UnderWay {
    tries: JoinSet<String>,
    by_webhook: HashMap<String, u32>,
}

impl Sender {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut under_way = UnderWay::default();
        let working = async {
            loop {
                match self.start_due(&mut under_way).await {
                    Ok(()) => self.wait(&mut under_way).await,
                    Err(error) => {
                        failed("take what is due", &error);
                        sleep(STORE_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = working => {}
        }
        // What is cut off here is due again when its claim ends.
        let grace = Duration::from_millis(self.config.drain_ms_max);
        let _cut =
            timeout(grace, async { while under_way.tries.join_next().await.is_some() {} }).await;
    }

    async fn start_due(&self, under_way: &mut UnderWay) -> Result<(), sqlx::Error> {
        for webhook in self.store.due(clock::now_ms()).await? {
            let free =
                self.config.endpoint_attempts_max.max(1).saturating_sub(under_way.of(&webhook));
            if free == 0 {
                continue;
            }
            let now_ms = clock::now_ms();
            let until_ms = now_ms.saturating_add(self.config.claim_ms());
            let claimed = self.store.claim(&webhook.id, now_ms, until_ms, free).await?;
            let webhook = Arc::new(webhook);
            for delivery in claimed {
                *under_way.by_webhook.entry(webhook.id.clone()).or_default() += 1;
                under_way.tries.spawn(self.clone().attempt(Arc::clone(&webhook), delivery));
            }
        }
        Ok(())
    }

    /// Until something may be due, or a try has ended and made room.
    async fn wait(&self, under_way: &mut UnderWay) {
        let poll = Duration::from_millis(self.config.poll_ms.max(1));
        let now_ms = clock::now_ms();
        let next_ms = match self.store.next_due_ms(now_ms).await {
            Ok(next_ms) => next_ms.map(|next_ms| next_ms.saturating_sub(now_ms)),
            Err(_) => None,
        };
        let pause = next_ms.map_or(poll, |next_ms| poll.min(Duration::from_millis(next_ms)));
        tokio::select! {
            ended = under_way.tries.join_next(), if !under_way.tries.is_empty() => {
                under_way.ended(ended);
                // Those that ended meanwhile too.
                while let Some(ended) = under_way.tries.try_join_next() {
                    under_way.ended(Some(ended));
                }
            }
            () = self.due.notified() => {}
            () = sleep(pause) => {}
        }
    }

    /// Answers whose it was.
    async fn attempt(self, webhook: Arc<Webhook>, mut delivery: Delivery) -> String {
        let body = std::mem::take(&mut delivery.body);
        let outcome = self.poster.post(&webhook, &delivery.id, body).await;
        self.gauges.attempted(outcome.delivered(), outcome.attempt.took_ms);
        if outcome.gone() {
            let because = "the receiver answered 410 Gone";
            if let Err(error) = self.store.disable(&webhook.id, because).await {
                failed("disable a webhook", &error);
            }
        }
        let attempts = delivery.attempts.saturating_add(1);
        let fate = self.fate(&outcome, attempts);
        let settled = self.store.settle(&delivery.id, attempts, &outcome.attempt, fate).await;
        if let Err(error) = settled {
            // It is tried again when the claim ends; its id tells the receiver.
            failed("note what came of a try", &error);
        }
        webhook.id.clone()
    }

    fn fate(&self, outcome: &Outcome, attempts: u32) -> Fate {
        if outcome.delivered() {
            return Fate::Delivered;
        }
        if outcome.gone() {
            return Fate::GivenUp;
        }
        let next_at_ms = schedule::next_at_ms(
            &self.config.delays_ms,
            attempts,
            clock::now_ms(),
            outcome.retry_after_ms,
            fastrand::f64(),
        );
        next_at_ms.map_or(Fate::GivenUp, Fate::Again)
    }
}

fn failed(what: &str, error: &sqlx::Error) {
    planaria_store::tell(&format!("cannot {what}"), error);
}

impl UnderWay {
    fn of(&self, webhook: &Webhook) -> u32 {
        self.by_webhook.get(&webhook.id).copied().unwrap_or(0)
    }

    fn ended(&mut self, ended: Option<Result<String, tokio::task::JoinError>>) {
        match ended {
            Some(Ok(webhook)) => {
                if let Some(count) = self.by_webhook.get_mut(&webhook) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.by_webhook.remove(&webhook);
                    }
                }
            }
            Some(Err(error)) => {
                tracing::error!(%error, "a try broke");
                // Whose it was is not known any more: all begin anew when none is under way.
                if self.tries.is_empty() {
                    self.by_webhook.clear();
                }
            }
            None => {}
        }
    }
}
