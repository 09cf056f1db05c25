//! Whether the gateway asks for a key, and whether it knows one, before the browser keeps it.

use planaria_proto::workflow::v1::ListDefinitionsRequest;
use planaria_proto::workflow::v1::definition_service_client::DefinitionServiceClient;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

use super::Failure;
use super::client::gateway;

/// Knocks with a key, or without one. A key whose role is too small for the question is known, too.
pub(crate) async fn knock(key: Option<&str>) -> Result<(), Failure> {
    let mut request = Request::new(ListDefinitionsRequest { page_size: 1, ..Default::default() });
    if let Some(key) = key {
        let value = MetadataValue::try_from(format!("Bearer {key}"))
            .map_err(|_| Status::unauthenticated("the API key has characters that no key has"))?;
        request.metadata_mut().insert("authorization", value);
    }
    match DefinitionServiceClient::new(gateway()).list_definitions(request).await {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::PermissionDenied => Ok(()),
        Err(status) => Err(status.into()),
    }
}
