// A graph of the run, from its lines; and how two of them differ.

const graphs = new Map();

/** The graph of a stage by its index, made once. */
function graphOf(index) {
  if (!graphs.has(index)) graphs.set(index, readGraph(index));
  return graphs.get(index);
}

function readGraph(index) {
  const stage = STAGES[index];
  const graph = { index, stage, nodes: [], made: new Map(), constants: new Map(), readers: new Map(), lines: new Map() };
  for (const number of stage?.lines ?? []) readLine(graph, DATA.lines[number], number);
  for (const node of graph.nodes) {
    node.look = lookOf(node, graph);
    for (const value of new Set(node.in)) {
      if (!graph.readers.has(value)) graph.readers.set(value, []);
      graph.readers.get(value).push(node);
    }
  }
  return graph;
}

function readLine(graph, line, number) {
  for (const name of line.out ?? []) graph.lines.set(name, number);
  if (line.kind === "const") graph.constants.set(line.out[0], line);
  else if (line.kind === "header")
    line.out?.forEach((name, i) => addNode(graph, { ...line, out: [name], op: "input", types: [line.types[i]] }));
  else if (line.kind === "return")
    (line.in ?? []).forEach((name) => addNode(graph, { ...line, out: [], op: "output", in: [name] }, `output ${name}`));
  else if (line.kind === "node") addNode(graph, line);
}

function addNode(graph, line, id = line.out[0]) {
  const node = { module: "", ofWeights: line.kind === "header" ? false : undefined, source: "", rules: [], types: [], in: [], ...line, id, position: graph.nodes.length };
  graph.nodes.push(node);
  for (const name of node.out) graph.made.set(name, node);
}

/**
 * How an operator is drawn: what kind it is, and what is told of it in letters. In the last graph it
 * is of the type of its predicted kernel, before that of the type that it reads.
 */
function lookOf(node, graph) {
  if (node.kind !== "node") return { kind: "end", tags: [] };
  if (node.op.startsWith("q.")) return { kind: "quantizer", tags: [] };
  if (node.op.startsWith("sparse.")) return { kind: "mask", tags: ["2:4"] };
  const kernel = graph.index === STAGES.length - 1 ? KERNELS[KERNEL_OF.get(node.id)] : undefined;
  const quantized = kernel ? kernel.int8 : node.in.some((name) => /^q\.(dequantize|qdq)/.test(graph.made.get(name)?.op ?? ""));
  const sparse = node.in.some((name) => isMasked(name, graph)) || isSparseLayer(node, graph);
  const tags = [quantized ? "INT8" : floatTag(node.types[0] ?? ""), ...(sparse ? ["2:4"] : [])];
  return { kind: quantized ? "int8" : "float", sparse, tags };
}

function floatTag(type) {
  const name = type.split("[")[0];
  return { f32: "FP32", f16: "FP16", bf16: "BF16", f64: "FP64" }[name] ?? name;
}

/** Whether a weight passes a mask on its way here, through quantizers at most. */
function isMasked(name, graph) {
  for (let node = graph.made.get(name); node; node = graph.made.get(node.in[0])) {
    if (node.op.startsWith("sparse.")) return true;
    if (!node.op.startsWith("q.")) return false;
  }
  return false;
}

/** Masks are folded into the codes by export: from there on the report knows. */
function isSparseLayer(node, graph) {
  return graph.stage.level === "onnx" && Boolean(LAYERS.get(node.id)?.sparse);
}

/** What became of each node: `new`, `changed` or `gone`, by its name, and how it is meant. */
function differences(before, after) {
  const found = { before: new Map(), after: new Map() };
  if (before.index === after.index) return found;
  for (const node of after.nodes) {
    if (node.kind !== "node") continue;
    if (!before.made.has(node.id)) found.after.set(node.id, "new");
    else if (isOther(node, before, after)) {
      found.after.set(node.id, "changed");
      found.before.set(node.id, "changed");
    }
  }
  for (const node of before.nodes)
    if (node.kind === "node" && !after.made.has(node.id)) found.before.set(node.id, "gone");
  return found;
}

/** Whether a node's line is another one, or that of a constant which it reads. */
function isOther(node, before, after) {
  const moved = (name) => before.lines.has(name) && before.lines.get(name) !== after.lines.get(name);
  return moved(node.id) || node.in.some((name) => after.constants.has(name) && moved(name));
}
