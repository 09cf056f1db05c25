//! What users hand to commands: files, documents, references.

use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use planaria_proto::types::v1::{DefinitionReference, Payload};

use crate::Error;

/// The most that is read of a file; the mesh has its own, lower limits.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The bytes of a file; `-` is standard input.
pub(super) fn file(path: &Path) -> Result<Bytes, Error> {
    let fail = |source| Error::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(fail)?;
    } else {
        let file = std::fs::File::open(path).map_err(fail)?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(fail)?;
    }
    Ok(bytes.into())
}

/// A JSON document: the text itself, `@FILE`, or `-` for standard input.
pub(super) fn payload(argument: &str) -> Result<Payload, Error> {
    let (bytes, place) = match argument.strip_prefix('@') {
        Some(path) => (file(&PathBuf::from(path))?, path),
        None if argument == "-" => (file(Path::new("-"))?, "standard input"),
        None => (Bytes::copy_from_slice(argument.as_bytes()), "the argument"),
    };
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes) {
        return Err(Error::input(
            format!("{place} is not a JSON document: {error}"),
            "JSON text such as '{\"orderId\":42}', @FILE, or - for standard input",
        ));
    }
    Ok(Payload { content_type: String::new(), data: bytes })
}

/// The same for an argument that may be missing.
pub(super) fn optional_payload(argument: Option<&str>) -> Result<Option<Payload>, Error> {
    argument.map(payload).transpose()
}

/// `[NAMESPACE/]NAME[:VERSION]`; the namespace is `default` where none is given.
pub(super) fn reference(text: &str) -> Result<DefinitionReference, String> {
    let (path, version) = text.split_once(':').unwrap_or((text, ""));
    let (namespace, name) = path.split_once('/').unwrap_or(("default", path));
    if namespace.is_empty() || name.is_empty() || name.contains('/') {
        return Err("a definition is [NAMESPACE/]NAME[:VERSION], such as shop/order:1.0.0".into());
    }
    Ok(DefinitionReference {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
    })
}

/// A reference as it is written.
pub(super) fn written(reference: Option<&DefinitionReference>) -> String {
    let Some(reference) = reference else { return "-".into() };
    let DefinitionReference { namespace, name, version } = reference;
    match version.as_str() {
        "" => format!("{namespace}/{name}"),
        version => format!("{namespace}/{name}:{version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_they_are_written() {
        for (text, full) in [
            ("order", "default/order"),
            ("shop/order", "shop/order"),
            ("shop/order:1.0.0", "shop/order:1.0.0"),
            ("order:2.0.0", "default/order:2.0.0"),
        ] {
            assert_eq!(written(Some(&reference(text).unwrap())), full);
        }
        for text in ["", "/order", "shop/", "a/b/c", ":1.0.0"] {
            assert!(reference(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_document_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.json");
        std::fs::write(&path, " {\"a\":1}").unwrap();
        let argument = format!("@{}", path.display());
        assert_eq!(payload(&argument).unwrap().data, " {\"a\":1}");
        assert_eq!(payload("[1]").unwrap().data, "[1]");
        let error = payload("{a:1}").unwrap_err();
        assert!(error.to_string().contains("not a JSON document: key must be"), "{error}");
        assert!(matches!(payload("@/nowhere/input.json"), Err(Error::File { .. })));
    }
}
