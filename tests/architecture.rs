//! The direction list of docs/architecture.md, against the imports in `src`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The folder of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The level of each top-level module.
fn levels() -> BTreeMap<String, usize> {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let list = page.split("```").find_map(|block| block.strip_prefix("text directions\n")).expect("a list");
    let levels = list.lines().enumerate();
    levels.flat_map(|(level, line)| line.split(' ').map(move |module| (module.to_owned(), level))).collect()
}

/// The source files below `folder` that are no tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let code =
        entries.filter(|path| !["tests", "model"].contains(&path.file_stem().unwrap().to_str().unwrap()));
    code.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The code of a file without its comments and tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
    code.lines().map(|line| line.split("//").next().unwrap().to_owned() + "\n").collect()
}

/// The top-level modules, or items of lib.rs, that follow each `crate::`.
fn used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for path in code.split("crate::").skip(1) {
        let mut depth = 0;
        let group = path.starts_with('{');
        let end = path.find(|next: char| {
            depth += i32::from(next == '{') - i32::from(next == '}');
            depth == 0 && !next.is_alphanumeric() && next != '_'
        });
        let mut depth = 0;
        let names = path[..end.unwrap()].split_inclusive(['{', '}', ',']).filter_map(|name| {
            let outer = depth == i32::from(group);
            depth += i32::from(name.ends_with('{')) - i32::from(name.ends_with('}'));
            outer.then(|| name.trim().split([':', ',', '}', ' ']).next().unwrap().to_owned())
        });
        used.extend(names.filter(|name| !name.is_empty()));
    }
    used
}

#[test]
fn modules_import_only_from_lower_levels() {
    let (levels, source) = (levels(), root().join("src"));
    let (mut faults, mut gone) = (Vec::new(), levels.clone());
    for file in sources(&source) {
        let path = file.strip_prefix(&source).unwrap();
        let module = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let Some(own) = levels.get(module) else { panic!("{module} is not in the list") };
        gone.remove(module);
        let code = code(&file);
        for name in used(&code).iter().filter(|name| *name != module) {
            match levels.get(name) {
                Some(level) if level < own => {}
                Some(_) => faults.push(format!("{}: {name} is not below {module}", path.display())),
                None => faults.push(format!("{}: crate::{name} is no module of the list", path.display())),
            }
        }
        // A `super` path out of a top-level module is an import through lib.rs.
        let depth = path.with_extension("").iter().filter(|part| *part != "mod").count();
        if code.contains(&"super::".repeat(depth)) {
            faults.push(format!("{}: super:: leads to lib.rs", path.display()));
        }
    }
    faults.extend(gone.keys().map(|module| format!("{module} is in the list and not in src")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_tunnel_needs_neither_http_nor_metrics() {
    let crates =
        ["axum", "h2", "http", "http_body", "http_body_util", "hyper", "hyper_util", "metrics", "tower"];
    for file in sources(&root().join("src/tunnel")) {
        let code = code(&file);
        let mut names = code
            .split("::")
            .filter_map(|path| path.rsplit(|it: char| !it.is_alphanumeric() && it != '_').next());
        let used = names.find(|name| crates.contains(name));
        assert_eq!(used, None, "{}", file.display());
    }
}
