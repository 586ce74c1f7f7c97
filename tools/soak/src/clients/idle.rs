//! Open tunnels with little or no traffic.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use super::{Client, websocket};
use crate::{gateway::IDLE_TIMEOUT, report::Failure};

/// Sends a few messages and closes; or sends one, and waits until the idle timeout of the gateway ends the tunnel
/// without a Close.
pub(super) async fn session(client: &mut Client) -> Result<(), Failure> {
    let mut socket = websocket::open(client, "/echo").await?;
    let waits_for_timeout = client.random.chance(30);
    for _ in 0..=client.random.below(8) {
        let text = Message::text(format!("still here {}", client.random.next()));
        socket.send(text.clone()).await?;
        match socket.next().await.ok_or(Failure::Ended("without an echo".to_owned()))?? {
            Message::Close(close) => return Err(websocket::closed(close.as_ref())),
            echo if echo == text => client.counters().verified(echo.len()),
            other => return Err(Failure::WrongBytes(websocket::debug(&other))),
        }
        if waits_for_timeout {
            break;
        }
        let pause = client.random.below(IDLE_TIMEOUT.as_millis() as u64 / 3);
        client.pause(pause).await;
    }
    if waits_for_timeout && !client.is_stopping() {
        // Does not stop early when the load ends, so that short runs contain this case too.
        let end = tokio::time::timeout(4 * IDLE_TIMEOUT, websocket::read_to_end(&mut socket)).await;
        return match end.unwrap_or(Failure::TimedOut) {
            Failure::Ended(_) => {
                client.counters().expected();
                Ok(())
            }
            other => Err(other),
        };
    }
    tokio::time::timeout(Duration::from_secs(60), websocket::close(&mut socket))
        .await
        .unwrap_or(Err(Failure::TimedOut))
}
