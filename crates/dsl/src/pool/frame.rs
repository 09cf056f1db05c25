//! What the pool and its processes say to each other: frames of a length and that many bytes, in
//! which each text again has its length before it. All numbers are little-endian.

use crate::expression::finish::ProgramResult;
use crate::expression::{EvaluationRequest, Work};

/// The first frame to a process: its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// Address space in bytes.
    pub(crate) memory_bytes_max: u64,
}

impl Hello {
    pub(crate) fn encode(self) -> Vec<u8> {
        self.memory_bytes_max.to_le_bytes().to_vec()
    }

    pub(crate) fn decode(frame: &[u8]) -> Option<Self> {
        Some(Self { memory_bytes_max: u64::from_le_bytes(frame.try_into().ok()?) })
    }
}

/// A question, as the process reads it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request<'f> {
    /// Run programs on an input; results may have so many bytes.
    Programs { programs: Vec<Question<'f>>, input: &'f [u8], output_bytes_max: usize },
    /// Validate a value.
    Schema { schema: &'f [u8], value: &'f [u8] },
}

/// One program of a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question<'f> {
    /// Its text.
    pub(crate) text: &'f str,
    /// Names (with the dollar sign) and values of its arguments.
    pub(crate) arguments: Vec<(&'f str, &'f [u8])>,
}

const PROGRAMS: u32 = 0;
const SCHEMA: u32 = 1;

impl<'f> Request<'f> {
    pub(crate) fn encode(request: &EvaluationRequest) -> Vec<u8> {
        let mut frame = Vec::new();
        match &request.work {
            Work::Programs { expression, arguments, input } => {
                put_number(&mut frame, PROGRAMS);
                put_number(&mut frame, number(request.output_bytes_max));
                put_number(&mut frame, number(expression.programs.len()));
                for (program, values) in expression.programs.iter().zip(arguments) {
                    put(&mut frame, program.text.as_bytes());
                    put_number(&mut frame, number(values.len()));
                    for (argument, value) in program.arguments.iter().zip(values) {
                        put(&mut frame, argument.name.as_bytes());
                        put(&mut frame, value.as_bytes());
                    }
                }
                put(&mut frame, input.as_bytes());
            }
            Work::Schema { schema, value } => {
                put_number(&mut frame, SCHEMA);
                put(&mut frame, schema.text.as_bytes());
                put(&mut frame, value.as_bytes());
            }
        }
        frame
    }

    pub(crate) fn decode(frame: &'f [u8]) -> Option<Self> {
        let mut rest = frame;
        match take_number(&mut rest)? {
            PROGRAMS => {
                let output_bytes_max = take_number(&mut rest)? as usize;
                let mut programs = Vec::new();
                for _ in 0..take_number(&mut rest)? {
                    let text = std::str::from_utf8(take(&mut rest)?).ok()?;
                    let mut arguments = Vec::new();
                    for _ in 0..take_number(&mut rest)? {
                        let name = std::str::from_utf8(take(&mut rest)?).ok()?;
                        arguments.push((name, take(&mut rest)?));
                    }
                    programs.push(Question { text, arguments });
                }
                let input = take(&mut rest)?;
                Some(Self::Programs { programs, input, output_bytes_max })
            }
            SCHEMA => Some(Self::Schema { schema: take(&mut rest)?, value: take(&mut rest)? }),
            _ => None,
        }
    }
}

/// An answer: the processor time that the process has used so far, then what each program yielded.
pub(crate) struct Reply;

impl Reply {
    pub(crate) fn encode(cpu_ns: u64, results: &[ProgramResult]) -> Vec<u8> {
        let mut frame = cpu_ns.to_le_bytes().to_vec();
        put_number(&mut frame, number(results.len()));
        for result in results {
            let (status, text) = match result {
                Ok(text) => (0, text.as_slice()),
                Err(message) => (1, message.as_bytes()),
            };
            put_number(&mut frame, status);
            put(&mut frame, text);
        }
        frame
    }

    /// The processor time in nanoseconds.
    pub(crate) fn cpu_ns(frame: &[u8]) -> Option<u64> {
        Some(u64::from_le_bytes(frame.get(..8)?.try_into().ok()?))
    }

    pub(crate) fn decode(frame: &[u8]) -> Result<Vec<ProgramResult>, String> {
        let decode = || {
            let mut rest = frame.get(8..)?;
            let mut results = Vec::new();
            for _ in 0..take_number(&mut rest)? {
                let failed = take_number(&mut rest)? != 0;
                let text = take(&mut rest)?;
                results.push(if failed {
                    Err(String::from_utf8_lossy(text).into_owned())
                } else {
                    Ok(text.to_vec())
                });
            }
            Some(results)
        };
        decode().ok_or_else(|| "the evaluator answered nonsense".to_owned())
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn put_number(frame: &mut Vec<u8>, value: u32) {
    frame.extend_from_slice(&value.to_le_bytes());
}

fn put(frame: &mut Vec<u8>, bytes: &[u8]) {
    put_number(frame, number(bytes.len()));
    frame.extend_from_slice(bytes);
}

fn take_number(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_le_bytes(*head))
}

fn take<'f>(rest: &mut &'f [u8]) -> Option<&'f [u8]> {
    let length = take_number(rest)? as usize;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_survive_and_nonsense_is_refused() {
        let results = vec![Ok(b"{}".to_vec()), Err("no".to_owned())];
        let frame = Reply::encode(7, &results);
        assert_eq!(Reply::cpu_ns(&frame), Some(7));
        assert_eq!(Reply::decode(&frame), Ok(results));
        for length in 0..frame.len() {
            assert!(Reply::decode(&frame[..length]).is_err());
            assert_eq!(Request::decode(&frame[..length]), None);
        }
        let hello = Hello { memory_bytes_max: 5 };
        assert_eq!(Hello::decode(&hello.encode()), Some(hello));
    }
}
