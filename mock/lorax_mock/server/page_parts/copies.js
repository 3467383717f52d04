// A request of the journal as something to run or to keep: pure text, no DOM. Parameters are pasted as the JSON that the
// mock wrote: parsed, a number above 2^53 would be another one.

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// What LoRAX was asked, as its native route takes it: /v1 requests are in the journal as what they became.
function nativePath(request) {
  return request.stream ? "/generate_stream" : "/generate";
}

function asCurl(request) {
  const parameters = Object.entries(request.parameters_json).map(([name, json]) => `"${name}":${json}`);
  const body = `{"inputs":${JSON.stringify(request.inputs)},"parameters":{${parameters.join(",")}}}`;
  const path = nativePath(request);
  const flags = path === "/generate_stream" ? "-sN" : "-s";
  return `curl ${flags} ${quoted(server + path)} -H 'content-type: application/json' \\\n  -d ${quoted(body)}`;
}

// JSON is Python, but for three words and the spaces.
const PYTHONIC = { null: "None", true: "True", false: "False", ",": ", ", ":": ": " };
const pythonic = (json) => json.replace(/"(?:[^"\\]|\\.)*"|null|true|false|[,:]/g, (part) => PYTHONIC[part] ?? part);

const CLIENT_NAMES = { stop: "stop_sequences" };
const CLIENT_KNOWS = new Set([
  "adapter_id", "adapter_source", "merged_adapters", "api_token", "do_sample", "max_new_tokens", "ignore_eos_token",
  "best_of", "repetition_penalty", "return_full_text", "seed", "stop_sequences", "temperature", "top_k", "top_p",
  "truncate", "typical_p", "watermark", "response_format", "decoder_input_details", "return_k_alternatives", "details",
]);
const NOT_STREAMED = new Set(["best_of", "decoder_input_details", "return_k_alternatives"]);

function asPython(request) {
  const streams = nativePath(request) === "/generate_stream";
  const knows = (name) => CLIENT_KNOWS.has(name) && !(streams && NOT_STREAMED.has(name));
  const given = Object.entries(request.parameters_json).map(([name, json]) => [CLIENT_NAMES[name] ?? name, json]);
  const taken = given.filter(([name]) => knows(name) && !(name === "details" && asksForDetails(request)));
  const left = given.filter(([name]) => !knows(name)).map(([name]) => name);
  const merged = taken.some(([name]) => name === "merged_adapters");
  const lines = taken.map(([name, json]) => {
    let shown = pythonic(json);
    if (name === "merged_adapters") shown = `MergedAdapters(**${shown})`;
    // the client takes no other type, and to LoRAX the schema alone matters
    if (name === "response_format") shown = shown.replace(/^{"type": "\w+"/, '{"type": "json_object"');
    return `    ${name}=${shown},\n`;
  });
  const call = `client.${streams ? "generate_stream" : "generate"}(\n    ${JSON.stringify(request.inputs)},\n${lines.join("")})`;
  const note = left.length ? `# lorax-client has no ${left.join(", ")}${streams ? " for streams" : ""}\n` : "";
  const head = `from lorax import Client\n${merged ? "from lorax.types import MergedAdapters\n" : ""}\n${note}client = Client(${JSON.stringify(server)})\n`;
  if (!streams) return `${head}answer = ${call}\nprint(answer.generated_text)\n`;
  return `${head}for event in ${call}:\n    if not event.token.special:\n        print(event.token.text, end="")\n`;
}

// The client does so by itself.
function asksForDetails(request) {
  return request.parameters.details === true;
}

// JSON is YAML, but for characters that YAML takes for line breaks or refuses.
function yamlString(text) {
  return JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function asRule(request) {
  const answer = request.answers?.[0];
  const lines = ["rules:", `  - name: ${yamlString(`as request ${request.number}`)}`];
  const adapter = request.parameters.adapter_id || (request.parameters.merged_adapters?.ids ?? []).join(",") || "base";
  lines.push(`    when: {adapter: ${yamlString(adapter)}, prompt: ${yamlString(request.inputs)}}`);
  if (answer && answer.text) {
    const finish = answer.finish_reason === "eos_token" ? "" : `, finish: ${answer.finish_reason}`;
    lines.push(`    reply: {text: ${yamlString(answer.text)}${finish}}`);
  }
  if (request.fault) lines.push(`    fault: ${yamlString(request.fault)}`);
  if (lines.length === 3) lines.push('    reply: {text: "Ahoy!"}');
  return `${lines.join("\n")}\n`;
}
