//! What a caller may know of: the namespace of its key, and what belongs to that. What it may not
//! know of is answered exactly as what does not exist.

use planaria_proto::types::v1::DefinitionReference;
use planaria_runtime::Identity;
use planaria_runtime::identity::Refused;
use tonic::{Request, Status};
use uuid::Uuid;

use super::{Api, workflow_id};
use crate::engine::{Command, Handle};
use crate::error::Error;
use crate::store::DefinitionKey;

impl Api {
    /// The id of a workflow that the caller may know of.
    pub(super) async fn visible<T>(
        &self,
        request: &Request<T>,
        workflow: &str,
    ) -> Result<Uuid, Status> {
        let caller = Identity::of(request)?;
        let id = workflow_id(workflow)?;
        if caller.only_namespace().is_some() {
            let row = self.store.workflow_row(id).await.map_err(Error::from)?;
            if !row.is_some_and(|row| caller.sees(&row.definition.namespace)) {
                return Err(Error::WorkflowNotFound(workflow.to_owned()).into());
            }
        }
        Ok(id)
    }
}

/// A reference as the caller means it: where it names no namespace, its own.
///
/// # Errors
/// What is in another namespace is not there.
pub(super) fn reference(
    caller: &Identity,
    reference: Option<DefinitionReference>,
) -> Result<Option<DefinitionReference>, Error> {
    let (Some(own), Some(mut reference)) = (caller.only_namespace(), reference.clone()) else {
        return Ok(reference);
    };
    if reference.namespace.is_empty() {
        own.clone_into(&mut reference.namespace);
    }
    if caller.sees(&reference.namespace) {
        return Ok(Some(reference));
    }
    let DefinitionReference { namespace, name, version } = reference;
    Err(Error::DefinitionNotFound(DefinitionKey { namespace, name, version }))
}

/// The namespace that a list is of; nothing is all of them. Of another than the caller's own there
/// is nothing to list: `Err` is the empty list.
pub(super) fn listed(caller: &Identity, wanted: String) -> Result<Option<String>, ()> {
    let wanted = (!wanted.is_empty()).then_some(wanted);
    match (caller.only_namespace(), wanted) {
        (None, wanted) => Ok(wanted),
        (Some(own), Some(wanted)) if wanted != own => Err(()),
        (Some(own), _) => Ok(Some(own.to_owned())),
    }
}

/// Whether the caller may publish into a namespace.
///
/// # Errors
/// It may not.
pub(super) fn writes(caller: &Identity, namespace: &str) -> Result<(), Status> {
    if caller.sees(namespace) { Ok(()) } else { Err(Refused::Namespace.status()) }
}

/// The name of a worker in the mesh. Workers of a namespace have names of their own: they meet
/// those of no other.
pub(super) fn worker_name(caller: &Identity, worker: &str) -> String {
    match caller.only_namespace() {
        Some(own) => {
            let prefix = format!("{own}/");
            let name = worker.strip_prefix(&prefix).unwrap_or(worker);
            prefix + name
        }
        None => worker.to_owned(),
    }
}

/// Whether the caller may speak for a session.
///
/// # Errors
/// There is no such session, as far as the caller may know.
pub(super) async fn check_session(
    caller: &Identity,
    engine: &Handle,
    session: Uuid,
) -> Result<(), Error> {
    let Some(own) = caller.only_namespace() else { return Ok(()) };
    let namespace = engine.ask(|reply| Command::NamespaceOf(session, reply)).await?;
    if namespace == own { Ok(()) } else { Err(Error::SessionNotFound) }
}

#[cfg(test)]
mod tests {
    use planaria_runtime::Role;

    use super::*;

    fn shop() -> Identity {
        Identity::new("k", "shop", Role::Operator)
    }

    fn all() -> Identity {
        Identity::new("k", "*", Role::Operator)
    }

    #[test]
    fn a_reference_stays_inside_of_the_namespace() {
        let named = |namespace: &str| {
            Some(DefinitionReference { namespace: namespace.into(), ..Default::default() })
        };
        assert_eq!(reference(&shop(), named("")).unwrap(), named("shop"));
        assert_eq!(reference(&shop(), named("shop")).unwrap(), named("shop"));
        assert!(matches!(reference(&shop(), named("bank")), Err(Error::DefinitionNotFound(_))));
        assert_eq!(reference(&all(), named("bank")).unwrap(), named("bank"));
        assert_eq!(reference(&all(), named("")).unwrap(), named(""));
    }

    #[test]
    fn lists_are_of_the_own_namespace() {
        assert_eq!(listed(&shop(), String::new()), Ok(Some("shop".into())));
        assert_eq!(listed(&shop(), "bank".into()), Err(()));
        assert_eq!(listed(&all(), "bank".into()), Ok(Some("bank".into())));
        assert_eq!(listed(&all(), String::new()), Ok(None));
    }

    #[test]
    fn workers_of_a_namespace_have_names_of_their_own() {
        assert_eq!(worker_name(&shop(), "w"), "shop/w");
        assert_eq!(worker_name(&shop(), "shop/w"), "shop/w");
        assert_eq!(worker_name(&shop(), "bank/w"), "shop/bank/w");
        assert_eq!(worker_name(&all(), "w"), "w");
    }
}
