// The page: the current view, and what the buttons call.

const META = "batchwright/dashboard";
const SHORTEST_WAIT = 2;
const LONGEST_WAIT = 20;
const SAID_EVERY = 10;

class Board {
  constructor() {
    this.host = new Host(window.parent);
    this.panel = new Panel(this);
    this.main = document.getElementById("main");
    this.job = null;
    this.view = null;
    this.shownJob = null;
    this.watching = 0;
    this.busy = 0;
    this.input = {};
    this.again = () => this.openJobs(0);
    this.told = -1;
  }

  async start() {
    const heard = {
      "ui/notifications/tool-input": (params) => { this.input = object(params.arguments); },
      "ui/notifications/tool-result": (params) => this.receive(params),
      "ui/notifications/tool-cancelled": (params) => this.alert(`The call was cancelled. ${safe(params.reason ?? "", 200)}`),
      "ui/notifications/host-context-changed": (params) => this.context(params),
      "notifications/progress": (params) => { if (params.message && this.isBusy) this.stamp(safe(params.message, 120)); },
      "ui/resource-teardown": () => this.stopWatching(),
    };
    for (const [method, hear] of Object.entries(heard)) this.host.on(method, hear);
    new ResizeObserver(() => this.size()).observe(document.getElementById("page"));
    this.context(await this.host.meet());
    this.bar();
    if (!this.view) put(this.main, make("div", { class: "empty" }, make("p", {}, "Waiting for the first answer …"),
      this.host.canCall ? button("Show all jobs", () => this.openJobs(0)) : null));
  }

  context(given) {
    if (given.theme === "light" || given.theme === "dark") document.documentElement.dataset.theme = given.theme;
    settle(given.locale, given.timeZone);
    for (const [side, room] of Object.entries(object(given.safeAreaInsets))) {
      if (["top", "right", "bottom", "left"].includes(side) && isCount(room)) document.body.style.setProperty(`padding-${side}`, `${Math.max(0, Math.min(200, room))}px`);
    }
    if (Array.isArray(given.availableDisplayModes)) this.modes = given.availableDisplayModes;
    if (given.displayMode) this.mode = given.displayMode;
    this.bar();
  }

  /** The navigation bar. */
  bar() {
    const items = this.host.canCall ? [
      button("All jobs", () => this.openJobs(0), { key: "all" }),
      button("Refresh", () => this.refresh(), { key: "refresh", disabled: this.isBusy }),
      list(this.modes).includes("fullscreen") && this.mode !== "fullscreen" ? button("Full screen", () => this.host.ask("ui/request-display-mode", { mode: "fullscreen" }).catch(() => {}), { key: "full" }) : null,
    ] : [];
    put(document.getElementById("views"), items);
  }

  get isBusy() { return this.busy > 0; }

  size() {
    const page = document.getElementById("page").getBoundingClientRect();
    const style = getComputedStyle(document.body);
    const height = Math.ceil(page.height + parseFloat(style.paddingTop) + parseFloat(style.paddingBottom));
    this.host.tell("ui/notifications/size-changed", { width: Math.ceil(document.documentElement.clientWidth), height });
  }

  say(text) { document.getElementById("status").textContent = text; }

  stamp(text) { document.getElementById("stamp").textContent = text; }

  alert(text) {
    const place = document.getElementById("alert");
    if (!text) { place.replaceChildren(); return; }
    put(place, make("p", {}, long(text, 600, "error")), button("Dismiss", () => this.alert(""), { key: "dismiss" }));
  }

  meta(result) { return object(own(object(result._meta), META)); }

  /** Call a tool, and give its result; null, with the reason shown, if it refused. */
  async call(name, args, doing, { isQuiet = false } = {}) {
    this.busy += 1;
    if (!isQuiet) { this.alert(""); this.say(doing); this.stamp(doing); }
    this.main.setAttribute("aria-busy", "true");
    try {
      return await this.host.call(name, args);
    } catch (error) {
      this.alert(error instanceof Refused ? error.message : "Something went wrong in this page.");
      return null;
    } finally {
      this.busy -= 1;
      if (!this.isBusy) { this.main.removeAttribute("aria-busy"); this.stamp(this.seen ?? ""); }
    }
  }

  async act(name, args) {
    const result = await this.call(name, args, "Asking …");
    if (result) this.take(result, true);
  }

  /** Show what the host was told first. */
  receive(result) {
    if (result.isError) { this.alert(list(result.content).map((block) => plain(object(block).text)).join("\n") || "The call was refused."); return; }
    const { outcome = "all", limit = 5, offset = 0 } = this.input;
    this.take(result, false, { outcome: plain(outcome), limit: isCount(limit) ? limit : 5, offset: isCount(offset) ? offset : 0 });
  }

  /** Show an answer by what it holds. */
  take(result, isOpened = false, query = { outcome: "all", limit: PAGE, offset: 0 }) {
    const facts = object(result.structuredContent);
    const meta = this.meta(result);
    this.seen = `As of ${time(meta.at ?? Date.now() / 1000, { timeStyle: "medium" })}`;
    if (Array.isArray(facts.jobs)) this.showJobs(facts, meta, query.offset);
    else if (Array.isArray(facts.costs)) this.showCosts(facts);
    else if (Array.isArray(facts.shown) && facts.counts) this.showResults(facts, meta, query);
    else if (facts.counts && facts.job_id) this.showJob(facts, meta);
    else { put(this.main, make("p", { class: "said" }, long(list(result.content).map((block) => plain(object(block).text)).join("\n"), 2000, "answer"))); this.view = "text"; }
    if (!this.isBusy) this.stamp(this.seen);
    if (isOpened) this.main.querySelector("h2")?.focus();
  }

  swap(view, again, ...children) {
    if (view !== "job") { this.stopWatching(); this.shownJob = null; }
    this.panel.element.hidden = true;
    this.view = view;
    this.again = again;
    put(this.main, children);
  }

  showJobs(facts, meta, offset) {
    this.job = null;
    this.swap("jobs", () => this.openJobs(offset), jobsView(this, facts, meta, offset));
  }

  showCosts(facts) {
    const id = this.input.job_id ?? this.job?.job_id;
    if (!this.job && id) this.job = { job_id: plain(id) };
    const args = this.costs ?? this.input;
    this.swap("costs", () => this.openCosts(null, args), costsView(this, facts));
  }

  showResults(facts, meta, query) {
    this.job = facts;
    this.swap("results", () => this.openResults(facts.job_id, query), resultsView(this, facts, meta, query));
  }

  showJob(facts, meta) {
    const isOther = this.shownJob === null || this.job?.job_id !== facts.job_id;
    this.job = facts;
    if (isOther) {
      this.shownJob = new JobView(this);
      this.swap("job", () => this.openJob(facts.job_id, false), this.shownJob.elements);
    }
    this.shownMeta = meta;
    this.shownJob.show(facts, meta, this.watching > 0);
    if (!isOn(facts.status)) this.stopWatching();
  }

  refresh() { return this.again(); }

  async openJobs(offset) {
    const result = await this.call("list_jobs", { limit: PAGE, offset }, "Loading jobs …");
    if (result) this.take(result, true, { outcome: "all", limit: PAGE, offset });
  }

  async openJob(id, isOpened = true) {
    const result = await this.call("check_job", { job_id: plain(id) }, "Checking the job …");
    if (result) this.take(result, isOpened);
  }

  async openResults(id, { outcome = "all", limit = PAGE, offset = 0 } = {}) {
    const result = await this.call("get_results", { job_id: plain(id), outcome, limit, offset }, "Loading results …");
    if (result) this.take(result, this.view !== "results", { outcome, limit, offset });
  }

  async openCosts(id, args = null) {
    this.costs = args ?? { job_id: plain(id) };
    const result = await this.call("compare_costs", this.costs, "Comparing costs …");
    if (result) this.take(result, this.view !== "costs");
  }

  /** Poll until the job finishes: often while it progresses, rarely while it does not. */
  async watch() {
    const turn = Date.now();
    this.watching = turn;
    let wait = SHORTEST_WAIT;
    let before = "";
    this.shownJob.show(this.job, this.shownMeta, true);
    while (this.watching === turn && this.view === "job") {
      const result = await this.call("check_job", { job_id: this.job.job_id, wait_seconds: wait }, "Waiting …", { isQuiet: true });
      if (this.watching !== turn) break;
      if (!result) { this.stopWatching(); break; }
      this.take(result);
      const now = JSON.stringify(this.job.counts);
      wait = now === before ? Math.min(LONGEST_WAIT, wait * 2) : SHORTEST_WAIT;
      before = now;
      this.tellProgress();
      if (!isOn(this.job.status)) { this.say(`The job has finished: ${safe(this.job.status, 40)}. ${sentence(this.job.counts, this.job.rows)}.`); break; }
    }
  }

  /** Announce each tenth once, and nothing in between. */
  tellProgress() {
    const tenth = Math.floor((100 * doneOf(this.job.counts, this.job.rows)) / this.job.rows / SAID_EVERY);
    if (tenth === this.told || !isOn(this.job.status)) return;
    this.told = tenth;
    this.say(`${number(doneOf(this.job.counts, this.job.rows))} of ${counted(this.job.rows, "row")} done.`);
  }

  stopWatching() {
    if (!this.watching) return;
    this.watching = 0;
    if (this.view === "job" && this.shownJob) this.shownJob.show(this.job, this.shownMeta, false);
  }
}

new Board().start();
