//! Decisions for all pairs of direction states ([`states`]), and for every deadline ([`deadlines`]). No IO.

mod deadlines;
mod states;

use std::io;

use super::{
    super::{ClosePolicy, KeepAlive, direction::CopyError, direction::Phase, frame_relay::FrameError},
    *,
};

const SECOND: Duration = Duration::from_secs(1);

fn lifecycle(config: TunnelConfig) -> Lifecycle {
    Lifecycle::new(Arc::new(config))
}

/// A tunnel whose sides both get a Close.
fn closing_both() -> Lifecycle {
    lifecycle(TunnelConfig::new().close_policy(ClosePolicy::going_away()))
}

/// A tunnel whose sides both end without a Close.
fn closing_neither() -> Lifecycle {
    lifecycle(TunnelConfig::new().close_policy(ClosePolicy::from_fn(|_, _| None)))
}

fn running() -> Status {
    Status {
        phase: Phase::Running,
        error: None,
        is_closed: false,
        frame_error: None,
        is_blocked: false,
        is_flushed: false,
        is_between_messages: true,
        resumes_at: None,
    }
}

/// Returns the state of a direction by its name in the tables.
fn status(name: &str) -> Status {
    let error = || Arc::new(io::Error::from(io::ErrorKind::ConnectionReset));
    let running = running();
    match name {
        "running" => running,
        "flushed" => Status { is_flushed: true, ..running },
        "flushed, within a message" => Status { is_flushed: true, is_between_messages: false, ..running },
        "closed" => Status { is_closed: true, ..running },
        "closed+flushed" => Status { is_closed: true, is_flushed: true, ..running },
        "finished" => Status { phase: Phase::ShuttingDown, ..running },
        "done" => Status { phase: Phase::Done, is_flushed: true, ..running },
        "read" => Status { error: Some(CopyError::Read(error())), ..running },
        "write" => Status { error: Some(CopyError::Write(error())), ..running },
        "big" => Status { frame_error: Some(FrameError::TooBig), ..running },
        "invalid" => Status { frame_error: Some(FrameError::Masking), ..running },
        other => panic!("no state {other}"),
    }
}

/// The action in words; times are seconds since the tunnel opened.
fn words(next: &Next, lifecycle: &Lifecycle) -> String {
    let sides = |sides: &Sides<bool>| match (sides.client, sides.upstream) {
        (true, true) => "client+upstream",
        (true, false) => "client",
        (false, true) => "upstream",
        (false, false) => "none",
    };
    match next {
        Next::Wait(None) => "wait".to_owned(),
        Next::Wait(Some(deadline)) => format!("wait {}", (*deadline - lifecycle.opened).as_secs()),
        Next::Ping(side) => format!("ping {side}"),
        Next::Close(end) => format!("close {}", end.reason()),
        Next::Probe => "probe".to_owned(),
        Next::Shutdown(which) => format!("shut down {}", sides(which)),
        Next::Abandon(which) => format!("abandon {}", sides(which)),
        Next::Release(which) => format!("release {}", sides(which)),
        Next::End(end) => format!("end {}", end.reason()),
    }
}

/// The words with the sides swapped.
fn mirrored(words: &str) -> String {
    match words {
        "abandon client+upstream" | "release client+upstream" | "shut down client+upstream" => {
            words.to_owned()
        }
        _ => words.replace("client", "-").replace("upstream", "client").replace('-', "upstream"),
    }
}

/// Starts a close handshake between two WebSocket sides.
fn begin(lifecycle: &mut Lifecycle, end: TunnelEnd) -> Sides<Direction> {
    let mut directions = Sides::from_fn(|side| {
        let mut direction = Direction::new(None);
        direction.follow(FrameRelay::new(side, Arc::clone(&lifecycle.config)));
        direction
    });
    let open = Sides::from_fn(|_| running());
    lifecycle.close(end, &mut directions, &open, lifecycle.opened).expect("a Close is queued");
    directions
}
