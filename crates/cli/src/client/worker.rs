//! `worker`: who is there, how alive, doing what.

use planaria_proto::failure_detector::v1::{
    DrainWorkerRequest, ListWorkersRequest, Liveness, Worker,
};

use super::{Client, call};
use crate::Error;
use crate::output::document::Document;
use crate::output::message::Mapping;
use crate::output::style::Style;
use crate::output::table::{Table, cell};
use crate::output::time;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List workers
    List {
        /// Also those that are dead or have left
        #[arg(long)]
        all: bool,
    },
    /// Have a worker finish or hand back what it runs and take no more
    Drain { id: String },
}

pub(crate) async fn execute(client: &Client, command: Command) -> Result<(), Error> {
    match command {
        Command::List { all } => {
            let mut workers = list(client).await?;
            let known = workers.len();
            workers.retain(|worker| all || is_there(worker));
            show(client, &workers, known)
        }
        Command::Drain { id } => {
            let request = call(DrainWorkerRequest { worker_id: id.clone() });
            let result = client.workers().drain_worker(request).await;
            result.map_err(|status| client.refused(format!("cannot drain {id}"), status))?;
            client.done(&format!("{id} drains"))
        }
    }
}

/// Every worker that the failure detector knows.
pub(crate) async fn list(client: &Client) -> Result<Vec<Worker>, Error> {
    let request = call(ListWorkersRequest { liveness: Liveness::Unspecified.into() });
    let response = client.workers().list_workers(request).await;
    let response = response.map_err(|status| client.refused("cannot list workers", status))?;
    let mut workers = response.into_inner().workers;
    workers.sort_by(|left, right| left.id.cmp(&right.id));
    Ok(workers)
}

fn is_there(worker: &Worker) -> bool {
    matches!(worker.liveness(), Liveness::Alive | Liveness::Suspect)
}

/// How many attempts run there: none where nobody is. Those that it had last are still told.
fn running(worker: &Worker) -> usize {
    if is_there(worker) { worker.attempts.len() } else { 0 }
}

fn show(client: &Client, workers: &[Worker], known: usize) -> Result<(), Error> {
    if client.output.is_json() {
        let mapping = Mapping::new()?;
        let workers: Result<_, _> =
            workers.iter().map(|worker| document(&mapping, worker)).collect();
        return client.output.document(&Document::List(workers?));
    }
    let nobody = match known {
        0 => "no workers; `planaria up` starts two".to_owned(),
        gone => format!(
            "no workers; {gone} died or left: see `planaria worker list --all` (those of \
             `planaria up` come back by themselves)"
        ),
    };
    client.output.table(&table(workers), &nobody)
}

/// A worker as programs want it: its facts beside its state, and the number of its attempts.
fn document(mapping: &Mapping, worker: &Worker) -> Result<Document, Error> {
    let mut document = mapping.document(worker)?;
    let mut facts = mapping.document(&Worker {
        facts: Some(worker.facts.clone().unwrap_or_default()),
        ..Worker::default()
    })?;
    let mut facts = facts.take("facts");
    let running = u64::try_from(running(worker)).unwrap_or(u64::MAX);
    let mut members = vec![
        ("id".to_owned(), document.take("id")),
        ("pid".to_owned(), facts.take("pid")),
        ("host".to_owned(), facts.take("host")),
        ("running".to_owned(), running.into()),
        ("capacity".to_owned(), facts.take("capacity")),
        ("phi".to_owned(), document.take("phi")),
        ("liveness".to_owned(), document.take("liveness")),
    ];
    drop(document.take("facts"));
    for rest in [document, facts] {
        if let Document::Object(rest) = rest {
            members.extend(rest);
        }
    }
    Ok(Document::Object(members))
}

fn table(workers: &[Worker]) -> Table {
    let titles =
        ["WORKER", "LIVENESS", ">PHI", ">RUNNING", ">CAPACITY", ">PID", "HOST", "BEAT", "CAUSE"];
    let mut table = Table::new(&titles);
    for worker in workers {
        let facts = worker.facts.clone().unwrap_or_default();
        let (style, word) = match worker.liveness() {
            Liveness::Alive if worker.draining => (Style::Warm, "draining"),
            Liveness::Alive => (Style::Good, "alive"),
            Liveness::Suspect => (Style::Warm, "suspect"),
            Liveness::Dead => (Style::Bad, "dead"),
            Liveness::Left => (Style::Dim, "left"),
            Liveness::Unspecified => (Style::Dim, "unknown"),
        };
        table.row([
            worker.id.as_str().into(),
            cell(style, word),
            format!("{:.1}", worker.phi).into(),
            running(worker).to_string().into(),
            facts.capacity.into(),
            facts.pid.into(),
            facts.host.into(),
            time::relative(worker.last_beat_at.as_ref()).into(),
            cell(Style::Dim, worker.cause.as_str()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use planaria_proto::failure_detector::v1::{RunningAttempt, WorkerFacts};

    use super::*;

    #[test]
    fn nothing_runs_where_nobody_is() {
        let attempts = vec![RunningAttempt { attempt_id: "a".into(), ..Default::default() }];
        for (liveness, count) in [(Liveness::Suspect, 1), (Liveness::Dead, 0), (Liveness::Left, 0)]
        {
            let attempts = attempts.clone();
            let worker = Worker { liveness: liveness.into(), attempts, ..Worker::default() };
            assert_eq!(running(&worker), count, "{liveness:?}");
        }
    }

    #[test]
    fn facts_stand_beside_the_state() {
        let worker = Worker {
            id: "worker-1".into(),
            liveness: Liveness::Alive.into(),
            phi: 0.5,
            facts: Some(WorkerFacts { pid: 7, capacity: 16, ..WorkerFacts::default() }),
            attempts: vec![RunningAttempt { attempt_id: "a".into(), ..Default::default() }],
            ..Worker::default()
        };
        let mapping = Mapping::new().unwrap();
        expect![[r#"
            {
              "id": "worker-1",
              "pid": 7,
              "host": "",
              "running": 1,
              "capacity": 16,
              "phi": 0.5,
              "liveness": "alive",
              "incarnation": "",
              "sessionId": "",
              "draining": false,
              "attempts": [
                {
                  "attemptId": "a",
                  "progressCount": 0,
                  "progress": ""
                }
              ],
              "cause": "",
              "version": "",
              "functions": [],
              "queues": [],
              "labels": {}
            }"#]]
        .assert_eq(&document(&mapping, &worker).unwrap().pretty());
    }
}
