//! Tests of clients that may not be installed.

use libtest_mimic::{Failed, Trial};

/// Prints what is missing, once for all tests that need it.
pub fn announced(missing: Option<String>) -> Option<String> {
    missing.inspect(|missing| eprintln!("tests ignored: {missing}"))
}

/// A test in a runtime of its own, ignored if something is `missing`.
pub fn trial<F>(name: String, missing: Option<String>, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    let ignored = missing.is_some();
    Trial::test(name, move || match missing {
        // Run nevertheless, with `--include-ignored`.
        Some(missing) => Err(Failed::from(missing)),
        None => {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?
                .block_on(test());
            Ok(())
        }
    })
    .with_ignored_flag(ignored)
}
