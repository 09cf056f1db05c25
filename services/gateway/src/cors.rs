//! Which pages of other origins may call by gRPC-Web. The list is explicit: there is no `*`.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN,
    VARY,
};
use http::{HeaderMap, HeaderValue, Uri};

const EXPOSED: HeaderValue =
    HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin");
/// Two hours, in seconds: the longest that a browser believes.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

#[derive(Debug)]
pub(crate) struct Cors {
    origins: Vec<HeaderValue>,
}

impl Cors {
    /// From settings that [`validate`] has seen.
    pub(crate) fn new(origins: &[String]) -> Self {
        Self { origins: origins.iter().filter_map(|origin| origin.parse().ok()).collect() }
    }

    /// The request's origin, if it is on the list.
    pub(crate) fn allowed(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(ORIGIN)?;
        self.origins.contains(origin).then(|| origin.clone())
    }

    /// What a browser asks before a call of another origin.
    pub(crate) fn preflight(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        let Some(origin) = self.allowed(request) else { return };
        allow(answer, origin);
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        if let Some(names) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
    }
}

/// Marks an answer as readable by the pages of an origin.
pub(crate) fn allow(answer: &mut HeaderMap, origin: HeaderValue) {
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    answer.append(VARY, HeaderValue::from_static("origin"));
}

/// An origin is a scheme, a host and perhaps a port.
pub(crate) fn validate(origins: &[String]) -> Result<(), String> {
    let fits = |origin: &String| {
        let (scheme, rest) = origin.split_once("://")?;
        let uri: Uri = origin.parse().ok()?;
        (matches!(scheme, "http" | "https") && !rest.contains(['/', '*', '@']))
            .then_some(uri.host()?.len())
            .filter(|length| *length > 0)
    };
    match origins.iter().find(|origin| fits(origin).is_none()) {
        None => Ok(()),
        Some(wrong) => Err(format!(
            "cors_origins: `{wrong}` is not an origin such as https://console.example:8443"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_origins_are_origins() {
        for (origin, fits) in [
            ("https://console.example", true),
            ("http://localhost:3000", true),
            ("*", false),
            ("https://*.example", false),
            ("https://console.example/", false),
            ("ftp://console.example", false),
            ("console.example", false),
        ] {
            assert_eq!(validate(&[origin.to_owned()]).is_ok(), fits, "{origin}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_answered_only_if_it_is_on_the_list() {
        let cors = Cors::new(&["https://console.example".to_owned()]);
        for (origin, expected) in
            [("https://console.example", true), ("https://evil.example", false)]
        {
            let mut request = HeaderMap::new();
            request.insert(ORIGIN, HeaderValue::from_static(origin));
            let mut answer = HeaderMap::new();
            cors.preflight(&request, &mut answer);
            assert_eq!(answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), expected, "{origin}");
        }
    }
}
