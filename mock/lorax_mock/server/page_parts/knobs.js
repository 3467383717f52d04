// The controls: each says what came of it, in the mock's own words if it was refused.

const EXAMPLE = `rules:
  - name: greeting
    when: {adapter: acme/pirate, prompt_contains: reef}
    reply: {text: "Ahoy!"}
  - name: busy twice
    when: {adapter: base}
    sequence:
      - fault: overload
      - fault: overload
`;

const json = { "content-type": "application/json" };

function startTry(hello) {
  const form = byId("try");
  form.adapter.replaceChildren(...["", ...hello.adapters].map((id) => element("option", { value: id }, id || "base model")));
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(form, () => sendRequests(form));
  };
}

async function sendRequests(form) {
  const count = Number(form.count.value);
  const parameters = { max_new_tokens: Number(form.tokens.value) };
  if (form.adapter.value) parameters.adapter_id = form.adapter.value;
  const body = JSON.stringify({ inputs: form.prompt.value, parameters });
  const path = form.stream.checked ? "/generate_stream" : "/generate";
  const headers = count > 1 ? { ...json, "x-lorax-mock-together": String(count) } : json;
  const replies = await Promise.all(
    Array.from({ length: count }, () => fetch(server + path, { method: "POST", body, headers }).then(async (reply) => [reply.status, await reply.text()])),
  );
  const told = replies.map(([status]) => status);
  const failed = replies.find(([status]) => status >= 400);
  if (failed) throw new Error(`${failed[0]}: ${failed[1].slice(0, 200)}`);
  return count > 1 ? `${count} answers, status ${[...new Set(told)].join(", ")}` : `status ${told[0]}`;
}

function startScript() {
  const form = byId("script");
  const told = ({ rules, strict }) =>
    (rules.length ? `In force: ${rules.join(", ")}` : "No rules") + (strict ? "; strict" : "");
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(form, async () => told(await ask("PUT", "/script", form.source.value)));
  };
  form.remove.onclick = () => attempt(form, async () => {
    await ask("DELETE", "/script");
    form.source.value = "";
    return "No rules";
  });
  form.example.onclick = () => {
    form.source.value = EXAMPLE;
    form.source.focus();
    say(form, "Not in force yet");
  };
  attempt(form, async () => {
    const now = await ask("GET", "/script");
    if (!form.source.value) form.source.value = now.source;
    return told(now);
  });
}

function startFaults() {
  const form = byId("faults");
  let forms = [];
  const told = ({ next }) => (next.length ? `Next: ${next.join(", ")}` : "No fault waits");
  const choose = () => {
    const chosen = forms[form.kind.selectedIndex];
    form.elements.id.value = chosen.ids[0].replace("@K", "@3").replace("@B", "@120").replace(/:[A-Z]+$/, (place) => ({
      ":SECONDS": ":2", ":CODE": ":503", ":N": ":7", ":SEED": ":1", ":BYTES": ":100000", ":TYPE": ":text/plain",
    })[place] ?? place);
    byId("fault-told").textContent = `${chosen.ids.join(", ")}: ${chosen.does.replaceAll("`", "")}.`;
  };
  form.kind.onchange = choose;
  const plan = (next) => attempt(form, async () => told(await ask("PUT", "/faults", JSON.stringify({ next }), json)));
  form.onsubmit = (event) => {
    event.preventDefault();
    plan(Array(Number(form.count.value)).fill(form.elements.id.value.trim()));
  };
  form.none.onclick = () => plan([]);
  attempt(form, async () => {
    const now = await ask("GET", "/faults");
    forms = now.forms;
    form.kind.replaceChildren(...forms.map((one) => element("option", {}, one.ids[0])));
    choose();
    return told(now);
  });
}

const COSTS = ["first_ms", "step_ms", "prefill_token_ms", "adapter_download_ms", "adapter_load_ms"];

const PROFILED = new Set(["first_ms", "step_ms", "prefill_token_ms"]);

// What somebody has begun to fill in stays, also when the pace is another meanwhile.
function startPace() {
  const form = byId("pace");
  const fill = (now) => {
    form.profile.replaceChildren(...["", ...now.profiles].map((name) => element("option", { value: name }, name || "(as below)")));
    form.pace.value = now.pace;
    for (const name of COSTS) form[name].value = now[name];
    form.dataset.edited = "";
    tellPace(now);
  };
  form.oninput = () => { form.dataset.edited = "yes"; };
  form.onsubmit = (event) => {
    event.preventDefault();
    const changed = { pace: form.pace.value };
    const measured = form.profile.value;
    if (measured) changed.profile = measured;
    for (const name of COSTS) if (form[name].value !== "" && !(measured && PROFILED.has(name))) changed[name] = Number(form[name].value);
    attempt(form, async () => {
      fill(await ask("PUT", "/pace", JSON.stringify(changed), json));
      return "The shard is new";
    });
  };
  attempt(form, async () => {
    const now = await ask("GET", "/pace");
    if (form.dataset.edited) tellPace(now);
    else fill(now);
    return form.querySelector(".said").textContent;
  });
}

function startHealth() {
  const form = byId("health");
  const fill = (now) => {
    form.shard.value = now.shard;
  };
  form.onsubmit = (event) => event.preventDefault();
  form.onchange = () => attempt(form, async () => {
    fill(await ask("PUT", "/health", JSON.stringify({ shard: form.shard.value }), json));
    return `The shard is ${form.shard.value}`;
  });
  byId("reset").onclick = () => attempt(form, async () => {
    await ask("POST", "/reset");
    startScript();
    startFaults();
    fill(await ask("GET", "/health"));
    return "As new";
  });
  attempt(form, async () => fill(await ask("GET", "/health")));
}
