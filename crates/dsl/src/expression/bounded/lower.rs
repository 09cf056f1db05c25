//! From jq's syntax to the metered part.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::ops;
use jaq_core::path::{Opt, Part, Path};
use jaq_json::Val;

use super::{Builtin, BuiltinWith, Filter, Step, literal_text, text_value};

/// How deep a program of the metered part may be nested: its evaluation recurses.
const DEPTH_MAX: usize = 48;

/// How many terms it may have.
const TERMS_MAX: usize = 512;

/// Translates one program.
pub(super) struct Lowering<'a> {
    arguments: &'a [&'a str],
    locals: Vec<String>,
    depth: usize,
    terms: usize,
}

type Lowered = Option<Box<Filter>>;

impl<'a> Lowering<'a> {
    pub(super) const fn new(arguments: &'a [&'a str]) -> Self {
        Self { arguments, locals: Vec::new(), depth: 0, terms: 0 }
    }

    /// The whole program, or `None` if it does not belong to the metered part.
    pub(super) fn program(mut self, term: &Term<&str>) -> Option<Filter> {
        self.term(term).map(|filter| *filter)
    }

    fn term(&mut self, term: &Term<&str>) -> Lowered {
        self.terms += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX || self.terms > TERMS_MAX {
            return None;
        }
        let filter = self.one(term);
        self.depth -= 1;
        filter.map(Box::new)
    }

    fn one(&mut self, term: &Term<&str>) -> Option<Filter> {
        Some(match term {
            Term::Id => Filter::Identity,
            Term::Num(text) => Filter::Constant(number(text)?),
            Term::Str(None, parts) => self.text(parts)?,
            Term::Arr(None) => Filter::Array(Box::new(Filter::Empty)),
            Term::Arr(Some(inner)) => Filter::Array(self.term(inner)?),
            Term::Obj(members) => self.object(members)?,
            Term::Neg(inner) => match *self.term(inner)? {
                // As in `.[-1]`: a path of constants is walked as it is.
                Filter::Constant(value @ Val::Num(_)) => Filter::Constant((-value).ok()?),
                inner => Filter::Negate(Box::new(inner)),
            },
            Term::BinOp(left, operator, right) => self.operation(left, operator, right)?,
            Term::TryCatch(inner, None) => Filter::Try(self.term(inner)?),
            Term::IfThenElse(cases, otherwise) => {
                let mut filter = match otherwise {
                    Some(otherwise) => *self.term(otherwise)?,
                    None => Filter::Identity,
                };
                for (condition, then) in cases.iter().rev() {
                    let condition = self.term(condition)?;
                    filter = Filter::If(condition, self.term(then)?, Box::new(filter));
                }
                // A long chain of cases nests as deep as it is long.
                if cases.len() > DEPTH_MAX {
                    return None;
                }
                filter
            }
            Term::Var(name) => self.variable(name)?,
            Term::Call(name, arguments) => self.call(name, arguments)?,
            Term::Path(head, path) => self.path(head, path)?,
            Term::Str(Some(_), _)
            | Term::Recurse
            | Term::Label(..)
            | Term::Break(_)
            | Term::Fold(..)
            | Term::TryCatch(_, Some(_))
            | Term::Def(..) => return None,
        })
    }

    fn variable(&self, name: &str) -> Option<Filter> {
        if let Some(position) = self.locals.iter().rev().position(|local| local == name) {
            return Some(Filter::Local(position));
        }
        self.arguments.iter().position(|argument| *argument == name).map(Filter::Argument)
    }

    /// A string with interpolations: the sum of its parts, each as text.
    fn text(&mut self, parts: &[StrPart<&str, Term<&str>>]) -> Option<Filter> {
        let mut sum: Option<Filter> = None;
        for part in parts {
            let part = match part {
                StrPart::Str(text) => Filter::Constant(text_value(*text)),
                StrPart::Char(character) => Filter::Constant(text_value(character.to_string())),
                StrPart::Term(term) => {
                    let text = Box::new(Filter::Builtin(Builtin::ToString));
                    Filter::Pipe(self.term(term)?, text)
                }
            };
            sum = Some(match (sum, part) {
                (None, part) => part,
                (Some(sum), part) => self.sum(sum, part)?,
            });
        }
        Some(sum.unwrap_or_else(|| Filter::Constant(text_value(""))))
    }

    /// A sum nests to the left: a long one is not for the metered part.
    fn sum(&mut self, left: Filter, right: Filter) -> Option<Filter> {
        self.terms += 1;
        if self.terms > TERMS_MAX {
            return None;
        }
        Some(Filter::Math(Box::new(left), ops::Math::Add, Box::new(right)))
    }

    fn object(&mut self, members: &[(Term<&str>, Option<Term<&str>>)]) -> Option<Filter> {
        if members.len() > DEPTH_MAX {
            return None;
        }
        let mut sum: Option<Filter> = None;
        for (key, value) in members {
            let member = self.member(key, value.as_ref())?;
            sum = Some(match sum {
                None => member,
                Some(sum) => self.sum(sum, member)?,
            });
        }
        Some(sum.unwrap_or_else(|| Filter::Constant(Val::obj(jaq_json::Map::default()))))
    }

    /// `{a: f}`, `{a}`, `{"a"}`, `{$a}`, `{(f): g}`.
    fn member(&mut self, key: &Term<&str>, value: Option<&Term<&str>>) -> Option<Filter> {
        match (key, value) {
            (Term::Var(name), None) => {
                let key = Filter::Constant(text_value(name.strip_prefix('$')?));
                Some(Filter::Member(Box::new(key), Box::new(self.variable(name)?)))
            }
            (key, None) => {
                let text = literal_text(key)?;
                let key = Filter::Constant(text_value(text.as_str()));
                let step = Step::Index(text_value(text.as_str()), false);
                let value = Filter::Path(Box::new(Filter::Identity), vec![step]);
                Some(Filter::Member(Box::new(key), Box::new(value)))
            }
            (key, Some(value)) => Some(Filter::Member(self.term(key)?, self.term(value)?)),
        }
    }

    fn operation(
        &mut self,
        left: &Term<&str>,
        operator: &BinaryOp<&str>,
        right: &Term<&str>,
    ) -> Option<Filter> {
        let left = self.term(left)?;
        if let BinaryOp::Pipe(Some(pattern)) = operator {
            let Pattern::Var(name) = pattern else { return None };
            self.locals.push((*name).to_owned());
            let right = self.term(right);
            self.locals.pop();
            return Some(Filter::Bind(left, right?));
        }
        let right = self.term(right)?;
        Some(match operator {
            BinaryOp::Pipe(_) => Filter::Pipe(left, right),
            BinaryOp::Comma => Filter::Comma(left, right),
            BinaryOp::Alt => Filter::Alternative(left, right),
            BinaryOp::Or => Filter::Logic(left, true, right),
            BinaryOp::And => Filter::Logic(left, false, right),
            BinaryOp::Math(operator) => Filter::Math(left, *operator, right),
            BinaryOp::Cmp(operator) => Filter::Compare(left, *operator, right),
            BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
                return None;
            }
        })
    }

    fn path(&mut self, head: &Term<&str>, path: &Path<Term<&str>>) -> Option<Filter> {
        let head = self.term(head)?;
        let mut steps = Vec::with_capacity(path.0.len());
        for (part, optional) in &path.0 {
            let optional = matches!(optional, Opt::Optional);
            let mut index = |term: &Term<&str>| self.term(term).map(|filter| *filter);
            steps.push(match part {
                Part::Index(term) => match literal_text(term) {
                    Some(text) => Step::Index(Filter::Constant(text_value(text)), optional),
                    None => Step::Index(index(term)?, optional),
                },
                Part::Range(None, None) => Step::Each(optional),
                Part::Range(from, to) => {
                    let from = match from {
                        Some(from) => Some(index(from)?),
                        None => None,
                    };
                    let to = match to {
                        Some(to) => Some(index(to)?),
                        None => None,
                    };
                    Step::Slice(from, to, optional)
                }
            });
        }
        let mut constant = |index: &Filter| match index {
            Filter::Constant(value) => Ok(value.clone()),
            _ => Err(()),
        };
        let constants: Result<_, ()> =
            steps.iter().map(|step| step.try_map(&mut constant)).collect();
        Some(match constants {
            Ok(constants) => Filter::Path(head, constants),
            Err(()) => Filter::ComputedPath(head, steps),
        })
    }

    fn call(&mut self, name: &str, arguments: &[Term<&str>]) -> Option<Filter> {
        let constant = |value: bool| Some(Filter::Constant(Val::from(value)));
        let builtin = |builtin| Some(Filter::Builtin(builtin));
        let each = || Box::new(Filter::Path(Box::new(Filter::Identity), vec![Step::Each(false)]));
        let identity = || Box::new(Filter::Identity);
        match (name, arguments) {
            ("true", []) => constant(true),
            ("false", []) => constant(false),
            ("null", []) => Some(Filter::Constant(Val::Null)),
            ("empty", []) => Some(Filter::Empty),
            ("not", []) => {
                let answer = |value: bool| Box::new(Filter::Constant(Val::from(value)));
                Some(Filter::If(identity(), answer(false), answer(true)))
            }
            ("length", []) => builtin(Builtin::Length),
            ("keys", []) => builtin(Builtin::Keys),
            ("keys_unsorted", []) => builtin(Builtin::KeysUnsorted),
            ("tostring", []) => builtin(Builtin::ToString),
            ("tojson", []) => builtin(Builtin::ToJson),
            ("ascii_downcase", []) => builtin(Builtin::Downcase),
            ("ascii_upcase", []) => builtin(Builtin::Upcase),
            ("floor", []) => builtin(Builtin::Floor),
            ("ceil", []) => builtin(Builtin::Ceil),
            ("round", []) => builtin(Builtin::Round),
            ("type", []) => builtin(Builtin::Type),
            ("first", []) => Some(self.position(0)),
            ("last", []) => Some(self.position(-1)),
            ("add", []) => Some(Filter::Add(each())),
            ("add", [items]) => Some(Filter::Add(self.term(items)?)),
            ("any", []) => Some(Filter::Quantify(true, each(), identity())),
            ("all", []) => Some(Filter::Quantify(false, each(), identity())),
            ("any", [condition]) => Some(Filter::Quantify(true, each(), self.term(condition)?)),
            ("all", [condition]) => Some(Filter::Quantify(false, each(), self.term(condition)?)),
            ("map", [inner]) => {
                Some(Filter::Array(Box::new(Filter::Pipe(each(), self.term(inner)?))))
            }
            ("select", [condition]) => {
                Some(Filter::If(self.term(condition)?, identity(), Box::new(Filter::Empty)))
            }
            ("has", [key]) => self.with(BuiltinWith::Has, key),
            ("startswith", [prefix]) => self.with(BuiltinWith::StartsWith, prefix),
            ("endswith", [suffix]) => self.with(BuiltinWith::EndsWith, suffix),
            ("ltrimstr", [prefix]) => self.with(BuiltinWith::TrimStart, prefix),
            ("rtrimstr", [suffix]) => self.with(BuiltinWith::TrimEnd, suffix),
            ("error", [message]) => self.with(BuiltinWith::Error, message),
            _ => None,
        }
    }

    fn with(&mut self, builtin: BuiltinWith, argument: &Term<&str>) -> Option<Filter> {
        Some(Filter::BuiltinWith(builtin, self.term(argument)?))
    }

    fn position(&self, position: isize) -> Filter {
        let step = Step::Index(Val::from(position), false);
        Filter::Path(Box::new(Filter::Identity), vec![step])
    }
}

/// A number as jaq reads it in a program. Long ones are for the pool.
fn number(text: &str) -> Option<Val> {
    if text.len() > 17 {
        return None;
    }
    match text.parse::<isize>() {
        Ok(integer) => Some(Val::from(integer)),
        Err(_) => <Val as jaq_core::ValT>::from_num(text).ok(),
    }
}
