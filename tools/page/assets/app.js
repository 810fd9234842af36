// The page put together: it shows what the address says, and again whenever that changes.

const TABS = { graph: "Graph", text: "Text", ledger: "Ledger", engine: "Engine", run: "Run" };
const OPENED = new Set([""]);
const PANES = ["before", "after"].map((side) => new Pane(side, OPENED, (id) => choose(id), (group) => toggleGroup(group)));
const content = { main: document.getElementById("main"), pipeline: document.getElementById("pipeline"), details: document.getElementById("details") };

function choose(id) {
  if (PANES.some((pane) => pane.group(id)?.parent)) toggleGroup(PANES.map((pane) => pane.group(id)).find(Boolean));
  else go({ node: id, rule: "" });
}

/** Open or close a group; null closes all, and without one what was opened is shown. */
function toggleGroup(group) {
  if (!group) {
    if (group === null) OPENED.clear(), OPENED.add("");
    showGraphs(stateNow(), { keep: true }).then(() => PANES.forEach((pane) => pane.fit()));
    return;
  }
  const opens = !OPENED.has(group.id);
  if (opens) OPENED.add(group.id);
  else OPENED.delete(group.id);
  say(`${group.label} is ${opens ? "open" : "closed"}`);
  showGraphs(stateNow(), { keep: true }).then(() => {
    const active = document.activeElement;
    if (active === document.body || active === null) PANES[1].view.querySelector(`[data-id="${CSS.escape(group.id)}"]`)?.focus({ preventScroll: true });
  });
}

function head(state) {
  const grade = REPORT.quality?.grade;
  const chips = [
    RUN.error ? ["failed", "bad"] : null,
    [REPORT.target ?? RUN.target ?? "", ""],
    REPORT.layers ? [`${REPORT.int8_layers}/${REPORT.layers.length} INT8`, ""] : null,
    REPORT.layers ? [`${REPORT.sparse_layers}/${REPORT.layers.length} 2:4`, ""] : null,
    grade && REPORT.difference ? [`${decibels(REPORT.difference.snr_db)} ${grade}`.trim(), grade === "good" ? "good" : "bad"] : null,
    ...(REPORT.metrics ?? []).map((m) => [`${m.name} ${number(m.original)} → ${number(m.compiled)}`, ""]),
  ].filter((chip) => chip?.[0]);
  return [
    element("h1", {}, element("span", { class: "brand" }, "sparqc"), " ", RUN.model.split("/").slice(-2).join("/")),
    element("div", { class: "chips" }, chips.map(([text, style]) => element("span", { class: `chip ${style}` }, text))),
    searchBox(),
    element("button", { type: "button", class: "help", "aria-label": "keys", title: "keys (?)", onclick: KEYS["?"][1] }, "?"),
  ];
}

function toolbar(state) {
  const pass = PASSES[state.pass];
  const tabs = Object.entries(TABS).filter(([tab]) => tab !== "engine" || DATA.engine)
    .map(([tab, title]) => link(title, { tab }, { "aria-current": tab === state.tab ? "page" : false }));
  const grouping = KERNELS.length && state.tab === "graph" ? element("div", { class: "choice", role: "group", "aria-label": "group by" },
    ["module", "kernel"].map((by) => link(by, { by }, { "aria-current": by === state.by ? "true" : false }))) : null;
  const stepping = STEPS ? element("div", { class: "stepping", role: "group", "aria-label": "steps" },
    element("button", { type: "button", id: "previous", "aria-label": "previous step", title: "previous step (p)", onclick: KEYS.p[1] }, "◀"),
    element("span", { id: "at", "aria-live": "polite" }, state.step ? `${state.step} of ${pass.steps.length}: ${titleOf(pass.steps[state.step - 1])}` 
      : pass.number && !pass.steps.length ? "no steps here" : count(pass.number ? pass.steps.length : STEPS, "step")),
    element("button", { type: "button", id: "next", "aria-label": "next step", title: "next step (n)", onclick: KEYS.n[1] }, "▶")) : null;
  return element("div", { class: "toolbar" }, element("nav", { class: "tabs", "aria-label": "views" }, tabs), grouping, stepping);
}

function legend() {
  const entry = (style, text) => element("span", { class: "key" }, element("i", { class: style }), text);
  return element("p", { class: "legend", role: "group", "aria-label": "legend" },
    entry("k-int8", "INT8 (double edge)"), entry("k-float", "float"), entry("k-sparse", "2:4 (hatched)"), entry("k-quantizer", "quantizer (round)"),
    entry("k-new", "+ new"), entry("k-changed", "~ changed"), entry("k-gone", "− gone"));
}

/** How often the graphs have been drawn: of two drawings at a time the later one counts. */
let drawings = 0;

/** Both sides of a pass; a step lights up what it was about, and is brought into the middle. */
async function showGraphs(state, { keep = false } = {}) {
  const pass = PASSES[state.pass];
  if (pass.after < 0) return;
  const [before, after] = [graphOf(pass.before), graphOf(pass.after)];
  const changes = differences(before, after);
  const names = state.step ? namesIn(pass.steps[state.step - 1]) : { before: [], after: [] };
  const chosen = state.node ? [state.node] : [];
  const drawn = (ids, graph) => [...new Set(ids.flatMap((id) => (graph.constants.has(id) ? (graph.readers.get(id) ?? []).map((node) => node.id) : id)))];
  const sides = [[before, "before", names.before], [after, "after", names.after]];
  const number = ++drawings;
  content.main.setAttribute("aria-busy", "true");
  await Promise.all(sides.map(([graph, side, about], i) => {
    if (i === 0 && before === after) return PANES[i].hide();
    const lit = drawn(about, graph);
    const near = keep ? [] : (chosen.length ? chosen : lit).filter((id) => graph.made.has(id));
    const title = pass.before === pass.after ? stageName(graph.stage) : `${side}: ${stageName(graph.stage)}`;
    return PANES[i].show({ graph, by: state.by, title, changes: changes[side], lit: new Set(lit), chosen: state.node, near });
  }));
  if (number === drawings) content.main.setAttribute("aria-busy", "false");
}

let last = null;

function show() {
  const state = stateNow();
  const scrolled = content.pipeline.scrollTop;
  content.pipeline.replaceChildren(...pipelineOf(state));
  content.pipeline.scrollTop = scrolled;
  content.details.replaceChildren(...detailsOf(state));
  content.details.scrollTop = 0;
  document.querySelector(".toolbar")?.replaceWith(toolbar(state));
  const pass = PASSES[state.pass];
  const body = document.getElementById("body");
  const isGraph = state.tab === "graph" && pass.after >= 0;
  if (isGraph && last?.tab !== "graph") body.replaceChildren(element("div", { class: "panes" }, PANES.map((pane) => pane.root)), legend());
  if (isGraph) body.firstChild.classList.toggle("single", pass.before === pass.after);
  if (!isGraph && (last?.tab !== state.tab || last?.pass !== state.pass || pass.after < 0)) {
    const views = { text: () => textDiff(pass), ledger, engine, run: overview, graph: () => [element("p", {}, "There is no graph of this run."), ...overview()] };
    body.replaceChildren(element("div", { class: "sheet" }, views[state.tab]().filter(Boolean)));
    body.scrollTop = 0;
  }
  last = isGraph ? state : { ...state, tab: state.tab === "graph" ? "" : state.tab };
  document.body.classList.toggle("wide", ["ledger", "engine", "run"].includes(state.tab) && !state.node && !state.rule && !state.step);
  document.title = `${pass.name}: ${RUN.model} (sparqc)`;
  if (isGraph) return showGraphs(state);
  return Promise.resolve();
}

document.getElementById("head").replaceChildren(...head(stateNow()));
content.main.replaceChildren(toolbar(stateNow()), element("div", { id: "body" }));
document.body.append(keysDialog());
addEventListener("hashchange", show);
document.addEventListener("keydown", onKeyDown);
show();
