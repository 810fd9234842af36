// An arranged group as SVG. Kinds differ in shape, pattern and letters as well as in colour.

/** Patterns and arrow heads that all drawings use; one drawing holds them for its own pane. */
function definitions(side) {
  const hatch = shape("pattern", { id: `hatch-${side}`, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    shape("rect", { width: 3, height: 6, class: "hatch" }));
  const arrow = shape("marker", { id: `arrow-${side}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
    shape("path", { d: "M0,0.5L8,4L0,7.5z", class: "arrow" }));
  return shape("defs", {}, hatch, arrow);
}

const MARKS = { new: "+ new", changed: "~ changed", gone: "− gone" };
const SYMBOLS = { new: "+", changed: "~", gone: "−" };

/** The drawing of an arrangement at a place; `look` tells of changes and what a click does. */
function draw(arrangement, x, y, look) {
  const { group, things, edges, width, height, head, aside } = arrangement;
  const made = shape("g", { transform: `translate(${x},${y})` });
  if (group.parent) made.append(...frame(group, width, height, look));
  const inside = shape("g", { transform: `translate(${aside},${head})` });
  for (const edge of edges) inside.append(line(edge, look));
  for (const thing of things) inside.append(drawThing(thing, look));
  made.append(inside);
  return made;
}

function drawThing(thing, look) {
  if (thing.inner) return draw(thing.inner, thing.x, thing.y, look);
  if (thing.port) return port(thing, look);
  return thing.child.isGroup ? closedGroup(thing, look) : drawNode(thing, look);
}

function line({ points, values }, look) {
  const [start, ...rest] = points.map((point) => point.join(","));
  const path = rest.length > 1 ? `M${start}${curve(points)}` : `M${start}L${rest.join(" ")}`;
  const title = shape("title", {}, values.slice(0, 8).join(", ") + (values.length > 8 ? ", …" : ""));
  return shape("path", { class: "edge", d: path, "marker-end": `url(#arrow-${look.side})` }, title);
}

/** Quadratic arcs through the middles of the stretches that the layout gives. */
function curve(points) {
  let path = "";
  for (let i = 1; i < points.length - 1; i++) {
    const [x, y] = points[i];
    const last = i === points.length - 2;
    const end = last ? points[i + 1] : [(x + points[i + 1][0]) / 2, (y + points[i + 1][1]) / 2];
    path += `Q${x},${y} ${end.join(",")}`;
  }
  return path;
}

/** What a person may choose: reachable by keys, with a name for those who cannot see it. */
function choosable(id, label, thing, look, attributes, ...children) {
  const { width, height, x, y } = thing;
  return shape("g", {
    transform: `translate(${x},${y})`, "data-id": id, role: "button", tabindex: -1, "aria-label": label,
    onclick: (event) => look.choose(id, event), ondblclick: () => look.toggle?.(id), ...attributes,
  }, shape("rect", { class: "ring", x: -3, y: -3, width: width + 6, height: height + 6, rx: 8 }), ...children);
}

const words = (x, y, text, style, anchor = "start") => shape("text", { x, y, class: style, "text-anchor": anchor }, text);

function drawNode(thing, look) {
  const { child: node, width, height } = thing;
  const { kind, sparse, tags } = node.look;
  const change = look.changes.get(node.id);
  const short = node.op.replace(/^(nn|q|sparse|onnx|aten)\./, "");
  const parts = [outline(kind, width, height)];
  if (kind === "int8") parts.push(shape("path", { class: "double", d: `M4.5,6V${height - 6}M7.5,6V${height - 6}` }));
  if (sparse || kind === "mask") parts.push(shape("rect", { class: "sparse", x: width - 9, y: 1, width: 8, height: height - 2, fill: `url(#hatch-${look.side})` }));
  if (kind === "quantizer" || kind === "mask") parts.push(words(width / 2, height / 2 + 4, smallName(node), "small", "middle"));
  else if (kind === "end") parts.push(words(width / 2, height / 2 + 4, shortened(node.id, 16), "small", "middle"));
  else {
    parts.push(words(13, 17, shortened(short, 14), "op"), words(13, 32, shortened(node.id, 20), "name"));
    parts.push(words(width - 12, 16, tags.join(" "), "tag", "end"));
  }
  if (change) parts.push(badge(SYMBOLS[change], change, width));
  const label = [node.id, node.op, ...tags, change ? MARKS[change].slice(2) : ""].filter(Boolean).join(", ");
  parts.push(shape("title", {}, `${node.id}: ${node.op} ${node.types.join(", ")}${change ? ` (${MARKS[change].slice(2)})` : ""}`));
  return choosable(node.id, label, thing, look, { class: `node ${kind} ${change ?? ""} ${look.lit.has(node.id) ? "lit" : ""}` }, ...parts);
}

const smallName = (node) => ({ "q.quantize": "Q", "q.dequantize": "DQ", "q.qdq": "Q·DQ", "sparse.mask": "2:4 mask" })[node.op] ?? node.op.split(".").at(-1);

/** A box for operators; a stadium for quantizers, a hexagon for masks, a round end for inputs. */
function outline(kind, width, height) {
  if (kind === "mask") return shape("path", { class: "box", d: `M8,0H${width - 8}L${width},${height / 2}L${width - 8},${height}H8L0,${height / 2}z` });
  const radius = { quantizer: height / 2, end: height / 2 }[kind] ?? 4;
  return shape("rect", { class: "box", width, height, rx: radius });
}

function badge(text, style, width) {
  const size = 9 + 7 * text.length;
  return shape("g", { class: `badge ${style}`, transform: `translate(${width - size + 6},-8)` },
    shape("rect", { width: size, height: 15, rx: 7 }), words(size / 2, 11.5, text, "badge-text", "middle"));
}

function port(thing, look) {
  const { port: value, maker, width, height } = thing;
  return choosable(maker.id, `${value}, from outside`, thing, look, { class: "port" },
    shape("rect", { class: "box", width, height, rx: 9 }),
    words(width / 2, 13, `↓ ${shortened(value, 15)}`, "name", "middle"), shape("title", {}, `${value} comes from outside of this group`));
}

function closedGroup(thing, look) {
  const { child: group, width, height } = thing;
  const { text, kinds } = contents(group);
  const tally = tallyOf(group, look.changes);
  const label = `group ${group.label}: ${text}${tally ? `; ${tally}` : ""}; press Enter to open`;
  const parts = [
    shape("rect", { class: "box behind", x: 4, y: 4, width, height, rx: 7 }), shape("rect", { class: "box", width, height, rx: 7 }),
    words(12, 19, shortened(group.label, 24), "op"), words(width - 10, 19, "+", "opener", "end"),
    words(12, 35, shortened(group.note || text, 36), "name"), ...bar(kinds, width, look),
  ];
  if (tally) parts.push(badge(tally, "changed", width));
  const lit = group.nodes.some((node) => look.lit.has(node.id)) ? "lit" : "";
  parts.push(shape("title", {}, `${group.id}: ${text}`));
  return choosable(group.id, label, thing, look, { class: `group ${lit}`, "aria-expanded": "false" }, ...parts);
}

/** What a group holds, in words and as counts of kinds. */
function contents(group) {
  const kinds = { int8: 0, float: 0, quantizer: 0, mask: 0, sparse: 0 };
  for (const { look } of group.nodes) {
    if (look.kind in kinds) kinds[look.kind]++;
    if (look.sparse) kinds.sparse++;
  }
  const said = [[kinds.int8, "INT8"], [kinds.float, "float"], [kinds.sparse, "sparse"], [kinds.int8 + kinds.float ? 0 : kinds.quantizer, "Q/DQ"]];
  return { kinds, text: said.filter(([n]) => n).map(([n, word]) => `${n} ${word}`).join(", ") || count(group.nodes.length, "node") };
}

/** The shares of INT8 and float operators as a strip; the sparse share is hatched on top. */
function bar(kinds, width, look) {
  const total = kinds.int8 + kinds.float;
  if (!total) return [];
  const size = (n) => ((width - 24) * n) / total;
  return [
    shape("rect", { class: "share int8", x: 12, y: 43, width: size(kinds.int8), height: 7 }),
    shape("rect", { class: "share float", x: 12 + size(kinds.int8), y: 43, width: size(kinds.float), height: 7 }),
    shape("rect", { x: 12, y: 43, width: size(kinds.sparse), height: 7, fill: `url(#hatch-${look.side})` }),
  ];
}

/** `+3 ~2`: how many nodes of a group are new, changed and gone. */
function tallyOf(group, changes) {
  const found = { new: 0, changed: 0, gone: 0 };
  for (const node of group.nodes) if (changes.has(node.id)) found[changes.get(node.id)]++;
  return Object.entries(found).filter(([, n]) => n).map(([kind, n]) => SYMBOLS[kind] + n).join(" ");
}

/** The border of an open group, with its name, which closes it. */
function frame(group, width, height, look) {
  const text = titleOfGroup(group);
  const title = choosable(group.id, `group ${text}; press Enter to close`,
    { x: 0, y: 0, width, height: GAP.head - 4 }, look, { class: "title", "aria-expanded": "true" },
    shape("rect", { class: "grip", width, height: GAP.head - 4, rx: 6 }),
    words(10, 15, shortened(`− ${text}`, Math.floor((width - 14) / 7)), "op"), shape("title", {}, group.id));
  return [shape("rect", { class: `frame ${group.kernel ? "kernel" : ""}`, width, height, rx: 7 }), title];
}
