//! Random bytes in random chunks between sockets, most of them spliced.

use proptest::{collection::vec, prelude::*};
use test_support::websocket::frame::{BINARY, FrameHeader, KEY};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    runtime::Builder,
    sync::Semaphore,
    task::yield_now,
};
use tower_upgrade_proxy::{ClosePolicy, Side, Tunnel, TunnelEnd};

use crate::{
    ends::{Bulk, ORDERS, WARM_UP, sent_by},
    no_timeouts,
    scenarios::numbered,
    tcp::tcp_pair,
};

/// Behaviour of one end.
#[derive(Clone, Debug)]
struct Peer {
    sends: Vec<u8>,
    /// WebSocket messages in the bytes.
    messages: u64,
    /// Sizes of consecutive writes and reads, repeated; 0 yields to other tasks.
    writes: Vec<usize>,
    reads: Vec<usize>,
    /// The second half is sent only after the end of the other peer.
    waits: bool,
}

/// Bytes, and the WebSocket messages in them.
type Sends = (Vec<u8>, u64);

/// Two peers, of which at most one waits for the other.
fn peers(sends: impl Strategy<Value = Sends> + Clone) -> impl Strategy<Value = (Peer, Peer)> {
    let sizes = || {
        let size = prop_oneof![Just(0_usize), 500..20_000_usize, 16_384..200_000_usize];
        vec(size, 0..6).prop_map(|sizes| sizes.into_iter().chain([70_000]).collect::<Vec<_>>())
    };
    let peer = (sends, sizes(), sizes());
    (peer.clone(), peer, 0..3).prop_map(|(near, far, waits)| {
        let peer = |((sends, messages), writes, reads), waits| Peer { sends, messages, writes, reads, waits };
        (peer(near, waits == 1), peer(far, waits == 2))
    })
}

fn bytes() -> impl Strategy<Value = Sends> + Clone {
    let length = prop_oneof![2 => 0..2000_usize, 3 => 100_000..600_000_usize];
    (any::<u8>(), length).prop_map(|(seed, length)| (numbered(seed, length), 0))
}

/// Binary frames of all sizes, so that splices end within headers and payloads.
fn frames() -> impl Strategy<Value = Sends> + Clone {
    let length = prop_oneof![2 => 0..126_usize, 1 => 126..70_000_usize, 2 => 70_000..200_000_usize];
    let frame = (any::<u8>(), length, any::<bool>()).prop_map(|(seed, length, masked)| {
        let (header, size) = FrameHeader::new(BINARY, length as u64, masked.then_some(KEY)).to_bytes();
        [&header[..size], &numbered(seed, length)].concat()
    });
    vec(frame, 0..8).prop_map(|frames| (frames.concat(), frames.len() as u64))
}

impl Peer {
    /// Returns the received bytes.
    async fn run(&self, mut stream: TcpStream) -> Vec<u8> {
        let (read, write) = stream.split();
        let other_ended = Semaphore::new(0);
        tokio::join!(self.receive(read, &other_ended), self.send(write, &other_ended)).0
    }

    async fn receive(&self, mut stream: ReadHalf<'_>, ended: &Semaphore) -> Vec<u8> {
        let (mut received, mut block) = (Vec::new(), vec![0; 200_000]);
        for size in self.reads.iter().cycle() {
            if *size == 0 {
                yield_now().await;
                continue;
            }
            match stream.read(&mut block[..*size]).await.unwrap() {
                0 => break,
                read => received.extend(&block[..read]),
            }
        }
        ended.add_permits(1);
        received
    }

    async fn send(&self, mut stream: WriteHalf<'_>, other_ended: &Semaphore) {
        let (first, second) = self.sends.split_at(self.sends.len() / 2);
        self.write(&mut stream, first).await;
        if self.waits {
            drop(other_ended.acquire().await.unwrap());
        }
        self.write(&mut stream, second).await;
        stream.shutdown().await.unwrap();
    }

    async fn write(&self, stream: &mut WriteHalf<'_>, mut bytes: &[u8]) {
        for size in self.writes.iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            let (now, later) = bytes.split_at((*size).min(bytes.len()));
            stream.write_all(now).await.unwrap();
            yield_now().await;
            bytes = later;
        }
    }
}

/// Runs both peers, and checks the received bytes, counts and end. `warm_up` bytes went each way before.
async fn run(near_side: Side, (near, far): &(Peer, Peer), ends: Bulk, warm_up: usize) -> u64 {
    let far_side = if near_side == Side::Client { Side::Upstream } else { Side::Client };
    let (from_near, from_far) = tokio::join!(far.run(ends.far), near.run(ends.near));
    assert!(from_near == near.sends && from_far == far.sends);
    let summary = ends.tunnel.await.unwrap();
    assert!(matches!(summary.end(), TunnelEnd::Closed { .. }), "{summary:?}");
    if near.waits || far.waits {
        let waited_for = if near.waits { far_side } else { near_side };
        assert_eq!(summary.first(), Some(waited_for));
    }
    for (side, peer) in [(near_side, near), (far_side, far)] {
        assert_eq!(sent_by(side, &summary), (warm_up + peer.sends.len()) as u64);
        assert_eq!(summary.messages(side), peer.messages);
    }
    summary.spliced()
}

fn on_sockets(work: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn spliced_bytes_arrive_in_order(peers in peers(bytes())) {
        for (near_side, _) in ORDERS {
            on_sockets(async {
                let ends = Bulk::new(near_side, no_timeouts()).await;
                let spliced = run(near_side, &peers, ends, WARM_UP).await;
                assert_eq!(spliced > 0, cfg!(target_os = "linux"));
            });
        }
    }

    #[test]
    fn spliced_bytes_of_a_websocket_arrive_in_order(
        peers in peers(frames()),
        limit in prop::option::of(Just(1_000_000_u64)),
    ) {
        on_sockets(async {
            let ((near, client), (far, upstream)) = (tcp_pair().await, tcp_pair().await);
            let config = no_timeouts().max_frame_size(limit).close_policy(ClosePolicy::from_fn(|_, _| None));
            let tunnel = tokio::spawn(Tunnel::new(client, upstream, config).websocket());
            run(Side::Client, &peers, Bulk { near, far, tunnel }, 0).await;
        });
    }
}
