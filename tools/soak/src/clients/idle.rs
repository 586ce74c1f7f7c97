//! Tunnels that stand, and in which next to nothing moves.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use super::{Client, frames};
use crate::{gateway::IDLE, report::Fault};

/// Says little for a while and closes; or says nothing until the gateway ends it, with 1001.
pub(super) async fn session(client: &mut Client) -> Result<(), Fault> {
    let mut socket = frames::open(client, "/echo").await?;
    let waits_for_the_end = client.random.percent(30);
    for _ in 0..=client.random.below(8) {
        let text = Message::text(format!("still here {}", client.random.next()));
        socket.send(text.clone()).await?;
        match socket.next().await.ok_or(Fault::Ended("no answer".to_owned()))?? {
            Message::Close(close) => return Err(frames::closed(close.as_ref())),
            answer if answer == text => client.tally().verified(answer.len()),
            other => return Err(Fault::Wrong(frames::debug(&other))),
        }
        if waits_for_the_end {
            break;
        }
        let pause = client.random.below(IDLE.as_millis() as u64 / 3);
        client.pause(pause).await;
    }
    if waits_for_the_end && !client.is_stopping() {
        // The last part of it is not left to the stop, so that this is seen in a short run too.
        let end = tokio::time::timeout(4 * IDLE, frames::rest(&mut socket)).await;
        return match end.unwrap_or(Fault::Stuck) {
            Fault::Closed(1001) => {
                client.tally().expected();
                Ok(())
            }
            other => Err(other),
        };
    }
    tokio::time::timeout(Duration::from_secs(60), frames::close(&mut socket))
        .await
        .unwrap_or(Err(Fault::Stuck))
}
