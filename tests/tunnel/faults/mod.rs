//! One fault in each read, write, flush and shutdown of a tunnel, on either side. In every case the tunnel ends in time,
//! the bytes that arrived are a prefix of those sent, and the summary names the right side.

mod exchange;
mod stream;

use std::io;

use tower_upgrade_proxy::{Side, TunnelEnd};

use exchange::{Exchange, Outcome};
use stream::{Fault, Operation, Plan};

const EXCHANGES: [Exchange; 4] =
    [Exchange::Bytes, Exchange::DrainedBytes, Exchange::Frames, Exchange::DrainedFrames];

const OPERATIONS: [Operation; 4] = [Operation::Read, Operation::Write, Operation::Flush, Operation::Shutdown];

/// Runs every exchange with this fault in each of its operations. Returns the number of faults.
async fn inject(
    operations: &[Operation],
    fault: Fault,
    check: impl Fn(Exchange, Side, Plan, &Outcome),
) -> usize {
    let mut faults = 0;
    for exchange in EXCHANGES {
        for side in [Side::Client, Side::Upstream] {
            for &operation in operations {
                for number in 0.. {
                    let plan = Plan { operation, number, fault };
                    let outcome = exchange.run(Some((side, plan))).await;
                    if !outcome.log(side).is_faulty {
                        break;
                    }
                    outcome.check(exchange, &format!("{exchange:?}, {side:?}, {plan:?}"));
                    check(exchange, side, plan, &outcome);
                    faults += 1;
                }
            }
        }
    }
    faults
}

#[tokio::test(start_paused = true)]
async fn every_exchange_completes_without_a_fault() {
    for exchange in EXCHANGES {
        let outcome = exchange.run(None).await;
        outcome.check(exchange, &format!("{exchange:?}"));
        outcome.expect_whole(&format!("{exchange:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn spurious_wakes_have_no_effect() {
    let faults = inject(&OPERATIONS, Fault::Pending(50), |exchange, side, plan, outcome| {
        outcome.expect_whole(&format!("{exchange:?}, {side:?}, {plan:?}"));
    })
    .await;
    assert!(faults > 100, "{faults}");
}

#[tokio::test(start_paused = true)]
async fn an_error_in_any_operation_is_a_failure_of_that_side() {
    let kinds = [io::ErrorKind::ConnectionReset, io::ErrorKind::Other, io::ErrorKind::Interrupted];
    for (kind, fault) in
        kinds.into_iter().flat_map(|kind| [(kind, Fault::Error(kind)), (kind, Fault::Once(kind))])
    {
        let faults = inject(&OPERATIONS, fault, |exchange, side, plan, outcome| {
            let what = format!("{exchange:?}, {side:?}, {plan:?}: {:?}", outcome.summary);
            match outcome.summary.end() {
                TunnelEnd::Failed { side: failed, error } => {
                    assert_eq!((*failed, error.kind()), (side, kind), "{what}");
                }
                // The tunnel was closing, or the fault was in the last shutdown.
                TunnelEnd::Drained if exchange.is_drained() => {}
                TunnelEnd::Closed { .. } if plan.operation == Operation::Shutdown => {}
                _ => panic!("{what}"),
            }
        })
        .await;
        assert!(faults > 100, "{faults}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_operation_ends_by_a_timeout() {
    let faults = inject(&OPERATIONS, Fault::Hang, |exchange, side, plan, outcome| {
        let what = format!("{exchange:?}, {side:?}, {plan:?}: {:?}", outcome.summary);
        match outcome.summary.end() {
            TunnelEnd::IdleTimeout | TunnelEnd::HalfCloseTimeout => {}
            TunnelEnd::Drained | TunnelEnd::DrainTimeout if exchange.is_drained() => {}
            // Writes and shutdowns succeed all the same.
            TunnelEnd::Closed { .. } if plan.operation == Operation::Flush => {}
            // Both sides have sent their Close.
            TunnelEnd::Closed { .. } if outcome.has_both_closes() => {}
            _ => panic!("{what}"),
        }
    })
    .await;
    assert!(faults > 100, "{faults}");
}

#[tokio::test(start_paused = true)]
async fn a_read_of_0_bytes_is_the_end_and_a_write_of_0_bytes_a_failure() {
    let faults = inject(&[Operation::Read], Fault::Zero, |exchange, side, plan, outcome| {
        let what = format!("{exchange:?}, {side:?}, {plan:?}: {:?}", outcome.summary);
        match outcome.summary.end() {
            TunnelEnd::Closed { .. } => {}
            TunnelEnd::Drained if exchange.is_drained() => {}
            _ => panic!("{what}"),
        }
    })
    .await;
    assert!(faults > 50, "{faults}");
    let faults = inject(&[Operation::Write], Fault::Zero, |exchange, side, plan, outcome| {
        let what = format!("{exchange:?}, {side:?}, {plan:?}: {:?}", outcome.summary);
        match outcome.summary.end() {
            TunnelEnd::Failed { side: failed, error } => {
                assert_eq!((*failed, error.kind()), (side, io::ErrorKind::WriteZero), "{what}");
            }
            TunnelEnd::Drained if exchange.is_drained() => {}
            _ => panic!("{what}"),
        }
    })
    .await;
    assert!(faults > 50, "{faults}");
}
