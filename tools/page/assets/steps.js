// One step: a rule that was applied or a decision of a pass, with its text, place and numbers.

/** What is said elsewhere on the card, or nowhere. */
const SAID = new Set(["kind", "seq", "pass", "rule", "span", "before", "after", "module", "source", "drift", "seconds", "cpu_seconds", "what", "name", "by"]);

function stepCard(pass, number) {
  const step = pass.steps[number - 1];
  const rules = rulesOf(step);
  return element("section", { class: "card step", "aria-label": `step ${number} of ${pass.steps.length}` },
    element("h3", {}, titleOf(step), " ", element("span", { class: "dim" }, `step ${number} of ${pass.steps.length}`)),
    facts([
      ["about", typeof step.name === "string" ? linkToNode(step.name) : anyValue(step.name)],
      ["before", sideOf(step.before)],
      ["after", sideOf(step.after)],
      ["module", step.module],
      ["line", sourceLine(step.source)],
      ["by", rules.map((words, i) => [i ? ", " : "", linkToRule(words)])],
      ...Object.entries(step).filter(([key]) => !SAID.has(key)).map(([key, value]) => [key, asPairs(value)]),
      ["drift", driftWords(step.drift)],
      ["took", typeof step.seconds === "number" ? seconds(step.seconds) : ""],
      ["number", step.seq === undefined ? "" : `${step.seq}: --limit ${step.seq - 1} stops before it`],
    ]),
    [...new Set(rules.map(placeOf))].filter((place) => Object.hasOwn(DATA.rules, place)).slice(0, 3)
      .map((place) => element("pre", { class: "rule" }, DATA.rules[place])));
}

/** Names are links; numbers, before and after, stand by their names. */
function sideOf(given) {
  if (Array.isArray(given) && given.every((x) => typeof x === "string")) return namesList(given);
  return anyValue(given);
}

function namesList(names) {
  return names.flatMap((name, i) => [i ? ", " : "", linkToNode(name)]);
}

/** What has names in it as pairs of a name and a value; numbers before and after side by side. */
function asPairs(value) {
  if (Array.isArray(value) && value.some((x) => x && typeof x === "object")) return value.map(asPairs);
  if (!value || typeof value !== "object" || Array.isArray(value)) return anyValue(value);
  const pairs = Object.entries(value);
  if (!pairs.length) return "";
  if (isPairOfSides(value)) return beforeAndAfter(value);
  return facts(pairs.map(([key, part]) => [key, asPairs(part)]));
}

const isNamed = (value) => value && typeof value === "object" && !Array.isArray(value);
const isPairOfSides = (value) => isNamed(value.before) && isNamed(value.after);

function beforeAndAfter({ before, after, ...more }) {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const rows = keys.map((key) => element("tr", {}, element("th", { scope: "row" }, key), [before, after].map((side) => element("td", {}, anyValue(side[key])))));
  return [
    element("table", { class: "sides" }, element("tr", {}, ["", "before", "after"].map((title) => element("th", { scope: "col" }, title))), rows),
    facts(Object.entries(more).map(([key, part]) => [key, asPairs(part)])),
  ];
}

/** Anything that an event may hold, as text. */
function anyValue(value) {
  if (value === null || value === undefined || value === "") return "";
  if (typeof value === "number") return String(Number(value.toPrecision(6)));
  if (Array.isArray(value)) return value.map((x) => anyValue(x)).join(", ");
  if (typeof value === "object") return Object.entries(value).map(([k, v]) => `${k} ${anyValue(v)}`).join(", ");
  return String(value);
}

function driftWords(drift) {
  if (!drift) return "";
  if (drift.exact) return "unchanged";
  return [decibels(drift.snr_db), drift.relative === null ? "" : `${drift.relative.toPrecision(2)} of the largest magnitude`, drift.worst]
    .filter(Boolean).join(", ");
}

/** `model.py:12`, with the line itself where it is known. */
function sourceLine(source) {
  if (!source) return "";
  const text = DATA.sources[source];
  return text ? [`${source} `, element("code", {}, text)] : source;
}

/** Pairs of a name and what is said of it; those of which nothing is said are left out. */
function facts(pairs) {
  const said = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false && !(Array.isArray(value) && !value.length));
  return element("dl", {}, said.map(([name, value]) => {
    const style = isLarge(value) ? "whole" : false;
    return [element("dt", { class: style }, name), element("dd", { class: style }, value)];
  }));
}

/** Whether a value is a list or a table of its own, which needs the whole width. */
function isLarge(value) {
  if (Array.isArray(value)) return value.some(isLarge);
  return value instanceof Element && value.matches("dl, table");
}

/** What was done in a pass, as a list to choose from. */
function stepList(pass, chosen) {
  const shown = pass.steps.slice(0, MOST_ROWS);
  const first = (step) => step.name ?? namesIn(step).after[0] ?? namesIn(step).before[0] ?? "";
  const rows = shown.map((step, i) =>
    element("li", {}, element("a", {
      href: addressOf({ ...stateNow(), step: i + 1, node: "", rule: "", tab: "graph" }), "aria-current": i + 1 === chosen ? "true" : false,
    }, titleOf(step), " ", element("span", { class: "dim" }, first(step)))));
  const rest = pass.steps.length - shown.length;
  return [element("ol", { class: "steps" }, rows), rest > 0 ? element("p", { class: "dim" }, `and ${rest} more: n steps through all of them`) : null];
}
