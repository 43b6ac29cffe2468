// What is shown of texts, numbers and times. Every text comes from data or a model: it is shown, never believed.

const MOST = 300;
const WHOLE = 20000;
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\u{e000}-\u{f8ff}\u{e0000}-\u{e0fff}\u{f0000}-\u{10ffff}]|[\ud800-\udfff]/gu;
const CUT = /… \([\d,]+ more\)$/u;

const place = { locale: undefined, zone: undefined };

/** Use the host's language and time zone if they are valid. */
function settle(locale, zone) {
  try {
    if (typeof locale === "string") place.locale = Intl.getCanonicalLocales(locale)[0];
  } catch { /* the browser's own stays */ }
  try {
    if (typeof zone === "string") { new Intl.DateTimeFormat("en", { timeZone: zone }); place.zone = zone; }
  } catch { /* the browser's own stays */ }
}

/** Give a value as text. */
function plain(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Show what hides: characters without a shape, and those that turn the direction of others. */
function safe(value, most = MOST) {
  const text = plain(value);
  const start = text.length > most ? `${text.slice(0, most)}…` : text;
  return start.replace(HIDDEN, (found) => `⟦U+${found.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟧`);
}

/** Whether the server sent only the start of a text. */
const isCut = (value) => typeof value === "string" && CUT.test(value);

const isCount = (value) => typeof value === "number" && Number.isFinite(value);

const number = (value) => (isCount(value) ? new Intl.NumberFormat(place.locale).format(value) : "");

const counted = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

/** Return a percentage that is 0 or 100 only if it is exact. */
function share(part, whole) {
  if (!whole) return "0%";
  const percent = (100 * part) / whole;
  if (part && percent < 1) return "<1%";
  if (part < whole && percent > 99) return ">99%";
  return `${Math.round(percent)}%`;
}

function time(value, style = { dateStyle: "medium", timeStyle: "short" }) {
  const at = typeof value === "number" ? new Date(value * 1000) : new Date(typeof value === "string" ? value : NaN);
  if (Number.isNaN(at.getTime())) return "";
  return new Intl.DateTimeFormat(place.locale, { ...style, timeZone: place.zone }).format(at);
}

/** Give seconds in the two units that matter. */
function duration(seconds) {
  if (!isCount(seconds) || seconds < 0) return "";
  if (seconds < 1) return "less than a second";
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  let rest = Math.round(seconds);
  const said = [];
  for (const [name, size] of units.slice(first, first + 2)) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount) said.push(`${number(amount)} ${name}`);
  }
  return said.join(" ");
}

/** Give an own field of what came from outside, and nothing else. */
const own = (thing, name) => (thing && Object.hasOwn(thing, name) ? thing[name] : undefined);

const list = (value) => (Array.isArray(value) ? value : []);

const object = (value) => (value && typeof value === "object" && !Array.isArray(value) ? value : {});
