// One request opened: what it asked, what came, when, and how to ask the same again.

const SPECIAL = /(<\|[^|<>]{1,40}\|>|<\/?s>|\[\/?INST\]|<(?:bos|eos|unk|pad)>)/;

async function openRequest(serial) {
  const known = requests.get(serial);
  // what was refused before it was understood is known by its row alone
  let told = { session: "", rule: null, fault: null, ...known, inputs: null, answers: null };
  try {
    if (serial > 0) told = await ask("GET", `/request?serial=${serial}`);
  } catch (error) {
    told.failed = error.message;
  }
  mark(serial);
  const panel = byId("detail");
  panel.replaceChildren(...detailOf(told, known));
  panel.hidden = false;
  panel.scrollTop = 0;
  byId("requests").querySelector(".split").classList.add("opened");
  panel.focus();
}

function closeRequest() {
  const row = requests.get(listed.open);
  mark(null);
  byId("detail").hidden = true;
  byId("requests").querySelector(".split").classList.remove("opened");
  row?.node?.querySelector("button")?.focus();
}

function mark(serial) {
  requests.get(listed.open)?.node?.classList.remove("open-row");
  listed.open = serial;
  requests.get(serial)?.node?.classList.add("open-row");
}

function detailOf(told, known) {
  const close = element("button", { type: "button", "aria-label": "Close the request" }, "Close");
  close.addEventListener("click", closeRequest);
  const facts = [
    ["Route", told.path],
    ["Adapter", adapterOf(known)],
    ["Finish", `${finish(known)}, status ${told.status}${told.inputs === null ? "" : `, ${told.tokens} tokens`}`],
    ["Queued", known.queue === undefined ? "" : `${ms(known.queue)} ms`],
    ["First token", known.first === undefined ? "" : `after ${ms(known.first)} ms`],
    ["Each token", known.step === undefined || known.step === null ? "" : `${ms(known.step)} ms`],
    ["Rule", told.rule ?? ""],
    ["Fault", told.fault ?? ""],
    ["Session", told.session],
    ...told.notes.map((note) => ["Note", note]),
    ["Not read", told.failed ?? ""],
  ].filter(([, value]) => value);
  const title = told.number === null ? "Refused request" : `Request ${told.number}`;
  const head = [element("div", { class: "bar" }, element("h3", { id: "detail-title" }, title), close), list(facts)];
  if (told.inputs === null) return head;
  const given = Object.entries(told.parameters_json);
  return [
    ...head,
    element("h4", {}, "Parameters"),
    given.length ? list(given) : element("p", { class: "quiet" }, "none"),
    element("h4", {}, "Prompt"),
    element("pre", { tabindex: "0", "aria-label": "Prompt" }, ...marked(told.inputs)),
    ...answersOf(told),
    ...copies(told),
  ];
}

const list = (pairs) => element("dl", {}, ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));

// Special tokens stand out: they are what a template put in.
const marked = (text) => text.split(SPECIAL).map((part, place) => (place % 2 ? element("mark", {}, part) : part));

function answersOf(told) {
  if (!told.answers) {
    const why = told.outcome === "refused" || told.error_type
      ? "There is none: the request was refused."
      : "Not kept: answers are kept only while a page is open.";
    return [element("h4", {}, "Answer"), element("p", { class: "quiet" }, why)];
  }
  return told.answers.flatMap((answer, place) => {
    const name = told.answers.length > 1 ? `Answer, sequence ${place + 1} of ${told.answers.length}` : "Answer";
    const rows = answer.tokens.map((token, at) => {
      const time = answer.times[at];
      const before = at ? answer.times[at - 1] : 0;
      return element(
        "tr", {},
        element("td", { class: "number" }, String(at + 1)),
        element("td", { class: "number" }, time === undefined ? "not sent" : ms(time)),
        element("td", { class: "number" }, time === undefined ? "" : `+${ms(time - before)}`),
        element("td", {}, token.special ? element("mark", {}, token.text) : JSON.stringify(token.text).slice(1, -1).replaceAll(" ", "␣")),
        element("td", { class: "number" }, String(token.id)),
        element("td", { class: "number" }, token.logprob === null ? "" : token.logprob.toFixed(3)),
      );
    });
    const head = [["Token", "number"], ["At, ms", "number"], ["Since, ms", "number"], ["Text", ""], ["Id", "number"], ["Logprob", "number"]];
    return [
      element("h4", {}, `${name}${answer.scripted ? ", at a script's pace" : ""}`),
      element("pre", { tabindex: "0", "aria-label": name }, answer.text || " "),
      element(
        "div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${name}: its tokens` },
        element(
          "table", {},
          element("thead", {}, element("tr", {}, ...head.map(([text, kind]) => element("th", { scope: "col", class: kind || undefined }, text)))),
          element("tbody", {}, ...rows),
        ),
      ),
    ];
  });
}

function copies(told) {
  const kinds = [["curl", asCurl(told)], ["Python, lorax-client", asPython(told)], ["Rule of a script", asRule(told)]];
  return [
    element("h4", {}, "Ask the same again"),
    ...kinds.map(([name, text]) => {
      const shown = element("pre", { tabindex: "0", "aria-label": name }, text);
      const button = element("button", { type: "button", "aria-label": `Copy as ${name}` }, "Copy");
      button.addEventListener("click", () => copy(text, shown, button));
      return element("details", {}, element("summary", {}, name), element("div", { class: "copy" }, button), shown);
    }),
  ];
}

function startDetail() {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !byId("detail").hidden) closeRequest();
  });
}
