// Charts: each fills the available width, has a title and a description, and comes with the same data as a table.

const OUTCOMES = [
  ["answered", "answered"],
  ["refused", "refused"],
  ["cut_short", "cut short"],
  ["not_fitting", "not fitting"],
  ["failed", "failed"],
  ["expired", "expired"],
  ["never_ran", "never ran"],
  ["unconfirmed", "unconfirmed"],
  ["running", "running"],
];
const NAMES = new Map(OUTCOMES);
let drawn = 0;

/** Return the rows of each outcome that has any, in order. */
function parts(counts) {
  const given = object(counts);
  return OUTCOMES.map(([outcome, name]) => ({ outcome, name, rows: own(given, outcome) })).filter(({ rows }) => isCount(rows) && rows > 0);
}

const doneOf = (counts, rows) => rows - (own(object(counts), "running") ?? 0);

/** Give a bar whose pieces are the outcomes. */
function bar(counts, rows, label) {
  const pieces = parts(counts).map(({ outcome, rows: some }) => {
    const piece = make("span", { "data-outcome": outcome });
    piece.style.flexGrow = String(some);
    return piece;
  });
  return make("div", { class: "bar", role: "img", "aria-label": label ?? sentence(counts, rows) }, pieces);
}

const sentence = (counts, rows) => `${parts(counts).map(({ name, rows: some }) => `${number(some)} ${name}`).join(", ")}, of ${counted(rows, "row")}`;

/** List each outcome with its count; they add up to the rows. */
function legend(counts, rows, onPick = null) {
  return make("ul", { class: "legend" }, parts(counts).map(({ outcome, name, rows: some }) => {
    const told = [make("span", { class: "swatch", "data-outcome": outcome }), make("strong", {}, number(some)), ` ${name} `, make("span", { class: "quiet" }, share(some, rows))];
    const isPicked = onPick && outcome !== "running";
    return make("li", {}, isPicked
      ? make("button", { type: "button", class: "link", "data-key": `rows-${outcome}`, on: { click: () => onPick(outcome) } }, told, make("span", { class: "unseen" }, ", show these rows"))
      : told);
  }));
}

/** Draw anew whenever the room is other. */
function chart(paint) {
  const place = make("div", { class: "chart" });
  let width = 0;
  new ResizeObserver(() => {
    const room = Math.floor(place.clientWidth);
    if (room < 40 || room === width) return;
    width = room;
    place.replaceChildren(paint(room));
  }).observe(place);
  return place;
}

function picture(width, height, title, description, ...children) {
  const id = `drawing-${++drawn}`;
  return draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-labelledby": `${id}-t ${id}-d` },
    draw("title", { id: `${id}-t` }, title), draw("desc", { id: `${id}-d` }, description), children);
}

/** Give what a course says: times in seconds, and counts. */
function points(course) {
  return list(course).map(list).filter(([at, counts]) => isCount(at) && counts && typeof counts === "object").map(([at, counts]) => ({ at, counts: object(counts) }));
}

/** Draw how the rows came to their outcomes over time. */
function courseChart(course, rows) {
  const all = points(course);
  if (all.length < 2 || all.at(-1).at - all[0].at < 1) return null;
  const [from, to] = [all[0].at, all.at(-1).at];
  const last = all.at(-1);
  const description = `From ${time(from)} to ${time(to)}: at the end ${sentence(last.counts, rows)}.`;
  const shownOutcomes = OUTCOMES.filter(([outcome]) => outcome !== "running" && all.some(({ counts }) => own(counts, outcome)));
  const paint = (width) => {
    const room = { left: 8 + 7 * number(rows).length, right: 12, top: 10, bottom: 26 };
    const height = 200;
    const x = (at) => room.left + ((at - from) / (to - from)) * (width - room.left - room.right);
    const y = (count) => height - room.bottom - (count / rows) * (height - room.top - room.bottom);
    const fixed = (value) => value.toFixed(1);
    const floor = all.map(() => 0);
    const areas = shownOutcomes.map(([outcome]) => {
      const low = [...floor];
      all.forEach(({ counts }, index) => { floor[index] += own(counts, outcome) ?? 0; });
      const up = all.map(({ at }, index) => `${fixed(x(at))},${fixed(y(floor[index]))}`);
      const down = all.map(({ at }, index) => `${fixed(x(at))},${fixed(y(low[index]))}`).reverse();
      return draw("polygon", { points: [...up, ...down].join(" "), "data-outcome": outcome, class: "area" });
    });
    const lines = [0, rows / 2, rows].map((count) => [
      draw("line", { x1: room.left, x2: width - room.right, y1: fixed(y(count)), y2: fixed(y(count)), class: "rule" }),
      draw("text", { x: room.left - 6, y: fixed(y(count) + 4), "text-anchor": "end" }, number(Math.round(count))),
    ]);
    const isOneDay = time(from, { dateStyle: "short" }) === time(to, { dateStyle: "short" });
    const style = isOneDay ? { timeStyle: to - from < 600 ? "medium" : "short" } : { dateStyle: "short", timeStyle: "short" };
    return picture(width, height, "Rows done over time", description, lines, areas,
      draw("text", { x: room.left, y: height - 8 }, time(from, style)),
      draw("text", { x: width - room.right, y: height - 8, "text-anchor": "end" }, time(to, style)));
  };
  const heads = ["Time", "Done", ...shownOutcomes.map(([, name]) => name)];
  const lines = all.map(({ at, counts }) => [
    time(at, { dateStyle: "short", timeStyle: "medium" }),
    number(doneOf(counts, rows)),
    ...shownOutcomes.map(([outcome]) => number(own(counts, outcome) ?? 0)),
  ]);
  return [
    chart(paint),
    make("details", { class: "table" }, make("summary", { "data-key": "course-table" }, "Show as a table"),
      table("Rows done over time", heads, lines, { numbers: heads.map((_, place) => place).slice(1) })),
  ];
}

/** Give the amount that a text of the server begins with, only for the length of a bar. */
function amount(text) {
  const found = /^(?:less than )?\$([\d,]+(?:\.\d+)?)/.exec(plain(text));
  return found ? Number(found[1].replaceAll(",", "")) : null;
}

/** Draw what models cost, batch against standard. */
function costsChart(costs) {
  const most = Math.max(...costs.flatMap(({ batch, standard }) => [amount(batch) ?? 0, amount(standard) ?? 0]));
  if (!(most > 0)) return null;
  const paint = (width) => {
    const line = 66;
    const label = 9 + 7.2 * Math.max(...costs.flatMap(({ batch, standard }) => [safe(batch, 24).length, safe(standard, 24).length]));
    const room = Math.max(30, width - label);
    const fits = Math.max(8, Math.floor(width / 8.2));
    const groups = costs.map(({ model, batch, standard }, index) => {
      const top = index * line;
      const one = (value, name, place) => {
        const size = amount(value);
        if (size === null) return null;
        const long = Math.max(2, (size / most) * room);
        return [
          draw("rect", { x: 0, y: top + place, width: long.toFixed(1), height: 14, rx: 2, class: name }),
          draw("text", { x: (long + 6).toFixed(1), y: top + place + 11.5 }, safe(value, 24)),
        ];
      };
      return [draw("text", { x: 0, y: top + 14, class: "name" }, safe(model, fits)), one(batch, "batch", 22), one(standard, "standard", 39)];
    });
    const cheapest = costs[0];
    const description = `The cheapest is ${safe(cheapest.model, 80)}: ${safe(cheapest.batch ?? cheapest.standard, 24)}. The table below has every amount.`;
    return picture(width, costs.length * line, "Cost by model: batch and standard", description, groups);
  };
  return chart(paint);
}
