//! `api-key`: who may use the mesh, and for what.

use planaria_proto::gateway::v1::{
    ApiKey, CreateApiKeyRequest, ListApiKeysRequest, RevokeApiKeyRequest, Role,
};
use planaria_runtime::clock::now_ms;
use prost_types::Timestamp;

use super::{Client, call};
use crate::Error;
use crate::output::document::Document;
use crate::output::message::Mapping;
use crate::output::style::Style;
use crate::output::table::{Cell, Table, cell};
use crate::output::time;

const PAGE_SIZE: u32 = 500;
const DAY_S: u64 = 24 * 60 * 60;
const DAYS_MAX: i64 = 36_500;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a key and print it; it is not shown again
    Create(Wanted),
    /// List keys, without their secrets
    List {
        /// Also those that are revoked or expired
        #[arg(long)]
        all: bool,
    },
    /// End a key: within 5 s it opens nothing, and its streams are cut
    Revoke {
        /// The part between `planaria_` and the next `_`
        id: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Wanted {
    /// What it is for
    #[arg(long, value_enum)]
    role: RoleName,
    /// The only namespace that it sees, or `*` for all; without it, your own key's
    #[arg(long, default_value = "")]
    namespace: String,
    /// What people call it
    #[arg(long, default_value = "")]
    label: String,
    /// How long it is good; without it, as long as the gateway says
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    days: Option<u32>,
    /// How many calls it may make at each gateway; 0 is the gateway's own setting
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    requests_per_second: u32,
    /// How many of them at once; 0 is the gateway's own setting
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    requests_burst: u32,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RoleName {
    /// Looks at everything in its namespace
    Reader,
    /// Reads; publishes definitions, starts and steers workflows
    Operator,
    /// Pulls tasks and reports results, nothing else
    Worker,
    /// Everything, keys included
    Admin,
}

pub(crate) async fn execute(client: &Client, command: Command) -> Result<(), Error> {
    match command {
        Command::Create(wanted) => create(client, wanted).await,
        Command::List { all } => {
            let nothing = "no API keys; make one with `planaria api-key create --role ROLE`";
            client.show_list(&list(client, all).await?, nothing, table)
        }
        Command::Revoke { id } => {
            let request = call(RevokeApiKeyRequest { id: id.clone() });
            let result = client.access().revoke_api_key(request).await;
            result.map_err(|status| client.refused(format!("cannot revoke {id}"), status))?;
            client.done(&format!("{id} is revoked"))
        }
    }
}

async fn create(client: &Client, wanted: Wanted) -> Result<(), Error> {
    let role = match wanted.role {
        RoleName::Reader => Role::Reader,
        RoleName::Operator => Role::Operator,
        RoleName::Worker => Role::Worker,
        RoleName::Admin => Role::Admin,
    };
    let request = CreateApiKeyRequest {
        label: wanted.label,
        namespace: wanted.namespace,
        role: role.into(),
        expires_at: wanted.days.map(after),
        requests_per_second: wanted.requests_per_second,
        requests_burst: wanted.requests_burst,
    };
    let result = client.access().create_api_key(call(request)).await;
    let created = result.map_err(|status| client.refused("no key was made", status))?.into_inner();
    let key = created.key.unwrap_or_default();
    if client.output.is_json() {
        let mut document = Mapping::new()?.document(&key)?;
        if let Document::Object(members) = &mut document {
            members.push(("secret".to_owned(), created.secret.into()));
        }
        return client.output.document(&document);
    }
    let until = time::relative(key.expires_at.as_ref());
    client.output.note(&format!(
        "{} of {}, ends {until}; this is shown once, keep it where secrets are kept:",
        name(key.role()),
        key.namespace
    ));
    client.output.line(&created.secret)
}

fn after(days: u32) -> Timestamp {
    let seconds = now_ms() / 1_000 + u64::from(days) * DAY_S;
    Timestamp { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanos: 0 }
}

async fn list(client: &Client, all: bool) -> Result<Vec<ApiKey>, Error> {
    let mut keys = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListApiKeysRequest { all, page_size: PAGE_SIZE, page_token };
        let page = client.access().list_api_keys(call(request)).await;
        let page = page.map_err(|status| client.refused("cannot list keys", status))?.into_inner();
        keys.extend(page.keys);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(keys);
        }
    }
}

fn table(keys: &[ApiKey]) -> Table {
    let titles = ["ID", "LABEL", "ROLE", "NAMESPACE", "CREATED", "BY", "ENDS"];
    let mut table = Table::new(&titles);
    for key in keys {
        table.row([
            key.id.as_str().into(),
            key.label.as_str().into(),
            name(key.role()).into(),
            key.namespace.as_str().into(),
            time::relative(key.created_at.as_ref()).into(),
            cell(Style::Dim, key.created_by.as_str()),
            ends(key),
        ]);
    }
    table
}

fn ends(key: &ApiKey) -> Cell {
    match &key.revoked_at {
        Some(at) => cell(Style::Bad, format!("revoked {}", time::relative(Some(at)))),
        None => time::relative(key.expires_at.as_ref()).into(),
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Reader => "reader",
        Role::Operator => "operator",
        Role::Worker => "worker",
        Role::Admin => "admin",
        Role::Unspecified => "unknown",
    }
}
