//! Locks, atomics and wakers: the usual ones, or, in the models of `cargo xtask models`, those of
//! [shuttle](https://docs.rs/shuttle), whose scheduler may switch threads wherever one of them is touched.

#[cfg(upgrade_proxy_model)]
mod model;

#[cfg(not(upgrade_proxy_model))]
pub(crate) use {
    atomic_waker::AtomicWaker,
    std::sync::{Mutex, MutexGuard, atomic},
};
#[cfg(upgrade_proxy_model)]
pub(crate) use {
    model::{AtomicWaker, model},
    shuttle::sync::{Mutex, MutexGuard, atomic},
};
