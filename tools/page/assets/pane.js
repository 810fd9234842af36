// One side of the picture: a graph that is drawn, zoomed and walked through with the keys.

/** So many things are added at once where a person opens all groups of a level. */
const MOST_OPENED = 300;

class Pane {
  constructor(side, opened, onChoose, onToggle) {
    Object.assign(this, { side, opened, onChoose, onToggle, version: 0, shown: "" });
    this.title = element("h2", { id: `title-${side}` });
    this.view = shape("g", {});
    this.picture = shape("svg", { class: "picture", role: "group", "aria-labelledby": `title-${side}`, onkeydown: (e) => this.onKey(e) },
      definitions(side), this.view);
    this.zoom = d3.zoom().scaleExtent([0.04, 4]).on("zoom", (event) => this.view.setAttribute("transform", event.transform));
    d3.select(this.picture).call(this.zoom).on("dblclick.zoom", null);
    this.root = element("section", { class: "pane", "aria-labelledby": `title-${side}` },
      element("div", { class: "pane-head" }, this.title, this.buttons()), this.picture);
  }

  buttons() {
    const button = (label, text, onclick) => element("button", { type: "button", "aria-label": `${label}, ${this.side}`, title: label, onclick }, text);
    return element("div", { class: "buttons" },
      button("zoom in", "+", () => this.scale(1.4)), button("zoom out", "−", () => this.scale(1 / 1.4)),
      button("open groups, as many as can be seen", "⊞", () => this.openMore()), button("close all groups", "⊟", () => this.onToggle(null)),
      button("show all of it", "⤢", () => this.fit()));
  }

  /** Open the groups of the outermost level that still has closed ones, within the limit. */
  openMore() {
    let level = this.tree ? [this.tree] : [], drawn = 0;
    while (level.length) {
      const closed = level.filter((group) => !this.opened.has(group.id));
      for (const group of closed) if ((drawn += group.children.length) <= MOST_OPENED) this.opened.add(group.id);
      if (closed.length) break;
      level = level.flatMap((group) => group.children.filter((child) => child.isGroup));
    }
    this.onToggle();
  }

  /** Show the graph of a stage; `changes`, `lit` and `chosen` say what stands out in it. */
  async show({ graph, by, title, changes, lit, chosen, near }) {
    const version = ++this.version;
    Object.assign(this, { graph, changes, lit, tree: groupsOf(graph, by) });
    this.title.textContent = title;
    if (near.length) this.reveal(near);
    const found = await arrange(this.tree, graph, (group) => this.opened.has(group.id));
    if (version !== this.version) return;
    const look = { side: this.side, changes, lit, choose: (id) => this.onChoose(id), toggle: (id) => this.toggle(id) };
    this.view.replaceChildren(draw(found, 0, 0, look));
    this.size = found;
    this.mark(chosen);
    const key = `${graph.index} ${by} ${this.picture.clientWidth}`;
    if (near.length) this.focusOn(near);
    else if (this.shown !== key) this.fit();
    this.shown = key;
  }

  /** Nothing is to be seen here. */
  hide() {
    this.version++;
    this.shown = "";
    this.view.replaceChildren();
  }

  mark(chosen) {
    this.chosen = chosen;
    for (const item of this.view.querySelectorAll(".chosen")) item.classList.remove("chosen");
    const items = [...this.view.querySelectorAll("[data-id]")];
    for (const item of items) item.setAttribute("tabindex", -1);
    const found = items.find((item) => item.dataset.id === chosen);
    if (found) found.classList.add("chosen");
    (found ?? items[0])?.setAttribute("tabindex", 0);
  }

  /** Open the groups around some nodes. */
  reveal(ids) {
    for (const id of ids.slice(0, 12))
      for (const group of this.node(id)?.path ?? []) this.opened.add(group.id);
  }

  node(id) {
    return this.graph.made.get(id) ?? this.graph.nodes.find((node) => node.id === id);
  }

  group(id) {
    if (!this.tree) return undefined;
    const search = (group) => (group.id === id ? group : group.children.filter((c) => c.isGroup).map(search).find(Boolean));
    return search(this.tree);
  }

  toggle(id) {
    const group = this.group(id);
    if (group?.parent) this.onToggle(group);
  }

  scale(by) {
    d3.select(this.picture).call(this.zoom.scaleBy, by);
  }

  /** Show a stretch of the picture, not larger than life. */
  showBox(box, largest = 1) {
    const { width, height } = this.picture.getBoundingClientRect();
    if (!width || !box.width) return;
    const scale = Math.min(largest, (0.94 * width) / box.width, (0.94 * height) / box.height);
    const readable = Math.max(scale, Math.min(0.3, (0.94 * width) / box.width));
    const y = readable > scale ? 12 - box.y * readable : (height - box.height * readable) / 2 - box.y * readable;
    const x = (width - box.width * readable) / 2 - box.x * readable;
    d3.select(this.picture).call(this.zoom.transform, d3.zoomIdentity.translate(x, y).scale(readable));
  }

  fit() {
    if (this.size) this.showBox({ x: 0, y: 0, width: this.size.width, height: this.size.height });
  }

  /** Bring nodes, or the closed groups that hold them, into the middle. */
  focusOn(ids) {
    const wanted = new Set(ids.flatMap((id) => [id, ...(this.node(id)?.path ?? []).filter((g) => g.parent).map((g) => g.id)]));
    const items = [...this.view.querySelectorAll("[data-id]")].filter((item) => wanted.has(item.dataset.id) && !item.classList.contains("title"));
    if (!items.length) return;
    const inverse = this.view.getScreenCTM().inverse();
    const corner = (x, y) => new DOMPoint(x, y).matrixTransform(inverse);
    const boxes = items.map((item) => item.getBoundingClientRect());
    const from = boxes.map((box) => corner(box.left, box.top)), to = boxes.map((box) => corner(box.right, box.bottom));
    const x = Math.min(...from.map((p) => p.x)) - 60, y = Math.min(...from.map((p) => p.y)) - 60;
    const right = Math.max(...to.map((p) => p.x)) + 60, below = Math.max(...to.map((p) => p.y)) + 60;
    this.showBox({ x, y, width: right - x, height: below - y });
  }

  /** Arrow keys walk along the edges and between neighbours; Enter opens, closes or chooses. */
  onKey(event) {
    const item = event.target.closest("[data-id]");
    if (!item) return;
    const near = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (near) this.walk(item, near);
    else if (event.key === "Enter") this.group(item.dataset.id)?.parent ? this.toggle(item.dataset.id) : this.onChoose(item.dataset.id);
    else if (event.key === " ") this.onChoose(item.dataset.id);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Move the focus to the nearest thing in a direction. */
  walk(item, [across, down]) {
    const middle = (box) => [box.x + box.width / 2, box.y + box.height / 2];
    const [x, y] = middle(item.getBoundingClientRect());
    let best = null, least = Infinity;
    for (const other of this.view.querySelectorAll("[data-id]")) {
      const [dx, dy] = middle(other.getBoundingClientRect()).map((at, i) => at - [x, y][i]);
      const along = dx * across + dy * down, aside = Math.abs(dx * down) + Math.abs(dy * across);
      const cost = along + 2 * aside;
      if (other !== item && along > 1 && cost < least) [best, least] = [other, cost];
    }
    if (!best) return;
    item.setAttribute("tabindex", -1);
    best.setAttribute("tabindex", 0);
    best.focus({ preventScroll: true });
    this.keepInView(best);
  }

  keepInView(item) {
    const box = item.getBoundingClientRect(), all = this.picture.getBoundingClientRect();
    const past = (low, high, from, to) => (low < from ? from - low + 20 : high > to ? to - high - 20 : 0);
    const dx = past(box.left, box.right, all.left, all.right), dy = past(box.top, box.bottom, all.top, all.bottom);
    const scale = d3.zoomTransform(this.picture).k;
    if (dx || dy) d3.select(this.picture).call(this.zoom.translateBy, dx / scale, dy / scale);
  }
}
