//! Which workers a caller may know of: those of its key's namespace. In the mesh their names begin
//! with it, so that workers of different namespaces never meet.

use planaria_proto::failure_detector::v1::Worker;
use planaria_runtime::Identity;
use tonic::{Request, Status};

use crate::Error;

/// A caller's part of the workers.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// What the names begin with; empty = all workers.
    prefix: String,
}

impl Scope {
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let caller = Identity::of(request)?;
        let prefix = caller.only_namespace().map(|own| format!("{own}/")).unwrap_or_default();
        Ok(Self { prefix })
    }

    /// The name in the mesh of a worker that the caller names.
    pub(crate) fn worker(&self, named: &str) -> String {
        let bare = named.strip_prefix(&self.prefix).unwrap_or(named);
        format!("{}{bare}", self.prefix)
    }

    /// The workers that the caller may know of.
    pub(crate) fn visible(&self, mut workers: Vec<Worker>) -> Vec<Worker> {
        workers.retain(|worker| worker.id.starts_with(&self.prefix));
        workers
    }

    /// An error that speaks of a worker as the caller did.
    pub(crate) fn as_named(&self, error: Error, named: String) -> Error {
        match error {
            Error::WorkerNotFound(_) => Error::WorkerNotFound(named),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_sees_and_names_workers_of_its_own_namespace() {
        let worker = |id: &str| Worker { id: id.into(), ..Worker::default() };
        let all = vec![worker("w"), worker("shop/w"), worker("shop2/w"), worker("bank/w")];
        let shop = Scope { prefix: "shop/".into() };
        assert_eq!(shop.visible(all.clone()), [worker("shop/w")]);
        assert_eq!(shop.worker("w"), "shop/w");
        assert_eq!(shop.worker("shop/w"), "shop/w");
        assert_eq!(shop.worker("bank/w"), "shop/bank/w");
        let everybody = Scope { prefix: String::new() };
        assert_eq!(everybody.visible(all.clone()), all);
        assert_eq!(everybody.worker("w"), "w");
    }
}
