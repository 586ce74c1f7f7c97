//! The close codes that clients survive, without a proxy: the table in `docs/lifecycle.md`.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use test_support::ReservedPort;

use crate::{CLIENTS, clients::Clients};

const CODES: [&str; 8] = ["none", "1000", "1001", "1008", "1011", "1012", "1013", "1014"];

const BEGIN: &str = "<!-- clients: begin -->\n";
const END: &str = "<!-- clients: end -->\n";

/// The server ends the first connection of each client. Compares the clients that come back with the table, or writes it.
pub(crate) async fn check() {
    let port = ReservedPort::new();
    let _server = crate::start_upstream(&port).await;
    let queries = CODES.map(|code| format!("close={code}"));
    let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
    let clients = Clients::start(&format!("ws://{}", port.address), &queries);
    let greetings = clients.greetings(CLIENTS * CODES.len()).await;
    let table = table(&greetings);

    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/lifecycle.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the beginning of the table");
    let (old, after) = rest.split_once(END).expect("the end of the table");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(old, table, "UPDATE_DOCS=1 writes the table");
    }
}

/// The table in Markdown: a row for each client, a column for each code.
fn table(greetings: &BTreeMap<String, usize>) -> String {
    let mut rows = BTreeMap::<String, [bool; CODES.len()]>::new();
    for (name, number) in greetings {
        let (client, query) = name.split_once("|close=").expect("a client and a code");
        let code = CODES.iter().position(|code| *code == query).expect("a known code");
        rows.entry(client.to_lowercase()).or_default()[code] = *number > 1;
    }
    let mut table = format!("| client | no Close | {} |\n|", CODES[1..].join(" | "));
    table += &" --- |".repeat(CODES.len() + 1);
    table.push('\n');
    for (client, survives) in rows {
        let cells = survives.map(|survives| if survives { "yes" } else { "**never**" });
        writeln!(table, "| {client} | {} |", cells.join(" | ")).unwrap();
    }
    table
}
