//! A YAML or JSON text as a tree whose values know their lines. YAML 1.2 contains JSON.

use std::collections::HashMap;

use granit_parser::{Event, Parser};

/// Deeper is nothing that the engine takes.
const DEPTH_MAX: usize = 128;
/// Values in all, aliases expanded, beyond which nobody could look at it anyway.
const NODES_MAX: usize = 200_000;

/// A value and the lines that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) line: u32,
    pub(super) last: u32,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Any scalar, as it is written.
    Text(String),
    List(Vec<Tree>),
    /// Key, its line, value.
    Map(Vec<(String, u32, Tree)>),
}

impl Tree {
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.members().iter().find(|(name, _, _)| name == key).map(|(_, _, tree)| tree)
    }

    pub(super) fn members(&self) -> &[(String, u32, Self)] {
        match &self.value {
            Value::Map(members) => members,
            _ => &[],
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn size(&self) -> usize {
        match &self.value {
            Value::Text(_) => 1,
            Value::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Value::Map(members) => 1 + members.iter().map(|(_, _, it)| it.size()).sum::<usize>(),
        }
    }
}

/// A collection that is not finished.
struct Open {
    line: u32,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Tree>),
    Map(Vec<(String, u32, Tree)>, Option<(String, u32)>),
}

#[derive(Default)]
struct Reader {
    stack: Vec<Open>,
    anchors: HashMap<usize, Tree>,
    root: Option<Tree>,
    nodes: usize,
}

/// Reads a text with one document.
///
/// # Errors
/// Why it cannot be read, in words.
pub(super) fn read(text: &str) -> Result<Tree, String> {
    let options = granit_parser::options! {
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut reader = Reader::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
        reader.take(event, line)?;
    }
    reader.root.ok_or_else(|| "the document is empty".to_owned())
}

impl Reader {
    fn take(&mut self, event: Event<'_>, line: u32) -> Result<(), String> {
        match event {
            Event::Scalar(text, _, anchor, _) => {
                // A block scalar goes on below its first line.
                let more = u32::try_from(text.matches('\n').count()).unwrap_or(0);
                let value = Value::Text(text.into_owned());
                self.add(Tree { line, last: line.saturating_add(more), value }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(line, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(line, anchor, Content::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.stack.pop() else { return Ok(()) };
                let (value, last) = match open.content {
                    Content::List(items) => {
                        let last = items.last().map(|item| item.last);
                        (Value::List(items), last)
                    }
                    Content::Map(members, _) => {
                        let last = members.last().map(|(_, _, tree)| tree.last);
                        (Value::Map(members), last)
                    }
                };
                let last = last.unwrap_or(open.line).max(open.line);
                self.add(Tree { line: open.line, last, value }, open.anchor)
            }
            Event::Alias(anchor) => {
                let mut tree = self.anchors.get(&anchor).cloned().ok_or("an alias of itself")?;
                self.nodes += tree.size();
                (tree.line, tree.last) = (line, line);
                self.add(tree, 0)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, line: u32, anchor: usize, content: Content) -> Result<(), String> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        self.stack.push(Open { line, anchor, content });
        Ok(())
    }

    fn add(&mut self, tree: Tree, anchor: usize) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(format!("more than {NODES_MAX} values"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, tree.clone());
        }
        match self.stack.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(tree),
            Some(Content::List(items)) => items.push(tree),
            Some(Content::Map(members, key)) => match key.take() {
                Some((name, line)) => members.push((name, line, tree)),
                None => {
                    let name = tree.text().ok_or("a key must be a string")?;
                    *key = Some((name.to_owned(), tree.line));
                }
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_are_read_with_their_lines() {
        let yaml = read("a:\n  b: [1, x]\n  c: |\n    one\n    two\nd: *no\n");
        assert!(yaml.is_err());
        let yaml = read("a: &a\n  b: [1, x]\nd: *a\n").expect("readable");
        let b = yaml.get("d").and_then(|d| d.get("b")).expect("there");
        assert_eq!(b.items().iter().filter_map(Tree::text).collect::<Vec<_>>(), ["1", "x"]);
        let json = read("{\n \"a\": {\n  \"b\": true }}").expect("readable");
        let b = json.get("a").and_then(|a| a.get("b")).expect("there");
        assert_eq!((b.text(), b.line), (Some("true"), 3));
    }

    #[test]
    fn what_grows_without_end_is_refused() {
        let mut laughs = String::from("l0: &l0 [ha]\n");
        for level in 1..40 {
            let below = level - 1;
            laughs.push_str(&format!("l{level}: &l{level} [*l{below}, *l{below}]\n"));
        }
        assert!(read(&laughs).is_err());
        assert!(read(&"[".repeat(1000)).is_err());
        assert!(read("").is_err());
    }
}
