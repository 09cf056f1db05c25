//! A jq program of a definition: its text, what it needs to know, and whether it may run here.

use std::collections::BTreeSet;
use std::sync::Arc;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{self, BinaryOp, Pattern, Term};
use jaq_core::path::Part;

use super::bounded;
use super::jq::{Engine, Invalid};

/// A program, checked.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its text.
    pub(crate) text: Arc<str>,
    /// The variables that it mentions, in the order in which it is given their values.
    pub(crate) arguments: Vec<Argument>,
    /// The program for the bounded evaluator; `None` = it runs in the pool only.
    pub(crate) filter: Option<bounded::Filter>,
}

/// A variable that a program mentions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    /// Its name with the dollar sign.
    pub(crate) name: Arc<str>,
    /// The members of it that the program can see; `None` = all of it.
    pub(crate) members: Option<BTreeSet<String>>,
}

impl Program {
    /// Checks a program that may use the given variables (with their dollar sign).
    ///
    /// Recurses as deep as the text is nested: only for a thread with a large stack.
    ///
    /// # Errors
    /// If it is no program or uses what it may not.
    pub(crate) fn new(
        engine: &Engine,
        text: &str,
        variables: &[Arc<str>],
    ) -> Result<Self, Invalid> {
        let names: Vec<&str> = variables.iter().map(|name| &**name).collect();
        engine.compile(text, &names)?;
        let mut mentions = Mentions { variables, found: Vec::new() };
        // A text that `compile` accepts as a program but not as a single term has a module header.
        let term = jaq_core::load::parse(text, |parser| parser.term());
        let Some(term) = term else {
            let all = |name: &Arc<str>| Argument { name: name.clone(), members: None };
            let arguments = variables.iter().map(all).collect();
            return Ok(Self { text: text.into(), arguments, filter: None });
        };
        mentions.term(&term);
        let arguments = mentions.found;
        let names: Vec<&str> = arguments.iter().map(|argument| &*argument.name).collect();
        let filter = bounded::Filter::lower(&term, &names);
        Ok(Self { text: text.into(), arguments, filter })
    }
}

/// Finds the variables that a program mentions. A local variable of the same name counts too:
/// the argument is then given in vain, which is harmless.
struct Mentions<'v> {
    variables: &'v [Arc<str>],
    found: Vec<Argument>,
}

impl Mentions<'_> {
    /// Notes a variable, of which only one member is seen (or all, if `None`).
    fn note(&mut self, name: &str, member: Option<&str>) {
        let Some(known) = self.variables.iter().find(|known| &***known == name) else { return };
        let position = self.found.iter().position(|argument| argument.name == *known);
        let position = position.unwrap_or_else(|| {
            let members = Some(BTreeSet::new());
            self.found.push(Argument { name: known.clone(), members });
            self.found.len() - 1
        });
        match (member, &mut self.found[position].members) {
            (Some(member), Some(members)) => {
                members.insert(member.to_owned());
            }
            (None, members) => *members = None,
            (Some(_), None) => {}
        }
    }

    fn term(&mut self, term: &Term<&str>) {
        match term {
            Term::Id | Term::Recurse | Term::Num(_) | Term::Arr(None) | Term::Break(_) => {}
            Term::Var(name) => self.note(name, None),
            Term::Str(_, parts) => self.parts(parts),
            Term::Arr(Some(inner)) | Term::Neg(inner) | Term::Label(_, inner) => self.term(inner),
            Term::Obj(members) => {
                for (key, value) in members {
                    self.term(key);
                    value.iter().for_each(|value| self.term(value));
                }
            }
            Term::BinOp(left, operator, right) => {
                self.term(left);
                if let BinaryOp::Pipe(Some(pattern)) = operator {
                    self.pattern(pattern);
                }
                self.term(right);
            }
            Term::Fold(_, items, pattern, arguments) => {
                self.term(items);
                self.pattern(pattern);
                arguments.iter().for_each(|argument| self.term(argument));
            }
            Term::TryCatch(inner, handler) => {
                self.term(inner);
                handler.iter().for_each(|handler| self.term(handler));
            }
            Term::IfThenElse(cases, otherwise) => {
                for (condition, then) in cases {
                    self.term(condition);
                    self.term(then);
                }
                otherwise.iter().for_each(|otherwise| self.term(otherwise));
            }
            Term::Def(definitions, inner) => {
                let bodies: &[parse::Def<&str>] = definitions;
                bodies.iter().for_each(|definition| self.term(&definition.body));
                self.term(inner);
            }
            Term::Call(_, arguments) => arguments.iter().for_each(|term| self.term(term)),
            Term::Path(head, path) => {
                match (&**head, path.0.first()) {
                    (Term::Var(name), Some((Part::Index(key), _))) => {
                        self.note(name, bounded::literal_text(key).as_deref());
                    }
                    _ => self.term(head),
                }
                for (part, _) in &path.0 {
                    match part {
                        Part::Index(index) => self.term(index),
                        Part::Range(from, to) => {
                            from.iter().chain(to).for_each(|bound| self.term(bound));
                        }
                    }
                }
            }
        }
    }

    fn parts(&mut self, parts: &[StrPart<&str, Term<&str>>]) {
        for part in parts {
            if let StrPart::Term(term) = part {
                self.term(term);
            }
        }
    }

    fn pattern(&mut self, pattern: &Pattern<&str>) {
        match pattern {
            Pattern::Var(_) => {}
            Pattern::Arr(patterns) => patterns.iter().for_each(|inner| self.pattern(inner)),
            Pattern::Obj(entries) => {
                for (key, inner) in entries {
                    self.term(key);
                    self.pattern(inner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let variables: Vec<Arc<str>> = ["$task", "$workflow", "$x"].map(Arc::from).to_vec();
        let program = Program::new(&Engine::new(), text, &variables).expect("a program");
        let found: Vec<String> = program
            .arguments
            .iter()
            .map(|argument| match &argument.members {
                None => argument.name.to_string(),
                Some(members) => format!("{}{members:?}", argument.name),
            })
            .collect();
        assert_eq!(found.join(" "), expected, "{text}");
    }

    #[test]
    fn only_what_is_mentioned_is_given() {
        check(".a", "");
        check("$x + $x", "$x");
        check("$workflow.id", r#"$workflow{"id"}"#);
        check("$task.name + $task.input.a", r#"$task{"input", "name"}"#);
        check("$task.name, $task", "$task");
        check("$workflow[\"a\" + .b]", "$workflow");
        check(r#""a\($x)" | {a: $task.name, $x}"#, r#"$x $task{"name"}"#);
        check("def f: $x; reduce .[] as $i (0; f) | try error($task.input)", "$x $task{\"input\"}");
    }
}
