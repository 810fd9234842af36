// Where everything goes: dagre lays out each group that is open, in a worker, the inner ones first.

const GAP = { node: 26, rank: 26, edge: 12, head: 26, margin: 14 };

/** A box is made wider for its title up to this. */
const WIDEST_TITLE = 330;

/** What stands at the top of an open box. */
const titleOfGroup = (group) => (group.note ? `${group.label} · ${group.note}` : group.label);

/** What the worker runs. It is given as text, and so holds nothing from outside of itself. */
function layOut({ sizes, edges, gap }) {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ nodesep: gap.node, ranksep: gap.rank, edgesep: gap.edge, marginx: gap.margin, marginy: gap.margin, ranker: "tight-tree" });
  graph.setDefaultEdgeLabel(() => ({}));
  sizes.forEach(([width, height], i) => graph.setNode(String(i), { width, height }));
  edges.forEach(([from, to], i) => graph.setEdge(String(from), String(to), {}, String(i)));
  dagre.layout(graph);
  const { width, height } = graph.graph();
  const finite = (number) => (Number.isFinite(number) ? number : 2 * gap.margin);
  return {
    width: finite(width),
    height: finite(height),
    places: sizes.map((_, i) => [graph.node(String(i)).x, graph.node(String(i)).y]),
    lines: edges.map(([from, to], i) => graph.edge(String(from), String(to), String(i)).points.map((p) => [p.x, p.y])),
  };
}

const layouts = new Map();
const waiting = new Map();
let worker = null;

/** The worker, or the same code in the page where a browser gives none to a local file. */
function startWorker() {
  const library = document.getElementById("layout-library").textContent;
  const answer = `onmessage = ({data}) => postMessage({key: data.key, found: layOut(data.given)});`;
  const url = URL.createObjectURL(new Blob([library, layOut.toString(), answer], { type: "text/javascript" }));
  worker = new Worker(url);
  worker.onmessage = ({ data }) => {
    waiting.get(data.key)?.(data.found);
    waiting.delete(data.key);
  };
  worker.onerror = () => fallBack();
}

function fallBack() {
  worker = null;
  document.head.append(element("script", {}, document.getElementById("layout-library").textContent));
  for (const [key, done] of waiting) done(layOut(JSON.parse(key)));
  waiting.clear();
}

/** The layout of boxes and the edges between them; equal questions are answered once. */
function askForLayout(given) {
  const key = JSON.stringify(given);
  if (!layouts.has(key)) {
    layouts.set(key, new Promise((done) => {
      waiting.set(key, done);
      if (worker) worker.postMessage({ key, given });
      else if (typeof dagre === "object") waiting.delete(key), done(layOut(given));
    }));
  }
  return layouts.get(key);
}

try {
  startWorker();
} catch {
  fallBack();
}

/** An open group, laid out: its size, its things with their places, and the lines between them. */
async function arrange(group, graph, isOpen) {
  const things = group.children.map((child) => ({ child }));
  for (const thing of things)
    if (thing.child.isGroup && isOpen(thing.child)) thing.inner = await arrange(thing.child, graph, isOpen);
  const edges = edgesIn(group, graph, things);
  const sizes = things.map(sizeOf);
  const found = await askForLayout({ sizes, edges: edges.map((e) => [e.from, e.to]), gap: GAP });
  things.forEach((thing, i) => {
    [thing.width, thing.height] = sizes[i];
    [thing.x, thing.y] = [found.places[i][0] - sizes[i][0] / 2, found.places[i][1] - sizes[i][1] / 2];
  });
  edges.forEach((edge, i) => (edge.points = found.lines[i]));
  const head = group.parent ? GAP.head : 0;
  const width = Math.max(found.width, group.parent ? Math.min(7.2 * titleOfGroup(group).length + 34, WIDEST_TITLE) : 0);
  return { group, things, edges, width, height: found.height + head, head, aside: (width - found.width) / 2 };
}

/** The edges between the things of a group. A value from outside of it gets a thing of its own. */
function edgesIn(group, graph, things) {
  const index = new Map(things.map((thing, i) => [thing.child, i]));
  const found = new Map();
  for (const node of group.nodes)
    for (const value of new Set(node.in)) {
      const maker = graph.made.get(value);
      if (!maker) continue;
      const to = index.get(childAround(group, node));
      const from = index.get(childAround(group, maker)) ?? portFor(value, maker, things, index);
      if (from === to) continue;
      const key = `${from} ${to}`;
      if (!found.has(key)) found.set(key, { from, to, values: [] });
      found.get(key).values.push(value);
    }
  return [...found.values()];
}

function portFor(value, maker, things, index) {
  if (!index.has(value)) {
    index.set(value, things.length);
    things.push({ port: value, maker });
  }
  return index.get(value);
}

function sizeOf(thing) {
  if (thing.inner) return [thing.inner.width, thing.inner.height];
  if (thing.port) return [Math.min(40 + 6 * thing.port.length, 130), 18];
  if (thing.child.isGroup) return [204, 58];
  return { quantizer: [62, 22], mask: [76, 22], end: [110, 24] }[thing.child.look.kind] ?? [160, 40];
}
