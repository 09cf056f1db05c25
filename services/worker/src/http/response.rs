//! What came back, judged and turned into an output.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use planaria_sdk::TaskError;
use reqwest::{Request, Response};
use serde_json::{Map, Value, json};

use super::arguments::Output;
use super::{communication, failed};

/// How much of an error's body goes into its detail.
const DETAIL_BYTES_MAX: usize = 1024;

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// The request as the output shows it. Secrets of the URL stay out.
pub(super) fn describe(request: &Request) -> Value {
    let mut url = request.url().clone();
    // Only URLs that cannot have these refuse their removal.
    let _without = (url.set_username(""), url.set_password(None));
    let mut headers = request.headers().clone();
    headers.remove(http::header::AUTHORIZATION);
    json!({
        "method": request.method().as_str(),
        "uri": url.as_str(),
        "headers": headers_of(&headers),
    })
}

/// Reads the answer to its end.
pub(super) async fn read(mut response: Response, bytes_max: usize) -> Result<Answer, TaskError> {
    let too_large = || {
        communication(TaskError::permanent(format!("the answer is over {bytes_max} bytes")))
            .with_status(502)
            .with_title("The answer is too large")
    };
    let announced = response.content_length().unwrap_or(0);
    if usize::try_from(announced).unwrap_or(usize::MAX) > bytes_max {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    Ok(Answer { status, headers, body })
}

impl Answer {
    /// Statuses outside of what the call accepts are errors.
    pub(super) fn refuse_errors(&self, redirects_pass: bool) -> Result<(), TaskError> {
        let status = self.status;
        if status.is_success() || (redirects_pass && status.is_redirection()) {
            return Ok(());
        }
        let start = &self.body[..self.body.len().min(DETAIL_BYTES_MAX)];
        let detail = String::from_utf8_lossy(start).into_owned();
        let again = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
        let error = if again { TaskError::retryable(detail) } else { TaskError::permanent(detail) };
        let reason = status.canonical_reason().unwrap_or("an unknown status");
        let error = communication(error)
            .with_status(i32::from(status.as_u16()))
            .with_title(format!("The other side answered {} {reason}", status.as_u16()));
        Err(match self.retry_after().filter(|_| again) {
            Some(delay) => error.with_retry_after(delay),
            None => error,
        })
    }

    /// Seconds, or a date.
    fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH);
        let now = Duration::from_millis(planaria_runtime::clock::now_ms());
        Some(date.ok()?.saturating_sub(now))
    }

    pub(super) fn into_output(self, output: Output, request: &Value) -> Value {
        match output {
            Output::Raw => Value::String(STANDARD.encode(&self.body)),
            Output::Content => self.content(),
            Output::Response => json!({
                "request": request,
                "statusCode": self.status.as_u16(),
                "headers": headers_of(&self.headers),
                "content": self.content(),
            }),
        }
    }

    /// JSON if it says so and is; otherwise text; nothing is null.
    fn content(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        let kind = self.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let is_json = kind.eq_ignore_ascii_case("application/json") || kind.ends_with("+json");
        if is_json && let Ok(content) = serde_json::from_slice(&self.body) {
            return content;
        }
        Value::String(String::from_utf8_lossy(&self.body).into_owned())
    }
}

/// Several of one name become one, as HTTP says.
fn headers_of(headers: &HeaderMap) -> Value {
    let mut all = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let texts: Vec<_> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        all.insert(name.as_str().to_owned(), Value::String(texts.join(", ")));
    }
    Value::Object(all)
}
