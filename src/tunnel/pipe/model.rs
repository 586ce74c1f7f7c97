use shuttle::thread;

use super::*;
use crate::sync::model;

#[test]
fn no_pipe_too_many_is_out() {
    model(|| {
        let out: Vec<_> = (1..MOST).map(|_| PipePermit::one_more()).collect();
        assert!(out.iter().all(Option::is_some));
        let last = [(); 2].map(|()| thread::spawn(PipePermit::one_more));
        let last = last.map(|thread| thread.join().unwrap());
        assert!(last.iter().flatten().count() <= 1);
        drop((out, last));
        assert_eq!(LENT.load(Ordering::Relaxed), 0);
    });
}
