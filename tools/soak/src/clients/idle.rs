//! Open tunnels with little traffic.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use super::{Client, frames};
use crate::{gateway::IDLE, report::Fault};

/// Sends few messages and closes; or sends nothing until the gateway closes with 1001.
pub(super) async fn session(client: &mut Client) -> Result<(), Fault> {
    let mut socket = frames::open(client, "/echo").await?;
    let waits_for_the_end = client.random.percent(30);
    for _ in 0..=client.random.below(8) {
        let text = Message::text(format!("still here {}", client.random.next()));
        socket.send(text.clone()).await?;
        match socket.next().await.ok_or(Fault::Ended("no response".to_owned()))?? {
            Message::Close(close) => return Err(frames::closed(close.as_ref())),
            echo if echo == text => client.tally().verified(echo.len()),
            other => return Err(Fault::Wrong(frames::debug(&other))),
        }
        if waits_for_the_end {
            break;
        }
        let pause = client.random.below(IDLE.as_millis() as u64 / 3);
        client.pause(pause).await;
    }
    if waits_for_the_end && !client.is_stopping() {
        // Not ended by the stop, so that a short run, too, sees the timeout.
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
