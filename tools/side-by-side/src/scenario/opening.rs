//! Concurrent opening of many tunnels.

use std::{net::SocketAddr, sync::Arc};

use super::CONCURRENCY;
use crate::{
    Result,
    http2::{Connection, Http2},
    trial::{Trial, concurrently},
    websocket::{Check, Message, WebSocket},
};

/// Connections for the tunnels of a scenario.
#[derive(Debug, Clone)]
pub(super) enum Client {
    /// A new connection for each tunnel.
    Http1(SocketAddr),
    /// Streams of these connections, in turn.
    Http2(Vec<Connection>),
}

impl Client {
    /// Client for this number of tunnels. If it uses HTTP/2 in this trial, opens `connections` for all of them.
    pub(super) async fn of(trial: &Trial, tunnels: usize, connections: usize) -> Result<Self> {
        if trial.http2 != Http2::Client {
            return Ok(Self::Http1(trial.address));
        }
        let mut opened = Vec::with_capacity(connections);
        for _ in 0..connections {
            opened.push(Connection::open(trial.address, tunnels.div_ceil(connections)).await?);
        }
        Ok(Self::Http2(opened))
    }

    /// Opens `count` tunnels to `/echo`, and verifies one echo of the message on each.
    pub(super) async fn open_echoes(&self, count: usize, message: &Arc<Message>) -> Result<Vec<WebSocket>> {
        let task = |task: usize| {
            let (client, message) = (self.clone(), Arc::clone(message));
            async move {
                let mut opened = Vec::with_capacity(count / CONCURRENCY + 1);
                for turn in (task..count).step_by(CONCURRENCY) {
                    let mut tunnel = client.open(turn).await?;
                    tunnel.echo(&message, Check::Whole).await?;
                    opened.push(tunnel);
                }
                Ok(opened)
            }
        };
        Ok(concurrently((0..CONCURRENCY).map(task)).await?.into_iter().flatten().collect())
    }

    async fn open(&self, turn: usize) -> Result<WebSocket> {
        match self {
            Self::Http1(address) => WebSocket::open(*address, "/echo").await,
            Self::Http2(connections) => {
                WebSocket::open_on_stream(&connections[turn % connections.len()], "/echo").await
            }
        }
    }
}
