//! A client that connects again.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use tokio::time::sleep;

use super::{
    Member, Reader,
    http1::{self, Opened},
};
use crate::proxy::crowd_path;

/// Pause before the next connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Opens a tunnel, on a new connection each time, until the client is stopped.
pub(super) async fn run(address: SocketAddr, route: usize, member: Member) {
    let path = crowd_path(route);
    let mut permit = member.opening.clone().acquire_owned().await.ok();
    loop {
        match http1::open(address, &path, Reader::Reads).await {
            Ok(Opened::Tunnel(socket, received)) => {
                // Only the first handshakes are limited.
                permit.take();
                member.counts.opened.add(1);
                member.counts.connected.fetch_add(1, Ordering::Relaxed);
                let end = http1::hold(socket, received, Reader::Reads, &member).await;
                member.counts.connected.fetch_sub(1, Ordering::Relaxed);
                member.counts.end(end.is_err());
            }
            Ok(Opened::Refused(status)) => member.counts.refuse(status),
            Err(_) => member.counts.failed.add(1),
        }
        sleep(PAUSE).await;
    }
}
