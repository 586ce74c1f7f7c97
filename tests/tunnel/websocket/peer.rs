//! A scripted peer: sends bytes and frames, and checks every frame received.

use std::{io, sync::atomic::Ordering};

use test_support::websocket::frame::{self, CLOSE, Frame, close_payload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_upgrade_proxy::Side;

use super::{
    clock::{frozen, poll_once, settle},
    stream::PeerStream,
};

/// One side of a tunnel.
pub(super) struct Peer {
    pub(super) side: Side,
    stream: PeerStream,
}

impl Peer {
    pub(super) fn new(side: Side, stream: PeerStream) -> Self {
        Self { side, stream }
    }

    pub(crate) fn frame(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        frame::frame(self.side, first, payload)
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        frozen(self.stream.write_all(bytes)).await.unwrap();
    }

    pub(super) async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&self.frame(first, payload)).await;
    }

    pub(super) async fn close(&mut self, code: u16) {
        self.send_frame(CLOSE, &close_payload(code, "")).await;
    }

    /// Shuts down the write half.
    pub(super) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Writes until the tunnel takes no more. Returns the number of bytes written.
    pub(super) async fn flood(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        frozen(async {
            while taken < bytes.len() {
                let mut waited = 0;
                taken += loop {
                    match poll_once(self.stream.write(&bytes[taken..])).await {
                        Some(written) => break written.unwrap(),
                        None if waited == 200 => return,
                        None => waited += 1,
                    }
                    tokio::task::yield_now().await;
                }
            }
        })
        .await;
        taken
    }

    /// Resets the connection.
    pub(super) fn reset(self) {
        match self.stream {
            PeerStream::Memory(_stream, reset) => reset.store(true, Ordering::SeqCst),
            PeerStream::Socket(socket) => socket.set_zero_linger().unwrap(),
        }
    }

    /// Reads this many bytes.
    pub(super) async fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        frozen(self.stream.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// Reads all bytes that have arrived.
    pub(super) async fn drain(&mut self) -> Vec<u8> {
        settle().await;
        let (mut received, mut block) = (Vec::new(), vec![0; 65_536]);
        while let Some(read) = poll_once(self.stream.read(&mut block)).await {
            match read.unwrap() {
                0 => break,
                read => received.extend(&block[..read]),
            }
            settle().await;
        }
        received
    }

    /// Reads the next frame and checks its masking; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        frozen(self.read()).await.unwrap_or_else(|error| panic!("{}: {error}", self.side))
    }

    async fn read(&mut self) -> io::Result<Option<Frame>> {
        let Some((frame, is_masked)) = frame::read(&mut self.stream).await? else { return Ok(None) };
        assert_eq!(
            is_masked,
            self.side == Side::Upstream,
            "frames to the upstream are masked, and no others"
        );
        Ok(Some(frame))
    }

    #[track_caller]
    pub(super) fn expect(&mut self, first: u8, payload: &[u8]) -> impl Future<Output = ()> {
        let expected = Some(Frame { first, payload: payload.to_vec() });
        let caller = std::panic::Location::caller();
        async move {
            let received = self.next().await;
            assert!(
                received == expected,
                "{}, {caller}: {:.200} received",
                self.side,
                format!("{received:x?}")
            );
        }
    }

    /// Expects a Close with this code and any reason.
    #[track_caller]
    pub(super) fn expect_close(&mut self, code: u16) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let received = self.next().await;
            let is_close = received
                .as_ref()
                .is_some_and(|frame| frame.first == CLOSE && frame.payload.starts_with(&code.to_be_bytes()));
            assert!(is_close, "{}, {caller}: {:.200} received", self.side, format!("{received:x?}"));
        }
    }

    #[track_caller]
    pub(super) fn expect_end(&mut self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let received = self.next().await;
            assert!(
                received.is_none(),
                "{}, {caller}: {:.200} received",
                self.side,
                format!("{received:x?}")
            );
        }
    }

    /// Expects the end of the connection or a reset.
    pub(super) async fn expect_disconnect(&mut self) {
        let received = frozen(self.read()).await;
        assert!(matches!(received, Ok(None) | Err(_)), "{:.200}", format!("{received:x?}"));
    }

    /// Expects that no byte has arrived.
    #[track_caller]
    pub(super) fn expect_quiet(&mut self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            settle().await;
            let received = poll_once(self.stream.read_u8()).await;
            assert!(received.is_none(), "{}, {caller}: {received:x?} received", self.side);
        }
    }
}
