//! One operation goes wrong, on either side: each read, write, flush and shutdown that a tunnel ever does, in every way
//! there is. Whatever it is, the tunnel ends in time, what arrived is the beginning of what was sent, and the summary
//! says which side it was.

mod injected;
mod story;

use std::io;

use tower_upgrade_proxy::{Side, TunnelEnd};

use injected::{Fault, Operation, Plan};
use story::{Outcome, Story};

const STORIES: [Story; 4] = [Story::Bytes, Story::DrainedBytes, Story::Frames, Story::DrainedFrames];

const OPERATIONS: [Operation; 4] = [Operation::Read, Operation::Write, Operation::Flush, Operation::Shutdown];

/// Runs every story with this fault at each of the operations that can have it, until one is never done. How
/// often it came about.
async fn strike(
    operations: &[Operation],
    fault: Fault,
    check: impl Fn(Story, Side, Plan, &Outcome),
) -> usize {
    let mut struck = 0;
    for story in STORIES {
        for side in [Side::Client, Side::Upstream] {
            for &operation in operations {
                for number in 0.. {
                    let plan = Plan { operation, number, fault };
                    let outcome = story.run(Some((side, plan))).await;
                    if !outcome.faulty(side).struck {
                        break;
                    }
                    outcome.check(story, &format!("{story:?}, {side:?}, {plan:?}"));
                    check(story, side, plan, &outcome);
                    struck += 1;
                }
            }
        }
    }
    struck
}

#[tokio::test(start_paused = true)]
async fn without_a_fault_each_story_comes_to_its_end() {
    for story in STORIES {
        let outcome = story.run(None).await;
        outcome.check(story, &format!("{story:?}"));
        outcome.expect_whole(&format!("{story:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_wakes_changes_nothing() {
    let struck = strike(&OPERATIONS, Fault::Storm(50), |story, side, plan, outcome| {
        outcome.expect_whole(&format!("{story:?}, {side:?}, {plan:?}"));
    })
    .await;
    assert!(struck > 100, "{struck}");
}

#[tokio::test(start_paused = true)]
async fn an_error_at_any_operation_is_that_sides_failure() {
    let kinds = [io::ErrorKind::ConnectionReset, io::ErrorKind::Other, io::ErrorKind::Interrupted];
    for (kind, fault) in
        kinds.into_iter().flat_map(|kind| [(kind, Fault::Error(kind)), (kind, Fault::Once(kind))])
    {
        let struck = strike(&OPERATIONS, fault, |story, side, plan, outcome| {
            let what = format!("{story:?}, {side:?}, {plan:?}: {:?}", outcome.summary);
            match outcome.summary.end() {
                TunnelEnd::Failed { side: failed, error } => {
                    assert_eq!((*failed, error.kind()), (side, kind), "{what}");
                }
                // It was on its way to its end, or only the last to be told was not.
                TunnelEnd::Drained if story.is_drained() => {}
                TunnelEnd::Closed { .. } if plan.operation == Operation::Shutdown => {}
                _ => panic!("{what}"),
            }
        })
        .await;
        assert!(struck > 100, "{struck}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_hangs_is_ended_by_a_timeout() {
    let struck = strike(&OPERATIONS, Fault::Hang, |story, side, plan, outcome| {
        let what = format!("{story:?}, {side:?}, {plan:?}: {:?}", outcome.summary);
        match outcome.summary.end() {
            TunnelEnd::IdleTimeout | TunnelEnd::HalfCloseTimeout => {}
            TunnelEnd::Drained | TunnelEnd::DrainTimeout if story.is_drained() => {}
            // It takes bytes and the end of them all the same.
            TunnelEnd::Closed { .. } if plan.operation == Operation::Flush => {}
            // Both have said what WebSockets say at their end.
            TunnelEnd::Closed { .. } if outcome.has_both_closes() => {}
            _ => panic!("{what}"),
        }
    })
    .await;
    assert!(struck > 100, "{struck}");
}

#[tokio::test(start_paused = true)]
async fn a_read_of_nothing_is_the_end_and_a_write_of_nothing_a_failure() {
    let struck = strike(&[Operation::Read], Fault::Zero, |story, side, plan, outcome| {
        let what = format!("{story:?}, {side:?}, {plan:?}: {:?}", outcome.summary);
        match outcome.summary.end() {
            TunnelEnd::Closed { .. } => {}
            TunnelEnd::Drained if story.is_drained() => {}
            _ => panic!("{what}"),
        }
    })
    .await;
    assert!(struck > 50, "{struck}");
    let struck = strike(&[Operation::Write], Fault::Zero, |story, side, plan, outcome| {
        let what = format!("{story:?}, {side:?}, {plan:?}: {:?}", outcome.summary);
        match outcome.summary.end() {
            TunnelEnd::Failed { side: failed, error } => {
                assert_eq!((*failed, error.kind()), (side, io::ErrorKind::WriteZero), "{what}");
            }
            TunnelEnd::Drained if story.is_drained() => {}
            _ => panic!("{what}"),
        }
    })
    .await;
    assert!(struck > 50, "{struck}");
}
