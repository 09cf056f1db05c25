//! The builtins of the metered part. What is unusual (a wrong type, invalid UTF-8) is left to
//! jaq, which knows what it does with it.

use jaq_json::{Num, Val};

use super::run::{Flow, Machine, Stop, plain_number};
use super::{Builtin, BuiltinWith, text_value};

/// Runs a builtin on its input.
pub(super) fn run(machine: &Machine<'_>, builtin: Builtin, input: Val) -> Result<Val, Stop> {
    match builtin {
        Builtin::Length => length(machine, &input),
        Builtin::Keys => keys(machine, &input, true),
        Builtin::KeysUnsorted => keys(machine, &input, false),
        Builtin::ToString if matches!(input, Val::TStr(_)) => Ok(input),
        Builtin::ToString | Builtin::ToJson => {
            machine.charge_whole(&input)?;
            Ok(text_value(input.to_string()))
        }
        Builtin::Downcase => {
            text(machine, &input).map(|text| text_value(text.to_ascii_lowercase()))
        }
        Builtin::Upcase => text(machine, &input).map(|text| text_value(text.to_ascii_uppercase())),
        Builtin::Floor => rounded(input, f64::floor),
        Builtin::Ceil => rounded(input, f64::ceil),
        Builtin::Round => rounded(input, f64::round),
        Builtin::Type => Ok(text_value(match input {
            Val::Null => "null",
            Val::Bool(_) => "boolean",
            Val::Num(_) => "number",
            Val::BStr(_) | Val::TStr(_) => "string",
            Val::Arr(_) => "array",
            Val::Obj(_) => "object",
        })),
    }
}

/// Runs a builtin on its input and argument.
pub(super) fn run_with(
    machine: &Machine<'_>,
    builtin: BuiltinWith,
    input: &Val,
    argument: Val,
) -> Result<Val, Stop> {
    match builtin {
        BuiltinWith::Error => Err(Stop::Error(jaq_core::Error::new(argument))),
        BuiltinWith::Has => has(machine, input, &argument),
        BuiltinWith::StartsWith => {
            let (text, fix) = (text(machine, input)?, text(machine, &argument)?);
            Ok(Val::from(text.starts_with(fix)))
        }
        BuiltinWith::EndsWith => {
            let (text, fix) = (text(machine, input)?, text(machine, &argument)?);
            Ok(Val::from(text.ends_with(fix)))
        }
        BuiltinWith::TrimStart => {
            let (whole, fix) = (text(machine, input)?, text(machine, &argument)?);
            let rest = whole.strip_prefix(fix).map(text_value);
            Ok(rest.unwrap_or_else(|| input.clone()))
        }
        BuiltinWith::TrimEnd => {
            let (whole, fix) = (text(machine, input)?, text(machine, &argument)?);
            let rest = whole.strip_suffix(fix).map(text_value);
            Ok(rest.unwrap_or_else(|| input.clone()))
        }
    }
}

/// The text of a string, paid for.
fn text<'v>(machine: &Machine<'_>, value: &'v Val) -> Result<&'v str, Stop> {
    let Val::TStr(bytes) = value else { return Err(Stop::Escalate) };
    machine.charge_bytes(bytes.len())?;
    std::str::from_utf8(bytes).map_err(|_| Stop::Escalate)
}

fn length(machine: &Machine<'_>, input: &Val) -> Result<Val, Stop> {
    match input {
        Val::Null => Ok(Val::from(0_usize)),
        Val::TStr(_) => text(machine, input).map(|text| Val::from(text.chars().count())),
        Val::Arr(items) => Ok(Val::from(items.len())),
        Val::Obj(members) => Ok(Val::from(members.len())),
        Val::Bool(_) | Val::Num(_) | Val::BStr(_) => Err(Stop::Escalate),
    }
}

fn keys(machine: &Machine<'_>, input: &Val, sorted: bool) -> Result<Val, Stop> {
    let pay = |count: usize| -> Flow { machine.charge(count * 4 + 1) };
    match input {
        Val::Obj(members) => {
            pay(members.len())?;
            let mut keys: Vec<Val> = members.keys().cloned().collect();
            for key in &keys {
                machine.charge_whole(key)?;
            }
            if sorted {
                keys.sort();
            }
            Ok(keys.into_iter().collect())
        }
        Val::Arr(items) => {
            pay(items.len())?;
            Ok((0..items.len()).map(Val::from).collect())
        }
        _ => Err(Stop::Escalate),
    }
}

fn has(machine: &Machine<'_>, input: &Val, key: &Val) -> Result<Val, Stop> {
    match (input, key) {
        (Val::Obj(members), Val::TStr(name)) => {
            machine.charge_bytes(name.len())?;
            Ok(Val::from(members.contains_key(key)))
        }
        (Val::Arr(items), Val::Num(Num::Int(position))) if *position >= 0 => {
            Ok(Val::from(position.unsigned_abs() < items.len()))
        }
        _ => Err(Stop::Escalate),
    }
}

fn rounded(input: Val, round: fn(f64) -> f64) -> Result<Val, Stop> {
    plain_number(&input)?;
    let float = match &input {
        Val::Num(Num::Int(_)) => return Ok(input),
        Val::Num(Num::Float(float)) => *float,
        Val::Num(Num::Dec(text)) => text.parse().map_err(|_| Stop::Escalate)?,
        _ => return Err(Stop::Escalate),
    };
    let float = round(float);
    if float.abs() > 1e15 || float.is_nan() {
        return Err(Stop::Escalate);
    }
    // Within 1e15 every float without a fraction is an integer.
    #[allow(clippy::cast_possible_truncation)]
    let integer = float as isize;
    Ok(Val::from(integer))
}
