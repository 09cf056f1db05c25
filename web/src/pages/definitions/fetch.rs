//! Asking for definitions.

use planaria_proto::types::v1::DefinitionReference;
use planaria_proto::workflow::v1::{Definition, GetDefinitionRequest, ListDefinitionsRequest};

use crate::mesh::{self, Failure};

const PAGE: u32 = 500;

/// All definitions of a namespace and a name; empty = of all.
pub(crate) async fn all(namespace: String, name: String) -> Result<Vec<Definition>, Failure> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListDefinitionsRequest {
            namespace: namespace.clone(),
            name: name.clone(),
            page_size: PAGE,
            page_token,
        };
        let answer = mesh::definitions().list_definitions(request).await?.into_inner();
        found.extend(answer.definitions);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(found);
        }
    }
}

/// One version with its source; the highest if none is named.
pub(crate) async fn one(reference: DefinitionReference) -> Result<Definition, Failure> {
    let request = GetDefinitionRequest { reference: Some(reference) };
    let answer = mesh::definitions().get_definition(request).await?;
    Ok(answer.into_inner().definition.unwrap_or_default())
}
