// The shard in time: what it does, who waits, and one lane for each sequence.
//
// Times are the shard's milliseconds. A sequence is queued from its arrival to its prefill, has its first token at
// the prefill's end, and then one with each decode step of its batch.

const MOST_SPANS = 3000;
const MOST_JOBS = 400;
const LANE = 18;
const CHART = 24;
const KINDS = [
  ["queued", "queued"],
  ["download", "adapter is downloaded"],
  ["load", "adapter is loaded"],
  ["offload", "adapter is offloaded"],
  ["prefill", "prefill, up to the first token"],
  ["decode", "decode, a token a step"],
  ["stalled", "in the batch, while the shard does something else"],
  ["left", "left or failed before its end"],
];

const drawing = { spans: [], jobs: new Map(), view: null, shown: { from: 0, to: 1 }, paced: false, planned: false };

function renewed() {
  drawing.spans = [];
  drawing.jobs.clear();
  drawing.view = null;
}

function shardArrived(event) {
  drawing.jobs.set(event.id, event);
  if (drawing.jobs.size > MOST_JOBS) drawing.jobs.delete(drawing.jobs.keys().next().value);
}

function shardDone(event) {
  drawing.jobs.set(event.id, { ...drawing.jobs.get(event.id), ...event });
}

function shardLeft(event) {
  for (const id of event.ids) {
    const job = drawing.jobs.get(id);
    if (job) job.gone = event.at;
  }
}

function spent(event) {
  const last = drawing.spans.at(-1);
  const same = last?.what === "decode" && event.what === "decode" && Math.abs(last.end - event.start) < 1e-6
    && last.jobs.length === event.jobs.length && last.jobs.every((id, place) => id === event.jobs[place]);
  if (same) {
    last.end = event.end;
    last.steps += event.steps;
  } else {
    drawing.spans.push(event);
    if (drawing.spans.length > MOST_SPANS) drawing.spans.shift();
  }
  for (const id of event.jobs) {
    const job = drawing.jobs.get(id);
    if (!job) continue;
    if (event.what === "prefill") Object.assign(job, { started: event.start, first: event.end });
    job.last = event.end;
  }
}

const endOf = (job) => job.gone ?? job.finished ?? job.last ?? job.started ?? latest();
const latest = () => drawing.spans.at(-1)?.end ?? 0;

function nameOf(job) {
  const request = requests.get(job.serial);
  const number = request?.number ? `#${request.number}` : job.serial === 0 ? "probe" : `sequence ${job.id}`;
  return `${number} ${job.adapter || "base model"}`;
}

function stateOf(job) {
  if (job.gone !== undefined) return "left or failed";
  if (job.finished !== undefined) return "done";
  if (job.first !== undefined) return "decoding";
  return "queued";
}

// Which sequences and which time are shown: the last ones whole, or what the buttons chose.
function chosen() {
  const most = Number(byId("lanes").value);
  const all = [...drawing.jobs.values()];
  if (drawing.view) {
    const { from, to } = drawing.view;
    return { from, to, jobs: all.filter((job) => job.at <= to && endOf(job) >= from).slice(-most) };
  }
  const jobs = all.slice(-most);
  const from = jobs.length ? Math.min(...jobs.map((job) => job.at)) : drawing.spans[0]?.start ?? 0;
  const to = Math.max(from + 1, latest(), ...jobs.map(endOf));
  return { from, to: to + (to - from) * 0.02, jobs };
}

function redraw() {
  if (drawing.planned || listed.paused) return;
  drawing.planned = true;
  requestAnimationFrame(() => {
    drawing.planned = false;
    draw();
  });
}

function draw() {
  const { from, to, jobs } = chosen();
  drawing.shown = { from, to };
  const width = Math.max(byId("drawing").clientWidth, 240);
  const left = width < 560 ? 104 : 190;
  const x = (time) => left + ((Math.min(Math.max(time, from), to) - from) / (to - from)) * (width - left - 8);
  const nodes = [];
  let y = 2;

  const labelled = (text, height, serial) => {
    const room = Math.floor((left - 6) / 6.2);
    const short = text.length > room ? `${text.slice(0, room - 1)}…` : text;
    const node = drawn("text", { x: 0, y: y + height / 2 + 4 }, short, drawn("title", {}, text));
    if (!requests.get(serial)?.number) return nodes.push(node);
    const link = drawn("a", { href: "#requests", "aria-label": `Open request ${text}` }, node);
    link.addEventListener("click", (event) => {
      event.preventDefault();
      openRequest(serial);
    });
    return nodes.push(link);
  };
  const bar = (kind, start, end, title, text = "") => {
    if (end < from || start > to) return;
    const at = x(start);
    const wide = Math.max(x(end) - at, 1);
    const height = kind === "stalled" ? 2 : LANE - 6;
    const top = y + (LANE - height) / 2;
    if (kind === "offload") nodes.push(drawn("path", { class: kind, d: `M${at} ${y}v${LANE - 2}` }, drawn("title", {}, title)));
    else nodes.push(drawn("rect", { class: kind, x: at.toFixed(1), y: top, width: wide.toFixed(1), height }, drawn("title", {}, title)));
    if (text && wide > text.length * 5.6 + 8) nodes.push(drawn("text", { class: "in", x: at + 4, y: y + LANE / 2 + 3.5 }, text));
  };
  const range = (start, end) => `${ms(start)} to ${ms(end)} ms`;

  labelled("shard", LANE);
  const edges = new Map();
  for (const span of drawing.spans) {
    // what is narrower than a pixel is drawn once a pixel
    const edge = Math.round(x(span.end));
    if (span.end - span.start > 0 && edges.get(span.what) === edge) continue;
    edges.set(span.what, edge);
    const about = span.adapter ? ` ${span.adapter}` : span.jobs.length ? ` of ${span.jobs.length}` : "";
    bar(span.what, span.start, span.end, `${span.what}${about}, ${range(span.start, span.end)}`, `${span.what}${about}`);
  }
  const decoded = decodes(jobs, from, to);
  y += LANE + 4;
  for (const [name, begin, end] of [
    ["queue", (job) => job.at, (job) => job.started ?? job.gone ?? latest()],
    ["batch", (job) => job.started, endOf],
  ]) {
    const { path, most } = steps(begin, end, x, from, to, y);
    labelled(`${name}: up to ${most}`, CHART);
    nodes.push(drawn("path", { class: "count", d: path }));
    y += CHART + 4;
  }
  for (const job of jobs) {
    const name = nameOf(job);
    labelled(name, LANE, job.serial);
    const started = job.started ?? job.gone ?? latest();
    if (started > job.at) bar("queued", job.at, started, `${name}: queued, ${range(job.at, started)}`);
    if (job.first !== undefined) {
      bar("prefill", job.started, job.first, `${name}: prefill, ${range(job.started, job.first)}`);
      const told = `${name}: decode, ${job.tokens} tokens, ${range(job.first, endOf(job))}`;
      if (endOf(job) > job.first) bar("stalled", job.first, endOf(job), told);
      for (const [start, end] of decoded.get(job.id) ?? []) bar("decode", start, end, told);
    }
    if (job.gone !== undefined && job.gone >= from && job.gone <= to) {
      const at = x(job.gone);
      nodes.push(drawn("path", { class: "left", d: `M${at - 4} ${y + 5}l8 8m0 -8l-8 8` }, drawn("title", {}, `${name}: left or failed at ${ms(job.gone)} ms`)));
    }
    y += LANE;
  }
  const { lines, height } = axis(x, from, to, y, width - left);
  const svg = drawn(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-labelledby": "drawing-title", "aria-describedby": "drawing-told" },
    drawn("desc", { id: "drawing-told" }, summary(jobs, from, to)),
    drawn("defs", {}, hatch("hatch")),
    ...lines, ...nodes,
  );
  const focused = byId("drawing").contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  byId("drawing").replaceChildren(svg);
  if (focused) [...svg.querySelectorAll("a")].find((link) => link.getAttribute("aria-label") === focused)?.focus();
  tabulate(jobs);
  byId("follow").setAttribute("aria-pressed", String(drawing.view === null));
}

// When each of these sequences got tokens: times without a pause between them.
function decodes(jobs, from, to) {
  const found = new Map(jobs.map((job) => [job.id, []]));
  for (const span of drawing.spans) {
    if (span.what !== "decode" || span.end < from || span.start > to) continue;
    for (const id of span.jobs) {
      const times = found.get(id);
      const last = times?.at(-1);
      if (last && span.start - last[1] < 1e-6) last[1] = span.end;
      else times?.push([span.start, span.end]);
    }
  }
  return found;
}

// How many sequences are between two moments of theirs, as the outline of a chart.
function steps(begin, end, x, from, to, y) {
  const changes = [];
  for (const job of drawing.jobs.values()) {
    const start = begin(job);
    if (start === undefined) continue;
    changes.push([start, 1], [end(job), -1]);
  }
  changes.sort((one, other) => one[0] - other[0]);
  let count = 0;
  let most = 0;
  const points = [[from, 0]];
  for (const [place, [time, change]] of changes.entries()) {
    count += change;
    if (changes[place + 1]?.[0] === time) continue; // all of one moment together
    if (time < from) points[0] = [from, count];
    else if (time <= to) points.push([time, count]);
  }
  most = Math.max(0, ...points.map((point) => point[1]));
  const up = (value) => (y + CHART - (most ? (value / most) * (CHART - 4) : 0)).toFixed(1);
  let path = `M${x(from).toFixed(1)} ${y + CHART}V${up(points[0][1])}`;
  for (const [time, value] of points.slice(1)) path += `H${x(time).toFixed(1)}V${up(value)}`;
  return { path: `${path}H${x(to).toFixed(1)}V${y + CHART}`, most };
}

function axis(x, from, to, y, room) {
  const raw = (to - from) / Math.max(2, Math.floor(room / 90));
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw);
  const lines = [];
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
    const at = x(time).toFixed(1);
    lines.push(drawn("path", { class: "grid", d: `M${at} 0V${y + 4}` }));
    lines.push(drawn("text", { class: "quiet", x: at, y: y + 16, "text-anchor": "middle" }, Number(time.toPrecision(10)).toLocaleString("en")));
  }
  lines.push(drawn("text", { class: "quiet", x: 0, y: y + 16 }, "time, ms"));
  return { lines, height: y + 22 };
}

function hatch(id) {
  return drawn(
    "pattern", { id, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    drawn("path", { class: "hatching", d: "M0 0V5" }),
  );
}

function summary(jobs, from, to) {
  const inside = drawing.spans.filter((span) => span.end >= from && span.start <= to);
  const counted = ["download", "load", "offload", "prefill"].map((kind) => `${inside.filter((span) => span.what === kind).length} ${kind}s`);
  return `${jobs.length} sequences from ${ms(from)} to ${ms(to)} ms: ${counted.join(", ")}. The table below has their times.`;
}

function tabulate(jobs) {
  byId("sequences").replaceChildren(...jobs.toReversed().map((job) => {
    const number = (value) => element("td", { class: "number" }, ms(value));
    const request = requests.get(job.serial);
    return element(
      "tr", {},
      element("th", { scope: "row" }, request?.number ? `#${request.number}` : String(job.id)),
      element("td", {}, job.adapter || "base model"),
      number(job.at),
      number(job.started === undefined ? undefined : job.started - job.at),
      number(job.first === undefined ? undefined : job.first - job.started),
      number(job.first === undefined ? undefined : endOf(job) - job.first),
      element("td", { class: "number" }, String(job.tokens)),
      element("td", {}, stateOf(job)),
    );
  }));
}

function move(factor, shift) {
  const { from, to } = drawing.shown;
  const middle = (from + to) / 2 + (to - from) * shift;
  const half = Math.max(((to - from) * factor) / 2, 0.5);
  drawing.view = { from: middle - half, to: middle + half };
  draw();
}

function startDrawing() {
  byId("legend").replaceChildren(...KINDS.map(([kind, text]) => {
    const shape = kind === "left" ? drawn("path", { class: kind, d: "M5 2l8 8m0 -8l-8 8" })
      : kind === "stalled" ? drawn("rect", { class: kind, x: 1, y: 5, width: 16, height: 2 })
      : kind === "offload" ? drawn("path", { class: kind, d: "M9 0v12" })
      : drawn("rect", { class: kind, x: 1, y: 1, width: 16, height: 10 });
    return element("li", {}, drawn("svg", { viewBox: "0 0 18 12", "aria-hidden": "true" }, shape), text);
  }));
  byId("earlier").onclick = () => move(1, -0.5);
  byId("later").onclick = () => move(1, 0.5);
  byId("closer").onclick = () => move(0.5, 0);
  byId("wider").onclick = () => move(2, 0);
  byId("follow").onclick = () => {
    drawing.view = drawing.view ? null : { ...drawing.shown };
    draw();
  };
  byId("lanes").onchange = draw;
  new ResizeObserver(redraw).observe(byId("drawing"));
}
