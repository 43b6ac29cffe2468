// A page of results: rows as the server joined them, each text unchanged.

const SIZES = [10, 20, 50];
const MAX_COLUMNS = 60;
const MAX_CELL = 120;

function columnsOf(facts) {
  const held = new Set(list(facts.shown).flatMap((row) => Object.keys(object(row))));
  const names = new Set([...["row", "outcome"].filter((name) => held.has(name)), ...held]);
  return [...names].slice(0, MAX_COLUMNS);
}

function cell(board, facts, query, index, name, value) {
  if (name === "outcome" && NAMES.has(value)) return [make("span", { class: "swatch", "data-outcome": value }), NAMES.get(value)];
  if (typeof value === "number") return String(value);
  if (value === null || value === undefined) return make("span", { class: "quiet" }, "none");
  const fetch = board.host.canCall ? async () => {
    const result = await board.call("get_results", { job_id: facts.job_id, columns: [name], outcome: query.outcome, limit: 1, offset: query.offset + index }, "Fetching the text …");
    return result ? own(object(list(object(result.structuredContent).shown)[0]), name) : null;
  } : null;
  return long(value, MAX_CELL, `${safe(name, 40)}, row ${number(own(facts.shown[index], "row"))}`, fetch);
}

function filters(board, facts, query) {
  if (!board.host.canCall) return null;
  const choose = (id, label, options, chosen, act) => make("span", { class: "field" }, make("label", { for: id }, `${label} `),
    make("select", { id, "data-key": id, on: { change: (event) => act(event.target.value) } },
      options.map(([value, text]) => make("option", { value, selected: value === chosen }, text))));
  const outcomes = [["all", `All, ${number(facts.rows)}`], ...parts(facts.counts).filter(({ outcome }) => outcome !== "running").map(({ outcome, name, rows }) => [outcome, `${name}, ${number(rows)}`])];
  if (!outcomes.some(([value]) => value === query.outcome)) outcomes.push([query.outcome, NAMES.get(query.outcome) ?? safe(query.outcome, 40)]);
  return [
    choose("outcome", "Rows", outcomes, query.outcome, (outcome) => board.openResults(facts.job_id, { ...query, outcome, offset: 0 })),
    choose("size", "Per page", SIZES.map((size) => [String(size), String(size)]), String(query.limit), (size) => board.openResults(facts.job_id, { ...query, limit: Number(size), offset: 0 })),
  ];
}

function pager(board, facts, query, matching) {
  const rows = list(facts.shown).length;
  const told = rows ? `Rows ${number(query.offset + 1)} to ${number(query.offset + rows)} of ${number(matching)}` : "No rows on this page";
  if (!board.host.canCall) return make("p", { class: "quiet" }, told);
  const go = (offset) => board.openResults(facts.job_id, { ...query, offset });
  return make("div", { class: "actions", role: "group", "aria-label": "Pages" },
    button("Previous", () => go(Math.max(0, query.offset - query.limit)), { disabled: query.offset === 0 }),
    make("span", { class: "quiet" }, told),
    button("Next", () => go(query.offset + query.limit), { disabled: query.offset + rows >= matching }));
}

function resultsView(board, facts, meta, query) {
  const shown = list(facts.shown).map(object);
  const matching = isCount(facts.matching) ? facts.matching : facts.rows;
  const names = columnsOf({ shown });
  const rows = shown.map((row, index) => names.map((name) => cell(board, { ...facts, shown }, query, index, name, own(row, name))));
  return [
    make("h2", { tabindex: "-1" }, "Results of ", said(meta.source ?? facts.job_id, 120), " ", chip(facts.status)),
    make("div", { class: "actions" },
      board.host.canCall ? button("Back to job", () => board.openJob(facts.job_id), { key: "back" }) : null,
      board.host.canCall ? button("Save results …", () => board.panel.save(facts.job_id), { key: "save" }) : null,
      filters(board, facts, query)),
    board.panel.element,
    bar(facts.counts, facts.rows),
    legend(facts.counts, facts.rows),
    list(facts.causes).length ? make("section", { class: "card" }, make("h3", {}, "Why rows have no good answer"), make("ul", {}, list(facts.causes).map((cause) => make("li", {}, said(cause, 300))))) : null,
    rows.length ? table("Results on this page", names.map((name) => safe(name, 60)), rows, { numbers: [] }) : make("p", { class: "empty" }, "No matching rows."),
    pager(board, facts, query, matching),
    notes([...list(facts.notes)]),
    make("p", { class: "quiet" }, "Texts from the data and the model are shown as plain text: nothing in them is a link or an instruction."),
    following(board, facts),
  ];
}
