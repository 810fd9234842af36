// Down the side: the passes, those in which nothing happened folded, and how good the outputs stay.

function pipelineOf(state) {
  const rows = [];
  let quiet = [];
  const fold = () => {
    if (quiet.length) rows.push(foldedPasses(quiet, state));
    quiet = [];
  };
  for (const pass of PASSES) {
    if (isQuiet(pass)) quiet.push(pass);
    else fold(), rows.push(passRow(pass, state));
  }
  fold();
  return [element("h2", {}, "Pipeline"), driftChart(state), element("ol", { class: "passes" }, rows)].filter(Boolean);
}

function foldedPasses(passes, state) {
  const open = passes.some((pass) => pass.number === state.pass);
  const names = passes.map((pass) => pass.name).join(", ");
  return element("li", {}, element("details", { open },
    element("summary", { title: names }, passes.length > 1 ? `${passes.length} passes changed nothing` : `${passes[0].name} changed nothing`),
    element("ol", {}, passes.map((pass) => passRow(pass, state)))));
}

function passRow(pass, state) {
  const here = pass.number === state.pass;
  const content = [
    element("span", { class: "pass-name" }, pass.name),
    element("span", { class: "pass-snr" }, decibels(pass.snr)),
    element("span", { class: `pass-note ${pass.failed ? "bad" : ""}` }, noteOn(pass)),
  ];
  const address = addressOf({ ...state, pass: pass.number, step: 0, rule: "" });
  return element("li", {}, element("a", { href: address, class: "pass", "aria-current": here ? "step" : false }, content));
}

function noteOn(pass) {
  if (pass.failed) return "failed";
  if (!pass.number) return `${count(PASSES.length - 1, "pass", "passes")}, ${count(STEPS, "step")}`;
  if (pass.event?.skipped) return `skipped: ${pass.event.skipped}`;
  const [before, after] = pass.event?.nodes ?? [0, 0];
  const nodes = before === after ? "" : `${before}→${after} nodes`;
  const steps = pass.steps.length ? count(pass.steps.length, "step") : "";
  const changes = pass.event?.changes ? count(pass.event.changes, "change") : "no change";
  return [steps || changes, nodes, seconds(pass.event?.seconds ?? 0)].filter(Boolean).join(" · ");
}

/** The signal to noise of the outputs behind each pass, against the model as it was read. */
function driftChart(state) {
  const points = PASSES.filter((pass) => typeof pass.snr === "number");
  if (!points.length) return null;
  const width = 230, height = 76, left = 30, top = 10, below = 16;
  const values = points.map((pass) => pass.snr);
  const low = Math.min(15, ...values) - 2, high = Math.max(20, ...values) + 2;
  const x = (pass) => left + ((width - left - 12) * pass.number) / Math.max(1, PASSES.length - 1);
  const y = (value) => top + ((height - top - below) * (high - value)) / (high - low);
  const dots = points.map((pass) =>
    shape("a", { href: addressOf({ ...state, pass: pass.number, step: 0 }), "aria-label": `behind ${pass.name}: ${decibels(pass.snr)}` },
      shape("circle", { cx: x(pass), cy: y(pass.snr), r: pass.number === state.pass ? 6 : 4, class: "dot" }),
      shape("title", {}, `behind ${pass.name}: ${decibels(pass.snr)}`)));
  const steps = points.map((pass, i) => `${i ? "L" : "M"}${x(pass)},${y(pass.snr)}`).join("");
  const from = PASSES.length > 1 ? `M${left},${top}L${x(points[0])},${y(values[0])}` : "";
  return element("figure", { class: "drift" },
    shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "drift: signal to noise of the outputs behind each pass" },
      ...[...new Set([15, Math.round(Math.max(...values))])].map((at) => shape("g", {},
        shape("line", { x1: left, x2: width - 6, y1: y(at), y2: y(at), class: "grid" }), words(left - 4, y(at) + 3, String(at), "axis", "end"))),
      shape("path", { d: from, class: "drift-start" }), shape("path", { d: steps, class: "drift-line" }), ...dots,
      words(left, height - 3, "dB of the outputs, by pass", "axis")));
}
