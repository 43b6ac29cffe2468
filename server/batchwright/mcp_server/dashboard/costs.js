// What models cost: a chart, and the same as a table.

function costsView(board, facts) {
  const costs = list(facts.costs).map(object);
  const drawing = costsChart(costs);
  const rows = costs.map((line) => [said(line.model, 80), safe(line.batch ?? "unknown", 60), safe(line.standard ?? "unknown", 60), safe(line.saving ?? "", 20)]);
  return [
    make("h2", { tabindex: "-1" }, "Cost comparison"),
    make("p", {}, said(facts.compared, 400)),
    board.job && board.host.canCall ? make("div", { class: "actions" }, button("Back to job", () => board.openJob(board.job.job_id), { key: "back" })) : null,
    costs.length ? make("section", { class: "card", "aria-labelledby": "cost-title" },
      make("h3", { id: "cost-title" }, "By model"),
      drawing ? [
        make("ul", { class: "legend" },
          make("li", {}, make("span", { class: "swatch", "data-outcome": "batch" }), "batch"),
          make("li", {}, make("span", { class: "swatch", "data-outcome": "standard" }), "standard")),
        drawing] : null,
      table("Cost by model", ["Model", "Batch", "Standard", "Saving"], rows, { numbers: [1, 2, 3] })) : make("p", { class: "empty" }, "No known prices."),
    make("p", { class: "quiet" }, "Prices: ", said(facts.prices, 300)),
    notes(facts.notes),
    following(board, facts),
  ];
}
