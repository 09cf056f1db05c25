//! A worker with one function. Start an engine (`planaria up`), then this; publish a definition
//! that calls `greet` and run it.

use planaria_sdk::{Context, Error, TaskError, Worker};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Guest {
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    text: String,
}

async fn greet(context: Context, guest: Guest) -> Result<Greeting, TaskError> {
    if guest.name.is_empty() {
        return Err(TaskError::permanent("a guest needs a name").with_status(400));
    }
    context.progress("writing");
    Ok(Greeting { text: format!("Hello {}, attempt {}", guest.name, context.attempt()) })
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    Worker::builder(address).function("greet", "1.0.0", greet).build()?.run_until_signal().await
}
