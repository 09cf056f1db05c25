//! The contract as people read it: services, methods, messages and enums with their comments, from
//! the descriptors that the contract itself was compiled to.

mod call;
mod comments;
mod example;
mod kinds;

use std::collections::{BTreeMap, HashMap};

use planaria_proto::FILE_DESCRIPTOR_SET;
use prost_reflect::{DescriptorPool, MethodDescriptor};

pub use call::{answer, request};
use comments::Comments;
pub use example::{example, grpcurl};
pub use kinds::{Enum, Field, Message, Type, Value};

/// What the gateway lets in from outside, in the order in which people need it. A test holds it
/// against the gateway's own list.
const PUBLIC: &[&str] = &[
    "planaria.workflow.v1.WorkflowService",
    "planaria.workflow.v1.DefinitionService",
    "planaria.retry.v1.RetryService",
    "planaria.monitoring.v1.MonitoringService",
    "planaria.notification.v1.NotificationService",
    "planaria.failure_detector.v1.FailureDetectorService",
    "planaria.task.v1.TaskService",
    "planaria.flow.v1.FlowService",
    "planaria.gateway.v1.AccessService",
    "planaria.worker.v1.WorkerService",
];

/// How names of methods begin that change nothing. Everything else is asked for before it is done.
const LOOKS: &[&str] = &["Get", "List", "Watch", "Subscribe", "Validate", "Describe"];

/// The public part of the contract.
#[derive(Debug, Clone)]
pub struct Api {
    /// In the order in which people need them.
    pub services: Vec<Service>,
    /// Every message and enum that one of the methods leads to, by full name.
    pub types: BTreeMap<String, Type>,
}

/// A public service.
#[derive(Debug, Clone)]
pub struct Service {
    /// With its package.
    pub full_name: String,
    /// Without.
    pub name: String,
    /// Its comment.
    pub about: String,
    /// In the order of the contract.
    pub methods: Vec<Method>,
}

/// A method of a public service.
#[derive(Debug, Clone)]
pub struct Method {
    /// `StartWorkflow`
    pub name: String,
    /// Where a page shows it: `WorkflowService.StartWorkflow`
    pub anchor: String,
    /// What is called: `/planaria.workflow.v1.WorkflowService/StartWorkflow`
    pub path: String,
    /// Its comment.
    pub about: String,
    /// Full name of the request.
    pub input: String,
    /// Full name of the answer.
    pub output: String,
    /// The client sends any number of requests.
    pub client_streaming: bool,
    /// The mesh sends any number of answers.
    pub server_streaming: bool,
    /// It may change something.
    pub changes: bool,
    descriptor: MethodDescriptor,
}

impl PartialEq for Method {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Api {
    /// Reads the contract's descriptors.
    ///
    /// # Errors
    /// They are damaged, which a test excludes.
    pub fn read() -> Result<Self, String> {
        let pool =
            DescriptorPool::decode(FILE_DESCRIPTOR_SET).map_err(|error| error.to_string())?;
        let comments: HashMap<String, Comments> = pool
            .files()
            .map(|file| (file.name().to_owned(), Comments::of(file.file_descriptor_proto())))
            .collect();
        let mut api = Self { services: Vec::new(), types: BTreeMap::new() };
        for name in PUBLIC {
            let service = pool
                .get_service_by_name(name)
                .ok_or_else(|| format!("the contract has no {name}"))?;
            let file = service.parent_file();
            let about = |path: &[i32]| {
                comments.get(file.name()).map(|comments| comments.at(path)).unwrap_or_default()
            };
            let methods = service.methods().map(|method| {
                for message in [method.input(), method.output()] {
                    kinds::collect(&message, &comments, &mut api.types);
                }
                let about = about(method.path());
                Method {
                    name: method.name().to_owned(),
                    anchor: format!("{}.{}", service.name(), method.name()),
                    path: format!("/{}/{}", service.full_name(), method.name()),
                    about,
                    input: method.input().full_name().to_owned(),
                    output: method.output().full_name().to_owned(),
                    client_streaming: method.is_client_streaming(),
                    server_streaming: method.is_server_streaming(),
                    changes: !LOOKS.iter().any(|look| method.name().starts_with(look)),
                    descriptor: method,
                }
            });
            let methods = methods.collect();
            api.services.push(Service {
                full_name: service.full_name().to_owned(),
                name: service.name().to_owned(),
                about: about(service.path()),
                methods,
            });
        }
        Ok(api)
    }

    /// The methods that have all words of the text in their names or comments, by service. A
    /// service without any is left out.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Service> {
        let found = self.services.iter().map(|service| {
            let mut service = service.clone();
            service.methods.retain(|method| {
                let hay = [&method.anchor, &method.about, &method.input, &method.output];
                has_words(&hay.map(String::as_str), text)
            });
            service
        });
        found.filter(|service| !service.methods.is_empty()).collect()
    }

    /// The messages and enums that have all words of the text in their names, comments or members.
    #[must_use]
    pub fn find_types(&self, text: &str) -> Vec<Type> {
        let found = self.types.values().filter(|it| {
            let members: Vec<&str> = match it {
                Type::Message(message) => message.fields.iter().map(|it| &*it.name).collect(),
                Type::Enum(it) => it.values.iter().map(|it| &*it.name).collect(),
            };
            has_words(&[&[it.full_name(), it.about()], &*members].concat(), text)
        });
        found.cloned().collect()
    }
}

fn has_words(hay: &[&str], text: &str) -> bool {
    let hay = hay.join(" ").to_lowercase();
    text.to_lowercase().split_whitespace().all(|word| hay.contains(word))
}

#[cfg(test)]
mod tests;
