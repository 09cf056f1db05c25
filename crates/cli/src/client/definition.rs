//! `apply`, `validate` and `definition`: published workflow documents.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use planaria_proto::types::v1::DefinitionReference;
use planaria_proto::workflow::v1::{
    Definition, DocumentProblem, GetDefinitionRequest, ListDefinitionsRequest,
    PutDefinitionRequest, PutDefinitionResponse, ValidateDefinitionRequest,
};

use super::{Client, call, input};
use crate::Error;
use crate::error::reason;
use crate::output::style::Style;
use crate::output::table::Table;
use crate::output::time;

/// Definitions asked for at once.
const PAGE_SIZE: u32 = 500;

/// A command about one file.
#[derive(Debug, clap::Args)]
pub(crate) struct FileArguments {
    /// The workflow document, YAML or JSON; - reads standard input
    file: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List definitions
    List {
        /// Only this namespace of documents
        #[arg(long)]
        namespace: Option<String>,
        /// Only this name
        #[arg(long)]
        name: Option<String>,
    },
    /// Show one definition with its source
    Get {
        /// Which: [NAMESPACE/]NAME[:VERSION], the highest version if none is given
        #[arg(value_parser = input::reference)]
        definition: DefinitionReference,
    },
}

pub(crate) async fn execute(client: &Client, command: Command) -> Result<(), Error> {
    match command {
        Command::List { namespace, name } => {
            list(client, namespace.unwrap_or_default(), name.unwrap_or_default()).await
        }
        Command::Get { definition } => get(client, definition).await,
    }
}

/// Publishes a file.
pub(crate) async fn apply(client: &Client, arguments: &FileArguments) -> Result<(), Error> {
    let put = publish(client, &arguments.file).await?;
    warn(client, &arguments.file, &put.warnings);
    client.show(&put, |put| {
        let name = input::written(put.definition.as_ref().and_then(|d| d.reference.as_ref()));
        let word = if put.created { "published" } else { "unchanged" };
        client.output.line(&format!("{name} {}", client.output.paint(Style::Good, word)))
    })
}

/// Publishes the document of a file; its problems become the error.
pub(super) async fn publish(client: &Client, file: &Path) -> Result<PutDefinitionResponse, Error> {
    let source = input::file(file)?;
    let request = call(PutDefinitionRequest { source: source.clone() });
    let status = match client.definitions().put_definition(request).await {
        Ok(response) => return Ok(response.into_inner()),
        Err(status) => status,
    };
    if reason(&status).as_deref() == Some("DEFINITION_INVALID") {
        let problems = check(client, source).await?.0;
        if !problems.is_empty() {
            return Err(Error::Document { problems: located(file, &problems) });
        }
    }
    Err(client.refused(format!("cannot publish {}", file.display()), status))
}

/// Checks a file.
pub(crate) async fn validate(client: &Client, arguments: &FileArguments) -> Result<(), Error> {
    let file = &arguments.file;
    let request = call(ValidateDefinitionRequest { source: input::file(file)? });
    let response = client.definitions().validate_definition(request).await;
    let checked = response
        .map_err(|status| client.refused(format!("cannot check {}", file.display()), status))?
        .into_inner();
    client.show(&checked, |checked| {
        warn(client, file, &checked.warnings);
        if !checked.problems.is_empty() {
            return Ok(());
        }
        let name = input::written(checked.reference.as_ref());
        client.output.line(&format!("{name} {}", client.output.paint(Style::Good, "is valid")))
    })?;
    match checked.problems.as_slice() {
        [] => Ok(()),
        problems => Err(Error::Document { problems: located(file, problems) }),
    }
}

async fn check(
    client: &Client,
    source: Bytes,
) -> Result<(Vec<DocumentProblem>, Vec<DocumentProblem>), Error> {
    let request = call(ValidateDefinitionRequest { source });
    let response = client.definitions().validate_definition(request).await;
    let checked = response.map_err(|status| client.refused("cannot check the file", status))?;
    let checked = checked.into_inner();
    Ok((checked.problems, checked.warnings))
}

/// Tells the warnings, if there are any.
pub(super) fn warn(client: &Client, file: &Path, warnings: &[DocumentProblem]) {
    if warnings.is_empty() {
        return;
    }
    let word = client.output.paint_note(Style::Warm, "warning:");
    for line in located(file, warnings).lines() {
        client.output.note(&format!("{word} {line}"));
    }
}

/// One line for each: `file:line:column: pointer: reason: message`, as far as they are known.
fn located(file: &Path, problems: &[DocumentProblem]) -> String {
    let mut text = String::new();
    for problem in problems {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = write!(text, "{}:", file.display());
        if problem.line > 0 {
            let _ = write!(text, "{}:{}:", problem.line, problem.column);
        }
        if !problem.pointer.is_empty() {
            let _ = write!(text, " {}:", problem.pointer);
        }
        let _ = write!(text, " {}: {}", problem.reason, problem.message);
    }
    text
}

async fn list(client: &Client, namespace: String, name: String) -> Result<(), Error> {
    let mut definitions = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = call(ListDefinitionsRequest {
            namespace: namespace.clone(),
            name: name.clone(),
            page_size: PAGE_SIZE,
            page_token,
        });
        let page = client.definitions().list_definitions(request).await;
        let page = page.map_err(|status| client.refused("cannot list definitions", status))?;
        let page = page.into_inner();
        definitions.extend(page.definitions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    client.show_list(&definitions, "no definitions; publish one: planaria apply FILE", table)
}

fn table(definitions: &[Definition]) -> Table {
    let mut table = Table::new(&["DEFINITION", "TITLE", "FUNCTIONS", "PUBLISHED"]);
    for definition in definitions {
        let mut functions: Vec<_> =
            definition.functions.iter().map(|used| used.function.as_str()).collect();
        functions.sort_unstable();
        functions.dedup();
        table.row([
            input::written(definition.reference.as_ref()).into(),
            definition.title.as_str().into(),
            functions.join(" ").into(),
            time::relative(definition.published_at.as_ref()).into(),
        ]);
    }
    table
}

async fn get(client: &Client, reference: DefinitionReference) -> Result<(), Error> {
    let name = input::written(Some(&reference));
    let request = call(GetDefinitionRequest { reference: Some(reference) });
    let response = client.definitions().get_definition(request).await;
    let response = response.map_err(|status| client.refused(format!("cannot get {name}"), status));
    let definition = response?.into_inner().definition.unwrap_or_default();
    // The source as it was published, so that it can be edited and applied again.
    client.show(&definition, |definition| client.output.bytes(&definition.source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_where_editors_find_them() {
        let problem = |line, column, pointer: &str| DocumentProblem {
            pointer: pointer.into(),
            line,
            column,
            reason: "NOT_SUPPORTED_YET".into(),
            message: "`run: container` is not supported yet".into(),
        };
        let problems = [problem(7, 9, "/do/0/a"), problem(0, 0, "/do/1/b"), problem(0, 0, "")];
        assert_eq!(
            located(Path::new("order.yaml"), &problems),
            "order.yaml:7:9: /do/0/a: NOT_SUPPORTED_YET: `run: container` is not supported yet\n\
             order.yaml: /do/1/b: NOT_SUPPORTED_YET: `run: container` is not supported yet\n\
             order.yaml: NOT_SUPPORTED_YET: `run: container` is not supported yet"
        );
    }
}
