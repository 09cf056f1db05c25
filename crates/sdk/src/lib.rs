//! Write Planaria workers and clients in Rust.
//!
//! A [`Worker`] announces functions, pulls their tasks, executes and reports them. It opens lost
//! connections again by itself; when it is told to leave it hands back what is not done.
//!
//! A [`Client`] starts, shows and steers workflows.
//!
//! ```no_run
//! use planaria_sdk::{Context, TaskError, Worker};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! struct Charge {
//!     amount: u32,
//! }
//!
//! #[derive(Serialize)]
//! struct Receipt {
//!     charged: u32,
//! }
//!
//! async fn charge_card(context: Context, charge: Charge) -> Result<Receipt, TaskError> {
//!     if charge.amount == 0 {
//!         return Err(TaskError::permanent("nothing to charge").with_status(400));
//!     }
//!     // The same for every attempt: the bank charges once.
//!     let _key = context.idempotency_key();
//!     Ok(Receipt { charged: charge.amount })
//! }
//!
//! # async fn run() -> Result<(), planaria_sdk::Error> {
//! Worker::builder("http://127.0.0.1:8080")
//!     .id("payments-1")
//!     .queue("payments")
//!     .function("charge-card", "1.2.0", charge_card)
//!     .build()?
//!     .run_until_signal()
//!     .await
//! # }
//! ```

//!
//! Both take part in the traces of workflows. What a function does inside of [`tracing`] spans
//! becomes part of its attempt in the trace if the program installs a [`telemetry::TraceLayer`];
//! a client with a [`Client::tracer`] begins the traces of the workflows that it starts.

mod attempt;
mod backoff;
mod channel;
mod client;
mod clock;
mod context;
mod error;
mod function;
mod inventory;
mod task_error;
mod worker;

pub use channel::Channel;
pub use client::{Client, Start, Watch};
pub use context::Context;
pub use error::Error;
pub use function::RetryPolicy;
pub use planaria_proto as contract;
pub use planaria_proto::types::v1::Payload;
pub use planaria_telemetry as telemetry;
pub use task_error::{COMMUNICATION, CONFIGURATION, RUNTIME, TIMEOUT, TaskError, VALIDATION};
pub use tokio_util::sync::CancellationToken;
pub use worker::{Worker, WorkerBuilder, WorkerHandle};
