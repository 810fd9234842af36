// The keyboard: what each key does, and the page that says so.

const KEYS = {
  n: ["next step", () => stepBy(1)],
  p: ["previous step", () => stepBy(-1)],
  j: ["next pass that did something", () => passBy(1)],
  k: ["previous pass that did something", () => passBy(-1)],
  "/": ["search", () => document.getElementById("search").focus()],
  g: ["the graphs", () => go({ tab: "graph" })],
  t: ["their text, side by side", () => go({ tab: "text" })],
  l: ["the ledger: decisions and reasons", () => go({ tab: "ledger" })],
  e: ["the predicted engine", () => go({ tab: "engine" })],
  r: ["the run", () => go({ tab: "run" })],
  m: ["group by module or by kernel", () => KERNELS.length && go({ by: stateNow().by === "kernel" ? "module" : "kernel" })],
  f: ["fit both graphs", () => PANES.forEach((pane) => pane.fit())],
  Escape: ["let go of the node, then of the step", () => letGo()],
  "?": ["this list", () => document.getElementById("keys").showModal()],
};

function onKeyDown(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
  const known = KEYS[event.key];
  if (!known || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  known[1]();
}

/** Step on; at the end of a pass, into the next one that has steps. */
function stepBy(by) {
  const { pass, step } = stateNow();
  const next = step + by;
  if (next >= 1 && next <= PASSES[pass].steps.length) return go({ step: next, node: "", rule: "", tab: "graph" });
  const others = PASSES.filter((other) => other.number && other.steps.length && (by > 0 ? other.number > pass : other.number < pass));
  const target = by > 0 ? others[0] : others.at(-1);
  if (!target) return say(by > 0 ? "this was the last step" : "this was the first step");
  go({ pass: target.number, step: by > 0 ? 1 : target.steps.length, node: "", rule: "", tab: "graph" });
}

function passBy(by) {
  const { pass } = stateNow();
  const others = PASSES.filter((other) => !isQuiet(other) && (by > 0 ? other.number > pass : other.number < pass));
  const target = by > 0 ? others[0] : others.at(-1);
  if (target) go({ pass: target.number, step: 0, rule: "" });
}

function letGo() {
  const { node, rule } = stateNow();
  go(rule ? { rule: "" } : node ? { node: "" } : { step: 0 });
}

function keysDialog() {
  const rows = Object.entries(KEYS).map(([key, [what]]) => [element("dt", {}, element("kbd", {}, key)), element("dd", {}, what)]);
  const walk = [element("dt", {}, element("kbd", {}, "arrows")), element("dd", {}, "walk in a graph; Enter opens and closes groups and chooses nodes")];
  return element("dialog", { id: "keys", "aria-label": "keys" }, element("h2", {}, "Keys"), element("dl", {}, rows, walk),
    element("form", { method: "dialog" }, element("button", {}, "close")));
}
