// Beside the graphs: what is known of the chosen node, of the step, and of the pass.

function detailsOf(state) {
  const pass = PASSES[state.pass];
  return [
    state.rule ? ruleCard(state.rule) : null,
    state.node ? nodeCard(state.node, pass) : null,
    state.step ? stepCard(pass, state.step) : null,
    passCard(pass, state),
  ].filter(Boolean);
}

function ruleCard(place) {
  return element("section", { class: "card" },
    element("h3", {}, place, " ", link("close", { rule: "" }, { class: "close" })),
    element("pre", { class: "rule" }, (Object.hasOwn(DATA.rules, place) ? DATA.rules[place] : "The file of this rule is not at hand.")));
}

function passCard(pass, state) {
  const event = pass.event ?? {};
  return element("section", { class: "card" },
    element("h3", {}, pass.number && !pass.failed ? `pass ${pass.number}: ${pass.name}` : pass.name),
    facts([
      ...(pass.number ? [] : [["target", REPORT.target ?? RUN.target], ["layers", summary()], ["error", RUN.error]]),
      ["operators", event.nodes ? `${event.nodes[0]} → ${event.nodes[1]}` : ""],
      ["changes", event.changes],
      ["promises", event.preserves ? `${event.preserves} outputs` : ""],
      ["drift", driftWords(event.drift)],
      ["outputs", decibels(pass.snr)],
      ["took", event.seconds === undefined ? "" : seconds(event.seconds)],
      ["skipped", event.skipped],
      ["graph", STAGES[pass.after]?.file],
    ]),
    pass.failed ? element("pre", { class: "failure" }, RUN.error || "The compile failed here.") : null,
    pass.steps.length ? stepList(pass, state.step) : element("p", { class: "dim" }, whyNoSteps(pass)),
    missList(pass));
}

/** What the rules of a pass nearly matched, and the line of each that was not met. */
function missList(pass) {
  const found = missesOf(pass);
  if (!found.length) return null;
  return element("details", { class: "misses" }, element("summary", {}, `nearly matched (${found.length})`),
    element("ul", {}, found.map((miss) => element("li", {}, linkToRule(`${placeOf(miss.span)} ${miss.rule}`), ": ", miss.reason,
      element("span", { class: "dim" }, ` (${[miss.line, miss.count > 1 ? `${miss.count} times` : ""].filter(Boolean).join("; ")}) `),
      namesList(miss.names), miss.count > miss.names.length ? ", …" : ""))));
}

function whyNoSteps(pass) {
  if (!pass.number) return STEPS ? "Choose a pass, or press n to step through what was done. ? lists the keys." : "Choose a pass at the side.";
  if (pass.failed) return "The graph is that in front of it.";
  return pass.event?.changes ? "This pass recorded no single steps: the graphs show what it did." : "Nothing happened here.";
}

function nodeCard(name, pass) {
  const graph = nodeGraph(name, pass);
  const node = graph && (graph.made.get(name) ?? graph.nodes.find((other) => other.id === name));
  const constant = graph?.constants.get(name);
  const close = link("close", { node: "" }, { class: "close" });
  if (node) return element("section", { class: "card node-card" }, element("h3", {}, node.id, " ", close), nodeFacts(node, graph));
  if (constant) return element("section", { class: "card node-card" }, element("h3", {}, name, " ", close), constantFacts(name, constant, graph));
  return element("section", { class: "card" }, element("h3", {}, name, " ", close), element("p", { class: "dim" }, "No graph of this run has a value of this name."));
}

/** The graph behind the pass if it has the value, else the one before it, else the last that has. */
function nodeGraph(name, pass) {
  const order = [pass.after, pass.before, ...[...STAGES.keys()].reverse()].filter((i) => i >= 0);
  const found = order.find((i) => graphOf(i).made.has(name) || graphOf(i).constants.has(name) || graphOf(i).nodes.some((n) => n.id === name));
  return found === undefined ? null : graphOf(found);
}

function nodeFacts(node, graph) {
  const readers = node.out.flatMap((value) => graph.readers.get(value) ?? []);
  const layer = LAYERS.get(node.id), plain = PLAIN.get(node.id), kernel = KERNELS[KERNEL_OF.get(node.id)];
  const quantizer = QUANTIZERS.get(node.id) ?? QUANTIZERS.get(node.in[0]);
  return [
    facts([
      ["operator", node.op],
      ["gives", node.types.join(", ")],
      ["runs as", node.look.tags.join(", ")],
      ["reads", namesList(node.in)],
      ["read by", namesList([...new Set(readers.map((reader) => reader.id))])],
      ["module", node.module],
      ["line", sourceLine(node.source)],
      ["made by", node.rules.flatMap((rule, i) => [i ? ", " : "", linkToRule(rule)])],
      ["INT8", layer ? verdict(layer.int8, "INT8", layer.float_reason) : plain ? verdict(plain.int8, "INT8", plain.float_reason) : ""],
      ["2:4", layer ? verdict(layer.sparse, "2:4", layer.dense_reason) : ""],
      ["quantizer", quantizer ? `range ${number(quantizer.amax)} by ${quantizer.method}, ${decibels(quantizer.snr_db)}` : ""],
      ["kernel", kernel ? `${kernel.kind}: ${kernelNote(kernel)}` : ""],
      ["findings", findingsOn(node.id)],
      ["passes", history(node.id)],
    ]),
    node.kind === "node" ? element("pre", { class: "line" }, splitComment(node.text)[0]) : null,
  ];
}

function constantFacts(name, constant, graph) {
  const readers = graph.readers.get(name) ?? [];
  return [facts([
    ["constant", constant.types.join(", ")],
    ["read by", namesList(readers.map((reader) => reader.id))],
    ["quantizer", QUANTIZERS.has(name) ? `range ${number(QUANTIZERS.get(name).amax)}, ${decibels(QUANTIZERS.get(name).snr_db)}` : ""],
    ["passes", history(name)],
  ]), element("pre", { class: "line" }, constant.text)];
}

function findingsOn(name) {
  return (REPORT.findings ?? []).filter((finding) => finding.nodes?.includes(name)).map((finding) => element("p", {}, `${finding.grade}: ${finding.message}`));
}

/** The passes that made, changed or removed a value. */
function history(name) {
  const found = [];
  STAGES.forEach((stage, i) => {
    const [old, now] = [i ? graphOf(i - 1).lines.get(name) : undefined, graphOf(i).lines.get(name)];
    if (old === now) return;
    const verb = old === undefined ? "made" : now === undefined ? "removed" : "changed";
    found.push(found.length ? ", " : "", link(`${verb} by ${stage.name}`, { pass: stage.number, step: 0, tab: "graph" }));
  });
  return found;
}
