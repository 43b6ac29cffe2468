// The list of jobs.

const TONES = { completed: "good", running: "busy", cancelling: "busy", draft: "idle", cancelled: "idle", expired: "bad", failed: "bad", unknown: "warn" };

const chip = (status) => make("span", { class: "chip", "data-tone": own(TONES, plain(status)) ?? "idle" }, safe(status, 40));

function jobLine(board, job, counts) {
  const id = plain(job.job_id);
  const rows = isCount(job.rows) ? job.rows : 0;
  const known = object(counts);
  const shownCounts = Object.keys(known).length ? known : { answered: job.answered ?? 0, running: Math.max(0, rows - (job.answered ?? 0)) };
  const isDraft = job.status === "draft";
  const done = doneOf(shownCounts, rows);
  const progress = isDraft
    ? make("p", { class: "quiet" }, `${counted(rows, "row")}, not submitted`)
    : [
      bar(shownCounts, rows, Object.keys(known).length ? null : `${number(job.answered)} of ${counted(rows, "row")} answered`),
      make("p", { class: "quiet" }, `${number(own(shownCounts, "answered") ?? 0)} of ${number(rows)} answered`,
        done < rows && Object.keys(known).length ? `, ${number(rows - done)} running` : ""),
    ];
  const open = make("button", { type: "button", class: "link name", "data-key": `open-${id}`, disabled: !board.host.canCall, on: { click: () => board.openJob(id) } },
    said(job.source, 80));
  return make("li", { class: "job" },
    make("div", { class: "who" },
      make("h3", {}, open, " ", chip(job.status)),
      job.prompt ? make("p", { class: "prompt" }, said(job.prompt, 100)) : null,
      make("p", { class: "quiet" }, said(id, 80), " · ", said(job.model, 60))),
    make("div", { class: "how" }, progress),
    make("div", { class: "when" },
      job.cost ? make("p", {}, safe(job.cost, 80)) : null,
      make("p", { class: "quiet" }, time(job.created_at))));
}

function others(board, facts) {
  const batches = list(facts.others).map(object);
  if (!batches.length) return null;
  return make("section", { "aria-labelledby": "others" },
    make("h3", { id: "others" }, "Batches created elsewhere"),
    make("ul", { class: "jobs" }, batches.map((batch) => make("li", { class: "job" },
      make("div", { class: "who" }, make("p", {}, said(batch.batch_id, 80), " ", chip(batch.status)),
        make("p", { class: "quiet" }, said(batch.endpoint, 40), " · ", time(batch.created_at), isCount(batch.requests) ? ` · ${counted(batch.requests, "request")}` : "")),
      make("div", { class: "how" }, board.host.canCall
        ? button("Import", () => board.act("adopt_batch", { batch_id: plain(batch.batch_id) }), { key: `adopt-${plain(batch.batch_id)}`, name: `Import ${safe(batch.batch_id, 80)}, sends nothing` })
        : null)))),
    facts.others_left_out ? make("p", { class: "quiet" }, `${number(facts.others_left_out)} more not shown`) : null);
}

/** Show the list from *offset* on. */
function jobsView(board, facts, meta, offset) {
  const jobs = list(facts.jobs).map(object);
  const counts = object(meta.counts);
  const total = isCount(facts.total) ? facts.total : jobs.length;
  const pages = total > jobs.length && board.host.canCall
    ? make("div", { class: "actions" },
      button("Newer", () => board.openJobs(Math.max(0, offset - PAGE)), { disabled: offset === 0 }),
      make("span", { class: "quiet" }, jobs.length ? `${number(offset + 1)} to ${number(offset + jobs.length)} of ${number(total)}` : ""),
      button("Older", () => board.openJobs(offset + PAGE), { disabled: offset + jobs.length >= total }))
    : null;
  return [
    make("h2", { tabindex: "-1" }, "Jobs"),
    jobs.length
      ? make("ul", { class: "jobs" }, jobs.map((job) => jobLine(board, job, own(counts, plain(job.job_id)))))
      : make("div", { class: "empty" }, make("p", { class: "big" }, "No jobs yet"),
        make("p", {}, "Ask the assistant, for example: “Look at tickets.csv and label each ticket by topic and urgency.”")),
    pages,
    notes(facts.notes),
    others(board, facts),
    following(board, facts),
  ];
}

const notes = (given) => (list(given).length ? make("ul", { class: "notes" }, list(given).map((note) => make("li", {}, long(note, 400, "note")))) : null);

/** For hosts without buttons: what to ask the assistant for. */
const following = (board, facts) => (facts.next && !board.host.canCall
  ? make("p", { class: "quiet next" }, "Buttons do not work in this host. Ask the assistant for: ", make("code", { dir: "auto" }, safe(facts.next, 400)))
  : null);
