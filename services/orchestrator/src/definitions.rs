//! Published definitions, compiled once and kept.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use planaria_dsl::{Compiled, Problem};
use planaria_proto::types::v1::DefinitionReference;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::store::{DefinitionKey, DefinitionRow, WorkflowStore};

/// A published definition, ready to run.
#[derive(Debug)]
pub(crate) struct Definition {
    /// Its key.
    pub key: Arc<DefinitionKey>,
    /// As it was published.
    pub row: DefinitionRow,
    /// As it runs.
    pub compiled: Compiled,
}

/// The definitions of the store, through a cache.
pub(crate) struct Definitions {
    store: Arc<dyn WorkflowStore>,
    cache: Mutex<HashMap<DefinitionKey, Arc<Definition>>>,
    document_bytes_max: usize,
}

/// Compiled definitions kept; more are compiled again when needed.
const CACHED_MAX: usize = 1_000;

impl Definitions {
    /// An empty cache over a store.
    #[must_use]
    pub(crate) fn new(store: Arc<dyn WorkflowStore>, document_bytes_max: usize) -> Self {
        Self { store, cache: Mutex::default(), document_bytes_max }
    }

    /// Compiles a document without publishing it.
    ///
    /// # Errors
    /// If it is too large.
    pub(crate) async fn check(
        &self,
        source: &[u8],
    ) -> Result<Result<Compiled, Vec<Problem>>, Error> {
        if source.len() > self.document_bytes_max {
            let (have, most) = (source.len(), self.document_bytes_max);
            return Err(Error::DocumentTooLarge { have, most });
        }
        let source = source.to_vec();
        // Compiling is bounded, but not short: it must not hold up a thread that serves others.
        tokio::task::spawn_blocking(move || planaria_dsl::compile(&source))
            .await
            .map_err(|error| Error::Internal(Box::new(error)))
    }

    /// Publishes a document. Whether it is new.
    ///
    /// # Errors
    /// If it is not a valid definition, or its version is published with another text.
    pub(crate) async fn put(
        &self,
        source: bytes::Bytes,
        now_ms: u64,
    ) -> Result<(Arc<Definition>, bool), Error> {
        let compiled = self.check(&source).await?.map_err(Error::DefinitionInvalid)?;
        let key = DefinitionKey {
            namespace: compiled.namespace.clone(),
            name: compiled.name.clone(),
            version: compiled.version.clone(),
        };
        let digest = digest(&source);
        let row = DefinitionRow { key: key.clone(), source, digest, published_at_ms: now_ms };
        let created = self.store.put_definition(&row).await?;
        let definition = if created {
            Arc::new(Definition { key: Arc::new(key.clone()), row, compiled })
        } else {
            let published = self.get(&key).await?;
            if published.row.digest != row.digest {
                return Err(Error::DefinitionExists(key));
            }
            published
        };
        self.remember(&definition);
        Ok((definition, created))
    }

    /// One version.
    ///
    /// # Errors
    /// If it is not published.
    pub(crate) async fn get(&self, key: &DefinitionKey) -> Result<Arc<Definition>, Error> {
        if let Some(found) = self.lock().get(key) {
            return Ok(found.clone());
        }
        let row = self.store.definition(key).await?;
        let row = row.ok_or_else(|| Error::DefinitionNotFound(key.clone()))?;
        let compiled = self.check(&row.source).await?.map_err(Error::DefinitionInvalid)?;
        let definition = Arc::new(Definition { key: Arc::new(key.clone()), row, compiled });
        self.remember(&definition);
        Ok(definition)
    }

    /// The version that a reference means: the one it names, or the highest.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) async fn resolve(
        &self,
        reference: Option<DefinitionReference>,
    ) -> Result<Arc<Definition>, Error> {
        let reference = reference.unwrap_or_default();
        let mut key = DefinitionKey {
            namespace: reference.namespace,
            name: reference.name,
            version: reference.version,
        };
        if key.version.is_empty() {
            let keys = self.store.definition_keys(Some(&key.namespace), Some(&key.name)).await?;
            let highest = keys.into_iter().max_by_key(|key| order(&key.version));
            key = highest.ok_or(Error::DefinitionNotFound(key))?;
        }
        self.get(&key).await
    }

    /// Published definitions of a namespace or name, behind a key: by name, the newest version of
    /// a name first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn list(
        &self,
        namespace: Option<&str>,
        name: Option<&str>,
        after: Option<&DefinitionKey>,
        limit: usize,
    ) -> Result<Vec<Arc<Definition>>, Error> {
        let mut keys = self.store.definition_keys(namespace, name).await?;
        keys.sort_by_cached_key(place);
        let from = after.map(place);
        let behind =
            keys.into_iter().filter(|key| from.as_ref().is_none_or(|from| place(key) > *from));
        let mut definitions = Vec::new();
        for key in behind.take(limit) {
            definitions.push(self.get(&key).await?);
        }
        Ok(definitions)
    }

    fn remember(&self, definition: &Arc<Definition>) {
        let mut cache = self.lock();
        if cache.len() >= CACHED_MAX
            && let Some(any) = cache.keys().next().cloned()
        {
            cache.remove(&any);
        }
        cache.insert((*definition.key).clone(), definition.clone());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<DefinitionKey, Arc<Definition>>> {
        self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Where a definition stands in lists.
fn place(key: &DefinitionKey) -> impl Ord + use<> {
    let newest_first = Reverse((order(&key.version), key.version.clone()));
    (key.namespace.clone(), key.name.clone(), newest_first)
}

/// SHA-256 in hexadecimal digits.
#[must_use]
pub(crate) fn digest(source: &[u8]) -> String {
    Sha256::digest(source).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Orders semantic versions: by numbers, a pre-release before its release.
#[must_use]
pub(crate) fn order(version: &str) -> (Vec<u64>, bool, String) {
    let version = version.split('+').next().unwrap_or_default();
    let (numbers, pre_release) = version.split_once('-').unwrap_or((version, ""));
    let numbers = numbers.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    (numbers, pre_release.is_empty(), pre_release.to_owned())
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(order("1.10.0") > order("1.9.3"));
        assert!(order("1.0.0") > order("1.0.0-rc.1"));
        assert!(order("2.0.0-rc.1") > order("1.9.9"));
    }
}
