// The host: JSON-RPC over postMessage, with the parent window and nobody else.

const APP = { name: "batchwright-dashboard", title: "Batchwright", version: "{{version}}" };
const PROTOCOL = "2026-01-26";
const PATIENCE_MS = 5000;

class Refused extends Error {}

class Host {
  constructor(parent) {
    this.parent = parent;
    this.next = 0;
    this.open = new Map();
    this.heard = new Map();
    this.capabilities = {};
    this.modes = [];
    window.addEventListener("message", (event) => this.receive(event));
  }

  get canCall() { return Boolean(this.capabilities.serverTools); }

  /** Call *hear* for notifications of a method. */
  on(method, hear) { this.heard.set(method, hear); }

  /** Shake hands; a host that does not answer can only show the page. */
  async meet() {
    const params = { protocolVersion: PROTOCOL, appInfo: APP, appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] } };
    const late = new Promise((_, fail) => setTimeout(() => fail(new Refused("The host does not respond.")), PATIENCE_MS));
    let met = {};
    try {
      met = object(await Promise.race([this.ask("ui/initialize", params), late]));
    } catch { /* shown is what comes */ }
    this.capabilities = object(met.hostCapabilities);
    this.send({ method: "ui/notifications/initialized", params: {} });
    return object(met.hostContext);
  }

  ask(method, params) {
    const id = ++this.next;
    return new Promise((resolve, reject) => {
      this.open.set(id, { resolve, reject });
      this.send({ id, method, params });
    });
  }

  tell(method, params) { this.send({ method, params }); }

  /** Call a tool of the server, and return its whole result. */
  async call(name, args) {
    if (!this.canCall) throw new Refused("This host does not let the page call tools. Ask the assistant instead.");
    const params = { name, arguments: args };
    if (own(object(this.capabilities.experimental), "batchwright/progress")) params._meta = { progressToken: `page-${this.next + 1}` };
    const result = object(await this.ask("tools/call", params));
    if (result.isError) throw new Refused(list(result.content).map((block) => plain(object(block).text)).join("\n") || `${name} was refused.`);
    return result;
  }

  send(message) { this.parent.postMessage({ jsonrpc: "2.0", ...message }, "*"); }

  receive(event) {
    const message = event.data;
    if (event.source !== this.parent || !message || message.jsonrpc !== "2.0") return;
    if (typeof message.method !== "string") {
      const waiting = this.open.get(message.id);
      this.open.delete(message.id);
      if (!waiting) return;
      if (message.error) waiting.reject(new Refused(plain(object(message.error).message) || "The host refused."));
      else waiting.resolve(message.result);
    } else if (message.id !== undefined) {
      const known = message.method === "ping" || message.method === "ui/resource-teardown";
      this.heard.get(message.method)?.({});
      this.send(known ? { id: message.id, result: {} } : { id: message.id, error: { code: -32601, message: "Method not found" } });
    } else {
      this.heard.get(message.method)?.(object(message.params));
    }
  }
}
