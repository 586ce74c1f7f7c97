//! Chromium, for tests of pages.

mod devtools;

use std::time::Duration;

use tokio::time::timeout;

pub use devtools::Browser;

use crate::process::script::is_program;

/// Time limit of a visit, including the start of the browser.
const TIMEOUT: Duration = Duration::from_secs(40);

pub fn program() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| is_program(name))
}

/// Message about Chromium, if it is not installed.
pub fn missing() -> Option<String> {
    let missing = "Chromium is missing; tests/clients/install.sh, as root, installs it";
    program().is_none().then(|| missing.to_owned())
}

/// Waits for a visit, up to the time limit.
pub async fn bounded_visit(visit: impl Future<Output = ()>) {
    timeout(TIMEOUT, visit).await.expect("the visit took too long");
}

/// Saves a screenshot of the page, for inspection by people.
pub async fn picture(page: &mut Browser, name: &str, width: u32, colours: &str) {
    let test = std::env::current_exe().unwrap();
    // `target/tmp`, as cargo's CARGO_TARGET_TMPDIR.
    let folder = test.ancestors().nth(3).unwrap().join("tmp");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}.png"));
    page.look(width, 640, colours).await;
    page.screenshot(&file).await;
    println!("picture: {}", file.display());
}
