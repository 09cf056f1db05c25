//! `migrate`: brings every service's schema of the database up to date, and ends.

use std::path::PathBuf;

use planaria_runtime::StoreSettings;
use planaria_runtime::config::Source;
use planaria_store::{PostgresPlan, PostgresSchema, postgres};

use super::settings::Settings;
use crate::Error;
use crate::error::chain;
use crate::output::Output;
use crate::output::document::Document;
use crate::output::table::Table;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The settings, in TOML; variables PLANARIA__SECTION__KEY go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Who keeps something, and where.
const SCHEMAS: &[(&str, PostgresSchema)] = &[
    (planaria_gateway::NAME, planaria_gateway::SCHEMA),
    (planaria_orchestrator::NAME, planaria_orchestrator::SCHEMA),
    (planaria_retry_engine::NAME, planaria_retry_engine::SCHEMA),
    (planaria_notification::NAME, planaria_notification::SCHEMA),
    (planaria_monitoring::NAME, planaria_monitoring::SCHEMA),
];

/// Does what is missing and prints it.
pub(crate) fn execute(arguments: &Arguments, output: Output) -> Result<(), Error> {
    let source = Source::read(arguments.config.as_deref())?;
    let settings = Settings::read(&source)?;
    if !settings.store.is_postgres() {
        return Err(Error::input(
            "the settings name no database",
            "set `url` in [store]; without one, each service has a file of its own and brings it \
             up to date when it starts",
        ));
    }
    super::runtime()?.block_on(migrate(&plan(&settings.store), output))
}

fn plan(settings: &StoreSettings) -> PostgresPlan {
    PostgresPlan {
        url: settings.url.clone(),
        connections_max: settings.connections_max,
        connect_ms_max: settings.connect_ms_max,
        statement_ms_max: settings.statement_ms_max,
        migrate: true,
    }
}

async fn migrate(plan: &PostgresPlan, output: Output) -> Result<(), Error> {
    let mut table = Table::new(&["SERVICE", "SCHEMA", "STEPS DONE"]);
    let mut documents = Vec::new();
    for (service, schema) in SCHEMAS {
        let done = postgres::migrate(plan, schema)
            .await
            .map_err(|error| Error::Service { service, why: chain(&error) })?;
        let steps = if done.is_empty() { "it was up to date".into() } else { done.join(", ") };
        table.row([(*service).into(), schema.name.into(), steps.into()]);
        let done = done.into_iter().map(Document::from).collect();
        documents.push(Document::object([
            ("service", Document::from(*service)),
            ("schema", Document::from(schema.name)),
            ("done", Document::List(done)),
        ]));
    }
    if output.is_json() {
        output.document(&Document::List(documents))
    } else {
        output.table(&table, "")
    }
}
