//! Chromium, for the tests of pages.

use std::time::Duration;

use tokio::time::timeout;

use crate::{devtools::Browser, script::is_program};

/// For the whole visit, the start of the browser included.
const PATIENCE: Duration = Duration::from_secs(40);

pub fn program() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| is_program(name))
}

/// What must be installed before this test can run.
pub fn missing() -> Option<String> {
    let missing = "Chromium is missing; tests/clients/install.sh, as root, installs it";
    program().is_none().then(|| missing.to_owned())
}

/// Fails when a visit takes longer than it may.
pub async fn patiently(visit: impl Future<Output = ()>) {
    timeout(PATIENCE, visit).await.expect("the visit took too long");
}

/// Keeps a picture of the page for people to look at.
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
