//! Opening many tunnels.

use std::{net::SocketAddr, sync::Arc};

use super::WAVE;
use crate::{
    Result,
    http2::{Connection, Http2},
    trial::{Trial, at_once},
    websocket::{Check, Message, WebSocket},
};

/// Where a scenario's tunnels are opened.
#[derive(Debug, Clone)]
pub(super) enum Client {
    /// Each on a connection of its own.
    Http1(SocketAddr),
    /// As streams of these, by turns.
    Http2(Vec<Connection>),
}

impl Client {
    /// For so many tunnels. If it speaks HTTP/2 in this trial, they share so many connections.
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

    /// Opens so many tunnels to `/echo`, each with this message there and back, compared byte by byte.
    pub(super) async fn open_echoes(&self, count: usize, message: &Arc<Message>) -> Result<Vec<WebSocket>> {
        let task = |task: usize| {
            let (client, message) = (self.clone(), Arc::clone(message));
            async move {
                let mut opened = Vec::with_capacity(count / WAVE + 1);
                for turn in (task..count).step_by(WAVE) {
                    let mut tunnel = client.open(turn).await?;
                    tunnel.echo(&message, Check::Whole).await?;
                    opened.push(tunnel);
                }
                Ok(opened)
            }
        };
        Ok(at_once((0..WAVE).map(task)).await?.into_iter().flatten().collect())
    }

    async fn open(&self, turn: usize) -> Result<WebSocket> {
        match self {
            Self::Http1(address) => WebSocket::open(*address, "/echo").await,
            Self::Http2(connections) => {
                WebSocket::open_shared(&connections[turn % connections.len()], "/echo").await
            }
        }
    }
}
