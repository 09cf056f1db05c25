//! Gates: what the retry engine holds back, and what it lets through.

/// The far side that a function calls, where its arguments name one: the address of an HTTP, gRPC
/// or OpenAPI call.
pub(crate) fn destination(function: &str, arguments: &[u8]) -> Option<String> {
    let arguments: serde_json::Value = match function {
        "http" | "openapi" | "grpc" => serde_json::from_slice(arguments).ok()?,
        _ => return None,
    };
    let uri = match function {
        "http" => arguments.get("endpoint")?,
        "openapi" => arguments.pointer("/document/endpoint")?,
        _ => {
            let service = arguments.get("service")?;
            let host = service.get("host")?.as_str()?;
            return Some(match service.get("port").and_then(serde_json::Value::as_u64) {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            });
        }
    };
    authority(uri.as_str().or_else(|| uri.get("uri")?.as_str())?)
}

/// Host and port of a URI, in lower case and without credentials.
fn authority(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
    let default = match scheme.to_ascii_lowercase().as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let host = host.strip_suffix(default).filter(|_| !default.is_empty()).unwrap_or(&host);
    (!host.is_empty() && host.len() <= 255).then(|| host.to_owned())
}
