// The nodes of a graph in groups, by the module that they come from or by the predicted kernel.

/** A group of more things than this is cut into runs of neighbours: it can still be laid out. */
const MOST_CHILDREN = 48;

function newGroup(id, label, note = "") {
  return { isGroup: true, id, label, note, children: [], nodes: [], parent: null };
}

/**
 * The tree of groups of a graph. Each node gets `path`, the groups around it from the root: so a
 * graph has one tree at a time, which all who draw it share.
 */
function groupsOf(graph, by) {
  if (graph.tree?.by !== by) graph.tree = { by, root: grouped(graph, by) };
  return graph.tree.root;
}

function grouped(graph, by) {
  const root = by === "kernel" ? byKernel(graph) : byModule(graph);
  cut(root);
  settle(root, []);
  return root;
}

function byModule(graph) {
  const root = newGroup("", "");
  const known = new Map([["", root]]);
  for (const node of graph.nodes) groupFor(node.module, known).children.push(node);
  flatten(root);
  return root;
}

function groupFor(module, known) {
  if (known.has(module)) return known.get(module);
  const above = module.includes(".") ? module.slice(0, module.lastIndexOf(".")) : "";
  const made = newGroup(module, labelIn(module, above));
  known.set(module, made);
  groupFor(above, known).children.push(made);
  return made;
}

/** A number alone says little: `stages.0` instead. */
function labelIn(module, above) {
  const own = module.slice(above ? above.length + 1 : 0);
  return /^\d+$/.test(own) && above ? `${above.slice(above.lastIndexOf(".") + 1)}.${own}` : own;
}

/** A group of one thing, or of things apart, says nothing: what is in it takes its place. */
function flatten(group) {
  group.children = group.children.map((child) => {
    if (!child.isGroup) return child;
    flatten(child);
    if (child.children.length !== 1) return isApart(child) ? child.children : child;
    const [only] = child.children;
    if (only.isGroup) only.label = `${child.label}.${only.label}`;
    return only;
  }).flat();
}

/** Whether nothing in a group reads anything else in it: a module that is called here and there. */
function isApart(group) {
  if (group.children.some((child) => child.isGroup)) return false;
  const made = new Set(group.children.flatMap((node) => node.out));
  return !group.children.some((node) => node.in.some((name) => made.has(name)));
}

function byKernel(graph) {
  const root = newGroup("", "");
  const known = new Map();
  for (const node of graph.nodes) {
    const index = kernelOf(node, graph);
    if (index === undefined) {
      root.children.push(node);
      continue;
    }
    if (!known.has(index)) {
      known.set(index, kernelGroup(index));
      root.children.push(known.get(index));
    }
    known.get(index).children.push(node);
  }
  return root;
}

function kernelGroup(index) {
  const kernel = KERNELS[index];
  const made = newGroup(`kernel ${index}`, kernel.kind, kernelNote(kernel));
  made.kernel = kernel;
  return made;
}

/** A kernel in a line: traffic, and time where it is known. */
function kernelNote(kernel) {
  const traffic = (kernel.bytes_read ?? 0) + (kernel.bytes_written ?? 0) + (kernel.bytes_weights ?? 0);
  const time = typeof kernel.seconds === "number" ? `, about ${seconds(kernel.seconds)}` : "";
  return `${kernel.int8 ? "INT8" : "float"}${kernel.sparse_pays ? " 2:4" : ""}, ${bytes(traffic)}${time}`;
}

/**
 * The kernel of a node. What only prepares a weight belongs to the kernel that reads it, and what
 * stands between two operators of a kernel (a BatchNorm that is folded later) to that one.
 */
function kernelOf(node, graph) {
  for (const name of node.out) if (KERNEL_OF.has(name)) return KERNEL_OF.get(name);
  if (node.kind !== "node") return undefined;
  const readers = node.out.flatMap((name) => graph.readers.get(name) ?? []);
  const ofWeights = isOfWeights(node, graph);
  const kernels = new Set(readers.map((reader) => (ofWeights ? kernelOf(reader, graph) : KERNEL_OF.get(reader.id))));
  const [kernel] = kernels;
  const inside = ofWeights || node.in.some((name) => KERNEL_OF.get(name) === kernel);
  return kernels.size === 1 && inside ? kernel : undefined;
}

/** Whether a node reads nothing but constants, at first or second hand. */
function isOfWeights(node, graph) {
  node.ofWeights ??= node.in.every((name) => graph.constants.has(name) || (graph.made.has(name) && isOfWeights(graph.made.get(name), graph)));
  return node.ofWeights;
}

/** Cut what is too long into runs, in the order of the graph: so they never read in a circle. */
function cut(group) {
  for (const child of group.children) if (child.isGroup) cut(child);
  group.children.sort((a, b) => firstOf(a) - firstOf(b));
  while (group.children.length > MOST_CHILDREN) {
    const runs = [];
    for (let start = 0; start < group.children.length; start += MOST_CHILDREN) {
      const children = group.children.slice(start, start + MOST_CHILDREN);
      const made = newGroup(`${group.id} from ${firstOf(children[0])} of ${group.children.length}`, nameOfRun(children));
      made.children = children;
      runs.push(made);
    }
    group.children = runs;
  }
}

const firstOf = (thing) => (thing.isGroup ? Math.min(...thing.children.map(firstOf)) : thing.position);
const nameOfRun = (children) => `${labelOf(children[0])} … ${labelOf(children.at(-1))}`;
const labelOf = (thing) => (thing.isGroup ? thing.label.split(" … ")[0] : thing.id);

/** Tell each group its nodes and each node its groups. */
function settle(group, path) {
  group.depth = path.length;
  const inside = [...path, group];
  for (const child of group.children) {
    if (child.isGroup) {
      child.parent = group;
      settle(child, inside);
      for (const node of child.nodes) group.nodes.push(node);
    } else {
      child.path = inside;
      group.nodes.push(child);
    }
  }
}

/** What holds a node at one level: a group inside `group`, the node itself, or nothing. */
function childAround(group, node) {
  if (node.path[group.depth] !== group) return null;
  return node.path[group.depth + 1] ?? node;
}
