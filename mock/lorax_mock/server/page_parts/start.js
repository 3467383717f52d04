// The connection: what was, then what happens.

const connected = { source: null, hello: null };

function tellConnection(state, text) {
  const line = byId("connection");
  line.dataset.state = state;
  line.textContent = text;
}

function tellPace(now) {
  const hello = connected.hello;
  const pace = now.pace === "real" ? "real time" : "no time";
  byId("about").textContent = `${hello.model_id}, seed ${hello.seed}, answers take ${pace}`;
  drawing.paced = now.pace === "real";
  byId("drawing-title").textContent =
    `What the shard does, in milliseconds of ${drawing.paced ? "real" : "virtual"} time`;
}

// All begins anew: after a lost connection the mock may be another.
function greet(hello) {
  connected.hello = hello;
  const arrived = Date.now();
  tellConnection("live", "live");
  tellPace({ pace: hello.costs.paced ? "real" : "off" });
  requests.clear();
  byId("rows").replaceChildren();
  for (const row of hello.requests) began(row, arrived - (hello.clock - row.at) * 1000);
  renewed();
  hello.jobs.forEach(shardDone);
  hello.spans.forEach(spent);
  startTry(hello);
  startScript();
  startFaults();
  startPace();
  startHealth();
}

const HANDLERS = {
  began: (event) => began(event, Date.now()),
  ended: (event) => began(event, Date.now()),
  refused: (event) => refused(event, Date.now()),
  arrived: shardArrived,
  spent,
  done: shardDone,
  left: shardLeft,
  renewed: () => {
    renewed();
    startPace(); // whoever changes it makes the shard anew
  },
  missed: (event) => tellConnection("live", `live; ${event.count} events were missed, reload to see all`),
};

function connect() {
  const source = new EventSource(`${base}/watch`);
  source.addEventListener("hello", (event) => {
    greet(JSON.parse(event.data));
    count();
    redraw();
  });
  source.addEventListener("news", (event) => {
    for (const one of JSON.parse(event.data)) HANDLERS[one.kind](one);
    count();
    redraw();
  });
  source.onerror = () => tellConnection("lost", "no connection; trying again");
}

startList();
startDetail();
startDrawing();
connect();
