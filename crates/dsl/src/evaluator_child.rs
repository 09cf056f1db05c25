//! The evaluator process, from inside: reads questions, answers them, ends with its input.
//!
//! It limits itself before it reads the first question: no core files, no further files, a bound
//! on its address space. A question that breaks a limit ends the process; the pool sees that.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::process::ExitCode;

use jaq_json::Val;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::expression::finish::ProgramResult;
use crate::expression::jq::{self, Engine};
use crate::expression::{schema, value};
use crate::pool::{Hello, Reply, Request};

/// The hidden argument that makes the `planaria` binary an evaluator.
pub const ARGUMENT: &str = "__evaluate";

/// How many compiled programs are kept.
const PROGRAMS_KEPT: usize = 64;

/// Seconds of processor time after which the kernel ends an evaluation, should nobody else.
const CPU_SECONDS_MAX: u64 = 2;

/// Answers questions from standard input on standard output until the input ends.
#[must_use]
pub fn main() -> ExitCode {
    match serve(&mut std::io::stdin().lock(), &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(input: &mut impl Read, output: &mut impl Write) -> std::io::Result<()> {
    let Some(hello) = read(input)? else { return Ok(()) };
    let hello = Hello::decode(&hello).ok_or_else(|| std::io::Error::other("no hello"))?;
    limit(&hello)?;
    let mut evaluator = Evaluator { engine: Engine::new(), programs: HashMap::new() };
    while let Some(frame) = read(input)? {
        limit_processor_time()?;
        let results = match Request::decode(&frame) {
            Some(request) => evaluator.answer(&request),
            None => return Err(std::io::Error::other("nonsense")),
        };
        let reply = Reply::encode(processor_time_ns(), &results);
        let length = u32::try_from(reply.len()).map_err(std::io::Error::other)?;
        output.write_all(&length.to_le_bytes())?;
        output.write_all(&reply)?;
        output.flush()?;
    }
    Ok(())
}

/// The next frame; `None` at the end of the input.
fn read(input: &mut impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        outcome => outcome?,
    }
    let mut frame = vec![0; u32::from_le_bytes(length) as usize];
    input.read_exact(&mut frame)?;
    Ok(Some(frame))
}

/// Sets the limits that hold for the whole life of the process.
fn limit(hello: &Hello) -> std::io::Result<()> {
    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        // Standard input, output and error are open already; nothing else ever is.
        (Resource::Nofile, 0),
        (Resource::As, hello.memory_bytes_max),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Allows the process some more seconds from now on.
fn limit_processor_time() -> std::io::Result<()> {
    let used = processor_time_ns() / 1_000_000_000;
    let maximum = getrlimit(Resource::Cpu).maximum;
    setrlimit(Resource::Cpu, Rlimit { current: Some(used + CPU_SECONDS_MAX), maximum })?;
    Ok(())
}

fn processor_time_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

struct Evaluator {
    engine: Engine,
    programs: HashMap<(String, Vec<String>), jq::Filter>,
}

impl Evaluator {
    fn answer(&mut self, request: &Request<'_>) -> Vec<ProgramResult> {
        match request {
            Request::Schema { schema, value } => vec![validate(schema, value)],
            Request::Programs { programs, input, output_bytes_max } => programs
                .iter()
                .map(|question| {
                    self.run(question.text, &question.arguments, input, *output_bytes_max)
                })
                .collect(),
        }
    }

    fn run(
        &mut self,
        text: &str,
        arguments: &[(&str, &[u8])],
        input: &[u8],
        output_bytes_max: usize,
    ) -> ProgramResult {
        let values: Result<Vec<Val>, String> =
            arguments.iter().map(|(_, text)| value::read(text)).collect();
        let (values, input) = (values?, value::read(input)?);
        let filter = self.filter(text, arguments)?;
        value::write(&jq::run(filter, values, input)?, output_bytes_max)
    }

    /// The compiled program, kept for the next time.
    fn filter(&mut self, text: &str, arguments: &[(&str, &[u8])]) -> Result<&jq::Filter, String> {
        let names: Vec<&str> = arguments.iter().map(|(name, _)| *name).collect();
        let key = (text.to_owned(), names.iter().map(|name| (*name).to_owned()).collect());
        if self.programs.len() >= PROGRAMS_KEPT && !self.programs.contains_key(&key) {
            self.programs.clear();
        }
        match self.programs.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let filter = self.engine.compile(text, &names);
                Ok(entry.insert(filter.map_err(|invalid| invalid.message)?))
            }
        }
    }
}

fn validate(schema: &[u8], value: &[u8]) -> ProgramResult {
    let parse = |text: &[u8]| -> Result<serde_json::Value, String> {
        serde_json::from_slice(text).map_err(|error| error.to_string())
    };
    let validator = schema::compile(&parse(schema)?)?;
    schema::validate(&validator, &parse(value)?).map(|()| Vec::new())
}
