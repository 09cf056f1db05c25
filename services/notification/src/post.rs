//! One try of a delivery over HTTP. It never follows a redirection: that would lead elsewhere
//! than where the webhook's owner said.

use std::sync::Arc;
use std::time::Duration;

use planaria_egress::{Clients, Denied, Egress, EgressConfig};
use planaria_runtime::clock;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, Url};
use tokio::time::timeout;

use crate::config::WebhookConfig;
use crate::records::{Attempt, Webhook};
use crate::{schedule, signature};

/// What is posted.
const EVENT: &str = "application/cloudevents+json";
const GONE: u16 = 410;

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) attempt: Attempt,
    /// The receiver wants to be left alone for so long.
    pub(crate) retry_after_ms: Option<u64>,
}

impl Outcome {
    /// Whether the receiver has it.
    pub(crate) fn delivered(&self) -> bool {
        (200..300).contains(&self.attempt.status)
    }

    /// Whether the receiver wants nothing more, ever.
    pub(crate) const fn gone(&self) -> bool {
        self.attempt.status == GONE
    }
}

/// Posts; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Poster {
    clients: Arc<Clients>,
    limit: Duration,
    response_bytes_max: usize,
}

impl Poster {
    pub(crate) fn new(config: &WebhookConfig) -> Self {
        let allow = config.egress_allow.clone();
        let egress = Egress::new(EgressConfig { allow, deny: config.egress_deny.clone() });
        let connect_max = Duration::from_millis(config.connect_ms_max);
        // As many as can be under way at once.
        let clients = Clients::new(egress, connect_max, config.endpoint_attempts_max as usize);
        Self {
            clients: Arc::new(clients),
            limit: Duration::from_millis(config.attempt_ms_max),
            response_bytes_max: config.response_bytes_max,
        }
    }

    /// Checks where a webhook is to post to.
    pub(crate) fn check(&self, url: &str) -> Result<(), Unfit> {
        let invalid = |why: &str| Unfit::Invalid(why.to_owned());
        let url = Url::parse(url).map_err(|error| Unfit::Invalid(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("it is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("user and password would be shown in lists: leave them out"));
        }
        let host = url.host_str().ok_or_else(|| invalid("it has no host"))?;
        self.clients.check_host(host).map_err(|denied| Unfit::Denied(denied.to_string()))
    }

    pub(crate) async fn post(&self, webhook: &Webhook, id: &str, body: Vec<u8>) -> Outcome {
        let at_ms = clock::now_ms();
        let exchanged = timeout(self.limit, self.exchange(webhook, id, body)).await;
        let mut outcome = exchanged.unwrap_or_else(|_| {
            failed(format!("no whole answer within {} ms", self.limit.as_millis()))
        });
        outcome.attempt.at_ms = at_ms;
        outcome.attempt.took_ms = clock::now_ms().saturating_sub(at_ms);
        outcome
    }

    async fn exchange(&self, webhook: &Webhook, id: &str, body: Vec<u8>) -> Outcome {
        // The address may have become another one since the webhook was made.
        if let Err(unfit) = self.check(&webhook.url) {
            return failed(unfit.to_string());
        }
        let client = match self.clients.of(&webhook.url) {
            Ok(client) => client,
            Err(error) => return failed(chain(&error)),
        };
        let now_ms = clock::now_ms();
        let now_s = now_ms / 1_000;
        let signature = signature::header(webhook.secrets(now_ms), id, now_s, &body);
        let request = client
            .post(&webhook.url)
            .header(CONTENT_TYPE, EVENT)
            .header("webhook-id", id)
            .header("webhook-timestamp", now_s)
            .header("webhook-signature", signature)
            .body(body);
        match request.send().await {
            Ok(response) => self.read(response).await,
            Err(error) => failed(match Denied::cause_of(&error) {
                Some(denied) => denied.to_string(),
                None => chain(&error),
            }),
        }
    }

    /// Reads how the answer begins.
    async fn read(&self, mut response: Response) -> Outcome {
        let status = response.status();
        let wish = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after_ms = wish.and_then(|wish| schedule::retry_after_ms(wish, clock::now_ms()));
        let mut body = Vec::new();
        // The status counts, also where its body breaks off.
        while body.len() < self.response_bytes_max
            && let Ok(Some(chunk)) = response.chunk().await
        {
            body.extend_from_slice(&chunk);
        }
        body.truncate(self.response_bytes_max);
        let error = match status.as_u16() {
            200..300 => String::new(),
            300..400 => format!("{status}: redirections are not followed"),
            GONE => format!("{status}: the receiver wants nothing more"),
            _ => status.to_string(),
        };
        let response = printable(&body);
        let attempt = Attempt { status: status.as_u16(), error, response, ..Attempt::default() };
        Outcome { attempt, retry_after_ms }
    }
}

/// Why nothing can be posted there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Denied(String),
}

fn failed(error: String) -> Outcome {
    let attempt = Attempt { error, ..Attempt::default() };
    Outcome { attempt, retry_after_ms: None }
}

/// With its causes; without the URL, which the webhook has.
fn chain(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

/// Text without what databases and terminals do not take.
fn printable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().filter(|letter| !letter.is_control() || matches!(letter, '\n' | '\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_lead_out_into_the_world_only() {
        let poster = Poster::new(&WebhookConfig::default());
        assert!(poster.check("https://hooks.example/planaria?a=b").is_ok());
        for url in ["ftp://a", "hooks", "https://", "https://me:secret@hooks.example", "http:///"] {
            assert!(matches!(poster.check(url), Err(Unfit::Invalid(_))), "{url}");
        }
        for url in [
            "http://127.0.0.1:80",
            "http://[::1]/",
            "http://169.254.169.254/latest",
            "http://10.0.0.1",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://[::ffff:10.0.0.1]/",
        ] {
            assert!(matches!(poster.check(url), Err(Unfit::Denied(_))), "{url}");
        }
    }

    #[test]
    fn answers_are_kept_without_control_characters() {
        assert_eq!(printable(b"ok\0 \x1b[31m\nline \xff"), "ok [31m\nline \u{fffd}");
    }
}
