// One job: its progress, cost and failures, and its progress over time.

const PAGE = 20;
const ENDED = new Set(["completed", "cancelled", "expired", "failed"]);
const isOn = (status) => status === "running" || status === "cancelling";

function headline(facts, meta) {
  const done = doneOf(facts.counts, facts.rows);
  switch (facts.status) {
    case "draft": return `A draft of ${counted(facts.rows, "row")}; nothing has been sent`;
    case "unknown": return "It may or may not have been sent. Nothing is sent again unless you tell the assistant to.";
    case "running":
    case "cancelling": {
      const left = duration(facts.seconds_left);
      return [`${share(done, facts.rows)} done`, left && `about ${left} left`].filter(Boolean).join(", ");
    }
    default: {
      const good = own(object(facts.counts), "answered") ?? 0;
      const took = (Date.parse(meta.ended_at) - Date.parse(meta.submitted_at)) / 1000;
      const how = good === facts.rows ? "All rows answered" : `${number(good)} of ${counted(facts.rows, "row")} answered`;
      return Number.isFinite(took) && took >= 0 && (meta.round ?? 1) === 1 ? `${how} in ${duration(took)}` : how;
    }
  }
}

function progressPiece(board) {
  return new Piece("section", { class: "card", "aria-labelledby": "progress-title" }, ({ facts, meta }) => [
    make("h3", { id: "progress-title", class: "unseen" }, "Progress"),
    make("p", { class: "big" }, headline(facts, meta)),
    facts.status === "draft" ? null : [
      bar(facts.counts, facts.rows),
      legend(facts.counts, facts.rows, ENDED.has(facts.status) && board.host.canCall ? (outcome) => board.openResults(facts.job_id, { outcome }) : null),
      make("p", { class: "quiet" }, counted(facts.rows, "row")),
    ],
  ]);
}

const fact = (name, ...value) => (value.flat().some((part) => part !== null && part !== undefined && part !== "" && part !== false) ? [make("dt", {}, name), make("dd", {}, ...value)] : null);

function factsPiece() {
  return new Piece("section", { class: "card", "aria-labelledby": "facts-title" }, ({ facts, meta }) => [
    make("h3", { id: "facts-title" }, "About this job"),
    make("dl", {},
      fact("Answered by", facts.answered_by ? said(facts.answered_by, 400) : null),
      fact("Source", meta.source ? [said(meta.source, 120), `, ${counted(facts.rows, "row")}`] : counted(facts.rows, "row")),
      fact("Prompt", meta.prompt ? long(meta.prompt, 120, "prompt") : null),
      fact("Rate", isCount(facts.rows_per_minute) ? `${number(facts.rows_per_minute)} rows per minute` : null),
      fact("Time left", duration(facts.seconds_left)),
      fact("Tokens", facts.input_tokens || facts.output_tokens ? `${number(facts.input_tokens ?? 0)} in, ${number(facts.output_tokens ?? 0)} out` : null),
      fact("Submitted", time(meta.submitted_at)),
      fact("Finished", time(meta.ended_at)),
      fact("Created", meta.submitted_at ? null : time(meta.created_at)),
      fact("Round", (meta.round ?? 1) > 1 ? number(meta.round) : null),
      fact("ID", said(facts.job_id, 80))),
  ]);
}

function meter(name, used, most, over) {
  const level = make("span", { class: "level", "data-tone": used.usd > most.usd ? "bad" : used.usd > 0.8 * most.usd ? "warn" : "plain" });
  level.style.width = `${Math.min(100, most.usd ? (100 * used.usd) / most.usd : 0)}%`;
  return make("div", { class: "meter" },
    make("p", {}, make("span", {}, name), make("span", { class: "amount" }, make("strong", {}, safe(used.text, 40)), ` of ${safe(most.text, 40)}${over}`)),
    make("div", { class: "gauge", "aria-hidden": "true" }, level));
}

const isAmount = (value) => value && isCount(value.usd) && typeof value.text === "string";

function moneyPiece() {
  return new Piece("section", { class: "card", "aria-labelledby": "money-title" }, ({ facts, meta }) => {
    const { spent, agreed, job_limit: jobLimit, day, day_limit: dayLimit } = object(meta.money);
    const { most } = object(meta.offer);
    if (!facts.cost && !isAmount(spent)) return null;
    const isSubmitted = facts.status !== "draft";
    return [
      make("h3", { id: "money-title" }, "Cost"),
      facts.cost ? make("p", {}, said(facts.cost, 400)) : null,
      isSubmitted && isAmount(spent) && isAmount(agreed) ? meter("This job", spent, agreed, " agreed") : null,
      isAmount(most) && isAmount(jobLimit) ? meter(isSubmitted ? "The drafted retry, at most" : "This draft, at most", most, jobLimit, " per job") : null,
      isAmount(agreed) && isAmount(jobLimit) ? meter("Agreed / per-job limit", agreed, jobLimit, "") : null,
      isAmount(day) && isAmount(dayLimit) ? meter("All jobs in 24 hours", day, dayLimit, "") : null,
    ];
  });
}

function problem(board, found, index, canRetry) {
  const each = object(found);
  const remedy = object(each.remedy);
  const calls = remedy.call === "retry_job" && canRetry;
  const rows = isCount(remedy.takes_up) ? remedy.takes_up : each.rows;
  const quote = (whose, words) => (words ? make("blockquote", {}, make("p", { class: "quiet" }, whose), make("p", {}, long(words, 200, whose))) : null);
  const outcome = plain(each.outcome);
  return make("li", { class: "problem" },
    make("p", {}, make("span", { class: "swatch", "data-outcome": NAMES.has(outcome) ? outcome : "running" }), make("strong", {}, counted(each.rows, "row")), ` ${NAMES.get(outcome) ?? safe(outcome, 40)}`),
    make("h4", {}, said(each.problem, 300)),
    quote("The provider says", each.provider_says),
    quote("The model says", each.model_says),
    quote("The check found", each.details),
    make("p", {}, make("strong", {}, `A retry ${safe(each.retry, 60)}. `), each.advice ? said(each.advice, 400) : null),
    list(each.ids).length ? make("p", { class: "quiet" }, "For example ", list(each.ids).slice(0, 5).map((id, place) => [place ? ", " : "", said(id, 64)])) : null,
    calls ? make("div", { class: "actions" }, button(`Retry ${counted(rows, "row")} …`, () => board.panel.retry(object(remedy.arguments), rows), { key: `retry-${index}`, name: `Retry ${counted(rows, "row")}: ${safe(each.problem, 120)}` })) : null);
}

function problemsPiece(board) {
  return new Piece("section", { class: "card", "aria-labelledby": "problems-title" }, ({ facts }) => {
    const problems = list(facts.problems);
    if (!problems.length) return null;
    const canRetry = ENDED.has(facts.status) && board.host.canCall;
    return [
      make("h3", { id: "problems-title" }, "What went wrong"),
      make("ol", { class: "problems" }, problems.map((found, index) => problem(board, found, index, canRetry))),
    ];
  });
}

function coursePiece() {
  return new Piece("section", { class: "card", "aria-labelledby": "course-title" }, ({ course, rows }) => {
    const built = courseChart(course, rows);
    return built ? [make("h3", { id: "course-title" }, "Progress over time"), built] : null;
  });
}

function actionsPiece(board) {
  return new Piece("div", { class: "actions", role: "group", "aria-label": "Actions" }, ({ facts, meta, isWatching }) => {
    if (!board.host.canCall) return null;
    const id = facts.job_id;
    const offer = meta.offer && !isOn(facts.status) ? object(meta.offer) : null;
    const isDraft = facts.status === "draft";
    const hasEnded = ENDED.has(facts.status);
    return [
      isOn(facts.status) ? button(isWatching ? "Stop watching" : "Watch live", () => (isWatching ? board.stopWatching() : board.watch()), { key: "watch", tone: "main" }) : null,
      offer ? button(isDraft ? "Submit …" : "Submit the retry …", () => board.panel.submit(offer), { key: "submit", tone: "main" }) : null,
      hasEnded ? button("View results", () => board.openResults(id), { key: "results", tone: offer ? "plain" : "main" }) : null,
      hasEnded ? button("Save results …", () => board.panel.save(id), { key: "save" }) : null,
      button("Compare costs", () => board.openCosts(id), { key: "costs" }),
      facts.status === "running" ? button("Cancel …", () => board.panel.cancel(facts, false), { key: "cancel", tone: "danger" }) : null,
      offer ? button(isDraft ? "Discard …" : "Discard the retry …", () => board.panel.cancel(facts, true), { key: "discard", tone: "danger" }) : null,
    ];
  });
}

/** The view of one job: its pieces update, and whatever is being typed or confirmed stays. */
class JobView {
  constructor(board) {
    this.board = board;
    this.pieces = { progress: progressPiece(board), facts: factsPiece(), money: moneyPiece(), problems: problemsPiece(board), course: coursePiece(), actions: actionsPiece(board) };
    this.title = make("h2", { tabindex: "-1" });
    this.notes = new Piece("div", { class: "plain" }, ({ facts }) => [notes(facts.notes), following(board, facts)]);
    const { progress, facts, money, problems, course, actions } = this.pieces;
    this.elements = [
      this.title,
      actions.element,
      board.panel.element,
      make("div", { class: "columns" },
        make("div", { class: "wide" }, progress.element, problems.element, course.element, this.notes.element),
        make("div", { class: "narrow" }, money.element, facts.element)),
    ];
  }

  show(facts, meta, isWatching) {
    put(this.title, said(meta.source ?? facts.job_id, 120), " ", chip(facts.status));
    this.notes.show({ facts: { notes: facts.notes, next: facts.next } });
    const { progress, facts: about, money, problems, course, actions } = this.pieces;
    progress.show({ facts, meta: { ended_at: meta.ended_at, submitted_at: meta.submitted_at, round: meta.round } });
    about.show({ facts: { ...facts, notes: null, problems: null }, meta: { ...meta, at: null, course: null } });
    money.show({ facts: { cost: facts.cost, status: facts.status }, meta: { money: meta.money, offer: meta.offer } });
    problems.show({ facts: { problems: facts.problems, status: facts.status } });
    // The last point is now.
    const now = isOn(facts.status) && meta.at ? [[Date.parse(meta.at) / 1000, facts.counts]] : [];
    course.show({ course: [...list(meta.course), ...now], rows: facts.rows });
    actions.show({ facts: { job_id: facts.job_id, status: facts.status }, meta: { offer: meta.offer }, isWatching });
  }
}
