//! The API key that this browser shows, if it has one.

use leptos::prelude::window;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::{Request, Status};

const PLACE: &str = "planaria-api-key";

/// The key, in the browser's storage of this origin.
pub(crate) struct Key;

impl Key {
    pub(crate) fn get() -> Option<String> {
        storage()?.get_item(PLACE).ok()?.filter(|key| !key.is_empty())
    }

    pub(crate) fn set(key: &str) {
        if let Some(storage) = storage() {
            // A browser that keeps nothing asks again at the next load.
            let _ = storage.set_item(PLACE, key);
        }
    }

    pub(crate) fn forget() {
        if let Some(storage) = storage() {
            let _ = storage.remove_item(PLACE);
        }
    }
}

fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok()?
}

/// Shows the key with each call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShowKey;

impl Interceptor for ShowKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = Key::get() {
            let value = MetadataValue::try_from(format!("Bearer {key}")).map_err(|_| {
                Status::unauthenticated("the API key has characters that no key has")
            })?;
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}
