//! Locks, atomics and wakers of the standard library and of `atomic-waker`. In the models (`cargo xtask models`) they
//! are those of [shuttle](https://docs.rs/shuttle), and its scheduler may switch threads at each use.

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
