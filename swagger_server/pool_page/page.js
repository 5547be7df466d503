// Asks for the picture once a second and changes what differs. Every text is put in as text, never as markup.

const EVERY = 1000;
const PATIENCE = 5000;
const HEIGHT = 100;

const status = document.getElementById("status");
const pools = document.getElementById("pools");
const template = document.getElementById("pool");

async function refresh() {
  try {
    const answer = await fetch("pool.json", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(`the service answered ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    status.className = "bad";
    setText(status, `No answer: ${error.message}. What is below is old.`);
  }
}

function show(picture) {
  const count = picture.workers.length;
  const silent = picture.silent.length ? `; no answer from ${picture.silent.join(", ")}` : "";
  const time = new Date(picture.at * 1000).toLocaleTimeString();
  status.className = picture.silent.length ? "bad" : "";
  setText(status, `${count} ${count === 1 ? "worker" : "workers"}, ${time}${silent}`);
  const queued = picture.workers.flatMap((worker) => worker.queue.map((each) => ({ pid: worker.pid, ...each })));
  document.getElementById("threads").hidden = queued.length === 0;
  showQueue(document.querySelector("#threads table"), queued);
  keep(pools, picture.pools, (pool) => pool.name, makePool, (node, pool) => showPool(node, pool, picture.workers));
}

function makePool() {
  return template.content.firstElementChild.cloneNode(true);
}

function showPool(node, pool, workers) {
  setText(node.querySelector("h2"), pool.down ? `${pool.name}: the database cannot be reached` : pool.name);
  const history = pool.history;
  const numbers = { ...pool, rate: history.length ? history[history.length - 2][4] : 0 };
  for (const cell of node.querySelectorAll("[data-number]")) setText(cell, numbers[cell.dataset.number]);
  node.querySelector(".numbers .waiting").classList.toggle("some", pool.waiting > 0);
  showChart(node, history);
  const parts = workers.flatMap((worker) =>
    worker.pools.filter((each) => each.name === pool.name).map((each) => ({ pid: worker.pid, ...each })),
  );
  const waiting = parts.flatMap((part) => part.queue.map((each) => ({ pid: part.pid, ...each })));
  node.querySelector(".queue").hidden = waiting.length === 0;
  showQueue(node.querySelector(".queue"), waiting);
  showConnections(node.querySelector(".connections tbody"), parts);
}

function showChart(node, history) {
  const most = Math.max(4, ...history.map(([, inUse, idle, waiting]) => Math.max(inUse + idle, waiting)));
  const chart = node.querySelector(".chart");
  setAttribute(chart, "viewBox", `0 0 ${history.length - 1} ${HEIGHT}`);
  const y = (value) => (HEIGHT * (1 - value / (most * 1.05))).toFixed(1);
  const line = (values) => values.map((value, x) => `${x},${y(value)}`).join(" ");
  const area = (values) => `M0,${HEIGHT} L${line(values)} ${history.length - 1},${HEIGHT} Z`;
  setAttribute(chart.querySelector(".in-use"), "d", area(history.map((each) => each[1])));
  setAttribute(chart.querySelector(".idle"), "d", area(history.map((each) => each[1] + each[2])));
  setAttribute(chart.querySelector(".waiting"), "d", `M${line(history.map((each) => each[3]))}`);
  setText(node.querySelector(".scale"), `last ${Math.round(history.length / 60)} minutes, up to ${most}`);
}

function showQueue(table, waiting) {
  waiting.sort((a, b) => b.seconds - a.seconds);
  // Nothing tells them apart for certain: the one that waits longest is the first row.
  const places = new Map(waiting.map((each, place) => [each, place]));
  const key = (each) => String(places.get(each));
  keep(table.tBodies[0], waiting, key, () => makeRow("worker", "since", "operation", "request"), (row, each) => {
    fill(row, { worker: each.pid, since: seconds(each.seconds), operation: what(each), request: each.request_id });
  });
}

function showConnections(body, parts) {
  const all = parts.flatMap((part) => part.connections.map((each) => ({ pid: part.pid, ...each })));
  // Each in its place for as long as it lives: what one looks at must not jump.
  all.sort((a, b) => a.pid - b.pid || a.backend_pid - b.backend_pid);
  const make = () => makeRow("worker", "session", "state", "since", "operation", "request");
  keep(body, all, (each) => `${each.pid} ${each.backend_pid}`, make, (row, each) => {
    row.className = each.state.replace(" ", "-");
    fill(row, {
      worker: each.pid,
      session: each.backend_pid,
      state: stateOf(each),
      since: seconds(each.seconds),
      operation: what(each),
      request: each.request_id,
    });
  });
}

function stateOf(connection) {
  if (connection.statement_seconds === null) return connection.state;
  return `${connection.state}, SQL ${seconds(connection.statement_seconds)}`;
}

function what(each) {
  if (each.operation) return each.operation;
  return each.path ? `${each.method} ${each.path}` : "";
}

function seconds(value) {
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 60) return `${value.toFixed(1)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
  return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`;
}

// Has `parent` hold one node for each item, in their order; the nodes of those that stay stay too.
function keep(parent, items, keyOf, make, update) {
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let before = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const node = old.get(key) ?? make();
    old.delete(key);
    node.dataset.key = key;
    update(node, item);
    if (node === before) before = before.nextElementSibling;
    else parent.insertBefore(node, before);
  }
  for (const node of old.values()) node.remove();
}

function makeRow(...names) {
  const row = document.createElement("tr");
  for (const name of names) row.insertCell().className = name;
  return row;
}

function fill(row, texts) {
  for (const cell of row.cells) {
    const text = texts[cell.className];
    setText(cell, text ?? "");
    if (cell.title !== cell.textContent) cell.title = cell.textContent;
  }
}

function setText(node, value) {
  const text = String(value);
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

async function run() {
  if (!document.hidden) await refresh();
  setTimeout(run, EVERY);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
run();
