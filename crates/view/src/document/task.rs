//! One task of a document, and what is in it.

use super::tree::Tree;

/// The kinds of tasks of the DSL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A function, executed by a worker.
    Call,
    /// Tasks one after the other.
    Do,
    /// Tells an event.
    Emit,
    /// The same tasks for each item.
    For,
    /// Branches at the same time.
    Fork,
    /// Waits for events.
    Listen,
    /// Raises an error.
    Raise,
    /// Runs a process.
    Run,
    /// Sets data.
    Set,
    /// Decides where to go.
    Switch,
    /// Catches errors.
    Try,
    /// Lets time pass.
    Wait,
}

/// Key in the document, and kind. `do` is the last: a `for` has one, too.
const KINDS: [(&str, Kind); 12] = [
    ("call", Kind::Call),
    ("emit", Kind::Emit),
    ("for", Kind::For),
    ("fork", Kind::Fork),
    ("listen", Kind::Listen),
    ("raise", Kind::Raise),
    ("run", Kind::Run),
    ("set", Kind::Set),
    ("switch", Kind::Switch),
    ("try", Kind::Try),
    ("wait", Kind::Wait),
    ("do", Kind::Do),
];

impl Kind {
    /// As the document calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| *name)
    }
}

/// Where control flows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Then {
    /// To the next task of the list.
    #[default]
    Continue,
    /// Out of the list.
    Exit,
    /// To the end of the workflow.
    End,
    /// To the task of the same list that has this name.
    Task(String),
}

impl Then {
    fn read(tree: Option<&Tree>) -> Self {
        match tree.and_then(Tree::text) {
            None | Some("continue") => Self::Continue,
            Some("exit") => Self::Exit,
            Some("end") => Self::End,
            Some(name) => Self::Task(name.to_owned()),
        }
    }
}

/// A case of a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// How the document calls it.
    pub name: String,
    /// Whether it has a condition; the one without is taken if no other is.
    pub conditional: bool,
    /// Where it leads.
    pub then: Then,
}

/// A list of tasks in a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is, for people; empty where it is the only one.
    pub label: &'static str,
    /// Its tasks, one after the other.
    pub tasks: Vec<Task>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// JSON pointer, as the contract names it.
    pub reference: String,
    /// Its name.
    pub name: String,
    /// Which kind of task it is.
    pub kind: Kind,
    /// The function, the time, the event: what is worth knowing beside the name.
    pub detail: String,
    /// First and last line in the text.
    pub lines: (u32, u32),
    /// Whether it is entered only if a condition holds.
    pub conditional: bool,
    /// Where control flows behind it.
    pub then: Then,
    /// Where control flows behind a caught error.
    pub catch_then: Then,
    /// The cases of a switch.
    pub cases: Vec<Case>,
    /// The tasks in it: one part for each branch of a fork, one for a try and one for its catch.
    pub parts: Vec<Part>,
}

/// The tasks of a list.
pub(super) fn list(list: &Tree, reference: &str) -> Vec<Task> {
    let entries = list.items().iter().enumerate().filter_map(|(position, item)| {
        let (name, line, tree) = item.members().first()?;
        let reference = format!("{reference}/{position}/{}", escape(name));
        Some(task(tree, reference, name, *line))
    });
    entries.collect()
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn task(tree: &Tree, reference: String, name: &str, line: u32) -> Task {
    let kind = KINDS.into_iter().find(|(key, _)| tree.get(key).is_some());
    let (key, kind) = kind.unwrap_or(("do", Kind::Do));
    let subject = tree.get(key);
    Task {
        name: name.to_owned(),
        kind,
        detail: subject.map(|subject| detail(kind, subject, tree)).unwrap_or_default(),
        lines: (line, tree.last.max(line)),
        conditional: tree.get("if").is_some(),
        then: Then::read(tree.get("then")),
        catch_then: Then::read(tree.get("catch").and_then(|catch| catch.get("then"))),
        cases: match (kind, subject) {
            (Kind::Switch, Some(subject)) => cases(subject),
            _ => Vec::new(),
        },
        parts: subject.map(|subject| parts(kind, subject, tree, &reference)).unwrap_or_default(),
        reference,
    }
}

fn cases(subject: &Tree) -> Vec<Case> {
    let case = |item: &Tree| {
        let (name, _, tree) = item.members().first()?;
        let conditional = tree.get("when").is_some();
        Some(Case { name: name.clone(), conditional, then: Then::read(tree.get("then")) })
    };
    subject.items().iter().filter_map(case).collect()
}

fn parts(kind: Kind, subject: &Tree, tree: &Tree, reference: &str) -> Vec<Part> {
    let part = |tree: Option<&Tree>, path: &str, label| {
        let tasks = list(tree?, &format!("{reference}/{path}"));
        (!tasks.is_empty()).then_some(Part { label, tasks })
    };
    match kind {
        Kind::Do => part(Some(subject), "do", "").into_iter().collect(),
        Kind::For => part(tree.get("do"), "do", "").into_iter().collect(),
        Kind::Listen => {
            let body = tree.get("foreach").and_then(|each| each.get("do"));
            part(body, "foreach/do", "").into_iter().collect()
        }
        Kind::Try => {
            let handler = tree.get("catch").and_then(|catch| catch.get("do"));
            let body = part(Some(subject), "try", "try");
            body.into_iter().chain(part(handler, "catch/do", "catch")).collect()
        }
        Kind::Fork => {
            let Some(branches) = subject.get("branches") else { return Vec::new() };
            let tasks = list(branches, &format!("{reference}/fork/branches"));
            tasks.into_iter().map(|task| Part { label: "", tasks: vec![task] }).collect()
        }
        _ => Vec::new(),
    }
}

fn detail(kind: Kind, subject: &Tree, task: &Tree) -> String {
    let text = |tree: Option<&Tree>| tree.and_then(Tree::text).unwrap_or_default().to_owned();
    match kind {
        Kind::Call => call(subject, task),
        Kind::Wait => {
            match subject.text() {
                Some(text) => text.to_owned(),
                None => joined(subject.members().iter().map(|(unit, _, count)| {
                    format!("{} {unit}", count.text().unwrap_or_default())
                })),
            }
        }
        Kind::Set => joined(subject.members().iter().map(|(key, _, _)| key.clone())),
        Kind::For => {
            let each = subject.get("each").and_then(Tree::text).unwrap_or("item");
            format!("each {each} in {}", text(subject.get("in")))
        }
        Kind::Fork => {
            let compete = subject.get("compete").and_then(Tree::text) == Some("true");
            if compete { "the first one wins" } else { "all at the same time" }.to_owned()
        }
        Kind::Try => tries(task),
        Kind::Raise => {
            let error = subject.get("error");
            let title = error.and_then(|error| error.get("title")).or(error);
            text(title)
        }
        Kind::Emit => {
            let event = subject.get("event").and_then(|event| event.get("with"));
            text(event.and_then(|with| with.get("type")))
        }
        Kind::Listen => {
            let mut types = Vec::new();
            event_types(subject, &mut types);
            joined(types.into_iter())
        }
        Kind::Switch => joined(
            subject
                .items()
                .iter()
                .filter_map(|item| item.members().first().map(|(name, _, _)| name.clone())),
        ),
        Kind::Do | Kind::Run => String::new(),
    }
}

fn call(subject: &Tree, task: &Tree) -> String {
    let function = subject.text().unwrap_or_default();
    let with = task.get("with");
    let endpoint = with.and_then(|with| with.get("endpoint"));
    let endpoint = endpoint.and_then(|it| it.text().or_else(|| it.get("uri")?.text()));
    match (function, endpoint) {
        ("http", Some(endpoint)) => {
            let method = with.and_then(|with| with.get("method")).and_then(Tree::text);
            format!("{} {endpoint}", method.unwrap_or("get").to_uppercase())
        }
        _ => function.to_owned(),
    }
}

fn tries(task: &Tree) -> String {
    let retry = task.get("catch").and_then(|catch| catch.get("retry"));
    let count = retry.and_then(|retry| {
        retry.get("limit")?.get("attempt")?.get("count")?.text().map(str::to_owned)
    });
    match (retry, count) {
        (None, _) => "catches errors".to_owned(),
        (Some(_), None) => "tries again".to_owned(),
        (Some(_), Some(count)) => format!("tries again up to {count} times"),
    }
}

fn event_types(tree: &Tree, types: &mut Vec<String>) {
    if let Some(kind) = tree.get("with").and_then(|with| with.get("type")).and_then(Tree::text) {
        types.push(kind.to_owned());
    }
    for (_, _, member) in tree.members() {
        event_types(member, types);
    }
    for item in tree.items() {
        event_types(item, types);
    }
}

fn joined(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}
