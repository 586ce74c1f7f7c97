use shuttle::thread;

use super::*;
use crate::sync::model;

#[test]
fn no_more_than_the_maximum_is_in_use() {
    model(|| {
        let permits: Vec<_> = (1..MAX_IN_USE).map(|_| PipePermit::acquire()).collect();
        assert!(permits.iter().all(Option::is_some));
        let last = [(); 2].map(|()| thread::spawn(PipePermit::acquire));
        let last = last.map(|thread| thread.join().unwrap());
        assert!(last.iter().flatten().count() <= 1);
        drop((permits, last));
        assert_eq!(IN_USE.load(Ordering::Relaxed), 0);
    });
}
