// What is looked at stands in the address: links go everywhere, and Back goes back.

const START = { pass: 0, step: 0, node: "", tab: "graph", by: "module", rule: "" };

/** What the address says, with what cannot be put right. */
function stateNow() {
  const given = new URLSearchParams(location.hash.slice(1));
  const state = { ...START };
  for (const key of Object.keys(START)) if (given.has(key)) state[key] = given.get(key);
  state.pass = bounded(state.pass, PASSES.length - 1);
  state.step = bounded(state.step, PASSES[state.pass].steps.length);
  if (!Object.hasOwn(TABS, state.tab)) state.tab = "graph";
  if (!KERNELS.length) state.by = "module";
  return state;
}

const bounded = (given, most) => Math.min(Math.max(Number.parseInt(given, 10) || 0, 0), most);

/** The address of a state: what differs from the start. */
function addressOf(state) {
  const words = Object.entries(state).filter(([key, value]) => String(value) !== String(START[key]));
  return `#${new URLSearchParams(words)}`;
}

/** A link to what is looked at now, but for the changes. */
function link(text, changes, attributes = {}) {
  return element("a", { href: addressOf({ ...stateNow(), ...changes }), ...attributes }, text);
}

/** Go there. */
function go(changes) {
  const next = addressOf({ ...stateNow(), ...changes });
  if (next !== (location.hash || "#")) location.hash = next;
}

const linkToNode = (name, attributes = {}) => link(name, { node: name, tab: "graph" }, attributes);
const linkToStep = (pass, step, text) => link(text, { pass, step, tab: "graph", node: "", rule: "" });

/** A rule by its place, which shows its text. */
function linkToRule(words) {
  const place = placeOf(words);
  return Object.hasOwn(DATA.rules, place) ? link(words, { rule: place }) : words;
}
