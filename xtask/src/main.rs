//! The commands of the day, in one place: `cargo xtask` lists them.

use std::{
    env,
    path::Path,
    process::{Command, ExitCode},
};

/// A command, and what the list says of it.
struct Task {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Outcome,
}

/// The error is what the user is told.
type Outcome = Result<(), String>;

const TASKS: &[Task] = &[
    task("fast", "[FILTER]", "Unit tests and the test programs that take seconds", fast),
    task("test", "", "All tests: the README's command", test),
    task(
        "one",
        "PROGRAM [FILTER]",
        "One test program; `lib` for the unit tests, `doc` for the documentation's",
        one,
    ),
    task("clients", "", "Install what the tests with real clients need: Python, Node, Chromium", clients),
    task("models", "[FILTER]", "Models of the state shared between threads", models),
    task("miri", "[FILTER]", "Unit tests under Miri (nightly)", miri),
    task("tsan", "[TARGETS]", "Tests under ThreadSanitizer (nightly)", tsan),
    task("flakes", "[RUNS [AT ONCE]]", "All tests, again and again", flakes),
    task("fuzz", "[SECONDS [TARGET...]]", "All fuzz targets, 60 seconds each unless given", fuzz),
    task("bench", "[OPTIONS OF cargo bench]", "Benchmarks of the library", bench),
    task("side-by-side", "[OPTIONS]", "The gateway beside nginx, HAProxy and others", side_by_side),
    task("soak", "[OPTIONS]", "The gateway under mixed load and faulty upstreams", soak),
    task("doc", "[--open]", "The documentation, warnings denied", doc),
    task("lint", "", "Format and clippy, warnings denied", lint),
    task("ci", "", "Everything that must hold before a change lands", ci),
];

/// Test programs for `fast`.
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
    "tls",
    "tunnel",
    "versions",
    "wire",
];

/// The others: minutes, thousands of sockets, or clients and servers that must be installed.
const SLOW: &[&str] = &["browser", "clients", "cycles", "flood", "nginx_parity", "soak"];

const fn task(
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Outcome,
) -> Task {
    Task { name, arguments, about, run }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        None => {
            list();
            Ok(())
        }
        Some((name, rest)) => match TASKS.iter().find(|task| task.name == name) {
            Some(task) => (task.run)(rest),
            None => Err(format!("no command {name:?}; `cargo xtask` lists them")),
        },
    };
    match outcome {
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

/// The folder of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Runs a program in the root of the workspace, which must succeed.
fn run(command: &mut Command) -> Outcome {
    let shown = format!("{command:?}").replace('"', "");
    eprintln!("> {shown}");
    let status = command.current_dir(root()).status().map_err(|error| format!("{shown}: {error}"))?;
    status.success().then_some(()).ok_or_else(|| format!("{shown}: {status}"))
}

fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Outcome {
    run(Command::new("cargo").args(arguments))
}

fn script(path: &str, arguments: &[String]) -> Outcome {
    run(Command::new(root().join(path)).args(arguments))
}

/// What every test command has: with the same packages and features, nothing is built twice.
const TEST: [&str; 4] = ["test", "--workspace", "--all-features", "--no-fail-fast"];

fn strs(arguments: &[String]) -> impl Iterator<Item = &str> {
    arguments.iter().map(String::as_str)
}

fn fast(arguments: &[String]) -> Outcome {
    let programs = FAST.iter().flat_map(|program| ["--test", program]);
    cargo(TEST.into_iter().chain(["--lib"]).chain(programs).chain(["--"]).chain(strs(arguments)))
}

fn test(arguments: &[String]) -> Outcome {
    cargo(TEST.into_iter().chain(strs(arguments)))
}

fn one(arguments: &[String]) -> Outcome {
    let Some((program, filter)) = arguments.split_first() else {
        return Err(format!("which program? lib, doc, {}, {}", FAST.join(", "), SLOW.join(", ")));
    };
    let target = match program.as_str() {
        "lib" => vec!["--lib"],
        "doc" => vec!["--doc"],
        program => vec!["--test", program],
    };
    cargo(TEST.into_iter().chain(target).chain(["--"]).chain(strs(filter)))
}

fn clients(arguments: &[String]) -> Outcome {
    script("tests/clients/install.sh", arguments)
}

fn models(arguments: &[String]) -> Outcome {
    script("xtask/scripts/models.sh", arguments)
}

fn miri(arguments: &[String]) -> Outcome {
    script("xtask/scripts/miri.sh", arguments)
}

fn tsan(arguments: &[String]) -> Outcome {
    script("xtask/scripts/tsan.sh", arguments)
}

fn flakes(arguments: &[String]) -> Outcome {
    script("xtask/scripts/flakes.sh", arguments)
}

fn fuzz(arguments: &[String]) -> Outcome {
    if arguments.is_empty() {
        script("fuzz/run.sh", &["60".to_owned()])
    } else {
        script("fuzz/run.sh", arguments)
    }
}

fn bench(arguments: &[String]) -> Outcome {
    cargo(["bench", "--package", "benches"].into_iter().chain(strs(arguments)))
}

fn side_by_side(arguments: &[String]) -> Outcome {
    cargo(["run", "--release", "--package", "side-by-side", "--"].into_iter().chain(strs(arguments)))
}

fn soak(arguments: &[String]) -> Outcome {
    cargo(["build", "--release", "--package", "upgrade-gateway"])?;
    cargo(["run", "--release", "--package", "soak", "--"].into_iter().chain(strs(arguments)))
}

fn doc(arguments: &[String]) -> Outcome {
    let mut command = Command::new("cargo");
    command.args(["doc", "--no-deps", "--all-features", "--package", "tower-upgrade-proxy"]);
    run(command.args(arguments).env("RUSTDOCFLAGS", "-D warnings"))
}

fn lint(_: &[String]) -> Outcome {
    cargo(["fmt", "--all", "--check"])?;
    cargo(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
}

fn ci(arguments: &[String]) -> Outcome {
    script(".ci/run", arguments)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::{FAST, SLOW, root};

    /// The test programs of a package: files, and folders with a `main.rs`, in this folder.
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
