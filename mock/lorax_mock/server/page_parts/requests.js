// The list of requests, newest first.

const MOST_ROWS = 500;
const requests = new Map(); // by serial; a refusal that the journal never had counts down from -1
const listed = { paused: false, waiting: 0, open: null, refusals: 0 };

function began(row, time) {
  const known = requests.get(row.serial);
  if (known) {
    Object.assign(known, row);
  } else {
    requests.set(row.serial, { ...row, time });
    if (requests.size > MOST_ROWS) {
      const [oldest, gone] = requests.entries().next().value;
      gone.node?.remove();
      requests.delete(oldest);
    }
  }
  show(requests.get(row.serial));
}

function refused(event, time) {
  listed.refusals += 1;
  began(
    { ...event, serial: -listed.refusals, number: null, adapter: "", outcome: "refused", tokens: 0, notes: [event.text], prompt: "" },
    time,
  );
}

const clockTime = (time) => new Date(time).toLocaleTimeString("en-GB");
const adapterOf = (request) => request.adapter || (request.number === null ? "" : "base model");
const label = (request) => (request.number === null ? "refused" : `#${request.number}`);

function finish(request) {
  if (request.outcome === "open") return "open";
  return request.error_type ?? request.outcome;
}

function show(request) {
  if (listed.paused) {
    listed.waiting += 1;
    return;
  }
  const cell = (kind, ...children) => element("td", { class: kind }, ...children);
  const named = request.number === null ? "refused request" : `request ${request.number}`;
  const opener = element("button", { type: "button", class: "link", "aria-label": `Open ${named}` }, label(request));
  opener.addEventListener("click", () => openRequest(request.serial));
  const acted = [
    request.rule && element("span", { class: "tag" }, `rule ${request.rule}`),
    request.fault && element("span", { class: "tag fault" }, `fault ${request.fault}`),
    request.session && element("span", { class: "tag" }, `session ${request.session}`),
    ...request.notes.map((note) => element("span", { class: "note" }, note)),
  ].filter(Boolean);
  const bad = request.status >= 400 || request.outcome === "fault" || request.outcome === "refused" || request.outcome === "client_left";
  const node = element(
    "tr",
    { class: [bad ? "bad" : "", request.serial === listed.open ? "open-row" : ""].join(" ").trim() || undefined },
    element("th", { scope: "row" }, opener),
    cell("time", clockTime(request.time)),
    cell("route", request.path),
    cell("adapter", adapterOf(request)),
    cell("number status", request.outcome === "open" ? "" : String(request.status)),
    cell("number tokens", request.outcome === "open" || request.number === null ? "" : String(request.tokens)),
    cell("number first", ms(request.first)),
    cell("number step", ms(request.step)),
    cell("finish", finish(request)),
    cell("acted", ...acted),
  );
  const focused = request.node?.contains(document.activeElement);
  if (request.node?.isConnected) request.node.replaceWith(node);
  else byId("rows").prepend(node);
  request.node = node;
  if (focused) node.querySelector("button")?.focus();
  filter(request);
}

function matches(request, words) {
  const text = [
    label(request), request.path, adapterOf(request), request.status, finish(request), request.rule ?? "",
    request.fault ?? "", request.session, request.prompt, ...request.notes,
  ].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

const wanted = () => byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);

function filter(request, words = wanted()) {
  if (request.node) request.node.hidden = !matches(request, words);
}

// Said at most once a second, so that a screen reader is not talked to death.
let counting = false;
function count() {
  if (counting) return;
  counting = true;
  setTimeout(() => { counting = false; tellCount(); }, 1000);
  tellCount();
}

function tellCount() {
  const all = [...requests.values()];
  const shown = all.filter((one) => one.node?.isConnected && !one.node.hidden).length;
  const open = all.filter((one) => one.outcome === "open").length;
  const parts = [`${all.length} request${all.length === 1 ? "" : "s"}`];
  if (shown !== all.length) parts.push(`${shown} shown`);
  if (open) parts.push(`${open} open`);
  if (listed.paused) parts.push(`paused, ${listed.waiting} change${listed.waiting === 1 ? "" : "s"} waiting`);
  const text = all.length ? parts.join(", ") : "";
  if (byId("count").textContent !== text) byId("count").textContent = text;
  byId("empty").hidden = all.length > 0;
}

function startList() {
  byId("here").textContent = `${server}/generate`;
  byId("filter").addEventListener("input", () => {
    const words = wanted();
    requests.forEach((one) => filter(one, words));
    tellCount();
  });
  byId("pause").addEventListener("click", () => {
    listed.paused = !listed.paused;
    byId("pause").setAttribute("aria-pressed", String(listed.paused));
    if (!listed.paused) {
      listed.waiting = 0;
      requests.forEach(show);
    }
    tellCount();
  });
  byId("clear").addEventListener("click", () => {
    requests.clear();
    byId("rows").replaceChildren();
    closeRequest();
    tellCount();
  });
  byId("rows").addEventListener("keydown", (event) => {
    if (!["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
    const buttons = [...byId("rows").querySelectorAll("tr:not([hidden]) button")];
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    buttons[Math.min(Math.max(to, 0), buttons.length - 1)]?.focus();
    event.preventDefault();
  });
}
