//! `DefinitionService`.

use std::sync::Arc;

use bytes::Bytes;
use planaria_dsl::{FunctionUse, Problem};
use planaria_proto::types::v1::DefinitionReference;
use planaria_proto::workflow::v1::definition_service_server::DefinitionService;
use planaria_proto::workflow::v1::{
    Definition as DefinitionMessage, DocumentProblem, FunctionUse as FunctionUseMessage,
    GetDefinitionRequest, GetDefinitionResponse, ListDefinitionsRequest, ListDefinitionsResponse,
    PutDefinitionRequest, PutDefinitionResponse, ValidateDefinitionRequest,
    ValidateDefinitionResponse,
};
use planaria_runtime::Identity;
use planaria_runtime::clock::now_ms;
use tonic::{Request, Response, Status};

use super::{Api, access, invalid, page_size};
use crate::convert::timestamp;
use crate::definitions::Definition;
use crate::error::Error;
use crate::store::{DefinitionKey, DefinitionRow};

#[tonic::async_trait]
impl DefinitionService for Api {
    async fn put_definition(
        &self,
        request: Request<PutDefinitionRequest>,
    ) -> Result<Response<PutDefinitionResponse>, Status> {
        let caller = Identity::of(&request)?;
        let source = request.into_inner().source;
        if caller.only_namespace().is_some()
            && let Ok(compiled) = self.definitions.check(&source).await?
        {
            access::writes(&caller, &compiled.namespace)?;
        }
        let (definition, created) = self.definitions.put(source, now_ms()).await?;
        let mut warnings: Vec<DocumentProblem> =
            definition.compiled.warnings.iter().map(problem).collect();
        warnings.extend(self.unknown_functions(&definition.compiled.functions).await?);
        let definition = Some(message(&definition));
        Ok(Response::new(PutDefinitionResponse { definition, warnings, created }))
    }

    async fn validate_definition(
        &self,
        request: Request<ValidateDefinitionRequest>,
    ) -> Result<Response<ValidateDefinitionResponse>, Status> {
        let response = match self.definitions.check(&request.into_inner().source).await? {
            Err(problems) => ValidateDefinitionResponse {
                problems: problems.iter().map(problem).collect(),
                ..ValidateDefinitionResponse::default()
            },
            Ok(compiled) => {
                let mut warnings: Vec<DocumentProblem> =
                    compiled.warnings.iter().map(problem).collect();
                warnings.extend(self.unknown_functions(&compiled.functions).await?);
                let reference = DefinitionReference {
                    namespace: compiled.namespace,
                    name: compiled.name,
                    version: compiled.version,
                };
                let reference = Some(reference);
                ValidateDefinitionResponse { problems: Vec::new(), warnings, reference }
            }
        };
        Ok(Response::new(response))
    }

    async fn get_definition(
        &self,
        request: Request<GetDefinitionRequest>,
    ) -> Result<Response<GetDefinitionResponse>, Status> {
        let caller = Identity::of(&request)?;
        let wanted = access::reference(&caller, request.into_inner().reference)?;
        let definition = self.definitions.resolve(wanted).await?;
        let definition = Some(message(&definition));
        Ok(Response::new(GetDefinitionResponse { definition }))
    }

    async fn list_definitions(
        &self,
        request: Request<ListDefinitionsRequest>,
    ) -> Result<Response<ListDefinitionsResponse>, Status> {
        let caller = Identity::of(&request)?;
        let request = request.into_inner();
        let Ok(namespace) = access::listed(&caller, request.namespace) else {
            return Ok(Response::new(ListDefinitionsResponse::default()));
        };
        let limit = page_size(request.page_size, 100, 500);
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(after(token)?),
        };
        let text = |text: String| (!text.is_empty()).then_some(text);
        let name = text(request.name);
        let found = self
            .definitions
            .list(namespace.as_deref(), name.as_deref(), after.as_ref(), limit as usize)
            .await?;
        let next_page_token = match found.last() {
            Some(last) if found.len() >= limit as usize => token(&last.key),
            _ => String::new(),
        };
        let without_source = |definition: &Arc<Definition>| DefinitionMessage {
            source: Bytes::new(),
            ..message(definition)
        };
        let definitions = found.iter().map(without_source).collect();
        Ok(Response::new(ListDefinitionsResponse { definitions, next_page_token }))
    }
}

impl Api {
    /// Warnings about functions that no connected worker offers.
    async fn unknown_functions(
        &self,
        functions: &[FunctionUse],
    ) -> Result<Vec<DocumentProblem>, Error> {
        let known = self.functions().await?;
        let unknown = functions.iter().filter(|used| !known.contains(&used.function));
        Ok(unknown
            .map(|used| DocumentProblem {
                pointer: used.reference.clone(),
                line: used.place.0,
                column: used.place.1,
                reason: "FUNCTION_UNKNOWN".to_owned(),
                message: format!(
                    "no connected worker offers {}: the task will wait in queue {}",
                    used.function, used.queue
                ),
            })
            .collect())
    }
}

fn problem(problem: &Problem) -> DocumentProblem {
    DocumentProblem {
        pointer: problem.pointer.clone(),
        line: problem.line.unwrap_or(0),
        column: problem.column.unwrap_or(0),
        reason: problem.reason.to_owned(),
        message: problem.message.clone(),
    }
}

pub(super) fn reference(key: &DefinitionKey) -> DefinitionReference {
    DefinitionReference {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        version: key.version.clone(),
    }
}

fn message(definition: &Definition) -> DefinitionMessage {
    let compiled = &definition.compiled;
    let functions = compiled.functions.iter().map(|used| FunctionUseMessage {
        task: used.reference.clone(),
        function: used.function.clone(),
        version: used.version.clone().unwrap_or_default(),
        queue: used.queue.clone(),
    });
    DefinitionMessage {
        title: compiled.title.clone().unwrap_or_default(),
        summary: compiled.summary.clone().unwrap_or_default(),
        source: definition.row.source.clone(),
        functions: functions.collect(),
        ..summary(definition.row.clone())
    }
}

fn summary(row: DefinitionRow) -> DefinitionMessage {
    DefinitionMessage {
        reference: Some(reference(&row.key)),
        digest: row.digest,
        published_at: Some(timestamp(row.published_at_ms)),
        ..DefinitionMessage::default()
    }
}

fn token(key: &DefinitionKey) -> String {
    format!("{}\n{}\n{}", key.namespace, key.name, key.version)
}

fn after(token: &str) -> Result<DefinitionKey, Error> {
    let parts: Vec<&str> = token.split('\n').collect();
    let [namespace, name, version] = parts.as_slice() else {
        let message = "is not a token of an earlier answer";
        return Err(invalid("PAGE_TOKEN_INVALID", "page_token", message));
    };
    Ok(DefinitionKey {
        namespace: (*namespace).to_owned(),
        name: (*name).to_owned(),
        version: (*version).to_owned(),
    })
}
