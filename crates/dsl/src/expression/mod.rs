//! Expressions: what they are once compiled, and where they may run.

mod arguments;
pub(crate) mod bounded;
pub(crate) mod finish;
pub(crate) mod jq;
pub(crate) mod program;
pub(crate) mod schema;
mod session;
mod skeleton;
pub(crate) mod table;
pub(crate) mod value;

pub use finish::Answer;
pub(crate) use session::Work;
pub use session::{EvaluationRequest, IN_PROCESS_BYTES_MAX, MemoEvaluator, OUTPUT_BYTES_MAX};
pub(crate) use skeleton::Skeleton;
pub use table::ExpressionTable;
