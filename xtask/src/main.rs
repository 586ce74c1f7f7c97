//! Commands for everyday work; `cargo xtask` lists them.

use std::{
    env,
    path::Path,
    process::{Command, ExitCode},
};

/// Command, with its description in the list.
struct Task {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&[String]) -> TaskResult,
}

/// Result of a command. The error is a message for the user.
type TaskResult = Result<(), String>;

const TASKS: &[Task] = &[
    task("fast", "[FILTER]", "Unit tests and the test programs that take seconds", fast),
    task("test", "", "All tests, as in the README", test),
    task(
        "one",
        "PROGRAM [FILTER]",
        "One test program; `lib` for the unit tests, `doc` for the documentation's examples",
        one,
    ),
    task("clients", "", "Install the clients for the tests: Python, Node, Chromium", clients),
    task("models", "[FILTER]", "Models of the state shared between threads", models),
    task("miri", "[FILTER]", "Unit tests under Miri (nightly)", miri),
    task("tsan", "[TARGETS]", "Tests under ThreadSanitizer (nightly)", tsan),
    task("flakes", "[RUNS [PARALLEL]]", "All tests, repeatedly, to find unreliable ones", flakes),
    task("fuzz", "[SECONDS [TARGET...]]", "All fuzz targets, by default 60 seconds each", fuzz),
    task("bench", "[OPTIONS OF cargo bench]", "Benchmarks of the library", bench),
    task(
        "side-by-side",
        "[OPTIONS]",
        "Comparison of the gateway with nginx, HAProxy and others",
        side_by_side,
    ),
    task("scale", "[OPTIONS]", "The gateway with thousands of tunnels and hostile crowds", scale),
    task("soak", "[OPTIONS]", "Soak test of the gateway: mixed load and faulty upstreams", soak),
    task("doc", "[--open]", "Documentation of the library; warnings are errors", doc),
    task("lint", "", "Format and clippy; warnings are errors", lint),
    task("ci", "", "All checks that a change must pass", ci),
];

/// Test programs of `fast`.
const FAST: &[&str] = &[
    "allocations",
    "architecture",
    "bad_inputs",
    "flat_memory",
    "gateway",
    "graceful",
    "h2_upstream",
    "idle_memory",
    "lifecycle",
    "pipes",
    "pool",
    "tls",
    "tunnel",
    "versions",
    "wire",
];

/// All other test programs. They take minutes, need thousands of sockets, or clients and servers that must be installed.
const SLOW: &[&str] =
    &["browser", "clients", "cycles", "flood", "nginx_parity", "reconnect", "scale", "soak"];

const fn task(
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&[String]) -> TaskResult,
) -> Task {
    Task { name, arguments, about, run }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.split_first() {
        None => {
            list();
            Ok(())
        }
        Some((name, rest)) => match TASKS.iter().find(|task| task.name == name) {
            Some(task) => (task.run)(rest),
            None => Err(format!("no command {name:?}; `cargo xtask` lists them")),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    for Task { name, arguments, about, .. } in TASKS {
        println!("cargo xtask {:<35} {about}", format!("{name} {arguments}"));
    }
}

/// Root folder of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Runs a program in the root folder. Returns an error if it fails.
fn run(command: &mut Command) -> TaskResult {
    let line = format!("{command:?}").replace('"', "");
    eprintln!("> {line}");
    let status = command.current_dir(root()).status().map_err(|error| format!("{line}: {error}"))?;
    status.success().then_some(()).ok_or_else(|| format!("{line}: {status}"))
}

fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> TaskResult {
    run(Command::new("cargo").args(arguments))
}

fn script(path: &str, arguments: &[String]) -> TaskResult {
    run(Command::new(root().join(path)).args(arguments))
}

/// Beginning of all test commands. They have the same packages and features, so that nothing is built twice.
const TEST: [&str; 4] = ["test", "--workspace", "--all-features", "--no-fail-fast"];

fn strs(arguments: &[String]) -> impl Iterator<Item = &str> {
    arguments.iter().map(String::as_str)
}

fn fast(arguments: &[String]) -> TaskResult {
    let programs = FAST.iter().flat_map(|program| ["--test", program]);
    cargo(TEST.into_iter().chain(["--lib"]).chain(programs).chain(["--"]).chain(strs(arguments)))
}

fn test(arguments: &[String]) -> TaskResult {
    cargo(TEST.into_iter().chain(strs(arguments)))
}

fn one(arguments: &[String]) -> TaskResult {
    let Some((program, filter)) = arguments.split_first() else {
        return Err(format!("PROGRAM is missing: lib, doc, {}, {}", FAST.join(", "), SLOW.join(", ")));
    };
    let target = match program.as_str() {
        "lib" => vec!["--lib"],
        "doc" => vec!["--doc"],
        program => vec!["--test", program],
    };
    cargo(TEST.into_iter().chain(target).chain(["--"]).chain(strs(filter)))
}

fn clients(arguments: &[String]) -> TaskResult {
    script("tests/clients/install.sh", arguments)
}

fn models(arguments: &[String]) -> TaskResult {
    script("xtask/scripts/models.sh", arguments)
}

fn miri(arguments: &[String]) -> TaskResult {
    script("xtask/scripts/miri.sh", arguments)
}

fn tsan(arguments: &[String]) -> TaskResult {
    script("xtask/scripts/tsan.sh", arguments)
}

fn flakes(arguments: &[String]) -> TaskResult {
    script("xtask/scripts/flakes.sh", arguments)
}

fn fuzz(arguments: &[String]) -> TaskResult {
    if arguments.is_empty() {
        script("fuzz/run.sh", &["60".to_owned()])
    } else {
        script("fuzz/run.sh", arguments)
    }
}

fn bench(arguments: &[String]) -> TaskResult {
    cargo(["bench", "--package", "benches"].into_iter().chain(strs(arguments)))
}

fn side_by_side(arguments: &[String]) -> TaskResult {
    cargo(["run", "--release", "--package", "side-by-side", "--"].into_iter().chain(strs(arguments)))
}

fn soak(arguments: &[String]) -> TaskResult {
    cargo(["build", "--release", "--package", "upgrade-gateway"])?;
    cargo(["run", "--release", "--package", "soak", "--"].into_iter().chain(strs(arguments)))
}

fn scale(arguments: &[String]) -> TaskResult {
    cargo(["build", "--release", "--package", "upgrade-gateway"])?;
    cargo(["run", "--release", "--package", "scale", "--"].into_iter().chain(strs(arguments)))
}

fn doc(arguments: &[String]) -> TaskResult {
    let mut command = Command::new("cargo");
    command.args(["doc", "--no-deps", "--all-features", "--package", "tower-upgrade-proxy"]);
    run(command.args(arguments).env("RUSTDOCFLAGS", "-D warnings"))
}

fn lint(_: &[String]) -> TaskResult {
    cargo(["fmt", "--all", "--check"])?;
    cargo(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
}

fn ci(arguments: &[String]) -> TaskResult {
    script(".ci/run", arguments)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::{FAST, SLOW, root};

    /// Test programs in a folder: files, and folders with a `main.rs`.
    fn programs(folder: &str) -> Vec<String> {
        let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let programs = entries
            .filter(|path| path.extension().is_some_and(|it| it == "rs") || path.join("main.rs").exists());
        programs.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_test_program_is_fast_or_slow() {
        let mut found = BTreeSet::new();
        let members = [
            "gateway",
            "tools/scale",
            "tools/soak",
            "examples/dashboard",
            "examples/graceful",
            "examples/quickstart",
            "examples/tls",
        ];
        found.extend(members.iter().flat_map(|package| programs(&format!("{package}/tests"))));
        found.extend(programs("tests"));
        let listed: BTreeSet<String> = FAST.iter().chain(SLOW).map(ToString::to_string).collect();
        assert_eq!(listed, found);
    }
}
