//! The set-ups of docs/nginx.md, each with a real nginx and with the Rust program beside it: the same raw requests and the
//! same responses of the upstream, compared field by field.
//!
//! Without nginx the comparisons are *ignored*, and a message has the command that installs it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod alone;
mod case;
mod cases;
mod client;
mod docs;
mod message;
mod nginx;
mod proxy;
mod recorder;
mod response;
#[path = "../nginx/mod.rs"]
mod setups;
mod tls;
mod transcript;

use std::process::ExitCode;

use case::Case;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let missing = nginx::find().err();
    if let Some(missing) = &missing {
        eprintln!("comparisons ignored: {missing}");
    }
    let mut trials = without_nginx();
    trials.extend(cases::all().into_iter().map(|case| comparison(case, missing.clone())));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A case as a test, ignored if nginx is `missing`.
fn comparison(case: Case, missing: Option<String>) -> Trial {
    let ignored = missing.is_some();
    Trial::test(case.title(), move || match missing {
        // Run nevertheless, with `--include-ignored`.
        Some(missing) => Err(Failed::from(missing)),
        None => block_on(case.run())?.map_err(Failed::from),
    })
    .with_ignored_flag(ignored)
}

fn without_nginx() -> Vec<Trial> {
    vec![
        page("every_block_is_the_tested_file", |_| docs::every_block_is_the_tested_file()),
        page("every_difference_has_its_row", docs::every_difference_has_its_row),
        page("enough_requests", docs::there_are_enough_requests_with_unique_names),
        alone("each_set_up_serves_pages_and_sockets", alone::each_set_up_serves_pages_and_sockets),
        alone("an_upgrade_never_reaches_an_inner_cache", alone::an_upgrade_never_reaches_an_inner_cache),
        alone("requests_to_upstreams_are_always_complete", alone::requests_to_upstreams_are_always_complete),
        alone("responses_in_http_1_0_are_accepted", alone::responses_in_http_1_0_are_accepted),
        alone(
            "a_request_without_its_upgrade_fields_is_a_426",
            alone::a_request_without_its_upgrade_fields_is_a_426,
        ),
        alone("a_short_timeout_is_reported", alone::a_short_timeout_is_reported),
    ]
}

/// A test of docs/nginx.md.
fn page(name: &str, test: impl FnOnce(&[Case]) + Send + 'static) -> Trial {
    Trial::test(format!("page::{name}"), move || {
        test(&cases::all());
        Ok(())
    })
}

/// A test without nginx.
fn alone<F>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(format!("alone::{name}"), move || Ok(block_on(test())?))
}

fn block_on<F: Future>(future: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    Ok(runtime.block_on(future))
}
