//! What reflection shows: the public services, what they need, and nothing else.

use std::collections::HashSet;

use prost_types::{FileDescriptorProto, FileDescriptorSet};

use crate::Error;
use crate::routes::{PUBLIC, descriptors};

/// The contract without its internal services, and without the files that only those need.
pub(crate) fn public_descriptors() -> Result<FileDescriptorSet, Error> {
    let FileDescriptorSet { mut file } = descriptors()?;
    for file in &mut file {
        let package = file.package().to_owned();
        let public = |name: &str| {
            let name = format!("{package}.{name}");
            PUBLIC.iter().any(|(public, _)| *public == name)
        };
        if file.service.iter().any(|service| !public(service.name())) {
            file.service.retain(|service| public(service.name()));
            // Comments are addressed by position, which has just changed.
            file.source_code_info = None;
        }
    }
    let wanted = with_imports(&file);
    file.retain(|file| wanted.contains(file.name()));
    Ok(FileDescriptorSet { file })
}

/// The names of the files that declare a service, and of all they import.
fn with_imports(files: &[FileDescriptorProto]) -> HashSet<String> {
    let mut wanted = HashSet::new();
    let mut open: Vec<&str> = files
        .iter()
        .filter(|file| !file.service.is_empty())
        .map(FileDescriptorProto::name)
        .collect();
    while let Some(name) = open.pop() {
        if wanted.insert(name.to_owned()) {
            let file = files.iter().find(|file| file.name() == name);
            open.extend(file.into_iter().flat_map(|file| &file.dependency).map(String::as_str));
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_services_and_their_files_are_not_shown() {
        let set = public_descriptors().unwrap();
        let names: Vec<&str> = set.file.iter().map(FileDescriptorProto::name).collect();
        assert!(names.contains(&"planaria/workflow/v1/workflow_service.proto"), "{names:?}");
        assert!(names.contains(&"google/protobuf/duration.proto"), "{names:?}");
        for internal in ["orchestrator_service.proto", "evidence_service.proto"] {
            assert!(!names.iter().any(|name| name.ends_with(internal)), "{names:?}");
        }
        let services: usize = set.file.iter().map(|file| file.service.len()).sum();
        assert_eq!(services, PUBLIC.len());
    }
}
