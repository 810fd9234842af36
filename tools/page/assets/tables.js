// Tables that can be filtered, of as many rows as a browser likes to show.

/** Rows of a table or list that are shown at once. */
const MOST_ROWS = 200;

/** A table; `columns` are `[title, cell of a row, class]`, and the filter looks at all text of a row. */
function table(name, columns, rows) {
  const body = element("tbody");
  const note = element("p", { class: "dim", role: "status" });
  const texts = rows.map((row) => JSON.stringify(row).toLowerCase());
  const show = (word) => {
    const found = rows.filter((_, i) => texts[i].includes(word));
    body.replaceChildren(...found.slice(0, MOST_ROWS).map((row) =>
      element("tr", {}, columns.map(([, cell, style = ""]) => element("td", { class: style }, cell(row))))));
    note.textContent = found.length > MOST_ROWS ? `${MOST_ROWS} of ${found.length}: type to find others` : word ? `${found.length} of ${rows.length}` : "";
  };
  show("");
  const box = rows.length > 8 ? element("input", { type: "search", placeholder: `filter ${name}`, "aria-label": `filter ${name}`, oninput: (e) => show(e.target.value.toLowerCase()) }) : null;
  return element("section", { class: "listing" }, element("h2", {}, `${name} (${rows.length})`), box,
    element("div", { class: "scroll" }, element("table", {}, element("thead", {}, element("tr", {}, columns.map(([title, , style = ""]) => element("th", { class: style, scope: "col" }, title)))), body)), note);
}

const nameOf = (row) => (row.module && row.module !== row.value ? `${row.value} (${row.module})` : row.value);
const verdict = (good, yes, no) => element("span", { class: good ? "good" : "bad" }, good ? `✓ ${yes}` : `✗ ${no}`);
const percent = (share) => (typeof share === "number" ? `${Number((100 * share).toPrecision(2))} %` : "");
const number = (value) => (typeof value === "number" ? String(Number(value.toPrecision(3))) : "");

/** The decisions with their reasons. */
function ledger() {
  if (!REPORT.layers) return [element("p", {}, "The compile did not come to an end, so there is no ledger.")];
  const layers = table("layers", [
    ["layer", (row) => linkToNode(row.value, { title: nameOf(row) })],
    ["module", (row) => row.module],
    ["operator", (row) => row.op],
    ["weight", (row) => (row.shape ?? []).join("x")],
    ["INT8", (row) => verdict(row.int8, "INT8", row.float_reason || "float")],
    ["2:4", (row) => verdict(row.sparse, "2:4", row.dense_reason || "dense")],
    ["line of the model", (row) => sourceLine(row.source), "mono"],
  ], REPORT.layers);
  const plain = (REPORT.without_weights ?? []).length ? table("operators without weights", [
    ["value", (row) => linkToNode(row.value)],
    ["operator", (row) => row.op],
    ["INT8", (row) => verdict(row.int8, "INT8", row.float_reason)],
  ], REPORT.without_weights) : null;
  const steps = decisions();
  return [layers, plain, quantizers(), adopted(), steps.length ? table("steps", [
    ["no.", (row) => linkToStep(row.pass, row.number, String(row.step.seq ?? row.number)), "number"],
    ["pass", (row) => PASSES[row.pass].name],
    ["step", (row) => titleOf(row.step)],
    ["before", (row) => sideOf(row.step.before)],
    ["after", (row) => sideOf(row.step.after)],
    ["about", (row) => (typeof row.step.name === "string" ? linkToNode(row.step.name) : "")],
    ["by", (row) => rulesOf(row.step).map((words, i) => [i ? ", " : "", linkToRule(words)])],
    ["because", (row) => row.step.reason ?? ""],
    ["line of the model", (row) => row.step.source ?? "", "mono"],
  ], steps) : null];
}

/** Every step of every pass. */
function decisions() {
  return PASSES.slice(1).flatMap((pass) => pass.steps.map((step, i) => ({ pass: pass.number, number: i + 1, step })));
}

function quantizers() {
  if (!REPORT.quantizers?.length) return null;
  return table("quantizers", [
    ["value", (row) => linkToNode(row.value)],
    ["by", (row) => row.method],
    ["range", (row) => number(row.amax), "number"],
    ["max |x|", (row) => number(row.largest), "number"],
    ["clipped", (row) => percent(row.clipped), "number"],
    ["SNR", (row) => decibels(row.snr_db), "number"],
    ["looks bad", (row) => (row.concerns ?? []).join("; "), "bad"],
  ], REPORT.quantizers);
}

/** The quantizers of another tool: what became of each, and why. */
function adopted() {
  if (!REPORT.adopted) return null;
  const left = Object.entries(REPORT.adopted.left_in_float ?? {}).map(([value, reason]) => ({ value, kind: "in float", reason }));
  return table("adopted", [
    ["value", (row) => linkToNode(row.value)],
    ["quantizer", (row) => row.origin ?? ""],
    ["is", (row) => (row.to ? `${row.kind} to ${row.to}` : row.kind)],
    ["because", (row) => row.reason],
  ], [...(REPORT.adopted.changes ?? []), ...left]);
}

/** The engine that the target is expected to build. */
function engine() {
  if (!DATA.engine) return [element("p", {}, "This run holds no predicted engine: `sparqc explain` predicts one from the ONNX file.")];
  const longest = Math.max(1e-12, ...KERNELS.map((kernel) => kernel.seconds ?? 0));
  const bar = (kernel) => (typeof kernel.seconds === "number" ? [seconds(kernel.seconds), element("span", { class: "meter", style: `--share:${kernel.seconds / longest}` })] : "");
  return [
    element("p", {}, DATA.engine.summary ?? "", " ", link("draw the kernels around their nodes", { tab: "graph", by: "kernel", pass: 0 })),
    table("kernels, as predicted", [
      ["kernel", (row) => linkToNode(row.name)],
      ["fusion", (row) => row.kind],
      ["module", (row) => row.module],
      ["computes in", (row) => `${row.int8 ? "INT8" : "float"}${row.sparse_pays ? ", 2:4" : ""}`],
      ["read", (row) => bytes(row.bytes_read), "number"],
      ["written", (row) => bytes(row.bytes_written), "number"],
      ["weights", (row) => bytes(row.bytes_weights ?? 0), "number"],
      ["time, about", bar, "number"],
      ["note", (row) => row.note],
    ], KERNELS),
  ];
}
