//! Workflows in tables and lines.

use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::{TaskRun, Workflow};

use super::{Client, input, story};
use crate::Error;
use crate::output::style::Style;
use crate::output::table::{Cell, Table, cell};
use crate::output::{document::Document, message, time};

/// The word for a phase, as in JSON.
pub(crate) fn phase_word(phase: Phase) -> String {
    let name = phase.as_str_name();
    name.strip_prefix("PHASE_").unwrap_or(name).to_lowercase()
}

fn phase_cell(phase: Phase) -> Cell {
    cell(Style::of_phase(phase), phase_word(phase))
}

/// Many workflows.
pub(super) fn table(workflows: &[Workflow]) -> Table {
    let mut table = Table::new(&["ID", "DEFINITION", "STATUS", "STARTED", "TOOK", "NOTE"]);
    for workflow in workflows {
        let note = match (&workflow.error, workflow.waiting_for.as_str()) {
            _ if !workflow.frozen.is_empty() => format!("frozen: {}", workflow.frozen),
            (Some(error), _) => story::error(Some(error)),
            (None, "") => String::new(),
            (None, waiting) => format!("waits for {waiting}"),
        };
        table.row([
            workflow.id.as_str().into(),
            input::written(workflow.definition.as_ref()).into(),
            phase_cell(workflow.phase()),
            time::relative(workflow.started_at.as_ref()).into(),
            time::between(workflow.started_at.as_ref(), workflow.ended_at.as_ref()).into(),
            cell(Style::Dim, note),
        ]);
    }
    table
}

/// Many workflows as JSON, without what only one alone has.
pub(super) fn list(mapping: &message::Mapping, workflows: &[Workflow]) -> Result<Document, Error> {
    let documents = workflows.iter().map(|workflow| {
        let mut document = mapping.document(workflow)?;
        drop(document.take("tasks"));
        drop(document.take("historyLength"));
        Ok(document)
    });
    Ok(Document::List(documents.collect::<Result<_, Error>>()?))
}

/// One workflow with its tasks.
pub(super) fn show(client: &Client, workflow: &Workflow) -> Result<(), Error> {
    let output = client.output;
    let phase = workflow.phase();
    let line = |label: &str, text: &str| {
        output.line(&format!("{} {text}", output.paint(Style::Dim, &format!("{label:<11}"))))
    };
    line("workflow", &output.paint(Style::Strong, &workflow.id))?;
    line("definition", &input::written(workflow.definition.as_ref()))?;
    line("status", &output.paint(Style::of_phase(phase), &phase_word(phase)))?;
    let took = time::between(workflow.started_at.as_ref(), workflow.ended_at.as_ref());
    let started = time::relative(workflow.started_at.as_ref());
    line("started", &format!("{started}, took {took}"))?;
    if !workflow.frozen.is_empty() {
        line("frozen", &output.paint(Style::Bad, &workflow.frozen))?;
        line("", "nothing of it runs: cancel it, or restore its history (docs/reconciler.md)")?;
    }
    if !workflow.waiting_for.is_empty() {
        line("waits for", &output.paint(Style::Warm, &workflow.waiting_for))?;
    }
    if let Some(error) = &workflow.error {
        line("error", &output.paint(Style::Bad, &story::error(Some(error))))?;
        if !error.instance.is_empty() {
            line("at", &error.instance)?;
        }
    }
    for (label, payload) in [("input", &workflow.input), ("output", &workflow.output)] {
        if let Some(payload) = payload {
            line(label, &message::bytes(&payload.data).line())?;
        }
    }
    if workflow.tasks.is_empty() {
        return Ok(());
    }
    output.line("")?;
    output.table(&tasks(&workflow.tasks), "no tasks yet")
}

fn tasks(runs: &[TaskRun]) -> Table {
    let titles = ["TASK", "REFERENCE", "STATUS", ">ATTEMPTS", "TOOK", "WORKER", "NOTE"];
    let mut table = Table::new(&titles);
    for run in runs {
        let note = match (&run.error, run.progress.as_str()) {
            (Some(error), _) => story::error(Some(error)),
            (None, "") if run.losses > 0 => format!("{} lost and run again", run.losses),
            (None, progress) => progress.to_owned(),
        };
        let state = match run.state.as_str() {
            "" => phase_word(run.phase()),
            state => format!("{} ({state})", phase_word(run.phase())),
        };
        table.row([
            run.name.as_str().into(),
            run.reference.as_str().into(),
            cell(Style::of_phase(run.phase()), state),
            attempts(run),
            time::between(run.started_at.as_ref(), run.ended_at.as_ref()).into(),
            run.worker_id.as_str().into(),
            cell(Style::Dim, note),
        ]);
    }
    table
}

fn attempts(run: &TaskRun) -> Cell {
    if run.attempts == 0 { "".into() } else { run.attempts.into() }
}

/// The result object of `run`: its members never change their names or order.
pub(super) fn result(mapping: &message::Mapping, workflow: &Workflow) -> Result<Document, Error> {
    let mut document = mapping.document(workflow)?;
    let mut tasks = Vec::new();
    for run in &workflow.tasks {
        let mut run = mapping.document(run)?;
        tasks.push(Document::object(
            ["name", "reference", "status", "attempts", "startedAt", "endedAt"]
                .map(|name| (name, run.take(name))),
        ));
    }
    Ok(Document::object([
        ("id", document.take("id")),
        ("status", document.take("status")),
        ("output", document.take("output")),
        ("error", document.take("error")),
        ("tasks", Document::List(tasks)),
    ]))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use planaria_proto::types::v1::Payload;
    use prost_types::Timestamp;

    use super::*;

    #[test]
    fn a_list_has_nothing_that_is_not_known() {
        let workflow = Workflow { id: "0198".into(), ..Workflow::default() };
        let mapping = message::Mapping::new().unwrap();
        let text = list(&mapping, &[workflow]).unwrap().line();
        assert!(text.contains("\"id\":\"0198\""), "{text}");
        assert!(!text.contains("historyLength") && !text.contains("tasks"), "{text}");
    }

    #[test]
    fn the_result_of_a_run_has_its_five_members_in_order() {
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let data = Payload { content_type: String::new(), data: "{\"total\": 3}".into() };
        let run = TaskRun {
            name: "charge".into(),
            reference: "/do/0/charge".into(),
            phase: Phase::Completed.into(),
            attempts: 2,
            started_at: at(1),
            ..TaskRun::default()
        };
        let workflow = Workflow {
            id: "0198".into(),
            phase: Phase::Completed.into(),
            output: Some(data),
            tasks: vec![run],
            ..Workflow::default()
        };
        let mapping = message::Mapping::new().unwrap();
        expect![[r#"
            {
              "id": "0198",
              "status": "completed",
              "output": {"total": 3},
              "error": null,
              "tasks": [
                {
                  "name": "charge",
                  "reference": "/do/0/charge",
                  "status": "completed",
                  "attempts": 2,
                  "startedAt": "1970-01-01T00:00:01Z",
                  "endedAt": null
                }
              ]
            }"#]]
        .assert_eq(&result(&mapping, &workflow).unwrap().pretty());
    }
}
