//! `health`: whether the service at an address serves, for probes: the exit status tells.

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Client, call};
use crate::Error;
use crate::output::document::Document;
use crate::output::style::Style;

/// Asks `grpc.health.v1`, which the gateway and every service answer to everybody.
pub(crate) async fn execute(client: &Client) -> Result<(), Error> {
    let request = call(HealthCheckRequest { service: String::new() });
    let answer = HealthClient::new(client.channel.clone()).check(request).await;
    let answer = answer.map_err(|status| client.refused("cannot tell the health", status))?;
    let serving = answer.into_inner().status() == ServingStatus::Serving;
    let (word, style) =
        if serving { ("serving", Style::Good) } else { ("not serving", Style::Bad) };
    let output = client.output;
    if output.is_json() {
        output.document(&Document::object([("serving", serving.into())]))?;
    } else {
        output.line(&output.paint(style, word))?;
    }
    if serving { Ok(()) } else { Err(Error::Ended(crate::error::FAILED)) }
}
