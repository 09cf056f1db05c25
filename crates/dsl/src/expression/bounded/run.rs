//! Runs programs of the metered part.

use std::cell::Cell;

use jaq_core::{ValT as _, ops};
use jaq_json::{Num, Val};

use super::{Filter, Step, builtin};
use crate::expression::jq;
use crate::expression::value::display;

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// With a value.
    Value(Val),
    /// With an error, or not with exactly one value.
    Failed(String),
    /// It is for the pool: too many steps, or a corner that is left to jaq.
    Escalate,
}

/// Steps that an expression may take; some hundred microseconds' worth.
pub(crate) const STEPS_MAX: usize = 20_000;

/// Bytes of text that count as one step.
const BYTES_PER_STEP: usize = 64;

/// Why a run stops early.
pub(super) enum Stop {
    /// An error that `try` can catch.
    Error(jaq_core::Error<Val>),
    /// The pool must answer.
    Escalate,
    /// What was looked for was found.
    Found,
}

pub(super) type Flow = Result<(), Stop>;
type Out<'o> = &'o mut dyn FnMut(Val) -> Flow;

/// Runs a program on an input, with the values of its arguments, for at most so many steps; what
/// is left of them is there for the next program.
pub(crate) fn run(filter: &Filter, arguments: &[Val], input: Val, steps: &Cell<usize>) -> Outcome {
    let machine = Machine { arguments, steps };
    let mut result = None;
    let flow = machine.eval(filter, None, input, &mut |value| {
        if result.is_some() {
            result = None;
            return Err(Stop::Found);
        }
        result = Some(value);
        Ok(())
    });
    match (flow, result) {
        (Ok(()), Some(value)) => Outcome::Value(value),
        (Ok(()), None) => Outcome::Failed(jq::NO_VALUE.to_owned()),
        (Err(Stop::Found), _) => Outcome::Failed(jq::MANY_VALUES.to_owned()),
        (Err(Stop::Error(error)), _) => Outcome::Failed(display(&error)),
        (Err(Stop::Escalate), _) => Outcome::Escalate,
    }
}

/// Local variables, the innermost first.
struct Locals<'l> {
    value: Val,
    outer: Option<&'l Locals<'l>>,
}

type Scope<'l> = Option<&'l Locals<'l>>;

/// Meters a run.
pub(super) struct Machine<'m> {
    arguments: &'m [Val],
    steps: &'m Cell<usize>,
}

impl Machine<'_> {
    /// Takes steps, if there are so many left.
    pub(super) fn charge(&self, steps: usize) -> Flow {
        let left = self.steps.get().checked_sub(steps).ok_or(Stop::Escalate)?;
        self.steps.set(left);
        Ok(())
    }

    /// Charges for text of so many bytes.
    pub(super) fn charge_bytes(&self, bytes: usize) -> Flow {
        self.charge(bytes / BYTES_PER_STEP + 1)
    }

    /// Charges for walking through a whole value. Values may share parts, so that the walk is
    /// longer than the value is large: it is metered itself.
    pub(super) fn charge_whole(&self, value: &Val) -> Flow {
        match value {
            Val::TStr(text) | Val::BStr(text) => self.charge_bytes(text.len()),
            Val::Num(Num::BigInt(_)) => Err(Stop::Escalate),
            Val::Null | Val::Bool(_) | Val::Num(_) => self.charge(1),
            Val::Arr(items) => {
                self.charge(1)?;
                items.iter().try_for_each(|item| self.charge_whole(item))
            }
            Val::Obj(members) => {
                // Objects are compared and hashed by their sorted keys.
                self.charge(1 + members.len())?;
                members.iter().try_for_each(|(key, member)| {
                    self.charge_whole(key)?;
                    self.charge_whole(member)
                })
            }
        }
    }

    /// Charges for copying a value's own level.
    fn charge_level(&self, value: &Val) -> Flow {
        match value {
            Val::TStr(text) | Val::BStr(text) => self.charge_bytes(text.len()),
            Val::Arr(items) => self.charge(items.len() / 4 + 1),
            Val::Obj(members) => self.charge(members.len() * 2 + 1),
            _ => self.charge(1),
        }
    }

    fn eval(&self, filter: &Filter, scope: Scope<'_>, input: Val, out: Out<'_>) -> Flow {
        self.charge(1)?;
        match filter {
            Filter::Identity => out(input),
            Filter::Constant(value) => out(value.clone()),
            Filter::Argument(position) => {
                out(self.arguments.get(*position).cloned().ok_or(Stop::Escalate)?)
            }
            Filter::Local(position) => out(local(scope, *position)?),
            Filter::Path(head, steps) => {
                self.eval(head, scope, input, &mut |value| self.path(steps, value, out))
            }
            Filter::ComputedPath(head, steps) => {
                self.eval(head, scope, input.clone(), &mut |value| {
                    let mut index = |index: &Filter| self.single(index, scope, &input);
                    let steps: Result<Vec<Step<Val>>, Stop> =
                        steps.iter().map(|step| step.try_map(&mut index)).collect();
                    self.path(&steps?, value, out)
                })
            }
            Filter::Pipe(left, right) => {
                self.eval(left, scope, input, &mut |value| self.eval(right, scope, value, out))
            }
            Filter::Bind(left, right) => self.eval(left, scope, input.clone(), &mut |value| {
                let inner = Locals { value, outer: scope };
                self.eval(right, Some(&inner), input.clone(), out)
            }),
            Filter::Comma(left, right) => {
                self.eval(left, scope, input.clone(), out)?;
                self.eval(right, scope, input, out)
            }
            Filter::Alternative(left, right) => self.alternative(left, right, scope, input, out),
            Filter::Logic(left, stop, right) => {
                self.eval(left, scope, input.clone(), &mut |value| {
                    if value.as_bool() == *stop {
                        return out(Val::from(*stop));
                    }
                    let mut answer = |value: Val| out(Val::from(value.as_bool()));
                    self.eval(right, scope, input.clone(), &mut answer)
                })
            }
            Filter::If(condition, then, otherwise) => {
                self.eval(condition, scope, input.clone(), &mut |value| {
                    let branch = if value.as_bool() { then } else { otherwise };
                    self.eval(branch, scope, input.clone(), out)
                })
            }
            Filter::Try(inner) => self.attempt(inner, scope, input, out),
            _ => self.eval_value(filter, scope, input, out),
        }
    }

    /// Filters that make values rather than direct their flow.
    fn eval_value(&self, filter: &Filter, scope: Scope<'_>, input: Val, out: Out<'_>) -> Flow {
        match filter {
            Filter::Array(inner) => {
                let mut items = Vec::new();
                self.eval(inner, scope, input, &mut |item| {
                    items.push(item);
                    self.charge(1)
                })?;
                out(items.into_iter().collect())
            }
            Filter::Member(key, value) => {
                self.pairs(key, value, scope, &input, &mut |key, value| {
                    if !matches!(key, Val::TStr(_)) {
                        return Err(Stop::Escalate);
                    }
                    out(Val::from_map([(key, value)]).map_err(Stop::Error)?)
                })
            }
            Filter::Negate(inner) => self.eval(inner, scope, input, &mut |value| {
                plain_number(&value)?;
                out((-value).map_err(Stop::Error)?)
            }),
            Filter::Empty => Ok(()),
            Filter::Builtin(builtin) => out(builtin::run(self, *builtin, input)?),
            Filter::BuiltinWith(builtin, argument) => {
                self.eval(argument, scope, input.clone(), &mut |argument| {
                    out(builtin::run_with(self, *builtin, &input, argument)?)
                })
            }
            Filter::Add(items) => {
                let mut sum = Val::Null;
                self.eval(items, scope, input, &mut |item| {
                    let before = std::mem::take(&mut sum);
                    sum = self.math(before, ops::Math::Add, item)?;
                    Ok(())
                })?;
                out(sum)
            }
            Filter::Quantify(any, items, condition) => {
                out(Val::from(self.quantify(*any, items, condition, scope, input)?))
            }
            Filter::Math(left, operator, right) => {
                self.pairs(left, right, scope, &input, &mut |left, right| {
                    out(self.math(left, *operator, right)?)
                })
            }
            Filter::Compare(left, operator, right) => {
                self.pairs(left, right, scope, &input, &mut |left, right| {
                    self.charge_comparison(&left, &right)?;
                    out(Val::from(operator.run(&left, &right)))
                })
            }
            _ => Err(Stop::Escalate),
        }
    }

    /// Whether any (all) of the items hold. Stops at the first that decides.
    fn quantify(
        &self,
        any: bool,
        items: &Filter,
        condition: &Filter,
        scope: Scope<'_>,
        input: Val,
    ) -> Result<bool, Stop> {
        let flow = self.eval(items, scope, input, &mut |item| {
            self.eval(condition, scope, item, &mut |value| {
                if value.as_bool() == any { Err(Stop::Found) } else { Ok(()) }
            })
        });
        match flow {
            Ok(()) => Ok(!any),
            Err(Stop::Found) => Ok(any),
            Err(stop) => Err(stop),
        }
    }

    fn alternative(
        &self,
        left: &Filter,
        right: &Filter,
        scope: Scope<'_>,
        input: Val,
        out: Out<'_>,
    ) -> Flow {
        let mut found = false;
        self.eval(left, scope, input.clone(), &mut |value| {
            if !value.as_bool() {
                return Ok(());
            }
            found = true;
            out(value)
        })?;
        if found { Ok(()) } else { self.eval(right, scope, input, out) }
    }

    /// Runs a filter and swallows its error, but not one of whoever takes its values.
    fn attempt(&self, inner: &Filter, scope: Scope<'_>, input: Val, out: Out<'_>) -> Flow {
        let mut downstream = None;
        let flow = self.eval(inner, scope, input, &mut |value| {
            out(value).map_err(|stop| {
                downstream = Some(stop);
                Stop::Found
            })
        });
        match (downstream, flow) {
            (Some(stop), _) => Err(stop),
            (None, Err(Stop::Error(_))) => Ok(()),
            (None, flow) => flow,
        }
    }

    /// Each value of the left with each of the right.
    ///
    /// An error of the left is left to jaq, which drops it if the right yields nothing.
    fn pairs(
        &self,
        left: &Filter,
        right: &Filter,
        scope: Scope<'_>,
        input: &Val,
        out: &mut dyn FnMut(Val, Val) -> Flow,
    ) -> Flow {
        let mut downstream = None;
        let flow = self.eval(left, scope, input.clone(), &mut |first| {
            let mut pair = |second: Val| out(first.clone(), second);
            self.eval(right, scope, input.clone(), &mut pair).map_err(|stop| {
                downstream = Some(stop);
                Stop::Found
            })
        });
        match (downstream, flow) {
            (Some(stop), _) => Err(stop),
            (None, Err(Stop::Error(_))) => Err(Stop::Escalate),
            (None, flow) => flow,
        }
    }

    /// Walks the steps of a path.
    fn path(&self, steps: &[Step<Val>], value: Val, out: Out<'_>) -> Flow {
        let Some((step, rest)) = steps.split_first() else { return out(value) };
        self.charge(1)?;
        let (next, optional) = match step {
            Step::Index(index, optional) => (self.index(value, index), *optional),
            Step::Slice(from, to, optional) => {
                self.charge_level(&value)?;
                (value.range(from.as_ref()..to.as_ref()).map_err(Stop::Error), *optional)
            }
            Step::Each(optional) => {
                self.charge_level(&value)?;
                for item in value.values() {
                    match item {
                        Ok(item) => self.path(rest, item, out)?,
                        Err(_) if *optional => {}
                        Err(error) => return Err(Stop::Error(error)),
                    }
                }
                return Ok(());
            }
        };
        match next {
            Ok(next) => self.path(rest, next, out),
            Err(Stop::Error(_)) if optional => Ok(()),
            Err(stop) => Err(stop),
        }
    }

    /// Access by a key or position; by anything else is left to jaq.
    fn index(&self, value: Val, index: &Val) -> Result<Val, Stop> {
        match index {
            Val::TStr(key) => self.charge_bytes(key.len())?,
            Val::Null | Val::Bool(_) | Val::Num(Num::Int(_) | Num::Float(_)) => {}
            _ => return Err(Stop::Escalate),
        }
        value.index(index).map_err(Stop::Error)
    }

    /// The one value of a filter. Several are left to jaq, which orders them its own way; so is an
    /// error, which counts only once the values before it were used.
    fn single(&self, filter: &Filter, scope: Scope<'_>, input: &Val) -> Result<Val, Stop> {
        let mut result = None;
        let flow = self.eval(filter, scope, input.clone(), &mut |value| {
            if result.is_some() {
                return Err(Stop::Escalate);
            }
            result = Some(value);
            Ok(())
        });
        match flow {
            Ok(()) => result.ok_or(Stop::Escalate),
            Err(_) => Err(Stop::Escalate),
        }
    }

    fn math(&self, left: Val, operator: ops::Math, right: Val) -> Result<Val, Stop> {
        match (&left, operator, &right) {
            (Val::Num(_), _, Val::Num(_)) => {
                plain_number(&left)?;
                plain_number(&right)?;
            }
            (_, ops::Math::Add, _) => {
                self.charge_level(&left)?;
                self.charge_level(&right)?;
            }
            (Val::Arr(_), ops::Math::Sub, Val::Arr(_)) => {
                // The right side is sorted: each of its items is compared some times.
                self.charge_whole(&left)?;
                for _ in 0..8 {
                    self.charge_whole(&right)?;
                }
            }
            (Val::Obj(_), ops::Math::Mul, Val::Obj(_)) => {
                self.charge_whole(&left)?;
                self.charge_whole(&right)?;
            }
            (Val::TStr(left), ops::Math::Div, Val::TStr(right)) => {
                self.charge(left.len() + right.len())?;
            }
            (Val::TStr(_), ops::Math::Mul, _) | (_, ops::Math::Mul, Val::TStr(_)) => {
                return Err(Stop::Escalate);
            }
            _ => {}
        }
        operator.run(left, right).map_err(Stop::Error)
    }

    fn charge_comparison(&self, left: &Val, right: &Val) -> Flow {
        match (left, right) {
            (Val::Arr(_), Val::Arr(_)) | (Val::Obj(_), Val::Obj(_)) => {
                self.charge_whole(left)?;
                self.charge_whole(right)
            }
            (Val::TStr(left), Val::TStr(right)) => self.charge_bytes(left.len().min(right.len())),
            (Val::Num(Num::BigInt(_)), _) | (_, Val::Num(Num::BigInt(_))) => Err(Stop::Escalate),
            _ => Ok(()),
        }
    }
}

/// Big integers grow with each operation: they are not for the metered part.
pub(super) fn plain_number(value: &Val) -> Flow {
    match value {
        Val::Num(Num::BigInt(_)) => Err(Stop::Escalate),
        Val::Num(Num::Dec(text)) if text.len() > 32 => Err(Stop::Escalate),
        _ => Ok(()),
    }
}

fn local(scope: Scope<'_>, position: usize) -> Result<Val, Stop> {
    let mut scope = scope;
    for _ in 0..position {
        scope = scope.and_then(|locals| locals.outer);
    }
    scope.map(|locals| locals.value.clone()).ok_or(Stop::Escalate)
}
