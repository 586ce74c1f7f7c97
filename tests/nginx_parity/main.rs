//! The set-ups of docs/nginx.md, each before a real nginx and before the Rust that stands beside
//! it: the same raw requests, the same answers of the upstream, compared field by field.
//!
//! Without nginx the comparisons are *ignored*, and a line says how to install it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod alone;
mod answer;
mod case;
mod cases;
mod client;
mod docs;
mod front;
mod message;
mod nginx;
mod recorder;
#[path = "../nginx/mod.rs"]
mod setups;
mod tls;
mod transcript;

use std::process::ExitCode;

use case::Case;
use libtest_mimic::{Arguments, Failed, Trial};
use test_support as support;

fn main() -> ExitCode {
    let missing = nginx::find().err();
    if let Some(missing) = &missing {
        eprintln!("comparisons ignored: {missing}");
    }
    let mut trials = without_nginx();
    trials.extend(cases::all().into_iter().map(|case| comparison(case, missing.clone())));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A case as a test; ignored when nginx is `missing`.
fn comparison(case: Case, missing: Option<String>) -> Trial {
    let ignored = missing.is_some();
    Trial::test(case.title(), move || match missing {
        // Asked for all the same, with `--include-ignored`.
        Some(missing) => Err(Failed::from(missing)),
        None => block_on(case.run())?.map_err(Failed::from),
    })
    .with_ignored_flag(ignored)
}

fn without_nginx() -> Vec<Trial> {
    vec![
        page("every_block_is_the_tested_file", |_| docs::every_block_is_the_tested_file()),
        page("every_difference_has_its_row", docs::every_difference_has_its_row),
        page("enough_requests", docs::there_are_enough_requests_with_names_of_their_own),
        alone("each_set_up_serves_pages_and_sockets", alone::each_set_up_serves_pages_and_sockets),
        alone("an_upgrade_never_reaches_a_cache_inside", alone::an_upgrade_never_reaches_a_cache_inside),
        alone("an_upstream_is_always_asked_properly", alone::an_upstream_is_always_asked_properly),
        alone(
            "an_upstream_that_answers_in_http_1_0_is_heard",
            alone::an_upstream_that_answers_in_http_1_0_is_heard,
        ),
        alone("a_request_that_lost_its_upgrade_is_a_426", alone::a_request_that_lost_its_upgrade_is_a_426),
        alone("a_short_timeout_says_so", alone::a_short_timeout_says_so),
    ]
}

/// A test of docs/nginx.md.
fn page(name: &str, test: impl FnOnce(&[Case]) + Send + 'static) -> Trial {
    Trial::test(format!("page::{name}"), move || {
        test(&cases::all());
        Ok(())
    })
}

/// A test of our side alone.
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
