// A host with MCP Apps, driven by lines of JSON: the published bridge in a real browser, and the published client.
// Usage: node host.mjs MODULES, where MODULES is a folder of npm packages; then one line in, one line out.

import { createRequire } from "node:module";
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const modules = process.argv[2];
const need = createRequire(join(modules, "from-here.js"));
const puppeteer = need("puppeteer-core");
const { Client } = need("@modelcontextprotocol/client");
const { StdioClientTransport } = need("@modelcontextprotocol/client/stdio");
const here = dirname(fileURLToPath(import.meta.url));
const UI = "io.modelcontextprotocol/ui";
const MIME = "text/html;profile=mcp-app";
const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".html": "text/html; charset=utf-8" };
const PATIENCE = 30000;

let browser, client, page, app, resource, calls = [], log = [], requests = [];

// The host's own page, and on another port, as hosts do, the app's.
const files = createServer(async (request, response) => {
  const path = normalize(new URL(request.url, "http://host").pathname);
  try {
    const file = path === "/" ? join(here, "host.html") : path.startsWith("/modules/") ? join(modules, path.slice(8)) : null;
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" }).end(await readFile(file));
  } catch {
    response.writeHead(404).end();
  }
});
const apps = createServer((_, response) => {
  const domains = (name) => (resource.csp[name] ?? []).join(" ");
  const own = `'self' 'unsafe-inline' ${domains("resourceDomains")}`;
  const policy = `default-src 'none'; script-src ${own}; style-src ${own}; img-src 'self' data: ${domains("resourceDomains")}; connect-src ${domains("connectDomains") || "'none'"}`;
  response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": policy }).end(resource.html);
});
const listening = (server) => new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`)));

// The bridge itself tells of each message that passes.
const hear = (message) => { if (message.type() !== "debug") log.push(`${message.type()}: ${message.text()}`); };

async function callTool(params) {
  calls.push({ name: params.name, arguments: params.arguments });
  return client.request({ method: "tools/call", params }, { timeout: 120000 });
}

/** Give what the page shows to those who look and to those who listen, and act as they do. */
const doing = {
  async start({ command, args, env, chromium }) {
    client = new Client({ name: "test-host", version: "1" }, { capabilities: { extensions: { [UI]: { mimeTypes: [MIME] } } } });
    await client.connect(new StdioClientTransport({ command, args, env, stderr: "ignore" }));
    browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu", "--lang=en-US", "--force-color-profile=srgb"] });
    files.address = await listening(files);
    apps.address = await listening(apps);
    const uri = (await client.listTools()).tools.find((tool) => tool.name === "list_jobs")._meta.ui.resourceUri;
    const [content] = (await client.readResource({ uri })).contents;
    resource = { uri, html: content.text, type: content.mimeType, csp: content._meta.ui.csp };
    return { uri, type: resource.type, csp: resource.csp };
  },

  /** Show the app beside the answer of a tool, or beside *result*. */
  async open({ tool, args = {}, result = null, theme = "light", width = 1200, scheme = null, capabilities = { serverTools: {} }, motion = "no-preference" }) {
    await page?.close();
    [calls, log, requests] = [[], [], []];
    const shown = tool ? await client.request({ method: "tools/call", params: { name: tool, arguments: args } }, { timeout: 120000 }) : result;
    page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE);
    await page.setViewport({ width, height: 900 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme ?? theme ?? "light" }, { name: "prefers-reduced-motion", value: motion }]);
    page.on("console", hear);
    page.on("pageerror", (error) => log.push(`error: ${error.message}`));
    page.on("request", (request) => requests.push(request.url()));
    page.on("dialog", (dialog) => { log.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    const context = theme ? { theme, locale: "en-US", timeZone: "UTC" } : {};
    await page.exposeFunction("wanted", () => ({ address: `${apps.address}/app`, capabilities, context, input: args, result: shown }));
    await page.exposeFunction("callTool", callTool);
    await page.goto(files.address, { waitUntil: "load" });
    app = await (await page.waitForSelector("iframe")).contentFrame();
    await app.waitForSelector("h2");
    return shown;
  },

  /** Open an address as the user does, and look into the frame that is in it. */
  async visit({ address, theme = "light", width = 1200 }) {
    await page?.close();
    [calls, log, requests] = [[], [], []];
    page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE);
    await page.setViewport({ width, height: 900 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
    page.on("console", hear);
    page.on("pageerror", (error) => log.push(`error: ${error.message}`));
    page.on("request", (request) => requests.push(request.url()));
    await page.goto(address, { waitUntil: "load" });
    const frame = await page.$("iframe");
    app = frame ? await frame.contentFrame() : page.mainFrame();
    return { title: await page.title(), address: page.url() };
  },

  async reshow({ result }) { await page.evaluate((given) => window.reshow(given), result); },
  async context({ context }) { await page.evaluate((given) => window.bridge.setHostContext(given), context); },
  async wait({ text }) { await app.waitForFunction((given) => document.body.innerText.includes(given), {}, text); },
  async until({ script }) { await app.waitForFunction(script); },
  async click({ name, role = "button" }) { await (await app.waitForSelector(`aria/${name}[role="${role}"]`)).click(); },
  async outer({ name }) { await (await page.waitForSelector(`aria/${name}[role="button"]`)).click(); },
  async outerText() { return page.evaluate(() => document.body.innerText); },
  async outerWait({ text }) { await page.waitForFunction((given) => document.body.innerText.includes(given), {}, text); },
  async choose({ name, value }) { await (await app.waitForSelector(`aria/${name}[role="combobox"]`)).select(value); },
  async fill({ name, value, role = "textbox" }) {
    const field = await app.waitForSelector(`aria/${name}[role="${role}"]`);
    await field.evaluate((element) => { element.value = ""; });
    await field.type(value);
  },
  async press({ key, times = 1 }) { for (let n = 0; n < times; n += 1) await page.keyboard.press(key); },
  async run({ script }) { return app.evaluate(script); },
  async text() { return app.evaluate(() => document.body.innerText); },
  async shot({ path }) {
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    const { width } = page.viewport();
    await page.setViewport({ width, height: Math.min(height, 4000) });
    await new Promise((resolve) => setTimeout(resolve, 700));
    await (await page.$("iframe")).screenshot({ path });
  },

  /** Have axe look for what keeps people out. */
  async axe() {
    await app.evaluate(await readFile(need.resolve("axe-core"), "utf8"));
    const found = await app.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    return found.violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).slice(0, 5) }));
  },

  /** Give what happened since the page was opened: calls of tools, words on the console, and requests of the network. */
  async heard() {
    const ours = [files.address, apps.address, "data:"];
    return { calls, log, strange: requests.filter((url) => !ours.some((start) => url.startsWith(start))) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...given } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await doing[name](given)) ?? null };
  } catch (error) {
    const shown = await app?.evaluate(() => document.body.innerText).catch(() => "nothing");
    answer = { error: `${name}: ${error.stack ?? error}\nThe page shows: ${shown}`, log };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser?.close();
await client?.close();
process.exit(0);
