//! What `with` of a call says, turned into a request.

use std::collections::BTreeMap;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use planaria_sdk::{CONFIGURATION, TaskError, VALIDATION};
use reqwest::{Client, Method, Request, RequestBuilder, Url};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Arguments {
    method: String,
    pub(super) endpoint: Endpoint,
    #[serde(default)]
    headers: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    query: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    pub(super) output: Output,
    /// Whether statuses from 300 to 399 are no errors.
    #[serde(default)]
    pub(super) redirect: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Endpoint {
    Uri(String),
    Detailed {
        uri: String,
        #[serde(default)]
        authentication: Option<Map<String, Value>>,
    },
}

/// What becomes of the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Output {
    /// The body's bytes, in base64.
    Raw,
    /// The body: JSON as what it says, all else as text.
    #[default]
    Content,
    /// Status, headers and body.
    Response,
}

impl Endpoint {
    pub(super) fn uri(&self) -> &str {
        match self {
            Self::Uri(uri) | Self::Detailed { uri, .. } => uri,
        }
    }

    fn authenticate(&self, request: RequestBuilder) -> Result<RequestBuilder, TaskError> {
        let Self::Detailed { authentication: Some(policy), .. } = self else { return Ok(request) };
        let text = |scheme: &Value, name: &str| {
            scheme.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
                invalid(format!("the authentication's `{name}` is missing or no text"))
            })
        };
        if let Some(basic) = policy.get("basic") {
            let (user, password) = (text(basic, "username")?, text(basic, "password")?);
            return Ok(request.basic_auth(user, Some(password)));
        }
        if let Some(bearer) = policy.get("bearer") {
            return Ok(request.bearer_auth(text(bearer, "token")?));
        }
        let schemes: Vec<_> = policy.keys().map(String::as_str).collect();
        let detail = format!("the authentication `{}` is not supported yet", schemes.join("`, `"));
        Err(TaskError::permanent(detail).with_type(CONFIGURATION).with_status(400))
    }
}

impl Arguments {
    pub(super) fn into_request(self, client: &Client) -> Result<Request, TaskError> {
        let method = Method::from_bytes(self.method.to_ascii_uppercase().as_bytes())
            .map_err(|_| invalid(format!("{:?} is not a method", self.method)))?;
        let uri = self.endpoint.uri();
        let mut url: Url =
            uri.parse().map_err(|error| invalid(format!("the endpoint {uri:?}: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(format!("the endpoint {uri:?} is neither http nor https")));
        }
        for (name, value) in self.query.iter().flatten() {
            add_query(&mut url, name, value)?;
        }
        let mut request = self.endpoint.authenticate(client.request(method, url))?;
        let mut has_type = false;
        for (name, value) in self.headers.iter().flatten() {
            let Some(text) = text(name, value)? else { continue };
            let wrong = || invalid(format!("the header {name:?} is not one"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let value = HeaderValue::from_str(&text).map_err(|_| wrong())?;
            has_type |= name == CONTENT_TYPE;
            request = request.header(name, value);
        }
        let built = match self.body {
            None | Some(Value::Null) => request.build(),
            Some(Value::String(text)) => request.body(text).build(),
            Some(body) => {
                let request = request.body(serde_json::to_vec(&body)?);
                let json = HeaderValue::from_static("application/json");
                if has_type { request } else { request.header(CONTENT_TYPE, json) }.build()
            }
        };
        built.map_err(|error| super::failed(&error))
    }
}

fn add_query(url: &mut Url, name: &str, value: &Value) -> Result<(), TaskError> {
    let alone = std::slice::from_ref(value);
    let values = value.as_array().map_or(alone, Vec::as_slice);
    for value in values {
        if let Some(text) = text(name, value)? {
            url.query_pairs_mut().append_pair(name, &text);
        }
    }
    Ok(())
}

/// The text of a header or parameter; null is none.
fn text(name: &str, value: &Value) -> Result<Option<String>, TaskError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => {
            Err(invalid(format!("{name:?} is neither text nor a number")))
        }
    }
}

fn invalid(detail: String) -> TaskError {
    TaskError::permanent(detail)
        .with_type(VALIDATION)
        .with_status(400)
        .with_title("The call is not valid")
}
