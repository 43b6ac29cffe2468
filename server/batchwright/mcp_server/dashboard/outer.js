// A small host for the dashboard: it keeps the key, and passes on what the page in its frame may ask of the server.

const VERSION = "2026-07-28";
const MIME = "text/html;profile=mcp-app";
const NAMES = "io.modelcontextprotocol/";
const CALLS = new Set(["list_jobs", "check_job", "get_results", "compare_costs", "retry_job", "submit_job", "cancel_job", "adopt_batch"]);
const ME = { name: "batchwright-dashboard", version: "{{version}}" };
const CAN = { elicitation: { form: {} }, extensions: { [`${NAMES}ui`]: { mimeTypes: [MIME] } } };
const KEY = "key";

let last = 0;
let frame = null;

/** Take the key out of the address, so that it stays in no history; a reload finds it in this tab alone. */
function taken() {
  const given = location.hash.slice(1);
  if (given) sessionStorage.setItem(KEY, given);
  history.replaceState(null, "", location.pathname);
  return sessionStorage.getItem(KEY);
}

function tell(text) {
  const place = document.getElementById("told");
  place.textContent = text;
  place.hidden = false;
}

const post = (message) => frame.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");

/** Give the messages of an answer, whether it comes whole or as a stream. */
async function* messages(response) {
  if (!(response.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
    yield await response.json();
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    const events = (rest + piece.value.replaceAll("\r", "")).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
      if (data) yield JSON.parse(data);
    }
  }
}

/** Send the server one request; its progress goes to the page. */
async function ask(key, params) {
  const id = ++last;
  const meta = { ...params._meta, [`${NAMES}protocolVersion`]: VERSION, [`${NAMES}clientInfo`]: ME, [`${NAMES}clientCapabilities`]: CAN };
  const response = await fetch("/mcp", {
    method: "POST",
    credentials: "omit",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", accept: "application/json, text/event-stream", "mcp-protocol-version": VERSION, "mcp-method": "tools/call", "mcp-name": params.name },
    body: JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { ...params, _meta: meta } }),
  });
  if (response.status === 401) throw new Error("This address is no longer valid. Open the one that `batchwright dashboard` printed last.");
  for await (const message of messages(response)) {
    if (message.method === "notifications/progress") post({ method: message.method, params: message.params });
    else if (message.error) throw Object.assign(new Error(message.error.message), { code: message.error.code });
    else if (message.id === id) return message.result;
  }
  throw new Error("The server's answer was cut off. Refresh to see the current state.");
}

/** Ask the user the server's question, outside the frame. */
function agreed(text) {
  const dialog = document.getElementById("question");
  document.getElementById("words").textContent = text;
  return new Promise((resolve) => {
    const say = (word) => () => { dialog.close(word); };
    document.getElementById("yes").onclick = say("yes");
    document.getElementById("no").onclick = say("no");
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
    dialog.returnValue = "";
    dialog.showModal();
    document.getElementById("no").focus();
  });
}

async function call(key, { name, arguments: args = {}, _meta = {} }) {
  if (!CALLS.has(name)) throw new Error("The dashboard does not use this tool.");
  const params = { name, arguments: args, _meta: _meta.progressToken === undefined ? {} : { progressToken: _meta.progressToken } };
  let result = await ask(key, params);
  while (result?.resultType === "input_required") {
    const answers = {};
    for (const [place, request] of Object.entries(result.inputRequests ?? {})) {
      const isYesOrNo = request.method === "elicitation/create" && Object.keys(request.params?.requestedSchema?.properties ?? {}).join() === "agreed";
      answers[place] = isYesOrNo ? { action: "accept", content: { agreed: await agreed(String(request.params.message)) } } : { action: "cancel" };
    }
    result = await ask(key, { ...params, inputResponses: answers, requestState: result.requestState });
  }
  return result;
}

async function answer(key, message) {
  switch (message.method) {
    case "ui/initialize":
      return {
        protocolVersion: "2026-01-26",
        hostInfo: ME,
        hostCapabilities: { serverTools: {}, experimental: { "batchwright/progress": {} } },
        hostContext: { displayMode: "fullscreen", availableDisplayModes: ["fullscreen"], locale: navigator.language, timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone, platform: "web" },
      };
    case "tools/call": return call(key, message.params ?? {});
    case "ui/request-display-mode": return { mode: "fullscreen" };
    case "ping": return {};
    default: throw Object.assign(new Error("Method not found"), { code: -32601 });
  }
}

const said = (error) => (error instanceof TypeError ? "Cannot reach the server. Is `batchwright dashboard` still running?" : error.message);

async function receive(key, event) {
  const message = event.data;
  if (event.source !== frame.contentWindow || !message || message.jsonrpc !== "2.0" || typeof message.method !== "string") return;
  if (message.id !== undefined) {
    try {
      post({ id: message.id, result: await answer(key, message) });
    } catch (error) {
      post({ id: message.id, error: { code: error.code ?? -32000, message: said(error) } });
    }
  } else if (message.method === "ui/notifications/initialized") {
    try {
      const result = await call(key, { name: "list_jobs" });
      post({ method: "ui/notifications/tool-input", params: { arguments: {} } });
      post({ method: "ui/notifications/tool-result", params: result });
    } catch (error) {
      frame.remove();
      tell(said(error));
    }
  }
}

const key = taken();
if (key) {
  frame = document.createElement("iframe");
  frame.title = "Dashboard";
  frame.setAttribute("sandbox", "allow-scripts");
  addEventListener("message", (event) => receive(key, event));
  frame.src = "/app";
  document.body.append(frame);
} else {
  tell("Open this page with the full address that `batchwright dashboard` prints.");
}
