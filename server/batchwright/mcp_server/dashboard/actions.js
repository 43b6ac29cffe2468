// Every change is shown in a panel first and takes a second press: no single press spends or cancels anything.

const CHANGES = { prompt: "another prompt", system: "another system text", model: "another model", parameters: "other parameters" };
const MAX_USD = 1000000;

class Panel {
  constructor(board) {
    this.board = board;
    this.element = make("section", { class: "card panel", "aria-label": "Confirm", hidden: true, on: { keydown: (event) => { if (event.key === "Escape") this.close(); } } });
    this.from = null;
  }

  /** Show what is about to happen; focus moves to the heading, so that a key held down confirms nothing. */
  open(title, ...children) {
    if (!this.element.contains(document.activeElement)) this.from = document.activeElement?.getAttribute("data-key") ?? null;
    const head = make("h3", { tabindex: "-1" }, title);
    this.element.hidden = false;
    this.element.replaceChildren();
    fill(this.element, [head, children]);
    head.focus();
  }

  close() {
    if (this.element.hidden) return;
    this.element.hidden = true;
    this.element.replaceChildren();
    const from = [...document.querySelectorAll("[data-key]")].find((element) => element.getAttribute("data-key") === this.from);
    (from ?? document.querySelector("h2"))?.focus();
  }

  get back() { return button("Close", () => this.close(), { key: "panel-close" }); }

  /** A button that is disabled while its action runs. */
  once(label, act, tone) {
    const pressed = button(label, async () => {
      if (pressed.disabled) return;
      pressed.disabled = true;
      try { await act(); } finally { pressed.disabled = false; }
    }, { key: "panel-do", tone });
    return pressed;
  }

  retry(args, rows) {
    const told = Object.entries(args).filter(([name]) => name !== "job_id");
    const what = told.map(([name, value]) => (name === "outcomes"
      ? ["Rows that are ", list(value).map((outcome) => NAMES.get(plain(outcome)) ?? safe(outcome, 40)).join(", ")]
      : [`With ${own(CHANGES, name) ?? safe(name, 40)}: `, make("code", { dir: "auto" }, safe(value, 400))]));
    this.open(`Retry ${counted(rows, "row")}`,
      make("p", {}, "This drafts a new round for these rows and spends nothing. You then see the cost and decide whether to submit it."),
      make("ul", {}, what.map((line) => make("li", {}, line))),
      make("div", { class: "actions" }, this.once("Draft the retry", () => this.draft(args), "main"), this.back));
  }

  async draft(args) {
    const result = await this.board.call("retry_job", args, "Drafting the retry …");
    if (!result) return;
    const draft = object(result.structuredContent);
    await this.board.refresh();
    const offer = object(this.board.meta(result).offer);
    if (Object.keys(offer).length) this.submit(offer, draft);
    else this.open("The retry is drafted", make("p", {}, "Cost: ", said(draft.cost, 400)), make("p", {}, "Ask the assistant to submit it: ", make("code", { dir: "auto" }, safe(draft.next, 400))), make("div", { class: "actions" }, this.back));
    this.board.say("The retry is drafted. Nothing has been spent yet.");
  }

  /** Ask whether to run a draft, with its cost on the button. */
  submit(offer, draft = {}) {
    const isFree = offer.charges === "nothing";
    const about = [
      make("p", {}, `${counted(offer.requests, "request")}, answered by `, said(offer.answered_by, 300), "."),
      draft.retries ? make("p", {}, said(draft.retries, 400)) : null,
      draft.cost ? make("p", {}, "Cost: ", said(draft.cost, 400)) : null,
      notes(draft.warnings),
    ];
    if (isFree) {
      const [told, label] = offer.is_here ? ["It runs on this machine for free.", "Run it for free"] : ["The server that answers may charge its own prices, which are not counted here.", "Run it: cost not counted"];
      this.open("Submit this draft?", about, make("p", {}, told), make("div", { class: "actions" }, this.once(label, () => this.run(), "main"), this.back));
    } else if (isAmount(offer.most)) {
      const most = safe(offer.most.text, 40);
      this.open("Submit this draft?", about, make("p", {}, "It costs at most ", make("strong", {}, most), "."),
        make("div", { class: "actions" }, this.once(`Run it for at most ${most}`, () => this.run(offer.most.usd), "main"), this.back));
    } else {
      this.unbounded(about);
    }
  }

  /** Nothing bounds the cost: the user enters a maximum, which the button shows. */
  unbounded(about) {
    const input = make("input", { id: "most", type: "number", min: "0.01", step: "0.01", inputmode: "decimal", required: true, "data-key": "panel-most" });
    const run = this.once("Run it", () => this.run(Number(input.value)), "main");
    const check = () => {
      const value = Number(input.value);
      const isGood = value > 0 && value <= MAX_USD;
      run.disabled = !isGood;
      run.textContent = isGood ? `Run it for $${value.toFixed(2)}` : "Run it";
    };
    input.addEventListener("input", check);
    this.open("Submit this draft?", about,
      make("p", {}, "The cost cannot be bounded, because the price or the length of the answers is not known. It may exceed the amount you enter, up to the operator's limits."),
      make("p", {}, make("label", { for: "most" }, "Amount you agree to, in US dollars "), input),
      make("div", { class: "actions" }, run, this.back));
    check();
  }

  async run(most) {
    const args = { job_id: this.board.job.job_id };
    if (most !== undefined) args.max_cost_usd = most;
    const result = await this.board.call("submit_job", args, "Submitting …");
    if (!result) return;
    this.close();
    this.board.take(result);
    this.board.say("Submitted.");
  }

  cancel(facts, isDraft) {
    const title = isDraft ? "Discard the draft?" : "Cancel this job?";
    const what = isDraft ? "The draft and its files are deleted. Nothing was spent on it, and earlier results are kept." : "The job stops early. Finished answers are kept and may be charged.";
    this.open(title, make("p", {}, what),
      make("div", { class: "actions" }, this.once(isDraft ? "Discard it" : "Cancel the job", async () => {
        const result = await this.board.call("cancel_job", { job_id: facts.job_id }, isDraft ? "Discarding …" : "Cancelling …");
        if (!result) return;
        this.close();
        if (facts.status === "draft") await this.board.openJobs(0);
        else this.board.take(result);
        this.board.say(isDraft ? "The draft was discarded." : "The job is being cancelled.");
      }, "danger"), this.back));
  }

  /** Save all results to a file in the workspace. */
  save(jobId) {
    const input = make("input", { id: "file", type: "text", value: `results-${safe(jobId, 60)}.csv`, maxlength: "200", spellcheck: "false", autocomplete: "off", "data-key": "panel-file" });
    const again = make("input", { id: "again", type: "checkbox" });
    this.open("Save all results",
      make("p", {}, make("label", { for: "file" }, "File in the workspace (.csv, .xlsx, .jsonl or .parquet) "), input),
      make("p", {}, again, " ", make("label", { for: "again" }, "replace the file if it exists")),
      make("div", { class: "actions" }, this.once("Save", async () => {
        const args = { job_id: jobId, save_as: input.value.trim(), limit: 0 };
        if (again.checked) args.overwrite = true;
        const result = await this.board.call("get_results", args, "Saving …");
        if (!result) return;
        const { saved_as: path } = object(result.structuredContent);
        this.open("Saved", make("p", {}, "All rows were saved to ", make("code", { dir: "auto" }, safe(path, 400)), "."), make("div", { class: "actions" }, this.back));
        this.board.say("The results are saved.");
      }, "main"), this.back));
  }
}
