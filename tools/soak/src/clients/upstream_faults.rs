//! Clients of faulty upstreams. Each accepts only the failures that its upstream causes.

use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message;

use super::{Client, websocket};
use crate::{
    bytes::Pattern,
    report::Failure,
    upstream::faulty::{FORBIDDEN, MESSAGES, message},
};

/// Paths, and the status that the client receives.
const REFUSALS: [(&str, u16); 9] = [
    ("/refuse/", 502),
    ("/faulty/reset", 502),
    ("/faulty/close", 502),
    ("/faulty/garbage", 502),
    ("/faulty/half-a-head", 502),
    ("/faulty/wrong-accept", 502),
    ("/faulty/no-upgrade", 502),
    ("/faulty/another-protocol", 502),
    ("/faulty/forbidden", FORBIDDEN),
];

/// Upstream without a valid response: the client receives an error status immediately.
pub(super) async fn refused(client: &mut Client) -> Result<(), Failure> {
    let (path, status) = *client.random.choose(&REFUSALS);
    refusal(client, path, status).await
}

/// Upstream that never responds, or one byte at a time: the client receives 504. Some clients disconnect earlier.
pub(super) async fn slow(client: &mut Client) -> Result<(), Failure> {
    let path = *client.random.choose(&["/faulty/silent", "/faulty/drip"]);
    let disconnects = client.random.chance(30);
    let (pause, stopping) = (client.random.below(3000), client.stopping());
    let disconnect = async {
        if disconnects {
            client.pause(pause).await;
        } else {
            stopping.await;
        }
    };
    tokio::select! {
        result = refusal(client, path, 504) => result,
        () = disconnect => Ok(()),
    }
}

async fn refusal(client: &Client, path: &str, status: u16) -> Result<(), Failure> {
    match websocket::open(client, path).await {
        Err(Failure::Status(received)) if received == status => {
            client.counters().expected();
            Ok(())
        }
        Err(other) => Err(other),
        Ok(_) => Err(Failure::Status(101)),
    }
}

/// Upstream that resets or ends its connection after some messages. All received messages are correct, and none is missing
/// unless a reset discarded it. Then the client's connection ends without a Close.
pub(super) async fn disconnected(client: &mut Client) -> Result<(), Failure> {
    let is_reset = client.random.chance(50);
    let path = if is_reset { "/faulty/reset-later" } else { "/faulty/end-later" };
    let mut socket = websocket::open(client, path).await?;
    let mut received = 0;
    let end = loop {
        match socket.next().await {
            Some(Ok(Message::Close(close))) => break websocket::closed(close.as_ref()),
            Some(Ok(Message::Binary(bytes))) if received < MESSAGES && bytes == message(received) => {
                received += 1;
                client.counters().verified(bytes.len());
            }
            Some(Ok(other)) => return Err(Failure::WrongBytes(websocket::debug(&other))),
            Some(Err(error)) => break error.into(),
            None => break Failure::Ended("without a Close".to_owned()),
        }
    };
    if matches!(end, Failure::Ended(_)) && (is_reset || received == MESSAGES) {
        client.counters().expected();
        return Ok(());
    }
    Err(end)
}

/// Upstream that restarts. A tunnel that is open when it stops ends without a Close; until it is
/// back, upgrades receive 502. No byte is ever wrong.
pub(super) async fn restarting(client: &mut Client) -> Result<(), Failure> {
    let seed = client.random.next();
    let result = match websocket::open(client, "/outage/").await {
        Ok(socket) => match websocket::exchange_messages(seed, client.counters(), socket).await {
            Err(Failure::Ended(_)) => None,
            other => Some(other),
        },
        Err(Failure::Status(502)) => None,
        Err(other) => Some(Err(other)),
    };
    match result {
        Some(result) => result,
        None => {
            client.counters().expected();
            let pause = Pattern::new(seed).take(1)[0];
            client.pause(u64::from(pause)).await;
            Ok(())
        }
    }
}
