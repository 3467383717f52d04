// Small means that every part uses. Text from requests reaches the page as text, never as markup.

const base = location.pathname.replace(/\/+$/, "");
const server = location.origin + base.replace(/\/_mock$/, "");
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

// An element with attributes and children; a child that is no node becomes text.
function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

// Milliseconds for reading: 3 figures at most, no trailing zeros.
function ms(value) {
  if (value === undefined || value === null) return "";
  const size = Math.abs(value);
  return String(Number(value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)));
}

// Asks the mock; throws an Error with the mock's own words.
async function ask(method, path, body, headers = {}) {
  const reply = await fetch(base + path, { method, body, headers });
  const text = await reply.text();
  if (!reply.ok) {
    let told = text;
    try { told = JSON.parse(text).error ?? text; } catch { /* not JSON: the text as it is */ }
    throw new Error(told || `status ${reply.status}`);
  }
  return text ? JSON.parse(text) : null;
}

// Says what came of an action, in the line that the form has for it.
function say(form, text, bad = false) {
  const line = form.querySelector(".said");
  line.textContent = text;
  line.classList.toggle("bad", bad);
}

// Runs an action and says how it went.
async function attempt(form, action) {
  try {
    say(form, (await action()) ?? "");
  } catch (error) {
    say(form, error.message, true);
  }
}

// Puts a text on the clipboard; without one (another host, no TLS) selects it, to be copied by hand.
async function copy(text, shown, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(shown);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}
