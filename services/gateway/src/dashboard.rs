//! The dashboard for browsers: files that the binary carries, and how they are asked for.
//!
//! They are open, as they hold no secret: the calls that the dashboard makes show a key. The files
//! are carried compressed; for a client that cannot take that, they are unpacked once.

use std::collections::HashMap;
use std::io;
use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use sha2::{Digest, Sha256};

use crate::body::Body;

/// Answers each path that the dashboard itself understands.
const PAGE: &str = "index.html";
/// Files below it have a name that changes with their content.
const FOR_EVER: &str = "assets/";
/// Bytes of the hash in an entity tag.
const TAG_BYTES: usize = 16;

/// What a page may do: run its own files and talk to its own gateway.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
                      img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// In every answer.
const HEADERS: &[(HeaderName, &str)] = &[
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// What files are, by their extension. A path that ends so names a file, any other a place in the
/// dashboard.
const KINDS: &[(&str, &str)] = &[
    ("css", "text/css; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webmanifest", "application/manifest+json"),
    ("woff2", "font/woff2"),
];
const UNKNOWN: &str = "application/octet-stream";

/// The files of a dashboard, by their paths.
#[derive(Debug, Default)]
pub struct Dashboard {
    files: HashMap<&'static str, File>,
}

#[derive(Debug)]
struct File {
    kind: &'static str,
    cache: &'static str,
    vary: &'static str,
    /// Of the content, without quotes.
    tag: String,
    compressed: &'static [u8],
    plain: OnceLock<Bytes>,
}

impl Dashboard {
    /// The one that this binary was built with; no files if it was built without.
    pub fn built_in() -> Self {
        Self::new(include!(concat!(env!("OUT_DIR"), "/dashboard.rs")))
    }

    /// From paths without a slash before them, and contents that are compressed with brotli.
    pub fn new(files: &[(&'static str, &'static [u8])]) -> Self {
        let files = files.iter().map(|(path, compressed)| (*path, File::new(path, compressed)));
        Self { files: files.collect() }
    }

    pub(crate) fn is_built(&self) -> bool {
        self.files.contains_key(PAGE)
    }

    /// The answer to GET or HEAD, if it is for the dashboard.
    pub(crate) fn answer(
        &self,
        method: &Method,
        path: &str,
        request: &HeaderMap,
    ) -> Option<Response<Body>> {
        let file = match self.files.get(path.strip_prefix('/')?) {
            Some(file) => file,
            None if kind(path).is_none() && wants_page(request) => self.files.get(PAGE)?,
            None => return None,
        };
        Some(file.answer(method, request))
    }
}

impl File {
    fn new(path: &str, compressed: &'static [u8]) -> Self {
        let hash = Sha256::digest(compressed);
        let tag = hash.iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}")).collect();
        let (cache, vary) = if path.starts_with(FOR_EVER) {
            ("public, max-age=31536000, immutable", "accept-encoding")
        } else {
            ("no-cache", "accept, accept-encoding")
        };
        let kind = kind(path).unwrap_or(UNKNOWN);
        Self { kind, cache, vary, tag, compressed, plain: OnceLock::new() }
    }

    fn answer(&self, method: &Method, request: &HeaderMap) -> Response<Body> {
        let brotli = takes_brotli(request);
        // Each form has a tag of its own: they are not equal byte by byte.
        let tag = format!("\"{}{}\"", self.tag, if brotli { "-br" } else { "" });
        let mut response = Response::new(Body::Empty);
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(self.cache));
        headers.insert(VARY, HeaderValue::from_static(self.vary));
        let known = knows(request, &tag);
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(ETAG, tag);
        }
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        let content = if brotli {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
            Bytes::from_static(self.compressed)
        } else {
            self.plain()
        };
        headers.insert(CONTENT_LENGTH, content.len().into());
        if method != Method::HEAD {
            *response.body_mut() = Body::Full(content);
        }
        response
    }

    fn plain(&self) -> Bytes {
        let plain = || {
            unpack(self.compressed).unwrap_or_else(|error| {
                tracing::error!(%error, "a file of the dashboard is broken");
                Bytes::new()
            })
        };
        self.plain.get_or_init(plain).clone()
    }
}

fn unpack(mut compressed: &[u8]) -> io::Result<Bytes> {
    let mut plain = Vec::new();
    brotli_decompressor::BrotliDecompress(&mut compressed, &mut plain)?;
    Ok(plain.into())
}

/// What the file of a path is; nothing if the path does not end as a file's does.
fn kind(path: &str) -> Option<&'static str> {
    let (_, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (_, extension) = name.rsplit_once('.')?;
    let (_, kind) = KINDS.iter().find(|(known, _)| *known == extension)?;
    Some(kind)
}

/// Whether it is a browser that goes somewhere, and not a program, or a page that loads a file.
fn wants_page(request: &HeaderMap) -> bool {
    listed(request, &ACCEPT).any(|(kind, _)| kind.eq_ignore_ascii_case("text/html"))
}

fn takes_brotli(request: &HeaderMap) -> bool {
    let mut codings = listed(request, &ACCEPT_ENCODING);
    codings.any(|(coding, weight)| coding.eq_ignore_ascii_case("br") && weight > 0.0)
}

/// Whether the client has that already.
fn knows(request: &HeaderMap, tag: &str) -> bool {
    listed(request, &IF_NONE_MATCH).any(|(known, _)| known == "*" || strong(known) == tag)
}

/// A proxy may have made it weak; for this question that does not matter.
fn strong(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// The entries of a header, each with its weight.
fn listed<'a>(
    request: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = (&'a str, f32)> + use<'a> {
    let values = request.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|entry| {
        let (entry, parameters) = entry.split_once(';').unwrap_or((entry, ""));
        let mut parameters = parameters.split(';').map(str::trim);
        let weight = parameters.find_map(|parameter| parameter.strip_prefix("q="));
        (entry.trim(), weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn codings_are_chosen_by_name_and_weight() {
        for (value, brotli) in [
            ("gzip, deflate, br, zstd", true),
            ("gzip;q=1.0, BR;q=0.1", true),
            ("gzip, br;q=0", false),
            ("gzip, br; q=0.0", false),
            ("gzip, deflate", false),
            ("brotli", false),
            ("", false),
        ] {
            assert_eq!(takes_brotli(&request(ACCEPT_ENCODING, value)), brotli, "{value}");
        }
        assert!(!takes_brotli(&HeaderMap::new()));
    }

    #[test]
    fn tags_are_compared_as_a_whole() {
        for (value, known) in [
            ("\"a\"", true),
            ("\"b\", W/\"a\"", true),
            ("*", true),
            ("\"a-br\"", false),
            ("a", false),
        ] {
            assert_eq!(knows(&request(IF_NONE_MATCH, value), "\"a\""), known, "{value}");
        }
    }

    #[test]
    fn only_known_extensions_are_files() {
        assert_eq!(kind("/assets/1/style.css"), Some("text/css; charset=utf-8"));
        for place in ["/", "/workflows/1", "/workers/host.example", "/a.css/b"] {
            assert_eq!(kind(place), None, "{place}");
        }
    }

    #[test]
    fn what_is_built_in_can_be_unpacked() {
        let dashboard = Dashboard::built_in();
        for (path, file) in &dashboard.files {
            assert!(unpack(file.compressed).is_ok(), "{path}");
        }
        assert_eq!(dashboard.is_built(), !dashboard.files.is_empty());
    }
}
