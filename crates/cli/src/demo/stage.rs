//! What happens on the stage, from three sources: the order, the healings, and the hand that
//! kills.

use planaria_proto::monitoring::v1::WatchHealingsRequest;
use planaria_proto::types::v1::{Healing, Phase};
use planaria_proto::workflow::v1::WatchWorkflowResponse;
use tokio::sync::mpsc;

use crate::Error;
use crate::client::{Backoff, Client, watch};

/// One thing that happened.
pub(super) enum Scene {
    Order(WatchWorkflowResponse),
    Healing(Box<Healing>),
}

/// Brings what happens to one workflow and every healing, until the workflow has ended.
pub(super) async fn play(
    client: &Client,
    workflow_id: &str,
    scenes: mpsc::UnboundedSender<Scene>,
) -> Result<Phase, Error> {
    let order = watch::follow(client, workflow_id, |message| {
        // The director listens for as long as the play goes on.
        let _heard = scenes.send(Scene::Order(message.clone()));
        Ok(())
    });
    tokio::select! {
        ended = order => ended,
        () = healings(client, &scenes) => Ok(Phase::Unspecified),
    }
}

/// Never ends by itself.
async fn healings(client: &Client, scenes: &mpsc::UnboundedSender<Scene>) {
    let mut backoff = Backoff::default();
    loop {
        if let Ok(response) = client.monitoring().watch_healings(WatchHealingsRequest {}).await {
            let mut stream = response.into_inner();
            while let Ok(Some(message)) = stream.message().await {
                for healing in message.healings {
                    let _heard = scenes.send(Scene::Healing(Box::new(healing)));
                }
            }
        }
        backoff.pause().await;
    }
}
