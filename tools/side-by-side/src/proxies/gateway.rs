//! The gateway of this repository, built here or given on the command line.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Launch, Proxy, Role, Setup, WORKERS};
use crate::{Result, http2::Http2, machine, options::Options};

/// Selected gateways of the command line; without any there, a new build of this repository.
pub(super) fn all(options: &Options, wanted: impl Fn(&str) -> bool) -> Result<Vec<Proxy>> {
    if options.gateway.is_empty() {
        if !wanted("gateway") {
            return Ok(Vec::new());
        }
        let (program, version) = build()?;
        let version = format!("{version} ({})", machine::commit());
        return Ok(vec![proxy("gateway", version, program, &options.gateway_args)]);
    }
    let given = options.gateway.iter().map(|given| {
        let (name, command) = given.split_once('=').unwrap_or(("gateway", given));
        let (program, arguments) = command.split_once(' ').unwrap_or((command, ""));
        let version = format!("{command} {}", options.gateway_args).trim().to_owned();
        proxy(name, version, PathBuf::from(program), &format!("{arguments} {}", options.gateway_args))
    });
    Ok(given.filter(|proxy| wanted(&proxy.name)).collect())
}

fn proxy(name: &str, version: String, program: PathBuf, arguments: &str) -> Proxy {
    let arguments = arguments.split_whitespace().map(str::to_owned).collect();
    Proxy {
        name: name.to_owned(),
        version,
        role: Role::Gateway,
        launch: Launch::Gateway { program, arguments },
    }
}

/// Streams in addition to the tunnels of the scenario.
const SPARE: usize = 100;

pub(super) fn command(program: &Path, arguments: &[String], setup: &Setup<'_>) -> Command {
    let mut command = Command::new(program);
    command.args(["--listen", &setup.listen.to_string()]);
    command.args(["--route", &format!("/=http://{}", setup.upstream)]);
    // As long as those of the other proxies: the timers exist, but do not expire.
    command.args(["--idle-timeout", "1d"]).args(arguments).env("RUST_LOG", "error");
    let mut unless_given = |option: &str, value: usize| {
        if !arguments.iter().any(|argument| argument == option) {
            command.args([option, &value.to_string()]);
        }
    };
    unless_given("--workers", WORKERS);
    match setup.http2 {
        Http2::Neither => {}
        Http2::Client => unless_given("--http2-streams", setup.tunnels + SPARE),
        Http2::Upstream => drop(command.arg("--http2-upstream")),
    }
    command
}

/// Builds the gateway with the release profile, and returns its executable and version.
fn build() -> Result<(PathBuf, String)> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--package", "upgrade-gateway"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(machine::repository())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err("the gateway does not build".into());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let built = built.filter(|message| message["target"]["name"] == "upgrade-gateway").find_map(|message| {
        let program = message["executable"].as_str()?.into();
        let version = message["package_id"].as_str()?.rsplit(['@', '#']).next()?.to_owned();
        Some((program, version))
    });
    built.ok_or_else(|| "cargo reported no executable of the gateway".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_options_depend_on_the_side_with_http2() {
        let arguments = |http2, given: &[&str]| {
            let given: Vec<_> = given.iter().map(ToString::to_string).collect();
            let setup = Setup::example(http2);
            let command = command(Path::new("gateway"), &given, &setup);
            command
                .get_args()
                .skip(6)
                .map(|it| it.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(arguments(Http2::Neither, &[]), "--workers 2");
        assert_eq!(arguments(Http2::Client, &[]), "--workers 2 --http2-streams 5100");
        assert_eq!(arguments(Http2::Client, &["--http2-streams", "7"]), "--http2-streams 7 --workers 2");
        assert_eq!(arguments(Http2::Upstream, &["--workers", "1"]), "--workers 1 --http2-upstream");
    }
}
