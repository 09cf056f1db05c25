//! The part of jq whose cost can be metered: it runs in the orchestrator itself.
//!
//! Programs of this part have no recursion and no loop that feeds itself; what remains is metered
//! as it runs, in steps that each cost about as much as any other. A program that exceeds its
//! steps is not wrong: it is handed to the pool, as are the corners where jq's own behaviour is
//! costly or odd (big integers, slices by object, keys that are no strings, …).
//!
//! Values and operators are jaq's own, so that results are jaq's.

mod builtin;
mod lower;
mod run;
#[cfg(test)]
mod tests;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::Term;
use jaq_core::ops;
use jaq_json::Val;

pub(crate) use run::{Outcome, STEPS_MAX, run};

/// A program of the metered part.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    /// `.`
    Identity,
    /// A literal.
    Constant(Val),
    /// An argument of the program, by position.
    Argument(usize),
    /// A local variable; 0 is the innermost.
    Local(usize),
    /// `f.a[0]?`, the most frequent.
    Path(Box<Self>, Vec<Step<Val>>),
    /// `f.a[g]`: all indices are computed, on the input of the whole path, before its first step.
    ComputedPath(Box<Self>, Vec<Step<Self>>),
    /// `[f]`
    Array(Box<Self>),
    /// `{(f): g}`
    Member(Box<Self>, Box<Self>),
    /// `-f`
    Negate(Box<Self>),
    /// `f | g`
    Pipe(Box<Self>, Box<Self>),
    /// `f as $x | g`
    Bind(Box<Self>, Box<Self>),
    /// `f, g`
    Comma(Box<Self>, Box<Self>),
    /// `f // g`
    Alternative(Box<Self>, Box<Self>),
    /// `f or g` if the boolean is true, else `f and g`.
    Logic(Box<Self>, bool, Box<Self>),
    /// `f + g` and the like.
    Math(Box<Self>, ops::Math, Box<Self>),
    /// `f == g` and the like.
    Compare(Box<Self>, ops::Cmp, Box<Self>),
    /// `if f then g else h end`
    If(Box<Self>, Box<Self>, Box<Self>),
    /// `try f`, `f?`
    Try(Box<Self>),
    /// No value.
    Empty,
    /// A builtin on the input alone.
    Builtin(Builtin),
    /// A builtin on the input and the value of its argument.
    BuiltinWith(BuiltinWith, Box<Self>),
    /// `reduce f as $x (null; . + $x)`
    Add(Box<Self>),
    /// Whether any (true) or all (false) of the values of the first hold under the second.
    Quantify(bool, Box<Self>, Box<Self>),
}

/// A step of a path, by indices or by filters that compute them; the boolean says whether it is
/// optional (`?`).
#[derive(Clone, Debug)]
pub(crate) enum Step<I> {
    /// `.a`, `.[0]`, `.[f]`
    Index(I, bool),
    /// `.[]`
    Each(bool),
    /// `.[f:g]`
    Slice(Option<I>, Option<I>, bool),
}

impl<I> Step<I> {
    /// The step with other indices; the first error is the result.
    fn try_map<J, E>(&self, index: &mut impl FnMut(&I) -> Result<J, E>) -> Result<Step<J>, E> {
        Ok(match self {
            Self::Index(at, optional) => Step::Index(index(at)?, *optional),
            Self::Each(optional) => Step::Each(*optional),
            Self::Slice(from, to, optional) => {
                let from = from.as_ref().map(&mut *index).transpose()?;
                let to = to.as_ref().map(index).transpose()?;
                Step::Slice(from, to, *optional)
            }
        })
    }
}

/// Builtins on the input alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    Length,
    Keys,
    KeysUnsorted,
    ToString,
    ToJson,
    Downcase,
    Upcase,
    Floor,
    Ceil,
    Round,
    Type,
}

/// Builtins on the input and one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuiltinWith {
    Has,
    StartsWith,
    EndsWith,
    TrimStart,
    TrimEnd,
    Error,
}

impl Filter {
    /// Translates a program, if it belongs to the metered part; `arguments` are the names of its
    /// arguments, by position.
    pub(crate) fn lower(term: &Term<&str>, arguments: &[&str]) -> Option<Self> {
        lower::Lowering::new(arguments).program(term)
    }
}

/// The text of a string literal without interpolation.
pub(crate) fn literal_text(term: &Term<&str>) -> Option<String> {
    let Term::Str(None, parts) = term else { return None };
    let mut text = String::new();
    for part in parts {
        match part {
            StrPart::Str(piece) => text.push_str(piece),
            StrPart::Char(character) => text.push(*character),
            StrPart::Term(_) => return None,
        }
    }
    Some(text)
}

/// A string value.
fn text_value(text: impl Into<String>) -> Val {
    Val::from(text.into())
}
