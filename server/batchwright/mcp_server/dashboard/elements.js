// Elements are made one by one, with text as text. No markup is ever parsed, and nothing from data becomes an address.

const SVG = "http://www.w3.org/2000/svg";
const GIVEN = /^(class|id|type|role|for|scope|tabindex|title|value|dir|lang|colspan|maxlength|inputmode|min|step|autocomplete|spellcheck|open|hidden|disabled|selected|checked|required|data-key|data-tone|data-outcome|aria-[a-z]+)$/;
const DRAWN = /^(class|id|viewBox|width|height|x|y|x1|x2|y1|y2|d|rx|points|text-anchor|data-outcome|role|aria-[a-z]+)$/;

function fill(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Make an element; names of attributes are this page's own, and none that runs or leads anywhere is taken. */
function make(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (value === null || value === undefined || value === false) continue;
    else if (!GIVEN.test(name)) throw new TypeError(`No element takes ${name} here.`);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  return fill(element, children);
}

/** Make a part of a drawing. */
function draw(tag, given = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(given)) {
    if (!DRAWN.test(name)) throw new TypeError(`No drawing takes ${name} here.`);
    element.setAttribute(name, String(value));
  }
  return fill(element, children);
}

/** Show a text from outside, kept apart from the direction of what surrounds it. */
const said = (value, most = MOST, tag = "bdi") => make(tag, { dir: "auto", class: "said" }, safe(value, most));

/** Show the start of a long text, and all of it on demand; *fetch* gives what the server left out. */
function long(value, most, what, fetch = null) {
  const text = plain(value);
  const isShort = text.length <= most && !(fetch && isCut(text));
  if (isShort) return said(text, most);
  const shown = said(text, most);
  const button = make("button", { type: "button", class: "link", "aria-expanded": "false", "aria-label": `Whole text: ${what}` }, "Whole text");
  let whole = null;
  button.addEventListener("click", async () => {
    const isOpen = button.getAttribute("aria-expanded") === "true";
    if (!isOpen && whole === null) whole = fetch && isCut(text) ? await fetch() : text;
    if (whole === null || whole === undefined) { whole = null; return; }
    shown.textContent = isOpen ? safe(text, most) : safe(whole, WHOLE);
    shown.classList.toggle("whole", !isOpen);
    button.setAttribute("aria-expanded", String(!isOpen));
    button.textContent = isOpen ? "Whole text" : "Less";
  });
  return make("span", { class: "long" }, shown, " ", button);
}

function button(label, act, { key = label, tone = "plain", name = null, disabled = false } = {}) {
  return make("button", { type: "button", "data-key": key, "data-tone": tone, "aria-label": name, disabled, on: { click: act } }, label);
}

/** Replace what *parent* contains by *children*, and keep the focus. */
function put(parent, ...children) {
  const key = parent.contains(document.activeElement) ? document.activeElement.getAttribute("data-key") : null;
  parent.replaceChildren();
  fill(parent, children);
  if (key) [...parent.querySelectorAll("[data-key]")].find((element) => element.getAttribute("data-key") === key)?.focus();
  return parent;
}

/** A piece of the page that is made anew only when its facts are other. */
class Piece {
  constructor(tag, given, build) {
    this.element = make(tag, given);
    this.build = build;
    this.seen = null;
  }

  show(facts) {
    const seen = JSON.stringify(facts);
    if (seen === this.seen) return;
    this.seen = seen;
    const built = [this.build(facts)].flat();
    this.element.hidden = built.every((child) => !child);
    put(this.element, ...built);
  }
}

/** A table that scrolls within itself, by keys too. */
function table(caption, heads, rows, { numbers = [] } = {}) {
  const cells = (row) => row.map((cell, place) => (place === 0
    ? make("th", { scope: "row" }, make("div", {}, cell))
    : make("td", { class: numbers.includes(place) ? "number" : null }, make("div", {}, cell))));
  return make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
    make("table", {}, make("caption", { class: "unseen" }, caption),
      make("thead", {}, make("tr", {}, heads.map((head, place) => make("th", { scope: "col", class: numbers.includes(place) ? "number" : null }, head)))),
      make("tbody", {}, rows.map((row) => make("tr", {}, cells(row))))));
}
