//! Publishes and shows definitions.

use bytes::Bytes;
use planaria_proto::types::v1::DefinitionReference;
use planaria_proto::workflow::v1 as contract;

use super::Client;
use super::retrying::up_to_three_times;
use crate::Error;

impl Client {
    /// Publishes a document, YAML or JSON.
    ///
    /// # Errors
    /// `DEFINITION_INVALID` (see [`Error::violations`]), `DEFINITION_EXISTS`.
    pub async fn put_definition(
        &self,
        source: impl Into<Bytes>,
    ) -> Result<contract::PutDefinitionResponse, Error> {
        let request = contract::PutDefinitionRequest { source: source.into() };
        up_to_three_times(async || self.definition_service().put_definition(request.clone()).await)
            .await
    }

    /// Checks a document and publishes nothing.
    ///
    /// # Errors
    /// The engine could not be asked; what is wrong with the document is in the answer.
    pub async fn validate_definition(
        &self,
        source: impl Into<Bytes>,
    ) -> Result<contract::ValidateDefinitionResponse, Error> {
        let request = contract::ValidateDefinitionRequest { source: source.into() };
        up_to_three_times(async || {
            self.definition_service().validate_definition(request.clone()).await
        })
        .await
    }

    /// Shows one version; an empty version is the highest.
    ///
    /// # Errors
    /// `DEFINITION_NOT_FOUND`.
    pub async fn get_definition(
        &self,
        reference: DefinitionReference,
    ) -> Result<contract::Definition, Error> {
        let request = contract::GetDefinitionRequest { reference: Some(reference) };
        up_to_three_times(async || self.definition_service().get_definition(request.clone()).await)
            .await
            .map(|answer| answer.definition.unwrap_or_default())
    }

    /// A page of definitions.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    pub async fn list_definitions(
        &self,
        request: contract::ListDefinitionsRequest,
    ) -> Result<contract::ListDefinitionsResponse, Error> {
        up_to_three_times(async || {
            self.definition_service().list_definitions(request.clone()).await
        })
        .await
    }
}
