//! The `document` section and the workflow's own keys.

use std::collections::BTreeMap;

use planaria_kernel::definition::{Kind, NodeId};

use super::{Builder, Place};
use crate::document::Value;
use crate::problem::reason;

/// What the `document` section says.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) title: Option<String>,
    pub(super) summary: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
}

const WORKFLOW_KEYS: [&str; 8] =
    ["document", "input", "use", "do", "timeout", "output", "schedule", "evaluate"];

const DOCUMENT_KEYS: [&str; 8] =
    ["dsl", "namespace", "name", "version", "title", "summary", "tags", "metadata"];

impl<'d> Builder<'d> {
    /// Reads the `document` section.
    pub(super) fn header(&mut self, root: &Place<'_>) -> Header {
        let mut header = Header::default();
        if !self.object(root, &WORKFLOW_KEYS) {
            return header;
        }
        let Some(document) = self.required(root, "document") else { return header };
        if !self.object(&document, &DOCUMENT_KEYS) {
            return header;
        }
        self.dsl(&document);
        header.namespace = self.label(&document, "namespace");
        header.name = self.label(&document, "name");
        header.version = self.version(&document);
        header.title = self.optional_text(&document, "title");
        header.summary = self.optional_text(&document, "summary");
        if let Some(tags) = document.get("tags") {
            header.tags = self.tags(&tags);
        }
        if let Some(metadata) = document.get("metadata") {
            self.open_object(&metadata);
            if let Some(ours) = metadata.get("planaria") {
                self.object(&ours, &[]);
            }
        }
        header
    }

    fn dsl(&mut self, document: &Place<'_>) {
        let Some(place) = self.required(document, "dsl") else { return };
        let Some(text) = self.text(&place) else { return };
        if !matches!(text, "1.0.0" | "1.0.1" | "1.0.2" | "1.0.3") {
            let message =
                format!("version {text:?} of the language is not 1.0.3 (or 1.0.0 to 1.0.2)");
            self.wrong(&place, reason::VERSION_UNSUPPORTED, message);
        }
    }

    /// A name as hosts have: letters, digits and hyphens, at most 63.
    fn label(&mut self, document: &Place<'_>, key: &str) -> String {
        let Some(place) = self.required(document, key) else { return String::new() };
        let Some(text) = self.text(&place) else { return String::new() };
        let inner = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let edges = !text.starts_with('-') && !text.ends_with('-');
        if text.is_empty() || text.len() > 63 || !inner || !edges {
            let message = format!(
                "{text:?} is not a valid {key}: letters, digits and inner hyphens, at most 63"
            );
            self.wrong(&place, reason::VALUE_INVALID, message);
        }
        text.to_owned()
    }

    fn version(&mut self, document: &Place<'_>) -> String {
        let Some(place) = self.required(document, "version") else { return String::new() };
        let Some(text) = self.text(&place) else { return String::new() };
        if !is_semantic_version(text) {
            let message = format!("{text:?} is not a semantic version such as 1.0.0");
            self.wrong(&place, reason::VALUE_INVALID, message);
        }
        text.to_owned()
    }

    fn optional_text(&mut self, document: &Place<'_>, key: &str) -> Option<String> {
        let place = document.get(key)?;
        self.text(&place).map(str::to_owned)
    }

    fn tags(&mut self, place: &Place<'_>) -> BTreeMap<String, String> {
        self.open_object(place);
        let mut tags = BTreeMap::new();
        for (key, tag) in place.members() {
            match &tag.tree.value {
                Value::String(text) => {
                    tags.insert(key.to_owned(), text.to_string());
                }
                Value::Number(_) | Value::Boolean(_) => {
                    tags.insert(key.to_owned(), tag.tree.to_json().to_string());
                }
                _ => self.mismatch(&tag, "a string"),
            }
        }
        tags
    }

    /// Compiles the workflow itself: the root node.
    pub(super) fn workflow(&mut self, root: &Place<'d>) {
        if root.tree.members().is_none() {
            return;
        }
        if let Some(schedule) = root.get("schedule") {
            self.unsupported(&schedule, "a schedule");
        }
        if let Some(evaluate) = root.get("evaluate") {
            self.evaluate(&evaluate);
        }
        let Some(tasks) = self.required(root, "do") else { return };
        let id = self.open(root, "/do", "do", None);
        self.input(root, id);
        if let Some(timeout) = root.get("timeout") {
            self.node(id).timeout = self.timeout(&timeout);
        }
        let children = self.tasks(&tasks, "/do", id);
        self.output(root, id);
        self.node(id).kind = Kind::Do { children };
        debug_assert_eq!(id, NodeId(0), "the root is the first node");
    }

    fn evaluate(&mut self, place: &Place<'_>) {
        self.object(place, &["language", "mode"]);
        if let Some(language) = place.get("language")
            && self.text(&language).is_some_and(|text| text != "jq")
        {
            self.unsupported(&language, "an expression language other than jq");
        }
        if let Some(mode) = place.get("mode")
            && self.word(&mode, &["strict", "loose"]) == Some("loose")
        {
            self.unsupported(&mode, "the mode \"loose\"");
        }
    }
}

/// Whether a text is a version as semver.org defines it.
pub(super) fn is_semantic_version(text: &str) -> bool {
    let (text, build) = text.split_once('+').map_or((text, None), |(text, b)| (text, Some(b)));
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits && (part.len() == 1 || !part.starts_with('0'))
    };
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let release = |part: &str| {
        word(part) && (!part.bytes().all(|byte| byte.is_ascii_digit()) || number(part))
    };
    core.split('.').count() == 3
        && core.split('.').all(number)
        && pre.is_none_or(|pre| pre.split('.').all(release))
        && build.is_none_or(|build| build.split('.').all(word))
}

#[cfg(test)]
mod tests {
    use super::is_semantic_version;

    #[test]
    fn semantic_versions() {
        for good in ["1.0.0", "0.1.0-alpha.1", "1.2.3+build.5", "10.20.30-x-y.0+001"] {
            assert!(is_semantic_version(good), "{good}");
        }
        for bad in ["1.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "v1.0.0", "", "1.0.0+"] {
            assert!(!is_semantic_version(bad), "{bad}");
        }
    }
}
