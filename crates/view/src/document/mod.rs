//! A definition's document as a tree of tasks, with where each stands in the text.

mod task;
mod tree;

pub use task::{Case, Kind, Part, Task, Then};

/// What is shown of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The tasks of its `do`.
    pub tasks: Vec<Task>,
}

impl Document {
    /// Reads YAML or JSON.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub fn read(source: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(source).map_err(|_| "the text is not UTF-8".to_owned())?;
        let root = tree::read(text)?;
        let list = root.get("do").ok_or("the document has no tasks")?;
        Ok(Self { tasks: task::list(list, "/do") })
    }

    /// The task of that reference.
    #[must_use]
    pub fn find(&self, reference: &str) -> Option<&Task> {
        fn within<'t>(tasks: &'t [Task], reference: &str) -> Option<&'t Task> {
            tasks.iter().find_map(|task| {
                if task.reference == reference {
                    return Some(task);
                }
                let inside = reference.strip_prefix(&task.reference)?;
                if !inside.starts_with('/') {
                    return None;
                }
                task.parts.iter().find_map(|part| within(&part.tasks, reference))
            })
        }
        within(&self.tasks, reference)
    }

    /// The task that a reference is in: itself, or the one whose body it is.
    #[must_use]
    pub fn around(&self, reference: &str) -> Option<&Task> {
        let mut rest = reference;
        loop {
            if let Some(task) = self.find(rest) {
                return Some(task);
            }
            rest = &rest[..rest.rfind('/')?];
        }
    }

    /// Whether some task is of that kind.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        fn within(tasks: &[Task], kind: Kind) -> bool {
            let inside = |task: &Task| task.parts.iter().any(|part| within(&part.tasks, kind));
            tasks.iter().any(|task| task.kind == kind || inside(task))
        }
        within(&self.tasks, kind)
    }
}

/// The name at the end of a reference: `charge` of `/do/1/pay/try/0/charge`.
#[must_use]
pub fn name_of(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    last.replace("~1", "/").replace("~0", "~")
}

/// Whether it is a list of tasks and no task of its own: the `do` of the document, the body of a
/// for, or what a try tries or does when it caught something.
#[must_use]
pub fn is_body(reference: &str) -> bool {
    let mut parts = reference.rsplit('/');
    let last = parts.next().unwrap_or_default();
    // A task is behind its number in a list; a body is not.
    let before = parts.next().unwrap_or_default();
    let numbered = !before.is_empty() && before.bytes().all(|byte| byte.is_ascii_digit());
    matches!(last, "do" | "try") && !numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
do:
  - check: { call: simulate, with: { sleep: PT1S } }
  - all:
      fork:
        branches:
          - a: { call: http, with: { method: get, endpoint: https://x.example/y } }
          - b: { wait: { seconds: 5 } }
  - pay:
      try:
        - charge: { call: charge }
      catch:
        retry: { limit: { attempt: { count: 3 } } }
        do:
          - note: { set: { unpaid: true } }
  - choose:
      switch:
        - yes: { when: '${ .x }', then: good }
        - no: { then: end }
  - good/bad:
      for: { each: it, in: '${ .items }' }
      do: [ { hi: { emit: { event: { with: { type: a.b } } } } } ]
  - good: { listen: { to: { one: { with: { type: c.d } } } }, then: exit }
";

    #[test]
    fn tasks_have_their_references_and_lines() {
        let document = Document::read(SOURCE.as_bytes()).expect("readable");
        let at = |reference: &str| document.find(reference).expect(reference);
        assert_eq!(at("/do/0/check").detail, "simulate");
        assert_eq!(at("/do/0/check").lines, (3, 3));
        assert_eq!(at("/do/1/all/fork/branches/0/a").detail, "GET https://x.example/y");
        assert_eq!(at("/do/1/all/fork/branches/1/b").detail, "5 seconds");
        assert_eq!(at("/do/2/pay").lines, (9, 15));
        assert_eq!(at("/do/2/pay/try/0/charge").kind, Kind::Call);
        assert_eq!(at("/do/2/pay/catch/do/0/note").detail, "unpaid");
        assert_eq!(at("/do/2/pay").detail, "tries again up to 3 times");
        assert_eq!(at("/do/4/good~1bad/do/0/hi").detail, "a.b");
        assert_eq!(at("/do/4/good~1bad").name, "good/bad");
        assert_eq!(at("/do/5/good").then, Then::Exit);
        let cases = &at("/do/3/choose").cases;
        assert_eq!(cases[0].then, Then::Task("good".into()));
        assert_eq!((cases[1].then.clone(), cases[1].conditional), (Then::End, false));
        assert_eq!(document.around("/do/2/pay/try").map(|it| &*it.name), Some("pay"));
        assert_eq!(document.around("/do"), None);
        assert!(document.has(Kind::Listen) && !document.has(Kind::Raise));
    }

    #[test]
    fn bodies_are_told_from_tasks() {
        for (reference, body) in [
            ("/do", true),
            ("/do/0/do", false),
            ("/do/0/x/do", true),
            ("/do/0/try/try", true),
            ("/do/0/x/catch/do", true),
            ("/do/0/x", false),
        ] {
            assert_eq!(is_body(reference), body, "{reference}");
        }
        assert_eq!(name_of("/do/1/a~1b"), "a/b");
    }
}
