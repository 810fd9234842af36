// The run as a whole: what was asked for, what came out, and what is to be said of it.

/** So many values with the same reason are named. */
const MOST_NAMED = 12;

function overview() {
  const ends = (REPORT.metrics ?? []).map((m) => [m.name, `${number(m.original)} → ${number(m.compiled)}`]);
  const gap = REPORT.difference;
  return [
    element("section", { class: "listing" },
      element("h2", {}, RUN.model),
      RUN.error ? element("pre", { class: "failure", role: "alert" }, RUN.error) : null,
      (DATA.unread ?? []).length ? element("p", { class: "bad" }, `${DATA.unread.join(", ")}: not the text of a graph, so that nothing is drawn`) : null,
      facts([
        ["target", REPORT.target ?? (RUN.target || "the default")],
        ["layers", summary()],
        ...ends,
        ["outputs", gap ? [decibels(gap.snr_db), REPORT.quality?.grade].filter(Boolean).join(", ") : ""],
        ["size", REPORT.sizes?.file_bytes ? `${bytes(REPORT.sizes.file_bytes)}; the parameters in FP32: ${bytes(REPORT.sizes.float_bytes)}` : ""],
        ["passes", REPORT.pipeline ?? RUN.passes],
        ["time", Object.entries(REPORT.seconds ?? {}).map(([name, s]) => `${name} ${seconds(s)}`).join(", ")],
        ["build", REPORT.build_command ? element("code", {}, REPORT.build_command) : ""],
        ["command", element("code", {}, (RUN.command ?? []).join(" "))],
        ["versions", Object.entries(RUN.versions ?? {}).map(([name, v]) => `${name} ${v}`).join(", ")],
        ["open elsewhere", (REPORT.files ?? []).length ? `Netron opens ${REPORT.files[0]}` : ""],
      ]),
      element("ul", {}, (REPORT.notes ?? []).map((note) => element("li", {}, note)))),
    REPORT.findings?.length ? table("findings", [
      ["grade", (row) => row.grade],
      ["finding", (row) => row.id],
      ["what", (row) => row.message],
      ["cure", (row) => row.cure],
      ["where", (row) => namesList(row.nodes ?? [])],
    ], REPORT.findings) : null,
    nearMisses(),
    ruleMisses(),
    element("details", { class: "listing" }, element("summary", {}, "Licences of the libraries in this page"),
      DATA.licences.map((l) => element("details", {}, element("summary", {}, `${l.name} ${l.version}`), element("pre", {}, l.text)))),
  ];
}

function summary() {
  if (!REPORT.layers) return "";
  return `${REPORT.layers.length} with weights: ${REPORT.int8_layers} in INT8, ${REPORT.sparse_layers} sparse 2:4`;
}

/** What rules nearly matched, with the line that was not met. */
function ruleMisses() {
  if (!RUN.near_misses?.length) return null;
  return table("rules that nearly matched", [
    ["pass", (row) => row.pass],
    ["rule", (row) => linkToRule(`${placeOf(row.span)} ${row.rule}`)],
    ["what stood in the way", (row) => row.reason],
    ["line of the rule", (row) => row.line, "mono"],
    ["how often", (row) => String(row.count), "number"],
    ["where", (row) => [namesList(row.names), row.count > row.names.length ? ", …" : ""]],
  ], RUN.near_misses);
}

/** What was not done, by the reason: layers in float or dense, and what a pass left as it was. */
function nearMisses() {
  const found = new Map();
  const add = (what, reason, name) => {
    const key = JSON.stringify([what, reason]);
    if (!found.has(key)) found.set(key, { what, reason, names: [] });
    found.get(key).names.push(name);
  };
  for (const row of [...LAYERS.values(), ...PLAIN.values()]) {
    if (row.float_reason) add("INT8", row.float_reason, row.value);
    if (row.dense_reason) add("2:4", row.dense_reason, row.value);
  }
  for (const { pass, step } of decisions()) if (step.reason && typeof step.name === "string") add(PASSES[pass].name, step.reason, step.name);
  const rows = [...found.values()].sort((a, b) => b.names.length - a.names.length);
  if (!rows.length) return null;
  return table("near misses", [
    ["not", (row) => row.what],
    ["because", (row) => row.reason],
    ["how often", (row) => String(row.names.length), "number"],
    ["where", (row) => [namesList(row.names.slice(0, MOST_NAMED)), row.names.length > MOST_NAMED ? ", …" : ""]],
  ], rows);
}
