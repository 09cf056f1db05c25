//! Starting a redrive by filter, or only counting what it would redrive.

use planaria_proto::retry::v1::{DeadLetterState, Redrive, RedriveState, StartRedriveRequest};
use planaria_runtime::clock;
use uuid::Uuid;

use crate::config::RedriveConfig;
use crate::convert;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::records::Filter;
use crate::redriver;
use crate::store::RedriveRow;

/// Starts what is asked for, once for each id.
pub(crate) async fn start(
    ledger: &Ledger,
    config: &RedriveConfig,
    request: StartRedriveRequest,
) -> Result<Redrive, Error> {
    let StartRedriveRequest { redrive_id, filter, rate, input, dry_run } = request;
    if convert::filter(filter.clone()) == Filter::default() {
        return Err(Error::FilterEmpty);
    }
    let input = input.as_ref().map(json).transpose()?;
    let rate = if rate > 0.0 { rate.min(config.rate_max) } else { config.rate };
    let id = if redrive_id.is_empty() { Uuid::new_v4().to_string() } else { redrive_id };
    // What is written in the same millisecond was there already.
    let started_ms = clock::now_ms().saturating_add(1);
    let mut redrive = Redrive {
        id,
        state: RedriveState::Running.into(),
        filter,
        rate,
        started_at: Some(convert::timestamp(started_ms)),
        ..Redrive::default()
    };
    let named = redriver::filter(&redrive);
    redrive.matched = ledger.store.dead_letter_count(DeadLetterState::Open, &named).await?;
    if dry_run {
        return Ok(Redrive { id: String::new(), state: 0, started_at: None, ..redrive });
    }
    let asked = RedriveRow { redrive, input };
    let started = ledger.store.start_redrive(&asked).await?;
    let same = |row: &RedriveRow| {
        (row.redrive.filter.clone(), row.redrive.rate.to_bits(), row.input.clone())
    };
    if same(&asked) != same(&started) {
        return Err(Error::RedriveDiffers(asked.redrive.id));
    }
    ledger.redrive_started.notify_one();
    Ok(started.redrive)
}

/// The bytes of an input, which must be JSON.
pub(crate) fn json(input: &planaria_proto::types::v1::Payload) -> Result<Vec<u8>, Error> {
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&input.data);
    is_json.map_err(|error| Error::InputInvalid(error.to_string()))?;
    Ok(input.data.to_vec())
}
