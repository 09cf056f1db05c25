//! A value of the document together with its JSON pointer.

use crate::document::{Position, Tree};
use crate::problem::Problem;

/// A value, its pointer and its position.
#[derive(Clone, Debug)]
pub(crate) struct Place<'d> {
    /// The value.
    pub(crate) tree: &'d Tree,
    /// JSON pointer of the value.
    pub(crate) pointer: String,
}

impl<'d> Place<'d> {
    /// The root of a document.
    pub(crate) const fn root(tree: &'d Tree) -> Self {
        Self { tree, pointer: String::new() }
    }

    /// The member of that name.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        self.tree.get(key).map(|tree| Self { tree, pointer: join(&self.pointer, key) })
    }

    /// The members of an object, in order; nothing if it is none.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'d str, Self)> + use<'d> {
        let pointer = self.pointer.clone();
        let members = self.tree.members().unwrap_or_default();
        members.iter().map(move |member| {
            let pointer = join(&pointer, &member.key);
            (&*member.key, Self { tree: &member.tree, pointer })
        })
    }

    /// The items of an array, in order; nothing if it is none.
    pub(crate) fn items(&self) -> impl Iterator<Item = Self> + use<'d> {
        let pointer = self.pointer.clone();
        let items = self.tree.items().unwrap_or_default();
        items
            .iter()
            .enumerate()
            .map(move |(position, tree)| Self { tree, pointer: format!("{pointer}/{position}") })
    }

    /// A problem of this place.
    pub(crate) fn problem(&self, reason: &'static str, message: impl Into<String>) -> Problem {
        problem_at(self.pointer.clone(), self.tree.position, reason, message.into())
    }
}

/// A problem of a pointer and a position.
pub(crate) const fn problem_at(
    pointer: String,
    position: Position,
    reason: &'static str,
    message: String,
) -> Problem {
    Problem { pointer, line: Some(position.line), column: Some(position.column), reason, message }
}

/// Appends a key to a JSON pointer (RFC 6901).
pub(crate) fn join(pointer: &str, key: &str) -> String {
    if key.contains(['~', '/']) {
        return format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
    }
    format!("{pointer}/{key}")
}
