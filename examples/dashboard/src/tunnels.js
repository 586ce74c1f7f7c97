"use strict";

const MINUTE = 60;
const element = (id) => document.getElementById(id);
const lines = ["up", "down"].map((way) => document.querySelector(`#chart .${way}`));
const history = [[], []]; // bytes per second, up and down, the newest last
const rows = new Map(); // id -> row
let last = new Map(); // id -> tunnel in the last snapshot
let lastTime = 0;

// Cells of a row by column, as text.
const columns = {
  id: ["Id", (tunnel) => tunnel.id],
  client: ["Client", (tunnel) => tunnel.client ?? "–"],
  upstream: ["Upstream", (tunnel) => tunnel.upstream],
  path: ["Path", (tunnel) => tunnel.path],
  label: ["Label", (tunnel) => tunnel.label ?? "–"],
  state: ["State", (tunnel) => states[tunnel.state] ?? tunnel.state],
  age: ["Age", (tunnel) => time(tunnel.age)],
  idle: ["Idle", (tunnel) => time(tunnel.idle)],
  bytes: ["Bytes ↑ ↓", ({ bytes: [up, down] }) => `${size(up)} / ${size(down)}`],
  messages: ["Messages ↑ ↓", ({ messages: [up, down] }) => `${up} / ${down}`],
};

// Cells of a row of the tunnels that ended last.
const endedColumns = {
  id: ["Id", (tunnel) => tunnel.id],
  label: ["Label", (tunnel) => tunnel.label ?? "–"],
  path: ["Path", (tunnel) => tunnel.path],
  by: ["Ended by", (tunnel) => tunnel.by],
  reason: ["Reason", (tunnel) => tunnel.reason],
  "to-client": ["Client told", ({ told: [client] }) => client ?? "–"],
  "to-upstream": ["Upstream told", ({ told: [, upstream] }) => upstream ?? "–"],
  duration: ["Duration", (tunnel) => time(tunnel.duration)],
};

const states = { Opening: "opening", Open: "open", HalfClosed: "half-closed", Closing: "closing", Ended: "ended" };

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${unit && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

function time(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
}

function show(tunnels) {
  const here = new Set(tunnels.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (!here.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  for (const tunnel of tunnels) {
    const row = rows.get(tunnel.id) ?? add(tunnel.id);
    row.dataset.state = tunnel.state;
    Object.values(columns).forEach(([, text], place) => {
      // As text, because clients choose some of the values.
      row.cells[place].textContent = text(tunnel);
    });
    const button = row.querySelector(".drain");
    button.disabled = button.dataset.requested === "yes" || tunnel.state === "Closing";
  }
  element("count").textContent = tunnels.length;
  element("none").hidden = tunnels.length > 0;
}

function showEnded(tunnels) {
  element("ended").replaceChildren();
  for (const tunnel of tunnels) {
    const row = insert("ended", tunnel.id, endedColumns);
    Object.values(endedColumns).forEach(([, text], place) => {
      row.cells[place].textContent = text(tunnel);
    });
  }
  element("none-ended").hidden = tunnels.length > 0;
}

function insert(table, id, columns) {
  const row = element(table).insertRow();
  row.dataset.id = id;
  for (const [name, [title]] of Object.entries(columns)) {
    const cell = row.insertCell();
    cell.className = name;
    cell.dataset.name = title;
  }
  return row;
}

function add(id) {
  const row = insert("tunnels", id, columns);
  const act = row.insertCell();
  act.className = "act";
  const button = document.createElement("button");
  button.className = "drain";
  button.textContent = "Drain";
  button.setAttribute("aria-label", `Drain tunnel ${id}`);
  button.onclick = () => drain(id, button);
  act.append(button);
  rows.set(id, row);
  return row;
}

async function drain(id, button) {
  button.dataset.requested = "yes";
  button.disabled = true;
  const response = await fetch(`/_tunnels/${id}/drain`, { method: "POST" }).catch(() => null);
  // 404: the tunnel has already ended.
  if (!response || (!response.ok && response.status !== 404)) {
    button.dataset.requested = button.textContent = "Failed, try again";
    button.disabled = false;
  }
}

// Bytes carried since the last snapshot by tunnels that are still open.
function measure(tunnels) {
  const now = performance.now();
  const seconds = (now - lastTime) / 1000;
  if (lastTime) {
    [0, 1].forEach((way) => {
      const carried = tunnels.map(({ id, bytes }) => bytes[way] - (last.get(id)?.bytes[way] ?? 0));
      const rate = carried.reduce((sum, bytes) => sum + bytes, 0) / seconds;
      history[way].push(rate);
      if (history[way].length > MINUTE + 1) history[way].shift();
      element(way ? "down" : "up").textContent = `${size(rate)}/s`;
    });
    draw();
  }
  lastTime = now;
  last = new Map(tunnels.map((tunnel) => [tunnel.id, tunnel]));
}

// Round number slightly above `most`.
function nice(most) {
  const step = 1024 ** Math.floor(Math.log(most) / Math.log(1024));
  const factor = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1024].find((factor) => factor * step >= most * 1.05);
  return (factor ?? 1024) * step;
}

function draw() {
  const most = nice(Math.max(1, ...history.flat()));
  element("most").textContent = `${size(most)}/s`;
  history.forEach((rates, way) => {
    const points = rates.map((rate, place) => `${MINUTE + 1 - rates.length + place},${100 - (100 * rate) / most}`);
    lines[way].setAttribute("points", points.join(" "));
  });
}

function status(state) {
  element("status").textContent = element("status").dataset.state = state;
}

for (const [table, all] of [["columns", columns], ["ended-columns", endedColumns]]) {
  for (const [name, [title]] of Object.entries(all)) {
    const head = document.createElement("th");
    head.className = name;
    head.textContent = title;
    element(table).append(head);
  }
}
element("columns").append(document.createElement("td"));

// The browser reconnects automatically.
const events = new EventSource("/_tunnels/events");
events.onopen = () => status("live");
events.onerror = () => status("lost");
events.onmessage = ({ data }) => {
  const { open, ended } = JSON.parse(data);
  measure(open);
  show(open);
  showEnded(ended);
};
