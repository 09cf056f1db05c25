//! A task that kills its workers is taken out of circulation, and may come back.

use planaria_proto::retry::v1::{
    DeadLetter, DeadLetterCause, DeadLetterState, GetDeadLetterRequest, ListDeadLettersRequest,
    RedriveDeadLettersRequest,
};
use planaria_proto::types::v1::{HealingAction, Phase};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_sdk::{Client, Start};

use crate::ask;
use crate::binary::Mesh;

/// Four attempts end their process: three before the quarantine, one behind it.
const POISON: &str = "
document: { dsl: '1.0.3', namespace: system, name: poison, version: '1.0.0' }
do:
  - drink: { call: simulate, with: { crash: 4, output: survived } }
";

async fn dead_letters(
    client: &Client,
    workflow_id: &str,
    state: DeadLetterState,
) -> Vec<DeadLetter> {
    let workflow_id = workflow_id.to_owned();
    let request = ListDeadLettersRequest { workflow_id, state: state.into(), ..Default::default() };
    let answer = ask::ask(async || client.retry_service().list_dead_letters(request.clone()).await);
    answer.await.dead_letters
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_quarantined_and_can_be_redriven() {
    let folder = tempfile::tempdir().unwrap();
    let mesh = Mesh::up(folder.path());
    mesh.workers().await;
    let client = Client::connect(&mesh.uri).unwrap();
    ask::put(&client, POISON).await;
    let id = client.start(Start::new("system", "poison")).await.unwrap().workflow_id;

    let faulted = ask::ended(&client, &id).await;
    assert_eq!(faulted.phase(), Phase::Faulted, "{faulted:?}");
    let task = &faulted.tasks[0];
    assert_eq!((task.attempts, task.losses), (3, 3), "{task:?}");
    let lost_by = |events: &[planaria_proto::workflow::v1::HistoryEvent]| -> Vec<String> {
        let lost = events.iter().filter_map(|event| match event.event.as_ref()? {
            Event::AttemptLost(lost) => lost.execution.as_ref(),
            _ => None,
        });
        lost.map(|execution| execution.worker_id.clone()).collect()
    };
    let mut victims = lost_by(&ask::history(&client, &id).await);
    victims.sort();
    victims.dedup();
    assert_eq!(victims, ["worker-1", "worker-2"]);

    let open = async || dead_letters(&client, &id, DeadLetterState::Open).await.pop();
    let letter = ask::until("there is a dead letter", open).await;
    assert_eq!(letter.cause(), DeadLetterCause::Quarantined);
    let request = GetDeadLetterRequest { id: letter.id.clone() };
    let shown = ask::ask(async || client.retry_service().get_dead_letter(request.clone()).await);
    let story = shown.await.dead_letter.unwrap().story;
    assert_eq!(lost_by(&story).len(), 3, "{story:#?}");
    let recorded = async || {
        let healings = ask::healings(&client).await;
        healings.into_iter().find(|healing| healing.action() == HealingAction::Quarantined)
    };
    let healing = ask::until("the quarantine is recorded", recorded).await;
    assert_eq!((&healing.workflow_id, &healing.task), (&id, &letter.task));

    let request = RedriveDeadLettersRequest { ids: vec![letter.id.clone()], input: None };
    let redriven =
        ask::ask(async || client.retry_service().redrive_dead_letters(request.clone()).await);
    let outcome = redriven.await.outcomes.swap_remove(0);
    assert!(outcome.redriven, "{outcome:?}");
    // It kills once more, and then lives: losses are counted anew.
    let completed = async || {
        let workflow = ask::get(&client, &id).await;
        (workflow.phase() == Phase::Completed).then_some(workflow)
    };
    let workflow = ask::until("it has completed", completed).await;
    assert_eq!(&workflow.output.unwrap().data[..], b"\"survived\"");
    let letters = dead_letters(&client, &id, DeadLetterState::Redriven).await;
    assert_eq!((letters.len(), &letters[0].id), (1, &letter.id));
    assert!(open().await.is_none());
    println!("poison: quarantined after 3 losses on 2 workers, redriven, completed");
}
