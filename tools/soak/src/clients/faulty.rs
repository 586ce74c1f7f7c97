//! Clients of faulty upstreams, which expect the faults.

use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message;

use super::{Client, frames};
use crate::{
    bytes::Pattern,
    report::Fault,
    upstream::faulty::{FORBIDDEN, MESSAGES, message},
};

/// Paths, and the status of the response.
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

/// The upgrade is refused at once.
pub(super) async fn refused(client: &mut Client) -> Result<(), Fault> {
    let (path, status) = *client.random.one_of(&REFUSALS);
    refusal(client, path, status).await
}

/// The upstream never responds, or byte by byte. Some clients disconnect before the gateway's timeout.
pub(super) async fn late(client: &mut Client) -> Result<(), Fault> {
    let path = *client.random.one_of(&["/faulty/silent", "/faulty/drip"]);
    let leaves = client.random.percent(30);
    let (pause, stopping) = (client.random.below(3000), client.stopping());
    let leave = async {
        if leaves {
            client.pause(pause).await;
        } else {
            stopping.await;
        }
    };
    tokio::select! {
        refused = refusal(client, path, 504) => refused,
        () = leave => Ok(()),
    }
}

async fn refusal(client: &Client, path: &str, status: u16) -> Result<(), Fault> {
    match frames::open(client, path).await {
        Err(Fault::Status(received)) if received == status => {
            client.tally().expected();
            Ok(())
        }
        Err(other) => Err(other),
        Ok(_) => Err(Fault::Status(101)),
    }
}

/// The upstream sends some messages, then resets or ends its connection. The messages must be right, and the end must be
/// announced by a Close, unless the connection was reset within a frame.
pub(super) async fn broken(client: &mut Client) -> Result<(), Fault> {
    let is_reset = client.random.percent(50);
    let path = if is_reset { "/faulty/reset-later" } else { "/faulty/end-later" };
    let mut socket = frames::open(client, path).await?;
    let mut received = 0;
    let end = loop {
        match socket.next().await {
            Some(Ok(Message::Close(close))) => break frames::closed(close.as_ref()),
            Some(Ok(Message::Binary(bytes))) if received < MESSAGES && bytes == message(received) => {
                received += 1;
                client.tally().verified(bytes.len());
            }
            Some(Ok(other)) => return Err(Fault::Wrong(frames::debug(&other))),
            Some(Err(error)) => break error.into(),
            None => break Fault::Ended("without a Close".to_owned()),
        }
    };
    let is_closed = matches!(end, Fault::Closed(1011)) && (is_reset || received == MESSAGES);
    if is_closed || is_reset && matches!(end, Fault::Ended(_)) {
        client.tally().expected();
        return Ok(());
    }
    Err(end)
}

/// The upstream stops and starts again. While it is stopped the response is a 502; when it stops, tunnels end with a Close
/// or without one. No byte may be wrong.
pub(super) async fn outage(client: &mut Client) -> Result<(), Fault> {
    let seed = client.random.next();
    let outcome = match frames::open(client, "/outage/").await {
        Ok(socket) => match frames::talk(seed, client.tally(), socket).await {
            Err(Fault::Closed(1011) | Fault::Ended(_)) => None,
            other => Some(other),
        },
        Err(Fault::Status(502)) => None,
        Err(other) => Some(Err(other)),
    };
    match outcome {
        Some(outcome) => outcome,
        None => {
            client.tally().expected();
            let pause = Pattern::new(seed).take(1)[0];
            client.pause(u64::from(pause)).await;
            Ok(())
        }
    }
}
