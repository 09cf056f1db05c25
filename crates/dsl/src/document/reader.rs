//! Builds the tree from the parser's events, within limits.
//!
//! JSON is read by the same way: YAML 1.2 contains it. Nothing here recurses: depth is a counter.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use super::tree::Member;
use super::{Position, Tree, Value, scalar};
use crate::limits::Limits;
use crate::problem::{Problem, reason};

/// Reads a text that holds one document.
///
/// # Errors
/// The first thing that makes the text unreadable, or all duplicate keys.
pub(crate) fn read(source: &[u8], limits: &Limits) -> Result<Tree, Vec<Problem>> {
    if source.len() > limits.document_bytes_max {
        let message = format!(
            "the document has {} bytes; at most {} are allowed",
            source.len(),
            limits.document_bytes_max
        );
        return Err(vec![problem(None, reason::LIMIT_EXCEEDED, message)]);
    }
    let text = std::str::from_utf8(source).map_err(|error| {
        let position = position_of_byte(source, error.valid_up_to());
        vec![problem(Some(position), reason::SYNTAX_INVALID, "the text is not UTF-8".to_owned())]
    })?;
    let options = granit_parser::options! {
        flow_nesting_limit: limits.depth_max.saturating_mul(2),
        block_nesting_limit: limits.depth_max.saturating_mul(2),
    };
    let mut reader = Reader::new(limits);
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| vec![syntax(&error)])?;
        reader.take(event, span).map_err(|problem| vec![problem])?;
    }
    reader.finish()
}

fn syntax(error: &ScanError) -> Problem {
    problem(Some(position(*error.marker())), reason::SYNTAX_INVALID, error.kind().to_string())
}

fn problem(position: Option<Position>, reason: &'static str, message: String) -> Problem {
    Problem {
        pointer: String::new(),
        line: position.map(|position| position.line),
        column: position.map(|position| position.column),
        reason,
        message,
    }
}

fn position(marker: Marker) -> Position {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    // The parser counts columns from 0.
    Position { line: number(marker.line()), column: number(marker.col()).saturating_add(1) }
}

fn position_of_byte(source: &[u8], offset: usize) -> Position {
    let before = String::from_utf8_lossy(&source[..offset]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Position { line: number(line), column: number(column) }
}

/// An unfinished collection.
struct Frame {
    position: Position,
    anchor: usize,
    /// Values in it so far, itself included, with aliases expanded.
    nodes: usize,
    /// Levels below it so far.
    depth: usize,
    content: Content,
}

enum Content {
    Array(Vec<Tree>),
    Object { members: Vec<Member>, key: Option<(Rc<str>, Position)>, seen: HashMap<Rc<str>, ()> },
}

/// A finished value that can be referred to.
struct Anchored {
    tree: Tree,
    nodes: usize,
    depth: usize,
}

struct Reader<'l> {
    limits: &'l Limits,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Tree>,
    documents: usize,
    duplicates: Vec<Problem>,
    nodes: usize,
}

impl<'l> Reader<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            stack: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            duplicates: Vec::new(),
            nodes: 0,
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let place = position(span.start);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "only one document is allowed".to_owned();
                    return Err(problem(Some(place), reason::SYNTAX_INVALID, message));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = value_of_scalar(&text, style, tag.as_deref(), place)?;
                self.add(Tree { position: place, value }, anchor, 1, 0)
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "seq", place)?;
                self.open(place, anchor, Content::Array(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "map", place)?;
                let content =
                    Content::Object { members: Vec::new(), key: None, seen: HashMap::new() };
                self.open(place, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, place),
            _ => Ok(()),
        }
    }

    fn open(&mut self, position: Position, anchor: usize, content: Content) -> Result<(), Problem> {
        self.check_key_is_scalar(position)?;
        self.check_depth(self.stack.len() + 1, position)?;
        self.stack.push(Frame { position, anchor, nodes: 1, depth: 1, content });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = match frame.content {
            Content::Array(items) => Value::Array(Rc::new(items)),
            Content::Object { members, .. } => Value::Object(Rc::new(members)),
        };
        self.add(Tree { position: frame.position, value }, frame.anchor, frame.nodes, frame.depth)
    }

    fn alias(&mut self, anchor: usize, place: Position) -> Result<(), Problem> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            let message = "an alias inside the value that it refers to".to_owned();
            return Err(problem(Some(place), reason::SYNTAX_INVALID, message));
        };
        let (tree, nodes, depth) = (anchored.tree.clone(), anchored.nodes, anchored.depth);
        self.check_depth(self.stack.len() + depth, place)?;
        self.add(tree, 0, nodes, depth)
    }

    /// Adds a finished value of so many nodes and levels to the collection that is open.
    fn add(
        &mut self,
        tree: Tree,
        anchor: usize,
        nodes: usize,
        depth: usize,
    ) -> Result<(), Problem> {
        if anchor > 0 {
            self.anchors.insert(anchor, Anchored { tree: tree.clone(), nodes, depth });
        }
        let place = tree.position;
        let Some(frame) = self.stack.last_mut() else {
            self.nodes = nodes;
            self.root = Some(tree);
            return self.check_nodes(nodes, place);
        };
        frame.nodes = frame.nodes.saturating_add(nodes);
        frame.depth = frame.depth.max(depth + 1);
        let nodes = frame.nodes;
        match &mut frame.content {
            Content::Array(items) => items.push(tree),
            Content::Object { members, key, seen } => match key.take() {
                None => *key = Some((key_of(&tree)?, place)),
                Some((name, position)) => {
                    if seen.insert(name.clone(), ()).is_some() {
                        let message = format!("the key {name:?} stands here twice");
                        let duplicate = problem(Some(position), reason::KEY_DUPLICATE, message);
                        self.duplicates.push(duplicate);
                    }
                    members.push(Member { key: name, position, tree });
                }
            },
        }
        self.check_nodes(nodes, place)
    }

    fn check_key_is_scalar(&self, place: Position) -> Result<(), Problem> {
        if let Some(Frame { content: Content::Object { key: None, .. }, .. }) = self.stack.last() {
            let message = "a key must be a string".to_owned();
            return Err(problem(Some(place), reason::SYNTAX_INVALID, message));
        }
        Ok(())
    }

    fn check_depth(&self, depth: usize, place: Position) -> Result<(), Problem> {
        if depth <= self.limits.depth_max {
            return Ok(());
        }
        let message = format!("nested deeper than {} levels", self.limits.depth_max);
        Err(problem(Some(place), reason::LIMIT_EXCEEDED, message))
    }

    fn check_nodes(&self, nodes: usize, place: Position) -> Result<(), Problem> {
        if nodes <= self.limits.nodes_max {
            return Ok(());
        }
        let message = format!("more than {} values, aliases expanded", self.limits.nodes_max);
        Err(problem(Some(place), reason::LIMIT_EXCEEDED, message))
    }

    fn finish(self) -> Result<Tree, Vec<Problem>> {
        if !self.duplicates.is_empty() {
            return Err(self.duplicates);
        }
        self.root.ok_or_else(|| {
            vec![problem(None, reason::SYNTAX_INVALID, "the document is empty".to_owned())]
        })
    }
}

fn key_of(tree: &Tree) -> Result<Rc<str>, Problem> {
    match &tree.value {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(Rc::from("null")),
        Value::Boolean(value) => Ok(Rc::from(value.to_string())),
        Value::Number(number) => Ok(Rc::from(number.to_string())),
        Value::Array(_) | Value::Object(_) => {
            let message = "a key must be a string".to_owned();
            Err(problem(Some(tree.position), reason::SYNTAX_INVALID, message))
        }
    }
}

fn value_of_scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    place: Position,
) -> Result<Value, Problem> {
    let string = || Value::String(Rc::from(text));
    let Some(tag) = tag else {
        return Ok(if matches!(style, ScalarStyle::Plain) {
            scalar::resolve(text)
        } else {
            string()
        });
    };
    match tag.core_suffix() {
        Some("str") => Ok(string()),
        Some("int" | "float" | "bool" | "null") => Ok(scalar::resolve(text)),
        _ => Err(unknown_tag(tag, place)),
    }
}

/// Refuses a tag that says that a collection is anything but itself.
fn check_tag(tag: Option<&Tag>, own: &str, place: Position) -> Result<(), Problem> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(own) => Err(unknown_tag(tag, place)),
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag, place: Position) -> Problem {
    let message = format!("the tag {} has no meaning here", Cow::from(tag.original()));
    problem(Some(place), reason::SYNTAX_INVALID, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        read(text.as_bytes(), &Limits::default()).expect("readable").to_json().to_string()
    }

    #[track_caller]
    fn check_problem(text: &str, reason: &str, line: u32, column: u32) {
        let problems = read(text.as_bytes(), &Limits::default()).expect_err("unreadable");
        let first = &problems[0];
        let got = (first.reason, first.line, first.column);
        assert_eq!(got, (reason, Some(line), Some(column)), "{first}");
    }

    #[test]
    fn yaml_and_json_read_alike() {
        assert_eq!(
            json("a: [1, 'two', null]\nb: {c: true}"),
            json(r#"{"a":[1,"two",null],"b":{"c":true}}"#)
        );
        assert_eq!(json("{\n\t\"a\": \"\\u00e9\\/\\ud83d\\ude00\"\n}"), "{\"a\":\"é/😀\"}");
    }

    #[test]
    fn tags_that_say_what_is_there_are_taken() {
        assert_eq!(json("a: !!seq [!!str 1]\nb: !!map {}\n"), r#"{"a":["1"],"b":{}}"#);
    }

    #[test]
    fn positions_are_those_of_the_text() {
        let tree = read(b"a:\n  b: 1\n  c: [x,\n    y]\n", &Limits::default()).expect("readable");
        let c = tree.get("a").and_then(|a| a.get("c")).expect("there");
        assert_eq!(c.position, Position { line: 3, column: 6 });
        assert_eq!(c.items().expect("array")[1].position, Position { line: 4, column: 5 });
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        check_problem("a: [1, 2\nb: 3\n", reason::SYNTAX_INVALID, 2, 2);
        check_problem("a: 1\nb: 2\na: 3\n", reason::KEY_DUPLICATE, 3, 1);
        check_problem("a: 1\n---\nb: 2\n", reason::SYNTAX_INVALID, 2, 1);
        check_problem("a: *nowhere\n", reason::SYNTAX_INVALID, 1, 4);
        check_problem("a: !secret x\n", reason::SYNTAX_INVALID, 1, 12);
        let object = "a: 1\nb: !!python/object/apply:os.system { args: [ls] }\n";
        check_problem(object, reason::SYNTAX_INVALID, 2, 36);
        check_problem("a: !thing [1]\n", reason::SYNTAX_INVALID, 1, 11);
        check_problem("a: !!map [1]\n", reason::SYNTAX_INVALID, 1, 10);
        check_problem("? [a, b]\n: c\n", reason::SYNTAX_INVALID, 1, 3);
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        check_problem(&deep, reason::LIMIT_EXCEEDED, 1, 65);
    }

    #[test]
    fn aliases_expand_within_the_limit() {
        assert_eq!(json("a: &x {b: 1}\nc: *x\n"), r#"{"a":{"b":1},"c":{"b":1}}"#);
        let mut laughs = String::from("l0: &l0 [ha]\n");
        for level in 1..40 {
            let below = level - 1;
            laughs.push_str(&format!("l{level}: &l{level} [*l{below}, *l{below}]\n"));
        }
        let problems = read(laughs.as_bytes(), &Limits::default()).expect_err("too many");
        assert_eq!(problems[0].reason, reason::LIMIT_EXCEEDED);
        check_problem("a: &x [*x]\n", reason::SYNTAX_INVALID, 1, 8);
    }
}
