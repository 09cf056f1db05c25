//! Definitions by their names.

use planaria_proto::workflow::v1::Definition;

/// The versions of one definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Of the document.
    pub namespace: String,
    /// Of the document.
    pub name: String,
    /// In the order of the mesh: the highest first.
    pub versions: Vec<Definition>,
}

impl Group {
    /// The functions that the newest version calls, each once, in order.
    #[must_use]
    pub fn functions(&self) -> Vec<String> {
        let newest = self.versions.first().map(|version| version.functions.as_slice());
        let mut names: Vec<_> =
            newest.unwrap_or_default().iter().map(|used| used.function.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Brings the versions of a definition together; names keep the order of their first version.
#[must_use]
pub fn groups(definitions: Vec<Definition>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for definition in definitions {
        let of = definition.reference.clone().unwrap_or_default();
        let same = |group: &&mut Group| group.namespace == of.namespace && group.name == of.name;
        // They come in order: a definition's versions are next to one another.
        match groups.last_mut().filter(same) {
            Some(group) => group.versions.push(definition),
            None => groups.push(Group {
                namespace: of.namespace,
                name: of.name,
                versions: vec![definition],
            }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use planaria_proto::types::v1::DefinitionReference;
    use planaria_proto::workflow::v1::FunctionUse;

    use super::*;

    fn definition(name: &str, version: &str, functions: &[&str]) -> Definition {
        let of = |function: &&str| FunctionUse {
            function: (*function).to_owned(),
            ..FunctionUse::default()
        };
        Definition {
            reference: Some(DefinitionReference {
                namespace: "shop".into(),
                name: name.into(),
                version: version.into(),
            }),
            functions: functions.iter().map(of).collect(),
            ..Definition::default()
        }
    }

    #[test]
    fn versions_are_brought_together() {
        let found = groups(vec![
            definition("bill", "2.0.0", &["pay", "mail", "pay"]),
            definition("bill", "1.0.0", &["fax"]),
            definition("order", "1.0.0", &[]),
        ]);
        let told: Vec<_> =
            found.iter().map(|group| (group.name.as_str(), group.versions.len())).collect();
        assert_eq!(told, [("bill", 2), ("order", 1)]);
        assert_eq!(found[0].functions(), ["mail", "pay"]);
    }
}
